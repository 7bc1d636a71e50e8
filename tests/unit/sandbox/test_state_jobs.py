"""The main script of a job: the program that has submitted it is to it what its creator is to a worker."""

from __future__ import annotations

import pytest

from luspool.sandbox import codec
from luspool.scheduler.protocol import CALL_LIMIT, CallResult, Ended, Failure, ReplyArrived, Returned


@pytest.fixture
def job(lus):
    def make(source, **options):
        return lus(source, is_job=True, **options)

    return make


def reply(script, payload=b"", *, call=None):
    """Step until the state waits for its last call, and reply to that."""
    while (condition := script.waits_for()) == ReplyArrived(0):
        pass  # it tries whether it can wait
    last = len(script.port.calls) if call is None else call
    assert condition == ReplyArrived(last)
    script.port.replies[last] = CallResult(ok=True, payload=payload)
    return script.port.calls[last]


def test_a_message_is_a_call_that_little_is_waited_for(job):
    script = job("worker.message('one') worker.message({2, x = 3}) worker.message(('x'):rep(40000)) print('on')")
    assert reply(script) == ("worker.message", ("x" * 40000,))
    assert script.port.calls[1] == ("worker.message", ("one",))
    assert script.port.calls[2] == ("worker.message", ({1: 2, "x": 3},))
    assert script.end() == Returned()
    assert script.port.lines == ["on"]


def test_one_that_goes_on_sending_waits_now_and_then(job):
    script = job("while true do worker.message(1) end")
    last = 0
    for _ in range(3):
        reply(script)
        assert 10 < len(script.port.calls) - last < 1000
        last = len(script.port.calls)


def test_a_peek_is_a_call_whose_reply_is_the_message(job):
    script = job("local v = worker.peek() print(v.a[1], worker.peek())")
    assert reply(script, codec.encode({"a": [1]})) == ("worker.peek", ())
    reply(script, codec.encode(None))
    assert script.end() == Returned()
    assert script.port.lines == ["1\tnil"]


def test_it_waits_within_its_own_coroutines(job):
    script = job("print(coroutine.wrap(function() worker.message(('x'):rep(50000)) return worker.peek() end)())")
    reply(script)
    reply(script, codec.encode("there"))
    assert script.end() == Returned()
    assert script.port.lines == ["there"]


def test_where_it_cannot_wait_nothing_is_taken_or_sent_that_has_to_be_waited_for(job):
    source = """
    table.sort({2, 1}, function(a, b)
      worker.message('small')
      print(pcall(worker.message, ('x'):rep(50000)))
      print(pcall(worker.peek))
      return a < b
    end)"""
    script = job(source)
    assert script.end() == Returned()
    assert [text.partition(":")[0] for text in script.port.lines[:2]] == [
        "false\tcannot wait here",
        "false\tcannot wait here",
    ]
    assert {call for call, _ in script.port.calls.values()} == {"worker.message"}


def test_after_the_last_message_it_ends_as_a_worker_does(job):
    script = job("pcall(function() worker.peek() print('never') end) print('never')")
    reply(script, b"")
    assert script.end() == Returned()
    assert script.port.lines == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("worker.message()", "bad argument #1 to 'message' (value expected)"),
        ("worker.message({f = print})", "field .f: cannot copy a function"),
        (f"worker.message(('x'):rep({CALL_LIMIT}))", "a message of more than 4 MiB"),
    ],
)
def test_what_cannot_be_sent_is_an_error(job, source, message):
    script = job(source)
    assert message in script.failure().message
    assert not script.port.calls


def test_messages_count_as_output(job):
    script = job("worker.message('x') worker.message('y')")
    script.port.output_left = 200
    result = script.step()
    assert result == Ended(Returned())
    assert 0 < script.port.output_left < 100


def test_a_message_larger_than_the_limit_ends_it(job):
    script = job("pcall(worker.message, ('x'):rep(2000))", limits={"message": 1000})
    script.failure()  # the scheduler says which, as it was told of the excess
    assert [excess.kind for excess in script.port.excesses] == ["message"]


def test_the_calls_are_no_functions(job, lus):
    for make in (job, lus):
        script = make("host['worker.message'](1)", held=("host",))
        assert "worker.message is no host function" in script.failure().message
        script = make("host['worker.peek']()", held=("host",))
        assert "worker.peek is no host function" in script.failure().message
        assert not script.port.calls


def test_in_the_main_script_of_a_run_they_are_errors(lus):
    for call in ("message(1)", "peek()"):
        failure = lus(f"worker.{call}").failure()
        assert isinstance(failure, Failure)
        assert "can only be called inside a worker" in failure.message


def test_workers_of_a_job_are_workers(job):
    script = job("worker.create('/nowhere')", held=("load", "fs:read"))
    assert script.end() == Returned()
    assert [spec.is_job for spec in script.port.children.values()] == [False]
