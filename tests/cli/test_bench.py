"""The benchmarks run, so that they can be relied on when somebody wants figures. What they say is not looked at."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "scripts" / "benchmarks"
GROUPS = ("cpu", "create", "one-way", "round-trip", "many", "scaling", "fairness", "start", "batch", "costs", "growth")


def bench(*options):
    return subprocess.run([sys.executable, BENCHMARKS, *options], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("group", GROUPS)
def test_every_work_of_a_group_can_be_done_by_all_who_are_there(group):
    done = bench(group, "--smoke", "--rounds", "1", "--json")
    assert done.returncode == 0, done.stderr
    works = json.loads(done.stdout)["groups"][group]
    assert works
    for work in works:
        assert not work["failures"]
        assert all(len(samples) == 1 for samples in work["samples"].values())
        assert any(name.startswith(("luspool", "with", "by")) for name in work["samples"])


def test_a_peer_takes_part_in_the_works_of_lus():
    peer = f"me={sys.executable} -m luspool run -P load -P fs:read=."
    done = bench("round-trip", "--smoke", "--rounds", "1", "--peer", peer)
    assert done.returncode == 0, done.stderr
    assert any(line.split()[0] == "me" for line in done.stdout.splitlines() if line.strip())


def test_who_fails_takes_no_further_part_and_is_told():
    done = bench("start", "--smoke", "--rounds", "2", "--peer", "broken=false")
    assert done.returncode == 1
    assert "hello: broken takes no further part: false hello.lus: exit status 1" in done.stderr
    assert "python -c pass" in done.stdout


@pytest.mark.parametrize("peer", ["lus", "=lus", "lus="])
def test_a_peer_without_a_command_is_told(peer):
    done = bench("start", "--peer", peer)
    assert done.returncode == 2
    assert "NAME=COMMAND" in done.stderr


def test_there_is_a_test_for_every_group():
    listed = bench("--help").stdout
    assert all(f"\n  {group} " in listed for group in GROUPS)
    assert listed.count("\n  ") - len(GROUPS) < 30


def test_figures_of_a_work_are_kept_until_it_is_measured_again(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import kept  # noqa: PLC0415 - it is no part of the package
    from measure import Result, Work  # noqa: PLC0415 - likewise

    one, other = Work("one", ()), Work("other", ())
    file = tmp_path / "bench.json"
    kept.keep(file, "b", [Result(one, {"luspool": [1.0]}), Result(other, {"luspool": [2.0]})])
    kept.keep(file, "a", [Result(one, {"luspool": [3.0], "peer": [4.0]})])
    kept.keep(file, "b", [Result(one, {"luspool": [5.0]})])
    found = kept.results(file, {"a": [one], "b": [one, other], "c": [one]})
    samples = {group: [(each.work.name, each.samples) for each in results] for group, results in found.items()}
    assert samples == {
        "a": [("one", {"luspool": [3.0], "peer": [4.0]})],
        "b": [("one", {"luspool": [5.0]}), ("other", {"luspool": [2.0]})],
    }


def test_of_what_lua_says_of_itself_the_version_is_kept(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import figures  # noqa: PLC0415 - it is no part of the package

    lua = tmp_path / "lua5.4"
    lua.write_text("#!/bin/sh\necho 'Lua 5.4.4  Copyright (C) 1994-2022 Lua.org, PUC-Rio'\n", encoding="utf-8")
    lua.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert figures.versions()["lua5.4"] == "Lua 5.4.4"
