"""Hosts that say too much, or keep to themselves what others wait for: nobody listens, or remembers, without end."""

import os
import socket
from contextlib import ExitStack, nullcontext
from types import SimpleNamespace

import pytest

from luspool.scheduler import courier, fleet_member, wire
from luspool.scheduler.board import BoardWriter, create_board
from luspool.scheduler.connection import HostConnection, HostProtocolError
from luspool.scheduler.control import ControlSocket
from luspool.scheduler.courier import Courier
from luspool.scheduler.fleet import Fleet, FleetOptions
from luspool.scheduler.fleet_member import Member
from luspool.scheduler.limits import Limits, TreeLimits
from luspool.scheduler.protocol import StateId
from luspool.scheduler.ring import create_ring
from luspool.scheduler.spread_host import Place, SpreadHost
from luspool.scheduler.supervisor import HostDiedError, SoleHost, Supervisor, Surroundings

from .host_script import start_host

HELLO = "send(wire.Hello(wire.VERSION)); receive()\n"


def connection(stack, diagnostics=os.devnull):
    pairs = [socket.socketpair() for _ in range(2)]
    for end in (end for pair in pairs for end in pair):
        stack.enter_context(end)
    fd = os.open(diagnostics, os.O_RDONLY)
    stack.callback(os.close, fd)
    return HostConnection(SimpleNamespace(events=pairs[0][0], control=pairs[1][0], diagnostics=fd))


def test_the_last_words_of_a_host_that_is_alive_are_not_listened_to_for_ever():
    with ExitStack() as stack:
        assert len(connection(stack, "/dev/zero").diagnostics()) == 64 * 1024


def run_alone(code, output=1 << 20):
    listener = SimpleNamespace(written=0, started=lambda: None)

    def write(_stream, data):
        listener.written += len(data)

    listener.write = write
    with start_host(HELLO + code) as process, open(os.devnull, "rb") as nothing:
        start = wire.Start.of(1, 0, Limits(tree=TreeLimits(output=output)), b"")
        supervisor = Supervisor(
            SoleHost(process, start, listener), listener, Surroundings(nullcontext(), nothing.fileno())
        )
        try:
            supervisor.run()
        finally:
            assert listener.written <= output


def test_the_only_host_of_a_program_writes_no_more_than_the_program_may():
    with pytest.raises(HostProtocolError, match="wrote more than it may"):
        run_alone("while True: send(wire.Output(2, bytes(60_000)))")


class Endless:
    """In the place of an events socket that a child which a dead host has left fills faster than it is read."""

    def __init__(self):
        self.reads = 0

    def receive(self):
        self.reads += 1
        assert self.reads < 100
        return True

    def messages(self):
        return iter(())


def test_a_child_that_the_only_host_has_left_is_not_listened_to_for_ever():
    with ExitStack() as stack:
        sole = SoleHost(connection(stack).process, wire.Start.of(1, 0, Limits(), b""), None)
        (host,) = sole.connections
        host.events = Endless()
        with pytest.raises(HostDiedError):
            list(sole.lost(host, 3))


def test_nor_is_one_that_one_of_several_has_left():
    with ExitStack() as stack:
        process = connection(stack).process
        listener = SimpleNamespace(host_died=lambda text, details: None)
        options = FleetOptions(1, lambda: None, "main.lus", 0)
        fleet = stack.enter_context(Fleet(process, wire.Start.of(1, 0, Limits(), b""), listener, options))
        (host,) = fleet.connections
        fleet._members[host].number = 2
        fleet._merge.add_host(2)
        host.events = Endless()
        assert list(fleet.lost(host, 3)) == []


def test_who_goes_on_after_the_end_of_the_program_is_found_out_by_the_number_of_words(monkeypatch):
    monkeypatch.setattr(fleet_member, "_MOST_OWING", 10)
    with ExitStack() as stack:
        member = Member(connection(stack))
        for _ in range(100):
            member.heard(wire.WantInput(), 0)
        member.is_asked(wire.TreeEnded, 0.0)
        for _ in range(10):
            member.heard(wire.WantInput(), 0)
        with pytest.raises(HostProtocolError, match="after the end of the program"):
            member.heard(wire.WantInput(), 0)


def test_a_host_that_does_not_say_of_which_ends_it_has_heard_is_told_of(monkeypatch):
    monkeypatch.setattr(courier, "_MOST_BEHIND", 100)
    with ExitStack() as stack:
        ours, theirs = (stack.enter_context(end) for end in socket.socketpair())
        control = ControlSocket(theirs)
        board, others = create_board(), create_board()
        os.close(board.reader)
        os.close(others.writer)
        writer = BoardWriter(board.writer)
        stack.callback(writer.close)
        place = Place(1, StateId((1 << 40) + 1), Limits(), None, writer)
        host = SpreadHost(place, 1, None, None, 0)
        stack.callback(os.close, host.dispatcher.waker)
        carrier = Courier(control, host, None)
        (out_writer, out_reader), (in_writer, in_reader) = create_ring(1000), create_ring(1000)
        stack.callback(out_reader.close)
        stack.callback(in_writer.close)
        socket.send_fds(ours, [wire.encode(wire.Join(2))], (*out_writer, *in_reader, others.reader))
        for fd in (*out_writer, *in_reader, others.reader):
            os.close(fd)
        for message in control.receive():
            carrier.obey(message)
        stack.callback(lambda: [link.close() for link in carrier._links.values()])
        for state in range(100):
            carrier.obey(wire.EndBelow(state + 1))
        ours.setblocking(False)
        with pytest.raises(BlockingIOError):
            ours.recv(100)
        carrier.obey(wire.EndBelow(101))
        decoder = wire.Decoder(wire.CONTROL)
        decoder.feed(ours.recv(1000))
        (broken,) = decoder
        assert broken.host == 2
        assert "ends of states" in broken.why
