"""A scan of scripts and all that they run: what is followed, what is not found, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from luspool.audit import show
from luspool.audit.findings import Place, ScanResult, Unknown, Use
from luspool.audit.scan import scan


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write_all(**scripts: str) -> None:
        for name, text in scripts.items():
            path = tmp_path.joinpath(*name.split("__")).with_suffix(".lus")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    return write_all


def pledges(result: ScanResult) -> list[str | None]:
    return sorted(dict.fromkeys(use.pledge for use in result.uses))


def test_all_that_a_script_runs_is_looked_at_too(write):
    write(
        main="require 'lib.m' dofile('a.lus') worker.create('w.lus') assert(loadfile('sub/b.lus'))()",
        **{"lib__m": "os.getenv('M')", "a": "os.getenv('A')", "w": "os.getenv('W')", "sub__b": "require 'lib.m'"},
    )
    result = scan(["main.lus"])
    assert result.scripts == ["main.lus", "./lib/m.lus", "a.lus", "w.lus", "sub/b.lus"]
    files = ["./lib/m.lus", "a.lus", "sub/b.lus", "w.lus"]
    assert pledges(result) == ["env=A", "env=M", "env=W", *(f"fs:read={file}" for file in files), "load"]
    assert (result.unknowns, result.faults, result.fault_status) == ([], [], 0)


def test_scripts_that_run_each_other_are_looked_at_once_by_whatever_name(write):
    write(
        main="worker.create('./main.lus') dofile('a.lus')", a="worker.create('b/../main.lus') dofile('a.lus')", b__x=""
    )
    result = scan(["main.lus", "./main.lus"])
    assert result.scripts == ["main.lus", "a.lus"]
    assert not result.unknowns


def test_a_module_needs_every_file_that_is_tried_before_it(write, tmp_path):
    write(main="require 'm'")
    tmp_path.joinpath("m").mkdir()
    tmp_path.joinpath("m", "init.lus").write_text("os.getenv('M')")
    result = scan(["main.lus"])
    assert result.scripts == ["main.lus", "./m/init.lus"]
    tried = ["./m.lua", "./m.lus", "./m/init.lus"]
    assert pledges(result) == ["env=M", *(f"fs:read={path}" for path in tried), "load"]


def test_what_is_not_found_is_not_known(write):
    write(main="\ndofile('none.lus') require('m')")
    result = scan(["main.lus"])
    assert [(str(unknown.place), unknown.what, unknown.permissions) for unknown in result.unknowns] == [
        ("main.lus:2:1", "dofile", ()),
        ("main.lus:2:20", "require", ()),
    ]
    assert result.unknowns[0].why == "none.lus: no such file, so what would be run is not known"
    assert "./m.lus, ./m.lua, ./m/init.lus, ./m/init.lua: no such file" in result.unknowns[1].why


def test_a_directory_in_the_place_of_a_script_is_not_run(write, tmp_path):
    tmp_path.joinpath("m").mkdir()
    write(main="dofile('m')")
    assert [unknown.what for unknown in scan(["main.lus"]).unknowns] == ["dofile"]


def test_a_syntax_error_is_a_fault_and_the_others_are_still_looked_at(write):
    write(bad="x = = 1", main="worker.create('bad.lus') os.getenv('A')")
    result = scan(["main.lus"])
    assert result.faults == ["bad.lus:1:5: expected an expression, got '='\nx = = 1\n    ^"]
    assert result.fault_status == 126
    assert "env=A" in pledges(result)


@pytest.mark.parametrize(("name", "status"), [("none.lus", 127), (".", 126)])
def test_a_root_that_is_not_there_is_a_fault(write, name, status):
    write(main="")
    result = scan([name, "main.lus"])
    assert (len(result.faults), result.fault_status, result.scripts) == (1, status, ["main.lus"])


def test_strict_globals_make_errors_of_what_they_do_when_it_is_run(write):
    write(main="global print x = 1")
    assert not scan(["main.lus"]).faults
    assert scan(["main.lus"], strict_globals=True).fault_status == 126


def test_a_script_that_only_lua_can_read_is_not_known(write):
    """Where a word of Lus is a local there, the parser of Lus may be lost."""
    write(main="local catch = print x = catch (1) io.open('a')")
    result = scan(["main.lus"])
    assert not result.faults
    assert "fs:read=a" in pledges(result) or result.unknowns


# --- how it is shown -------------------------------------------------------------------------------------------------

RESULT = ScanResult(
    ["main.lus", "w\x1b.lus"],
    [
        Use("load", None, "worker.create", Place("main.lus", 3, 1)),
        Use("fs:read", "./a*.csv", "io.open", Place("main.lus", 2, 7)),
        Use("fs:read", "./a*.csv", "pledge", Place("main.lus", 9, 1)),
        *(Use("fs:read", "b", "io.open", Place("main.lus", line, 1)) for line in (5, 4, 7, 6, 5)),
        Use("env", "A\x1bB", "os.getenv", Place("w\x1b.lus", 1, 1)),
    ],
    [
        Unknown("io.open", "its argument 1 is no constant", ("fs:read",), Place("main.lus", 12, 3)),
        Unknown("_G", "it is passed on", (), Place("main.lus", 8, 3)),
    ],
    [],
    0,
)


def test_people_see_columns_with_nothing_that_acts_on_a_terminal():
    assert show.as_text(RESULT) == (
        "Looked at 2 scripts: main.lus, w\\x1b.lus\n\n"
        "Permissions that can be asked for:\n"
        "  env: A\\x1bB        os.getenv at w\\x1b.lus:1:1\n"
        "  fs:read=./a*.csv   pledge at main.lus:9:1\n"
        "  fs:read=./a\\*.csv  io.open at main.lus:2:7\n"
        "  fs:read=b          io.open at main.lus:4:1, io.open at main.lus:5:1, io.open at main.lus:6:1 and 1 more\n"
        "  load               worker.create at main.lus:3:1\n\n"
        "Not known:\n"
        "  main.lus:8:3   _G       anything  it is passed on\n"
        "  main.lus:12:3  io.open  fs:read   its argument 1 is no constant"
    )


def test_nothing_is_said_to_be_nothing():
    empty = ScanResult(["a.lus"], [], [], [], 0)
    assert show.as_text(empty) == "Looked at 1 script: a.lus\n\nNo permissions can be asked for."


def test_programs_get_everything_once_and_in_order():
    data = json.loads(show.as_json(RESULT))
    assert data["v"] == 1
    assert [(each["permission"], each["value"], each["pledge"], len(each["uses"])) for each in data["permissions"]] == [
        ("env", "A\x1bB", None, 1),
        ("fs:read", "./a*.csv", "fs:read=./a*.csv", 1),
        ("fs:read", "./a*.csv", "fs:read=./a\\*.csv", 1),
        ("fs:read", "b", "fs:read=b", 4),
        ("load", None, "load", 1),
    ]
    assert data["permissions"][2]["uses"] == [{"script": "main.lus", "line": 2, "column": 7, "function": "io.open"}]
    assert data["unknown"] == [
        {"script": "main.lus", "line": 8, "column": 3, "what": "_G", "why": "it is passed on", "permissions": None},
        {
            **{"script": "main.lus", "line": 12, "column": 3, "what": "io.open"},
            **{"why": "its argument 1 is no constant", "permissions": ["fs:read"]},
        },
    ]
    assert data["scripts"] == ["main.lus", "w\x1b.lus"]


def test_the_documentation_has_every_key():
    text = Path(__file__).parents[3].joinpath("docs", "auditing.md").read_text(encoding="utf-8")
    data = json.loads(show.as_json(RESULT))
    for key, value in data.items():
        assert f"| `{key}` |" in text
        for inner in value[0] if value and isinstance(value, list) and isinstance(value[0], dict) else ():
            assert f"`{inner}`" in text or f"`{key}[].{inner}`" in text


def test_a_script_called_as_standard_input_is_a_file_for_who_runs_it(tmp_path, write):
    write(main="dofile('-')")
    tmp_path.joinpath("-").write_text("os.getenv('A')", encoding="utf-8")
    result = scan(["main.lus"])
    assert (result.scripts, pledges(result)) == (["main.lus", "./-"], ["env=A", "fs:read=-", "load"])


def test_a_script_that_run_would_not_take_is_not_looked_into(tmp_path, write):
    write(main="dofile('large.lus')", large=" " * (1 << 20) + "x")
    result = scan(["large.lus"])
    assert result.faults == [
        "large.lus: source limit exceeded: more than 1 MiB of source text (the most that is looked into)"
    ]
    assert result.fault_status == 126
    assert [unknown.what for unknown in scan(["main.lus"]).unknowns] == ["dofile"]
