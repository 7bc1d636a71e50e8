"""What happens next in a batch: pure decisions, under examples and under any order of events."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luspool.batch.course import RETRIED, Course, HaltPolicy, RetryPolicy, Stage, Tries
from luspool.batch.outcome import Outcome, Status

NEVER = HaltPolicy()


def outcome(status, *, lasting=False):
    return Outcome(status, 1, is_lasting=lasting)


def course(total=100, retry=RetryPolicy(), halt=NEVER):  # noqa: B008  a constant
    return Course(total, retry, halt)


def test_an_item_is_tried_again_as_often_as_asked_with_growing_delays():
    it = course(retry=RetryPolicy(retries=3, delay=1.0))
    now, tries, delays = 0.0, Tries(), []
    while True:
        assert it.begin(7, b"s", tries)
        if it.ended(7, b"s", outcome(Status.FAILED), now) is None:
            break
        delays.append(it.next_due() - now)
        assert it.due(it.next_due() - 0.01) is None
        now = it.next_due()
        item, tries = it.due(now)
        assert item == 7
    assert delays == [1.0, 2.0, 4.0]
    assert it.counts == {Status.FAILED: 1}


def test_delays_have_a_bound():
    assert RetryPolicy(delay=1.0).delay_before(10_000) == RetryPolicy(delay=1.0).delay_before(50) == 300.0


@pytest.mark.parametrize("status", sorted({*Status} - RETRIED - {Status.CRASHED}))
def test_what_would_be_the_same_again_is_not_retried(status):
    it = course(retry=RetryPolicy(retries=5))
    it.begin(1, b"s")
    assert it.ended(1, b"s", outcome(status), 0.0) is None


def test_a_syntax_error_is_not_retried():
    it = course(retry=RetryPolicy(retries=5))
    it.begin(1, b"s")
    assert it.ended(1, b"s", outcome(Status.FAILED, lasting=True), 0.0) is None


def test_a_script_has_a_budget_of_crashes_apart_from_retries():
    it = course(retry=RetryPolicy(retries=0, crashes=3))
    tries = Tries()
    for count in (1, 2):
        it.begin(1, b"bad", tries)
        assert it.ended(1, b"bad", outcome(Status.CRASHED), 0.0) == Tries(count, count)
        _, tries = it.due(0.0)
    it.begin(1, b"bad", tries)
    assert it.ended(1, b"bad", outcome(Status.CRASHED), 0.0) is None
    assert not it.begin(2, b"bad")
    assert it.begin(3, b"good")


def test_crashes_use_up_no_retries():
    it = course(retry=RetryPolicy(retries=1, crashes=9))
    it.begin(1, b"s")
    it.ended(1, b"s", outcome(Status.CRASHED), 0.0)
    _, tries = it.due(0.0)
    it.begin(1, b"s", tries)
    assert it.ended(1, b"s", outcome(Status.FAILED), 0.0) is not None
    _, tries = it.due(9.0)
    it.begin(1, b"s", tries)
    assert it.ended(1, b"s", outcome(Status.FAILED), 9.0) is None


@pytest.mark.parametrize(
    ("text", "failures", "total", "stage"),
    [
        ("never", 100, 100, Stage.GOING),
        ("soon,fail=1", 1, 100, Stage.FINISHING),
        ("now,fail=1", 1, 100, Stage.STOPPING),
        ("soon,fail=3", 2, 100, Stage.GOING),
        ("soon,fail=3", 3, 100, Stage.FINISHING),
        ("now,fail=10%", 9, 100, Stage.GOING),
        ("now,fail=10%", 10, 100, Stage.STOPPING),
        ("soon,fail=2.5%", 25, 1000, Stage.FINISHING),
        ("soon,fail=100%", 99, 100, Stage.GOING),
    ],
)
def test_failures_halt_a_batch_as_asked(text, failures, total, stage):
    it = course(total, halt=HaltPolicy.parse(text))
    for number in range(failures):
        it.begin(number, b"s")
        it.ended(number, b"s", outcome(Status.FAILED), 0.0)
    assert it.stage is stage
    assert it.is_halted is (stage is not Stage.GOING)


@pytest.mark.parametrize(
    "text", ["", "now", "fail=1", "soon,fail=0", "soon,fail=0%", "now,fail=101%", "now,fail=1.5", "x"]
)
def test_what_is_no_way_to_halt_is_told(text):
    with pytest.raises(ValueError, match=r"."):
        HaltPolicy.parse(text)


def test_items_that_are_cancelled_are_no_failures():
    it = course(halt=HaltPolicy.parse("now,fail=1"))
    it.begin(1, b"s")
    it.ended(1, b"s", outcome(Status.CANCELLED), 0.0)
    assert it.stage is Stage.GOING


def test_after_the_first_signal_nothing_begins_again_and_after_the_second_all_ends():
    it = course(retry=RetryPolicy(retries=9))
    it.begin(1, b"s")
    it.interrupt(now=False)
    assert not it.may_begin
    assert it.ended(1, b"s", outcome(Status.FAILED), 0.0) is None
    it.interrupt(now=True)
    assert it.stage is Stage.STOPPING
    it.interrupt(now=False)
    assert it.stage is Stage.STOPPING


@settings(deadline=None)
@given(st.data())
def test_in_any_order_every_item_is_settled_once_and_budgets_hold(data):
    retries, crashes = data.draw(st.integers(0, 3)), data.draw(st.integers(1, 3))
    scripts = [data.draw(st.sampled_from([b"a", b"b", b"c"])) for _ in range(data.draw(st.integers(1, 12)))]
    halt = data.draw(st.sampled_from([NEVER, HaltPolicy(failures=2), HaltPolicy(is_now=True, percent=50)]))
    it = course(len(scripts), RetryPolicy(retries, 1.0, crashes), halt)
    new, running, settled, tried, deaths = list(range(len(scripts))), {}, set(), {}, dict.fromkeys(scripts, 0)
    now = 0.0
    while (new and it.may_begin) or running or (it.waiting and it.may_begin):
        options = ["begin"] * bool(it.may_begin and (new or it.waiting)) + ["end"] * bool(running)
        if data.draw(st.sampled_from(options)) == "begin":
            due = it.due(now)
            if due is None and not new:
                now = it.next_due()
                continue
            number, tries = due or (new.pop(), Tries())
            began = it.begin(number, scripts[number], tries)
            assert began is (deaths[scripts[number]] < crashes)
            if began:
                running[number] = tries
                tried[number] = tried.get(number, 0) + 1
            else:
                it.settle(Status.QUARANTINED)
                settled.add(number)
        else:
            number = data.draw(st.sampled_from(sorted(running)))
            tries = running.pop(number)
            status = data.draw(st.sampled_from(list(Status)))
            deaths[scripts[number]] += status is Status.CRASHED
            if it.ended(number, scripts[number], outcome(status), now) is None:
                assert number not in settled
                settled.add(number)
        assert it.running == len(running)
        assert it.counts.total() == len(settled)
    assert all(count <= 1 + retries + crashes for count in tried.values())
    assert it.counts.total() + it.waiting + len(new) == len(scripts)
    assert it.is_halted or it.counts.total() == len(scripts)
