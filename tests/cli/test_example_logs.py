"""The example that summarises logs: its output file, its exit statuses, and that no line is counted twice or lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/logs"
RIGHTS = ("-P", "load", "-P", "fs:read=.")


@pytest.fixture
def logs(luspool):
    """The command in a copy of the example's folder."""
    shutil.copytree(EXAMPLE, luspool.directory, dirs_exist_ok=True)
    return luspool


def test_a_summary_is_written_to_a_file(logs):
    run = ("run", *RIGHTS, "-P", "fs:write=out.json", "summary.lus", "--output", "out.json", "sample", "*.log")
    done = logs(*run)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    summary = json.loads((logs.directory / "out.json").read_bytes())
    assert (summary["files"], summary["lines"], summary["strange"]) == (2, 16, 1)
    assert summary["levels"] == {"DEBUG": 1, "ERROR": 2, "INFO": 4, "WARN": 2}
    assert summary["requests"][0] == {
        "request": "GET /jobs/#",
        "count": 4,
        "failed": 0,
        "bytes": 1539,
        "ms": {"p50": 10.8, "p95": 13.1},
    }


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ((), 2, "summary.lus: a directory is missing (try --help)\n"),
        (("--tpo", "3", "sample"), 2, "summary.lus: there is no option --tpo (try --help)\n"),
        (("--top",), 2, "summary.lus: --top needs a value (try --help)\n"),
        (("--top", "0", "sample"), 2, "summary.lus: --top takes a number from 1 to 999, not '0' (try --help)\n"),
        (
            ("--since", "May", "sample"),
            2,
            "summary.lus: --since takes a day or an hour, as in 2026-05-04T09, not 'May' (try --help)\n",
        ),
        (("sample", "*.log", "x"), 2, "summary.lus: x is one argument too many (try --help)\n"),
        (("none",), 1, "summary.lus: none: No such file or directory\n"),
        (("--output", "none/x", "sample"), 1, "summary.lus: none/x: No such file or directory\n"),
    ],
)
def test_what_is_wrong_is_told(logs, arguments, status, message):
    done = logs("run", *RIGHTS, "-P", "fs:write=.", "summary.lus", *arguments)
    assert (done.stdout, done.stderr, done.returncode) == ("", message, status)


def test_times_select_lines(logs):
    done = logs(
        "run", *RIGHTS, "summary.lus", "--json", "--since", "2026-05-04T10", "--until", "2026-05-04T11", "sample"
    )
    assert [hour["hour"] for hour in json.loads(done.stdout)["hours"]] == ["2026-05-04T10"]


def test_pieces_of_any_size_come_to_the_same(logs):
    logs.write(
        pieces="""
        local tally = require("tally")
        for _, name in ipairs{"sample/app.log", "sample/web.log"} do
          local size = io.open(name):seek("end")
          for _, piece in ipairs{size, 1, 7, 61, 200} do
            local totals, counter = tally.new(), worker.create("count.lus")
            for from = 0, size - 1, piece do
              worker.send(counter, { path = name, from = from, to = from + piece })
              tally.merge(totals, worker.receive(counter).totals)
            end
            totals.example = nil
            print(tojson(totals))
          end
        end"""
    )
    done = logs("run", *RIGHTS, "pieces.lus")
    assert done.stderr == ""
    whole = done.stdout.splitlines()
    assert whole[1:5] == whole[:1] * 4
    assert whole[6:] == whole[5:6] * 4
    assert whole[0] != whole[5]


def test_made_logs_are_read_back(logs):
    assert logs("run", "-P", "fs:write=made", "generate.lus", "made", "0.05", "2").stderr == ""
    summary = json.loads(logs("run", *RIGHTS, "summary.lus", "--json", "made").stdout)
    wanted = sum(len(file.read_bytes().splitlines()) for file in (logs.directory / "made").iterdir())
    assert (summary["files"], summary["lines"], summary["strange"]) == (2, wanted, 0)
