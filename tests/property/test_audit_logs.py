"""The law of reading logs: whatever a file holds is one error with a place, or can be reported and derived from."""

from __future__ import annotations

import io
import json
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from luspool.audit.derive import derive
from luspool.audit.log import LogError, parse_log
from luspool.audit.report_json import as_json
from luspool.audit.report_page import as_page
from luspool.audit.report_text import as_text
from luspool.audit.summary import summarize
from luspool.policy import read_policy, write_policy

from ..unit.luspool_audit.logs import LogMaker, small_log

TEXTS = st.sampled_from(
    ["load", "fs:read", "fs:read=/srv", "~env", "seal", "allowed", "denied", "pledge at a:1", "/", "/a/../b", "", "\0"]
) | st.text("/a*\\?=:\n\x1b\u202e\udcff\ud800<>&'\"", max_size=6)
VALUES = (
    TEXTS
    | st.none()
    | st.booleans()
    | st.integers(-1, 3)
    | st.sampled_from([1 << 63, 1.5, [], {}, ["load", "\udcff"], "2026-01-01T00:00:00.000000Z", "0000-00-00T"])
)
ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]")
"""What a terminal or a browser would act on, and what UTF-8 can't hold."""


def full_log() -> LogMaker:
    log = LogMaker(mode="observe", shadow="x:y").state(held=["load", "fs:read=/srv", "~env", "seal"]).state(2, 1)
    log.pledge("fs:read=/srv/d").decision("fs:read", "/srv/d/x", rule="fs:read=/srv/d", origin="pledge at main.lus:1")
    log.lines[-1] |= {"shadow": "denied", "shadow_rule": None}
    log.decision("host", "log", resolved=None, state=2, decision="observed").denial("env", "A", resolved=None)
    return log.pledge("load", state=2).end(2).end().footer()


@st.composite
def damaged_logs(draw):
    """A log of which some fields have other values, some lines are elsewhere or missing, and the end is perhaps cut."""
    lines = [dict(line) for line in draw(st.sampled_from([full_log, small_log]))().lines]
    for _ in range(draw(st.integers(0, 4))):
        line = draw(st.sampled_from(lines))
        line[draw(st.sampled_from(sorted(line)))] = draw(VALUES)
    if draw(st.booleans()):
        lines.insert(draw(st.integers(0, len(lines))), lines.pop(draw(st.integers(0, len(lines) - 1))))
    data = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    return data[: len(data) - draw(st.sampled_from([0, 0, 0, 1, 30]))]


def check(data: bytes) -> None:
    try:
        log = parse_log(data, "run.jsonl")
    except LogError as raised:
        error = str(raised)
        assert error.startswith("run.jsonl:")
        assert error.isprintable()
        return
    runs = [summarize(log)]
    text = as_text(runs, Console(file=io.StringIO(), width=80, highlight=False))
    assert all(line.isprintable() for line in text.split("\n"))
    assert json.loads(as_json(runs))["runs"][0]["asked"] == runs[0].counts.asked
    assert ACTS.search(as_page(runs)) is None
    for patterns in (False, True):
        policy = derive(runs, None, ignores_denials=True, patterns=patterns).policy
        assert read_policy(write_policy(policy).encode(), "p.toml") == policy


@settings(deadline=None, max_examples=250)
@given(damaged_logs())
def test_a_damaged_log_is_an_error_or_can_be_shown_and_derived_from(data):
    check(data)


@settings(deadline=None)
@given(st.binary(max_size=40) | st.text('{}[]":,1ev\n', max_size=40).map(str.encode))
def test_any_bytes_are_no_log_and_that_is_said(data):
    check(data)


def test_logs_of_these_are_read():
    """What the first law is about happens: unharmed, they pass."""
    for log in (full_log(), small_log()):
        assert parse_log(log.data(), "run.jsonl").footer is not None
