"""What writes logs and what reads them agree: logs of tests are of the schema, and what is written is read."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from luspool.audit.log import parse_log
from luspool.audit.record_lines import LogHeader, LogLines
from luspool.audit.summary import Counts, summarize
from luspool.permissions import Origin, Pledge, PledgeSet, Rule
from luspool.scheduler.wire import Record

from .logs import LogMaker, small_log

VALIDATOR = jsonschema.Draft202012Validator(
    json.loads(files("luspool.audit").joinpath("record.schema.json").read_text("utf-8"))
)
GOLDEN = Path(__file__).parents[2] / "golden"
LOGS = {
    "made by these tests": small_log().data(),
    "with all kinds of lines": LogMaker(mode="observe", shadow="a:b").state().pledge("~env").end().footer().data(),
    **{path.parent.name: path.read_bytes() for path in GOLDEN.glob("audit-*/run.jsonl") if "damaged" not in str(path)},
}


@pytest.mark.parametrize("name", LOGS)
def test_logs_of_tests_are_of_the_schema(name):
    lines = [line for line in LOGS[name].splitlines(keepends=True) if line.endswith(b"\n")]
    assert len(lines) > 3
    for line in lines:
        VALIDATOR.validate(json.loads(line))


def test_what_is_written_is_read():
    """Each kind of line, from what a host sends: the fields arrive where they belong."""
    rules = [Rule(Pledge.parse(text).bind("/"), Origin.flag("-P", text)) for text in ("load", "fs:read=/srv", "~env")]
    lines = LogLines("0123456789abcdef", LogHeader("0.1.0", "a.lus", 2, "/srv", True, PledgeSet.root(rules), None))
    at = 1_700_000_000_000_000_000
    parts = [
        ["state", at, 0, "a.lus", ["load", "fs:read=/srv"], ["load", "fs:read=/srv", "env"]],
        [
            [["m.lus:3", "fs:read", "allowed", "held", "fs:read=/srv", "-P fs:read=/srv", False]],
            *([0], ["../x"], ["/srv/\udcff"], [at + 1_000_000], [[0, 2, at + 2_000_000]]),
        ],
        ["pledge", at + 3_000_000, "a.lus:4", "fs:read=/srv/d", True],
        [
            [
                ["?", "env", "denied", "rejected", "~env", "-P ~env", True],
                ["a.lus:9", "load", "observed", "unpledged", "load", "--allow load", False],
            ],
            *([0, 1], ["A", None], [None, None], [at + 4_000_000] * 2, []),
        ],
        ["end", at + 5_000_000, "denied"],
    ]
    text = lines.header() + lines.of(Record(1, json.dumps(parts).encode())) + lines.footer(77)
    log = parse_log(text.encode(), "run.jsonl")
    assert (log.header.held, log.header.mode, log.header.arguments) == (("load", "fs:read=/srv", "~env"), "observe", 2)
    assert (log.states[0].parent, log.states[0].ceiling) == (None, ("load", "fs:read=/srv", "env"))
    read, denied, observed = log.decisions
    assert (read.script, read.line, read.value, read.resolved, read.count) == ("m.lus", 3, "../x", "/srv/\udcff", 2)
    assert (read.last - read.time).total_seconds() == 0.001
    assert (denied.line, denied.reason, denied.rule, denied.origin, denied.inherited) == (
        *(None, "rejected", "~env", "-P ~env", True),
    )
    assert (observed.decision, observed.value) == ("observed", None)
    assert (log.pledges[0].pledge, log.pledges[0].granted, log.ends[0].outcome) == ("fs:read=/srv/d", True, "denied")
    run = summarize(log)
    assert run.counts == Counts(allowed=2, denied=1, observed=1)
    assert run.footer is not None
    assert (run.footer.states, run.footer.decisions, run.footer.status) == (1, 4, 77)
