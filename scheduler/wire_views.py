"""The frames by which a host shows what it does: to somebody who looks at it, and for a trace (see `wire`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from .framing import Message, clip
from .records import pack, unpack
from .trace_rows import ROWS, TEXT

if TYPE_CHECKING:
    from .sight import Sight, StateSight

TRACE_LIMIT = ROWS * (8 * 8 + 2 * (4 * TEXT + 16))
"""Bytes of rows of a trace per frame at most; each may have two texts of its own."""

STATES_SEEN = 1000
"""How many states a host shows at most."""

AWAITED_SEEN = 8
"""Of how many it is told by whom they wait."""

TEXT_SEEN = 512
"""Bytes of a text there; longer ones are cut."""

_NUMBERS = 256
"""Room for numbers, and the lengths of some fields."""


class Trace(Message, frozen=True):
    """Host to supervisor, where it is asked for: what has happened there; see `trace_rows.unpack_rows`."""

    texts: tuple[str, ...]
    rows: bytes
    KIND = ord("t")
    LIMIT = TRACE_LIMIT + _NUMBERS


class Look(Message, frozen=True):
    """Supervisor to host: show what there is; answer with a `Seen` of this number."""

    number: int
    KIND = ord("V")
    LIMIT = 8


class StateSeen(Struct, frozen=True):
    """One of the states in a `Seen`: the fields of `sight.StateSight`. Of awaited states, 8 bytes each, at most
    `AWAITED_SEEN` are named."""

    state: int
    parent: int
    script: str
    phase: str
    waits_for: str
    awaited: bytes
    location: str
    cpu: int
    memory: int
    inbox: int
    outbox: int


class Seen(Message, frozen=True):
    """Host to supervisor: the answer to a `Look`. The fields of `sight.Sight`, and `StateSeen` records."""

    number: int
    states: int
    running: int
    ready: int
    waiting: int
    memory: int
    cpu: int
    output: int
    shown: tuple[bytes, ...]
    KIND = ord("v")
    LIMIT = STATES_SEEN * (2 * (TEXT_SEEN + _NUMBERS) + _NUMBERS) + _NUMBERS

    @classmethod
    def of(cls, number: int, sight: Sight) -> Seen:
        """What a host has seen of itself, as a frame."""
        counts = (sight.states, sight.running, sight.ready, sight.waiting, sight.memory, sight.cpu, sight.output)
        return cls(number, *counts, tuple(pack(_state_seen(state)) for state in sight.shown[:STATES_SEEN]))

    def records(self) -> list[StateSeen]:
        """RecordError when they are none."""
        return [unpack(StateSeen, state) for state in self.shown]


def _state_seen(state: StateSight) -> StateSeen:
    return StateSeen(
        state.state,
        state.parent,
        clip(state.script, TEXT_SEEN),
        state.phase.value,
        state.waits_for,
        b"".join(one.to_bytes(8) for one in state.awaited[:AWAITED_SEEN]),
        clip(state.location, TEXT_SEEN),
        state.cpu,
        state.memory,
        state.inbox,
        state.outbox,
    )
