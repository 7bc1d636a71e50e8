"""What luspool says about failures, word for word."""

import pytest

from luspool import report
from luspool.limit_options import LIMIT_OPTIONS
from luspool.scheduler import wire
from luspool.scheduler.limits import MEASURES, Excess, Limits, StateLimits, TreeLimits
from luspool.scheduler.units import UNLIMITED


def failed(message: str, *, kind: str = "error", trace: str = "", is_root: bool = True) -> wire.Failed:
    return wire.Failed(kind, message, trace, "main.lus", is_root)


def say(failure: wire.Failed, *, brief: bool = False, debug: bool = False) -> str:
    return report.failure_text(failure, Limits(), brief=brief, debug=debug)


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


def limited(kind: str, *, is_of_tree: bool = False, is_root: bool = True) -> wire.Failed:
    excess = Excess(kind, 10, 12, is_of_tree)
    return wire.Failed(kind, f"main.lus:3: {excess}", "", "main.lus", is_root)


@pytest.mark.parametrize(
    "option", [option for option in LIMIT_OPTIONS if option.field in MEASURES], ids=lambda option: option.name
)
def test_a_root_that_exceeded_a_limit_is_told_the_flag_that_raises_it(option):
    failure = limited(option.field, is_of_tree=option.is_of_tree)
    limits = Limits(tree=TreeLimits(memory=UNLIMITED, cpu=UNLIMITED, time=UNLIMITED))
    expected = f"luspool: {failure.message} (raise it with --{option.name})"
    for brief in (False, True):
        assert report.failure_text(failure, limits, brief=brief, debug=False) == expected


def test_a_worker_that_exceeded_a_limit_of_its_own_is_told_no_flag_since_its_creator_may_have_set_it():
    expected = (
        "luspool: worker main.lus was ended, and nobody received its error: "
        "main.lus:3: cpu limit exceeded: 12 ns of processor time, 10 ns allowed"
    )
    assert say(limited("cpu", is_root=False)) == expected
    shared = say(limited("states", is_of_tree=True, is_root=False))
    assert shared.endswith("12 states, 10 allowed for the whole program (raise it with --states)")


def test_a_script_cannot_make_an_error_look_like_a_limit():
    assert "--cpu" not in say(failed(f"main.lus:3: {Excess('cpu', 10, 12)}"))


def test_a_state_that_has_less_than_its_own_limit_left_is_told_the_flag_of_the_whole():
    limits = Limits(StateLimits(memory=10), TreeLimits(memory=9))
    text = report.failure_text(limited("memory"), limits, brief=True, debug=False)
    assert text.endswith("(raise it with --total-memory)")


def stuck(kind: str, message: str, *, is_root: bool, brief: bool = True) -> str:
    return report.stuck_text(wire.Stuck(kind, message, "", is_root, 1), Limits(), brief=brief)


def test_a_state_that_could_not_be_ended_is_told_as_such():
    excess = str(Excess("cpu", 10, 12))
    first, second = stuck("cpu", excess, is_root=True, brief=False).splitlines()
    assert first == f"luspool: {excess} (raise it with --cpu)" == stuck("cpu", excess, is_root=True)
    assert second == "  It did not come out of one long call of a library function, so the whole program was ended."
    assert stuck("cpu", excess, is_root=False) == f"luspool: a worker: {excess}"
    assert stuck("cancelled", "it was cancelled", is_root=False) == "luspool: a worker: it was cancelled"


def test_a_worker_whose_script_is_not_known_is_told_all_the_same():
    failure = wire.Failed("cpu", "m", "", "", False)
    assert say(failure) == "luspool: a worker was ended, and nobody received its error: m"


def test_a_host_that_cannot_be_what_was_asked_for_blames_no_script():
    assert say(failed("LUSPOOL_PREEMPTION is 'x'", kind="usage")) == "luspool: LUSPOOL_PREEMPTION is 'x'"


def test_an_internal_failure_shows_its_python_traceback_only_to_those_who_debug():
    failure = failed("oops", kind="internal", trace="Traceback (most recent call last):\n  File x\nKeyError: 1")
    assert say(failure) == (
        "luspool: internal error: main.lus: oops (KeyError: 1)\n"
        "  This is a fault of luspool. LUSPOOL_DEBUG=1 shows its details."
    )
    assert "    File x" in say(failure, debug=True).splitlines()


def waits(*records, waiting=None):
    records = [
        wire.WaitRecord(state, where, what, b"".join(one.to_bytes(8) for one in awaited))
        for state, where, what, awaited in records
    ]
    return wire.Deadlocked.of(waiting or len(records), records)


@pytest.mark.parametrize(
    ("what", "awaited", "expected"),
    [
        ("InboxHasMail", (1,), "b.lus:2 waits for a message from its parent (a.lus:1)"),
        ("InboxHasMail", (), "b.lus:2 waits for a message from its parent, which has ended"),
        ("InboxHasMail", (9,), "b.lus:2 waits for a message from its parent (one that has ended)"),
        ("ChildrenHaveMail", (1,), "b.lus:2 waits for a message from its worker (a.lus:1)"),
        ("ChildrenHaveMail", (1, 2), "b.lus:2 waits for a message from its workers (a.lus:1, b.lus:2)"),
        ("OutboxHasRoom", (1,), "b.lus:2 waits for room for a message to its parent (a.lus:1)"),
        ("InboxHasRoom", (1,), "b.lus:2 waits for room for a message to its worker (a.lus:1)"),
        ("InputArrived", (), "b.lus:2 waits for standard input"),
        ("ReplyArrived", (), "b.lus:2 waits for a function of the program that runs it"),
        ("Godot", (), "b.lus:2 waits for something unknown"),
    ],
)
def test_every_wait_says_what_for_and_from_whom(what, awaited, expected):
    report_ = waits((1, "a.lus:1", "InboxHasMail", ()), (2, "b.lus:2", what, awaited))
    assert report.wait_lines(report_)[1] == expected


def test_a_deadlock_lists_its_waits_and_counts_the_rest():
    report_ = waits((1, "a", "InboxHasMail", (2,)), (2, "b", "InboxHasMail", (3,)), waiting=7)
    assert report.deadlock_text(report_).splitlines()[1:] == [
        "  a waits for a message from its parent (b)",
        "  b waits for a message from its parent (another)",
        "  … and 5 more",
    ]


def test_the_last_words_of_a_host_that_died_are_shown_in_short_or_all():
    words = "Traceback\n  File x\nKeyError: 1\n"
    assert report.host_died_text("it died", words, debug=False) == "luspool: it died\n  KeyError: 1"
    assert report.host_died_text("it died", words, debug=True).count("\n") == 3
    assert report.host_died_text("it died", "", debug=True) == "luspool: it died"
