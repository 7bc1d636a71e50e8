"""Reading audit logs: what is in them, and what is said of those that are none."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

import pytest

from luspool.audit import log as log_module
from luspool.audit.log import LogError, parse_log, read_logs

from .logs import LogMaker, small_log


def test_every_field_of_every_line_is_read():
    maker = small_log(shadow="team.toml:x", mode="observe")
    maker.lines[2] |= {"shadow": "denied", "shadow_rule": "~load"}
    maker.lines.insert(3, LogMaker().state().pledge("env=A", False, line=None).lines[-1])
    log = maker.log()
    header = log.header
    assert (header.run, header.script, header.arguments, header.directory) == (maker.run, "main.lus", 0, "/srv")
    assert (header.mode, header.held, header.shadow) == ("observe", ("load", "fs:read=/srv"), "team.toml:x")
    assert header.time == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert [(each.state, each.parent, each.script) for each in log.states] == [(1, None, "main.lus"), (2, 1, "w.lus")]
    first, second, third, fourth = log.decisions
    assert (first.permission, first.value, first.shadow, first.shadow_rule) == ("load", None, "denied", "~load")
    assert (second.resolved, second.line, second.rule, second.origin) == (
        *("/srv/w.lus", 2, "fs:read=/srv", "-P fs:read=/srv"),
    )
    assert (third.state, third.count, third.inherited, third.shadow) == (2, 2, True, None)
    assert (fourth.decision, fourth.reason, fourth.rule, fourth.value) == ("denied", "beyond", None, "HOME")
    assert [(each.pledge, each.granted, each.line) for each in log.pledges] == [("env=A", False, None)]
    assert [(each.state, each.outcome) for each in log.ends] == [(2, "denied"), (1, "returned")]
    assert log.footer is not None
    assert (log.footer.states, log.footer.decisions, log.footer.denied, log.footer.status) == (2, 5, 1, 77)


@pytest.mark.parametrize("cut", [1, 20, 150])
def test_a_log_may_end_anywhere(cut):
    """A run that was cut off leaves no footer, and perhaps half a line: what stands before is read."""
    data = small_log().data()[:-cut]
    log = parse_log(data, "run.jsonl")
    assert (len(log.states), len(log.decisions), log.footer is None) == (2, 4, cut > 1)


def test_states_may_stand_in_any_order():
    maker = small_log()
    maker.lines.insert(1, maker.lines.pop(4))
    assert [each.state for each in maker.log().states] == [2, 1]


def test_bytes_of_a_path_that_are_no_text_are_kept():
    log = LogMaker().state().decision("fs:read", os.fsdecode(b"/srv/\xff")).log()
    assert os.fsencode(log.decisions[0].resolved) == b"/srv/\xff"


def changed(line: int, **fields):
    """A log with some fields of one line replaced."""
    maker = small_log()
    maker.lines[line] |= fields
    return maker.data()


def without(line: int, field: str):
    """A log with one field less."""
    maker = small_log()
    del maker.lines[line][field]
    return maker.data()


WRONG = {
    "nothing": (b"", "run.jsonl: the file is empty"),
    "no text": (b"\xff\n", "run.jsonl:1: no JSON: it can't be read"),
    "no JSON": (b"{]\n", "run.jsonl:1: no JSON: Expecting property name"),
    "half a header": (b'{"v":1', "run.jsonl:1: no JSON: Expecting ',' delimiter"),
    "an array": (b"[]\n", "run.jsonl:1: not an object of JSON"),
    "deep nesting": (b"[" * 1_000_000 + b"\n", "run.jsonl:1: no JSON: it can't be read"),
    "a long number": (b'{"v":' + b"1" * 10_000 + b"}\n", "run.jsonl:1: no JSON: it can't be read"),
    "no number": (b'{"v":NaN}\n', "run.jsonl:1: no JSON: it can't be read"),
    "no version": (without(0, "v"), 'run.jsonl:1: "v" is missing'),
    "another version": (changed(0, v=2), "run.jsonl:1: the log is of version 2, and this luspool reads version 1"),
    "no header": (changed(0, type="state"), "run.jsonl:1: the first line of a log, and no other one, is its header"),
    "two headers": (changed(1, type="header"), "run.jsonl:2: the first line of a log, and no other one"),
    "no id of a run": (changed(0, run="x"), "run.jsonl:1: 'x' is no id of a run"),
    "another run": (changed(1, run="y"), "run.jsonl:2: a line of another run, 'y'"),
    "an unknown line": (changed(1, type="x\x1b"), r"run.jsonl:2: an unknown type of line, 'x\x1b'"),
    "a line behind the footer": (small_log().data() + LogMaker().state().data(), "run.jsonl:11: the first line of a"),
    "an end behind the footer": (small_log().footer().data(), "run.jsonl:11: a line behind the footer"),
    "a state of no number": (changed(1, state="1"), "run.jsonl:2: \"state\" is '1', not a number"),
    "a state 0": (changed(1, state=0), 'run.jsonl:2: "state" is 0, not a number from 1 to 2⁶³-1'),
    "a huge number": (changed(1, state=1 << 63), 'run.jsonl:2: "state" is 9223372036854775808, not a number from 1'),
    "a boolean number": (changed(1, state=True), 'run.jsonl:2: "state" is True, not a number'),
    "a number as a text": (changed(1, script=5), 'run.jsonl:2: "script" is 5, not a string'),
    "a missing value": (without(3, "value"), 'run.jsonl:4: "value" is missing'),
    "no texts": (changed(1, held=["load", 1]), "run.jsonl:2: \"held\" is ['load', 1], not an array of strings"),
    "no time": (changed(1, time="yesterday"), "run.jsonl:2: \"time\" is 'yesterday', not a time as in 2026-01-31T"),
    "no month": (changed(1, time="2026-13-01T00:00:00.000000Z"), "not a time"),
    "no permission": (changed(2, permission="fs"), "run.jsonl:3: \"permission\" is 'fs', not one of env, exec"),
    "no decision": (changed(2, decision="maybe"), "not one of allowed, denied, observed"),
    "no reason": (changed(2, reason="why"), "not one of beyond, dropped"),
    "no flag": (changed(2, inherited=1), 'run.jsonl:3: "inherited" is 1, not true or false'),
    "no count": (changed(2, count=0), 'run.jsonl:3: "count" is 0, not a number from 1'),
    "no shadow": (changed(2, shadow="x"), "run.jsonl:3: \"shadow\" is 'x', not one of allowed, denied"),
    "a long value": (changed(2, rule=["x" * 1000]), f'"rule" is [\'{"x" * 58}…, not a string'),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_message_with_its_line(case):
    data, message = WRONG[case]
    with pytest.raises(LogError) as raised:
        parse_log(data, "run.jsonl")
    text = str(raised.value)
    assert message in text
    assert text.endswith(" (is this an audit log of luspool, unchanged?)")
    assert text.isprintable()


def test_lines_that_contradict_others_are_left_out_and_told():
    """A host that has fallen to a script can send such; what others sent must be read all the same."""
    maker = small_log()
    maker.lines[1] |= {"parent": 2}
    maker.lines.insert(5, maker.lines[4] | {"script": "liar.lus", "parent": None})
    maker.lines.insert(-1, maker.lines[-2] | {"outcome": "lied"})
    log = maker.log()
    assert log.doubts == (
        *("line 6: state 2 begins for the second time", "line 11: state 1 ends for the second time"),
        "state 1 is above itself",
    )
    assert [(each.state, each.parent, each.script) for each in log.states] == [(1, 2, "main.lus"), (2, None, "w.lus")]
    assert [(each.state, each.outcome) for each in log.ends] == [(2, "denied"), (1, "returned")]
    assert LogMaker().state(1, 1).log().states[0].parent is None


def test_a_torn_line_is_no_excuse_for_one_that_is_whole():
    data = b"\n".join([*small_log().data().split(b"\n")[:3], b"{]", b'{"v":1'])
    with pytest.raises(LogError, match=r"run\.jsonl:4: no JSON"):
        parse_log(data, "run.jsonl")


def test_sizes_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(log_module, "LINE_MOST", 1 << 20)
    line = json.dumps({"v": 1, "x": "y" * (1 << 20)}).encode()
    with pytest.raises(LogError, match="1: a line of more than 1 MiB"):
        parse_log(line, "run.jsonl")
    monkeypatch.setattr(log_module, "SIZE_MOST", 1 << 20)
    path = small_log().write(tmp_path / "run.jsonl")
    assert len(read_logs([str(path)])) == 1
    path.write_bytes(line)
    with pytest.raises(LogError, match="is larger than 1 MiB, which is the most"):
        read_logs([str(path)])


def test_files_that_are_none_are_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    for name, problem in {
        "none": "cannot read the audit log none: No such file or directory",
        ".": "cannot read the audit log .: Is a directory",
        "fifo": "the audit log fifo is no regular file",
        "a\0b\x1b": r"cannot read the audit log a\\x00b\\x1b: embedded null byte",
        "": "cannot read the audit log '': No such file",
    }.items():
        with pytest.raises(LogError, match=problem):
            read_logs([name])


def test_a_run_counts_once(tmp_path):
    one, other = (small_log().write(tmp_path / name) for name in ("a", "b"))
    with pytest.raises(LogError, match=f"{other} is the log of the same run as {one}"):
        read_logs([str(one), str(other)])
    third = small_log(run="00000000000000bb").write(tmp_path / "c")
    assert [each.name for each in read_logs([str(one), str(third)])] == [str(one), str(third)]
