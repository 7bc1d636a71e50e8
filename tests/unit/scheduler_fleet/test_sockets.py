"""Both ends of a control socket, and the descriptors that go over it."""

import errno
import os
import socket
from types import SimpleNamespace

import pytest

from luspool.scheduler import ring_table, wire
from luspool.scheduler.connection import HostConnection
from luspool.scheduler.control import ControlSocket
from luspool.scheduler.ring_table import RingTable


@pytest.fixture
def ends():
    """The supervisor's and the host's."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield HostConnection(SimpleNamespace(control=ours, events=ours)), ControlSocket(theirs)


def drain(connection, control):
    """Let all come through."""
    messages = []
    while more := [*control.receive()] or connection.unsent:
        messages += more if isinstance(more, list) else []
        connection.flush()
    return messages


def test_descriptors_arrive_in_order_with_the_frames_they_were_sent_with(ends):
    connection, control = ends
    connection.send(wire.Ping(1))
    fds = [os.memfd_create(str(number)) for number in range(3)]
    names = [os.fstat(fd).st_ino for fd in fds]
    connection.send(wire.Join(2), fds[:1])
    connection.send(wire.Join(3), fds[1:])
    assert drain(connection, control) == [wire.Ping(1), wire.Join(2), wire.Join(3)]
    taken = control.take_descriptors(3)
    assert [os.fstat(fd).st_ino for fd in taken] == names
    assert not any(os.get_inheritable(fd) for fd in taken)
    for fd in taken:
        os.close(fd)
    with pytest.raises(wire.WireError):
        control.take_descriptors(1)


def test_what_does_not_fit_waits_and_its_descriptors_go_with_it(ends):
    connection, control = ends
    large = wire.Start(0, 1, 1, 0, False, b"", b"", os.urandom(3 << 20))
    connection.send(large)
    assert connection.unsent
    before = connection.unsent_bytes
    connection.send(wire.Join(2), os.pipe())
    assert connection.unsent_bytes > before
    assert drain(connection, control) == [large, wire.Join(2)]
    assert connection.unsent_bytes == 0
    for fd in control.take_descriptors(2):
        os.close(fd)


def test_a_host_that_is_gone_costs_no_descriptor(ends):
    connection, control = ends
    connection.send(wire.Start(0, 1, 1, 0, False, b"", b"", bytes(3 << 20)))
    connection.send(wire.Join(2), os.pipe())
    control._socket.close()
    connection.flush()
    assert not connection.unsent
    assert connection.unsent_bytes == 0
    connection.send(wire.Join(3), os.pipe())
    assert not connection.unsent


def test_who_does_not_read_is_swamped_at_some_point(ends):
    connection, _ = ends
    connection.send(wire.Start(0, 1, 1, 0, False, b"", b"", bytes(40 << 20)))
    assert connection.is_swamped
    connection.drop_unsent()
    assert not connection.is_swamped


def test_more_descriptors_on_their_way_than_the_system_allows_wait(ends, monkeypatch):
    connection, control = ends
    real = socket.send_fds
    refusals = [OSError(errno.ETOOMANYREFS, "too many references")]

    def send_fds(*arguments):
        if refusals:
            raise refusals.pop()
        return real(*arguments)

    monkeypatch.setattr(socket, "send_fds", send_fds)
    connection.send(wire.Join(2), os.pipe())
    assert connection.unsent
    assert drain(connection, control) == [wire.Join(2)]
    for fd in control.take_descriptors(2):
        os.close(fd)


def test_the_end_of_the_other_side_is_seen(ends):
    connection, control = ends
    connection.process.control.close()
    assert list(control.receive()) == []
    assert not control.is_open


def test_rings_lead_both_ways_and_boards_to_their_hosts_and_nothing_is_left():
    table = RingTable(2)
    for host in (1, 2):
        writer, board = table.add_host(host)
        os.close(writer)
        board.close()
    mine, yours = table.take(1, 2), table.take(2, 1)
    inodes = [[os.fstat(fd).st_ino for fd in ends] for ends in (mine, yours)]
    assert inodes[0][0] == inodes[1][3]  # the memory that one writes the other reads
    assert inodes[0][3] == inodes[1][0]
    assert inodes[0][6] != inodes[1][6]
    for fd in (*mine, *yours):
        os.close(fd)
    writer, board = table.add_host(3)
    os.close(writer)
    board.close()
    for fd in (*table.take(1, 3), *table.take(3, 2)):
        os.close(fd)
    table.remove_host(3)  # with its halves of the pairs
    with pytest.raises(KeyError):
        table.take(3, 1)
    with pytest.raises(KeyError):
        table.take(1, 2)
    table.close()


@pytest.mark.parametrize("failing", [1, 2])
def test_a_host_for_which_there_is_no_ring_is_not_added_and_costs_no_descriptor(monkeypatch, failing):
    before = sorted(os.listdir("/proc/self/fd"))
    table = RingTable(2)
    writer, board = table.add_host(1)
    os.close(writer)
    board.close()
    real, calls = ring_table.create_ring, []

    def create_ring(capacity):
        calls.append(capacity)
        if len(calls) == failing:
            raise OSError(errno.EMFILE, "no more")
        return real(capacity)

    monkeypatch.setattr(ring_table, "create_ring", create_ring)
    with pytest.raises(OSError, match="no more"):
        table.add_host(2)
    with pytest.raises(KeyError):
        table.take(1, 2)
    table.close()
    assert sorted(os.listdir("/proc/self/fd")) == before
