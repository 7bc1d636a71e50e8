"""From a run to its log, to a policy, to a run under that: the programs of examples/, and some that change."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
ALL = ("--allow", "all", "--audit", "run.jsonl")


COMMANDS = [  # where, and what
    (".", "examples/hello.lus"),
    (".", "examples/counter.lus"),
    ("examples/counter", "main.lus"),
    ("examples/select", "main.lus"),
    ("examples/plugins", "main.lus"),
    ("examples/batch", "lines.lus", "short.txt"),
    ("examples/logs", "summary.lus", "sample", "*.log"),
    ("examples/logs", "generate.lus", "sample", "0.01", "1"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: "/".join(command[:2]))
def test_a_policy_that_is_derived_from_an_example_is_enough_for_it(luspool, command):
    folder, script, *arguments = command
    shutil.copytree(EXAMPLES, luspool.directory / "examples")
    luspool.directory /= folder
    observed = luspool("audit", "observe", *ALL, script, *arguments)
    assert observed.returncode == 0, observed.stderr
    derived = luspool("audit", "derive", "-o", "p.toml", "--verify", "run.jsonl", "--", script, *arguments)
    assert derived.returncode == 0, derived.stderr
    assert f"luspool: verified: {script} was denied nothing under the policy" in derived.stderr
    plain = luspool("run", "--policy", "p.toml", script, *arguments)
    assert (sorted(plain.stdout.splitlines()), plain.stderr) == (sorted(observed.stdout.splitlines()), "")


def test_every_example_is_tried():
    """All but workers, which send messages, modules, which return something, and what never ends."""
    texts = {path: path.read_text(encoding="utf-8") for path in EXAMPLES.glob("**/*.lus")}
    parts = [name for name, text in texts.items() if re.search(r"worker\.message|\nreturn |^while true do end", text)]
    assert sorted({*texts} - {*parts}) == sorted(EXAMPLES.parent / folder / script for folder, script, *_ in COMMANDS)


def test_a_program_that_uses_all_kinds_of_permissions_is_enough_for_itself(luspool):
    """Directories, files that are not there, modules, workers that narrow themselves, and names that pledges escape."""
    luspool.write(
        main="""
        local names = fs.list("in") table.sort(names)
        for _, name in ipairs(names) do io.open(fs.path.join("in", name)):close() end
        print(io.open("in/none"), os.getenv("A"), os.getenv("B"), require("lib.m"))
        fs.createdirectory("out/a/b", true)
        io.open("out/a/b/*?.txt", "w"):write("x"):close()
        fs.copy("out/a/b/*?.txt", "out/copy") fs.move("out/copy", "out/moved") fs.remove("out/moved")
        print(pledge("fs:read=w.lus", "fs:read=lib", "~fs:write", "load"))
        print(worker.receive(worker.create("w.lus")))
        """,
        w="""
        local granted = pledge("fs:read=lib/m.lus")
        local ok = catch io.open("in/a")
        worker.message(granted and not ok and io.open("lib/m.lus"):read("a"))
        """,
    )
    for path in ("in/a", "in/b", "in/c", "out/x"):
        file = luspool.directory / path
        file.parent.mkdir(exist_ok=True)
        file.write_text("text", encoding="utf-8")
    luspool.directory.joinpath("lib").mkdir()
    luspool.directory.joinpath("lib/m.lus").write_text("return 'module'", encoding="utf-8")
    luspool.environment["A"] = "a"
    observed = luspool("audit", "observe", *ALL, "main.lus")
    assert observed.returncode == 0, observed.stderr
    shutil.rmtree(luspool.directory / "out/a")
    derived = luspool("audit", "derive", "--ignore-denials", "-o", "p.toml", "run.jsonl")
    assert derived.returncode == 0, derived.stderr
    plain = luspool("run", "--policy", "p.toml", "main.lus")
    assert (plain.stdout, plain.stderr) == (observed.stdout, "")


@pytest.fixture
def recorded(luspool):
    """Runs a program that reads the file of its first argument and ends with the status of its second, with a log."""
    luspool.write(main="local name, status = ... print(io.open(name):read('a')) os.exit(tonumber(status))")
    for name in ("a", "b"):
        luspool.directory.joinpath(name).write_text(name, encoding="utf-8")

    def record(*arguments: str) -> None:
        luspool("run", "-P", "fs:read=.", "--audit", "run.jsonl", "main.lus", *arguments)

    return record


def test_the_policy_is_on_standard_output_and_what_the_program_prints_is_not(luspool, recorded):
    recorded("a", "0")
    result = luspool("audit", "derive", "--verify", "run.jsonl", "--", "main.lus", "a", "0")
    assert result.returncode == 0
    assert f'"fs:read={luspool.directory}/a",  # once: main.lus:1' in result.stdout
    assert result.stdout.endswith("]\n")
    assert result.stderr.startswith("a\nluspool: verified: main.lus")


@pytest.mark.parametrize(
    ("run", "again", "said"),
    [
        (
            ("a", "0"),
            ("b", "0"),
            "not verified: main.lus was denied something under the policy\n  fs:read={}/b at main.lus:1",
        ),
        (("a", "0"), ("a", "3"), "not verified: under the policy main.lus ended with status 3, not 0\n"),
        (("a", "3"), ("a", "4"), "not verified: under the policy main.lus ended with status 4, not 0 or 3\n"),
        (
            ("a", "3"),
            ("a", "3"),
            "luspool: verified: main.lus was denied nothing under the policy, and ended with status 3\n",
        ),
    ],
)
def test_a_program_that_does_something_else_is_not_verified(luspool, recorded, run, again, said):
    recorded(*run)
    result = luspool("audit", "derive", "-o", "p.toml", "--verify", "run.jsonl", "--", "main.lus", *again)
    assert said.format(luspool.directory) in result.stderr
    assert result.returncode == int("not verified" in said)
    assert luspool.directory.joinpath("p.toml").exists()


def test_a_program_that_is_not_there_is_not_verified(luspool, recorded):
    recorded("a", "0")
    result = luspool("audit", "derive", "--verify", "run.jsonl", "--", "none.lus")
    assert result.returncode == 1
    assert "no such script: none.lus" in result.stderr
    assert "not verified: the run under the policy did not begin (status 127)" in result.stderr


def test_a_denial_that_is_caught_is_one(luspool):
    """A program may get on without what it is denied; a policy that denies it would make it do something else."""
    luspool.write(main="local ok = catch io.open('a') print(ok)")
    luspool("run", "--audit", "run.jsonl", "main.lus")
    refused = luspool("audit", "derive", "run.jsonl")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"fs:read={luspool.directory}/a at main.lus:1: beyond" in refused.stderr


def test_a_run_in_several_processes_is_reported_as_one(luspool):
    luspool.write(
        main="for i = 1, 3 do print(worker.receive(worker.create('w.lus'))) end",
        w="worker.message(worker.receive(worker.create('v.lus')))",
        v="worker.message(os.getenv('A'))",
    )
    flags = ("-P", "load", "-P", "fs:read=.", "-P", "env=A", "-P", "env=B")
    result = luspool("run", "--hosts", "2", "--placement", "spread", *flags, "--audit", "run.jsonl", "main.lus")
    assert (result.returncode, result.stderr) == (0, "")
    (run,) = json.loads(luspool("audit", "report", "--json", "run.jsonl").stdout)["runs"]
    assert (run["complete"], run["asked"], run["denied"]) == (True, 15, 0)
    depths = {state["state"]: state["parent"] for state in run["states"]}
    assert [state["script"] for state in run["states"]] == ["main.lus", *["w.lus", "v.lus"] * 3]
    assert all(
        depths[state["parent"]] == run["states"][0]["state"] for state in run["states"] if state["script"] == "v.lus"
    )
    assert run["states"][0]["unused"] == ["env=B"]


def test_what_another_policy_would_have_decided(luspool):
    luspool.write(main="io.open('a') os.getenv('A')")
    luspool.directory.joinpath("a").write_text("", encoding="utf-8")
    luspool.directory.joinpath("strict.toml").write_text('set.a.pledge = ["env"]', encoding="utf-8")
    flags = ("-P", "fs:read=.", "-P", "env", "--shadow", "strict.toml", "--audit", "run.jsonl")
    assert luspool("run", *flags, "main.lus").returncode == 0
    shown = luspool("audit", "report", "run.jsonl").stdout
    assert " strict.toml:a would have decided otherwise\n" in shown
    assert "1   main.lus:1   denied: no pledge grants it" in shown
