"""How many states a tree has in all hosts together is known at the moment at which one is created."""

import os
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from luspool.scheduler import wire
from luspool.scheduler.board import BoardReader, BoardWriter, Load, create_board
from luspool.scheduler.letters import HOST_BITS
from luspool.scheduler.limits import Limits, StateLimits, TreeLimits
from luspool.scheduler.protocol import StateId
from luspool.scheduler.spread_host import Place, SpreadHost

ROOT = StateId((1 << HOST_BITS) + 1)
LIMITS = Limits(StateLimits(), TreeLimits(states=4))


@pytest.fixture
def dispatchers():
    """Of two hosts that see each other's boards and carry no letters; the tree may have four states."""
    with ExitStack() as stack:
        boards, made = {}, {}
        for number in (1, 2):
            ends = create_board()
            writer, boards[number] = BoardWriter(ends.writer), BoardReader(ends.reader)
            stack.callback(writer.close)
            stack.callback(boards[number].close)
            host = SpreadHost(Place(number, ROOT, LIMITS, None, writer), 1, None, None, 0)
            stack.callback(os.close, host.dispatcher.waker)
            made[number] = host.dispatcher
        for number, dispatcher in made.items():
            other = 3 - number
            dispatcher.links = {other: SimpleNamespace(host=other, board=boards[other], flush=lambda: None)}
        yield made


def root_port(dispatcher):
    """What the root of a host may ask; each host has one of its own here, which is enough to be counted."""
    with dispatcher.lock:
        dispatcher.create_root(b"", LIMITS)
        return dispatcher.port(dispatcher.machine.take_ready())  # which is inside of its step from now on


def test_the_states_of_other_hosts_count_at_the_moment_of_creation(dispatchers):
    """Nobody has looked at a board before: a state that creates in one long step would never be stopped."""
    ports = {number: root_port(dispatcher) for number, dispatcher in dispatchers.items()}
    ports[1].create(b"", 0, StateLimits())
    ports[2].create(b"", 0, StateLimits())
    assert [port._state.excess for port in ports.values()] == [None, None]
    ports[2].create(b"", 0, StateLimits())
    assert (ports[2]._state.excess.kind, ports[2]._state.excess.value) == ("states", 5)
    ports[1].create(b"", 0, StateLimits())
    assert ports[1]._state.excess.kind == "states"


def test_of_two_hosts_that_create_at_the_same_time_one_sees_the_other(dispatchers):
    ports = {number: root_port(dispatcher) for number, dispatcher in dispatchers.items()}
    ports[1].create(b"", 0, StateLimits())
    with dispatchers[1].lock:
        dispatchers[1].make_room()  # it is about to create the fourth
    ports[2].create(b"", 0, StateLimits())
    assert ports[2]._state.excess.kind == "states"


def test_what_a_lying_board_says_ends_a_tree_and_can_be_told(dispatchers):
    port = root_port(dispatchers[1])
    dispatchers[1].links[2].board = SimpleNamespace(load=lambda: Load(*[2**64 - 1] * 6))
    port.create(b"", 0, StateLimits())
    excess = port._state.excess
    assert excess.kind == "states"
    wire.encode(wire.Exceeded(excess.kind, excess.limit, excess.value))
