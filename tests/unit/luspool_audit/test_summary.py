"""What a run did, from its log."""

from __future__ import annotations

from luspool.audit.log import parse_log
from luspool.audit.summary import Counts, summarize

from .logs import START, LogMaker, small_log


def test_decisions_are_counted_by_state_by_script_and_altogether():
    run = small_log().summary()
    assert run.counts == Counts(allowed=4, denied=1)
    assert run.counts.asked == 5
    assert [(each.number, each.script, each.counts) for each in run.states] == [
        (1, "main.lus", Counts(allowed=2)),
        (2, "w.lus", Counts(allowed=2, denied=1)),
    ]
    assert [(each.script, each.states, each.counts) for each in run.scripts] == [
        ("main.lus", 1, Counts(allowed=2)),
        ("w.lus", 1, Counts(allowed=2, denied=1)),
    ]


def test_the_code_that_asks_counts_and_not_the_script_of_the_state():
    run = LogMaker().state().state(2, 1).decision("load", script="lib.lus").decision("load", state=2, script="lib.lus")
    assert [(each.script, each.states, each.counts.asked) for each in run.summary().scripts] == [("lib.lus", 2, 2)]


def test_states_are_in_the_order_of_their_tree():
    log = LogMaker()
    for number, parent in ((4, 2), (1, None), (3, 1), (2, 1), (5, 9)):
        log.state(number, parent)
    log.end(7)
    assert [(each.number, each.parent, each.depth) for each in log.summary().states] == [
        *((1, None, 0), (2, 1, 1), (4, 2, 2), (3, 1, 1)),
        *((5, None, 0), (7, None, 0)),  # whose parent, or own beginning, the log does not tell
    ]


def test_what_was_granted_and_never_used():
    """Used is what a decision rests on: of the state, or of one below; a denial uses nothing."""
    held = ["load", "fs:read=/srv", "env=A", "env=B", "fs=/out"]
    log = LogMaker().state(held=held).state(2, 1, held=held)
    log.decision("load").decision("env", "A", state=2, rule="env=A").denial("env", "B", rule="env=B")
    root, worker = log.summary().states
    assert root.unused == ("fs:read=/srv", "env=B", "fs=/out")
    assert worker.unused == ("load", "fs:read=/srv", "env=B", "fs=/out")


def test_what_a_call_of_pledge_got_is_granted_too():
    log = LogMaker().state(held=["load", "~env", "seal"]).decision("load")
    for pledge in ("load", "fs:read=/srv/a", "fs:read=/srv/b", "~env=A", "seal"):
        log.pledge(pledge)
    log.pledge("fs=/etc", False).decision("fs:read", "/srv/a/x", rule="fs:read=/srv/a")
    (root,) = log.summary().states
    assert (root.granted, root.unused) == (("load", "fs:read=/srv/a", "fs:read=/srv/b"), ("fs:read=/srv/b",))


def test_a_run_that_was_cut_off_lasts_to_the_last_that_is_known():
    data = small_log().data()
    whole, cut = summarize(parse_log(data, "a")), summarize(parse_log(data[:-20], "a"))
    assert [(run.last.replace(tzinfo=None) - START).microseconds // 1000 for run in (whole, cut)] == [9, 8]
    assert summarize(parse_log(LogMaker().data(), "a")).states == []


def test_denials_are_in_the_order_of_the_log():
    log = LogMaker().state().state(2, 1).denial("env", "A", state=2).decision("load").denial("env", "B")
    assert [each.value for each in log.summary().denials] == ["A", "B"]


def test_a_chain_of_many_states_is_summarized_in_time_by_its_length():
    log = LogMaker()
    for number in range(1, 5_001):
        log.state(number, number - 1 or None, held=["env=1"])
        log.decision("env", "x", state=number, rule=f"env={number}")
    states = log.summary().states
    assert (len(states), states[-1].depth, states[0].unused, states[1].unused) == (5_000, 4_999, (), ("env=1",))
