"""What luspool says about failures, word for word."""

import pytest

from luspool import report
from luspool.scheduler import wire
from luspool.scheduler.events import Wait
from luspool.scheduler.protocol import (
    ChildrenHaveMail,
    InboxHasMail,
    InboxHasRoom,
    InputArrived,
    OutboxHasRoom,
    StateId,
)


def failed(message: str, *, kind: str = "error", trace: str = "", is_root: bool = True) -> wire.Failed:
    return wire.Failed(kind, message, trace, "main.lus", is_root)


def say(failure: wire.Failed, *, brief: bool = False, debug: bool = False) -> str:
    return report.failure_text(failure, brief=brief, debug=debug)


def test_a_script_error_has_its_traceback_indented():
    trace = "stack traceback:\n\tmain.lus:3: in main chunk"
    expected = "luspool: main.lus:3: boom\n  stack traceback:\n    main.lus:3: in main chunk"
    assert say(failed("main.lus:3: boom", trace=trace)) == expected
    assert say(failed("main.lus:3: boom", trace=trace), brief=True) == "luspool: main.lus:3: boom"


def test_an_error_without_a_position_names_its_script():
    assert say(failed("(error object is a table value)")) == "luspool: main.lus: (error object is a table value)"


def test_no_script_can_forge_a_line_of_luspools_own():
    lines = say(failed("main.lus:1: x\nluspool: all is well", trace="luspool: fine")).splitlines()
    assert [line.startswith("luspool:") for line in lines] == [True, False, False]


def test_an_unreceived_error_names_the_worker_and_says_so():
    text = say(failed("main.lus:3: boom", is_root=False))
    assert text == "luspool: worker main.lus failed, and nobody received its error: main.lus:3: boom"


def test_an_internal_failure_shows_its_python_traceback_only_to_those_who_debug():
    failure = failed("oops", kind="internal", trace="Traceback (most recent call last):\n  File x\nKeyError: 1")
    assert say(failure) == (
        "luspool: internal error: main.lus: oops (KeyError: 1)\n"
        "  This is a fault of luspool. LUSPOOL_DEBUG=1 shows its details."
    )
    assert "    File x" in say(failure, debug=True).splitlines()


@pytest.mark.parametrize(
    ("condition", "awaited", "expected"),
    [
        (InboxHasMail(), (1,), "b.lus:2 waits for a message from its parent (a.lus:1)"),
        (InboxHasMail(), (), "b.lus:2 waits for a message from its parent, which has ended"),
        (ChildrenHaveMail((StateId(1),)), (1,), "b.lus:2 waits for a message from its worker (a.lus:1)"),
        (ChildrenHaveMail(()), (1, 2), "b.lus:2 waits for a message from its workers (a.lus:1, b.lus:2)"),
        (OutboxHasRoom(9), (1,), "b.lus:2 waits for room for a message to its parent (a.lus:1)"),
        (InboxHasRoom(StateId(1), 9), (1,), "b.lus:2 waits for room for a message to its worker (a.lus:1)"),
        (InputArrived(0), (), "b.lus:2 waits for standard input"),
    ],
)
def test_every_wait_says_what_for_and_from_whom(condition, awaited, expected):
    waits = [
        Wait(StateId(1), "a.lus:1", InboxHasMail(), ()),
        Wait(StateId(2), "b.lus:2", condition, tuple(map(StateId, awaited))),
    ]
    assert report.wait_lines(waits)[1] == expected


def test_a_deadlock_lists_its_waits_and_counts_the_rest():
    text = report.deadlock_text(wire.Deadlocked(7, ("a waits for b", "b waits for a")))
    assert text.splitlines()[1:] == ["  a waits for b", "  b waits for a", "  … and 5 more"]
