"""The supervisor and calls of functions: against hosts that keep the protocol, and hosts that don't."""

import os
from contextlib import nullcontext

import pytest

from luspool.scheduler import supervisor, wire
from luspool.scheduler.callees import CallRouter
from luspool.scheduler.connection import HostProtocolError
from luspool.scheduler.limits import Limits, TreeLimits
from luspool.scheduler.supervisor import SoleHost, Supervisor, Surroundings

from ..scheduler_fleet.host_script import start_host

HOST = """
send(wire.Hello(wire.VERSION))
receive()
"""
END = "\nsend(wire.TreeEnded(False, 0)); receive(); os._exit(0)\n"
START = wire.Start.of(1, 0, Limits(tree=TreeLimits(memory=1 << 20)), b"")


class Listener:
    def __init__(self):
        self.heard = []
        self.failed = self.deadlocked = self.stuck = self.heard.append

    def started(self):
        pass

    def write(self, stream, data):
        self.heard.append(data)


class Callees:
    """Replies when it is told to: after so many calls, the last first."""

    def __init__(self, together=1):
        self.bell = os.eventfd(0)
        self.together = together
        self.calls, self.replies = [], []

    def fileno(self):
        return self.bell

    def begin(self, call):
        self.calls.append(call)
        if len(self.calls) % self.together == 0:
            os.eventfd_write(self.bell, 1)
            last = self.calls[-self.together :]
            self.replies += [wire.Reply(one.call, True, one.name.encode() + one.payload) for one in reversed(last)]

    def take_reply(self):
        reply = self.replies.pop(0) if self.replies else None
        if reply is not None and not self.replies:
            os.eventfd_read(self.bell)
        return reply


@pytest.fixture
def run():
    callees = []

    def run(code, own=None):
        callees.extend([own] if own else [])
        listener = Listener()
        with start_host(HOST + code) as host, open(os.devnull, "rb") as nothing:
            calls = CallRouter(own, START.limits().tree.memory) if own else None
            surroundings = Surroundings(nullcontext(), nothing.fileno(), calls)
            loop = Supervisor(SoleHost(host, START, listener), listener, surroundings)
            loop.run()
            loop.close()
        return listener.heard

    yield run
    for one in callees:
        os.close(one.bell)


def test_calls_are_handed_on_and_replies_brought_back_in_any_order(run):
    code = """
send(*(wire.Call(number, "f", b"%d" % number) for number in (1, 2, 5)))
replies = [receive() for _ in range(3)]
send(wire.Output(1, repr([(reply.call, reply.payload) for reply in replies]).encode()))
"""
    assert run(code + END, Callees(together=3)) == [b"[(5, b'f5'), (2, b'f2'), (1, b'f1')]"]


def test_without_functions_every_call_is_refused_with_a_text(run):
    code = 'send(wire.Call(1, "log", b"")); reply = receive(); send(wire.Output(1, b"%d " % reply.ok + reply.payload))'
    assert run(code + END) == [b"0 there is no function host.log: the program that runs this script has not given one"]


def test_replies_larger_than_any_buffer_arrive_whole_though_the_host_does_not_read_at_once(run):
    code = """
big = os.urandom(1 << 16) * 8
send(wire.Call(1, "", big))
send(wire.Call(2, "", big))
send(wire.Output(1, b"all sent"))
assert [receive().payload == big for _ in range(2)] == [True, True]
send(wire.Output(1, b"all came"))
"""
    assert b"".join(run(code + END, Callees())) == b"all sentall came"


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ('send(wire.Call(1, "f", b"")); receive(); send(wire.Call(1, "f", b""))', "call 1 after call 1"),
        ('send(wire.Call(0, "f", b""))', "call 0 after call 0"),
        ('send(wire.Call(2, "f", b""), wire.Call(1, "f", b""))', "call 1 after call 2"),
        ('send(wire.Call(1, "f" * 101, b""))', "a call of 0 bytes, to a name of 101"),
        ("events.sendall(b'C' + bytes([255] * 4))", "Call of 4294967295 bytes"),
        ("events.sendall(wire.encode(wire.Reply(1, True, b'')))", "no message of kind 65"),
    ],
)
def test_a_host_that_breaks_the_rules_of_calls_is_reported_at_once(run, code, fault):
    with pytest.raises(HostProtocolError, match=fault):
        run(f"{code}\nsignal.pause()", Callees())


def test_more_calls_than_the_memory_of_the_tree_are_a_lie(run):
    """Whether the host takes its replies is all the same, where there are none."""
    code = "number = 0\nwhile True:\n    number += 1\n    send(wire.Call(number, 'f', bytes(60_000)))"
    callees = Callees(together=1 << 40)
    with pytest.raises(HostProtocolError, match="more calls at a time than its memory allows"):
        run(code, callees)
    assert sum(len(call.payload) for call in callees.calls) < 8 << 20


def test_calls_that_nobody_takes_the_refusals_of_do_not_pile_up(run, monkeypatch):
    """Also where there are no functions, whose program may have any amount of memory."""
    monkeypatch.setattr(supervisor, "_UNSENT_REPLIES", 1 << 16)
    monkeypatch.setattr(supervisor, "UNREFUSED_CALLS", 1 << 20)
    code = "number = 0\nwhile True:\n    number += 1\n    send(wire.Call(number, 'f', b''))"
    with pytest.raises(HostProtocolError, match="more calls at a time than its memory allows"):
        run(code)
