"""The pool that carries out calls, played by hand; and what crosses on either way."""

import os
import select
import threading
from collections import namedtuple
from functools import partial

import pytest

from luspool.functions import FunctionPool, carry_out
from luspool.permissions import Origin, Pledge, PledgeSet, Rule
from luspool.sandbox import codec
from luspool.scheduler import wire

PATIENCE = 60
LIMITS = codec.Limits(max_bytes=1000)


def pledges(*texts, allow=()):
    def rules(given):
        return [Rule(Pledge.parse(text), Origin.flag("-P", text)) for text in given]

    return PledgeSet.root(rules(texts), rules(allow))


@pytest.fixture
def make():
    """Makes pools whose threads must all have ended by the end of the test."""
    pools = []

    def pool(functions, rights=None, threads=4, reply_limit=1 << 20):
        pools.append(FunctionPool(functions, rights or pledges("host"), threads, reply_limit))
        return pools[-1]

    before = sorted(os.listdir("/proc/self/fd"))
    yield pool
    for one in pools:
        assert one.close(PATIENCE)
        assert one.close(0)
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert not [thread for thread in threading.enumerate() if thread.name == "luspool-function"]


def call(number, name, *arguments):
    return wire.Call(number, name, codec.encode(*arguments))


def next_reply(pool):
    """The next reply, and what it carries. Nothing can be taken before the bell says so."""
    bell = select.poll()
    bell.register(pool.fileno(), select.POLLIN)
    assert bell.poll(PATIENCE * 1000)
    reply = pool.take_reply()
    return reply.call, codec.decode(reply.payload) if reply.ok else reply.payload.decode()


def test_a_call_comes_back_with_its_number_and_results(make):
    pool = make({"add": lambda a, b: a + b})
    assert pool.take_reply() is None
    pool.begin(call(7, "add", 1, 2))
    assert next_reply(pool) == (7, (3,))
    assert pool.take_reply() is None
    assert not select.select([pool.fileno()], [], [], 0)[0]


def test_a_function_that_was_not_given_is_refused(make):
    pool = make({})
    pool.begin(call(1, "log"))
    assert next_reply(pool)[1].startswith("there is no function host.log")


def test_what_the_ceiling_of_the_tree_does_not_contain_is_not_there(make):
    """Also when a host asks for it that has fallen to a script."""
    names = ("held", "allowed", "rejected", "other")
    pool = make(
        dict.fromkeys(names, lambda: 1), pledges("host:held", "host:rejected", "~host:rejected", allow=["host:allowed"])
    )
    answers = []
    for number, name in enumerate(names, 1):
        pool.begin(call(number, name))
        answers.append(next_reply(pool)[1])
    assert answers[:2] == [(1,), (1,)]
    assert all("there is no function" in answer for answer in answers[2:])


def test_no_more_calls_at_a_time_than_threads_and_the_rest_in_order(make):
    begun, gate = [], threading.Semaphore(0)

    def wait(number):
        begun.append(number)
        gate.acquire()

    pool = make({"wait": wait}, threads=2)
    for number in range(1, 7):
        pool.begin(call(number, "wait", number))
    for done in range(6):
        gate.release()
        next_reply(pool)
        assert len(begun) <= done + 3
    assert sorted(begun[:2]) == [1, 2]
    assert sorted(begun) == [1, 2, 3, 4, 5, 6]


def test_one_thread_carries_calls_out_in_order(make):
    pool = make({"same": lambda x: x}, threads=1)
    for number in range(1, 101):
        pool.begin(call(number, "same", number))
    assert [next_reply(pool) for _ in range(100)] == [(number, (number,)) for number in range(1, 101)]


def test_threads_carry_out_nothing_more_while_nobody_takes_what_is_ready(make):
    carried_out = []
    pool = make({"f": carried_out.append}, threads=2)
    for number in range(1, 201):
        pool.begin(call(number, "f", number))
    for taken in range(200):
        assert len(carried_out) <= taken + 4  # two replies that lie there, and two threads that were let through
        next_reply(pool)
    assert sorted(carried_out) == list(range(1, 201))


def test_a_call_that_never_returns_keeps_nobody_from_closing(make):
    gate, begun = threading.Event(), threading.Event()

    def stay():
        begun.set()
        gate.wait()

    pool = make({"stay": stay}, threads=1)
    pool.begin(call(1, "stay"))
    pool.begin(call(2, "stay"))
    assert begun.wait(PATIENCE)
    assert not pool.close(0.01)
    gate.set()


def test_many_threads_and_calls_lose_nothing(make):
    pool = make({"same": lambda x: x}, threads=8)
    replies = []
    for number in range(1, 2001):
        pool.begin(call(number, "same", number))
        if number % 3 == 0 and (reply := pool.take_reply()) is not None:
            replies.append((reply.call, codec.decode(reply.payload)))
    while len(replies) < 2000:
        replies.append(next_reply(pool))
    assert sorted(replies) == [(number, (number,)) for number in range(1, 2001)]


# --- what crosses ---------------------------------------------------------------------------------------------


def outcome(function, *arguments):
    result = carry_out(function, codec.encode(*arguments), LIMITS)
    return codec.decode(result.payload) if result.ok else result.payload.decode()


Pair = namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    ("returned", "results"),
    [
        (None, (None,)),
        ((), ()),
        ((1, None), (1, None)),
        ([1, 2], ([1, 2],)),
        (((1, 2), 3), ([1, 2], 3)),
        (Pair(1, 2), ([1, 2],)),
        (b"\xff", (b"\xff",)),
        (bytearray(b"vector"), (bytearray(b"vector"),)),
    ],
)
def test_a_tuple_is_several_results_and_all_else_is_one(returned, results):
    assert outcome(lambda: returned) == results


def test_cyclic_tables_go_in_and_out():
    def turn(table):
        assert table["self"] is table
        table["other"] = table
        return table

    cyclic = {}
    cyclic["self"] = cyclic
    (result,) = outcome(turn, cyclic)
    assert result["self"] is result["other"] is result


class HardError(Exception):
    def __str__(self):
        raise ValueError


def raising(error):
    raise error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (KeyError("x"), "KeyError: 'x'"),
        (ValueError(), "ValueError"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (HardError(), "HardError: (its text can't be made)"),
        (ValueError("\ud800 \udcff"), r"ValueError: \ud800 \udcff"),
    ],
)
def test_an_exception_is_its_type_and_text(error, text):
    assert outcome(partial(raising, error)) == text


def test_a_long_text_is_cut():
    assert len(outcome(partial(raising, ValueError("x" * 100_000)))) == 4096


def test_wrong_arguments_are_an_error():
    assert "TypeError" in outcome(lambda: 1, "too", "many")


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        ({"a": [1, {2}]}, "result, field .a[2]: cannot copy a set"),
        ((1, {"f": print}), "result, field .f: cannot copy a builtin_function_or_method"),
        (1 << 64, "result: cannot copy an integer of more than 64 bits"),
        ("x" * 2000, "message is larger than the limit of 1000 bytes"),
    ],
)
def test_what_cannot_be_copied_back_is_named_with_its_place(returned, text):
    assert text in outcome(lambda: returned)


async def sleep():
    pass


def test_what_is_not_finished_is_refused():
    for unfinished in (sleep, lambda: (number for number in range(3))):
        assert "async functions and generators are not supported" in outcome(unfinished)


@pytest.mark.parametrize("payload", [b"", b"\x01\x00", b"garbage", bytes(100)])
def test_arguments_that_are_no_message_are_an_error(payload):
    result = carry_out(print, payload, LIMITS)
    assert not result.ok
    assert b"malformed message" in result.payload
