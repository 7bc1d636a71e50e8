"""What one host's machine tells another's: pure, bytes out, fields in.

A letter is one byte that names its kind, the id of the state that it is about (8 bytes) and a body. All but `PASSED`
are about one edge of the tree, from a parent in one host to a child in another, and named by the child:

    from the parent's host                      from the child's host
    MOVED      the state itself, not started    STARTED    it is about to take its first step
    SENT       a message for its inbox          MESSAGE    a message out of its outbox
    OUTBOX_TAKEN  so many bytes were received   INBOX_TAKEN  so many bytes were peeked
    INBOX_ASKED  the parent waits for room      OUTBOX_ASKED  the child waits for room
    ORPHANED   the parent has let go of it      ENDED      it has ended, with a failure or without
    CANCELLED  end it, and all below it

Letters from one host to another arrive in the order in which they were written (see `ring`). They come from a process
that runs hostile scripts and may have fallen to one: `LetterError` is for what no honest host writes.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

from msgspec import Struct

from .protocol import Failure, StateId
from .records import RecordError, pack, unpack


class LetterError(ValueError):
    """A letter that no honest host writes. The host that wrote it has to be ended."""


class Kind(IntEnum):
    """What a letter says. See the module."""

    MOVED = 1
    SENT = 2
    OUTBOX_TAKEN = 3
    INBOX_ASKED = 4
    ORPHANED = 5
    CANCELLED = 6
    STARTED = 7
    MESSAGE = 8
    INBOX_TAKEN = 9
    OUTBOX_ASKED = 10
    ENDED = 11
    PASSED = 12
    """Whatever the writer has moved from below this ended state lies before this letter (see `SpreadMachine`)."""


_HEAD = struct.Struct("=BQ")
_NUMBER = struct.Struct("=Q")
_LINK = struct.Struct("=QI")
_IDS: Final = range(1, 1 << 63)
"""As in records: whatever a letter names can be told to who looks."""

HOST_BITS = 40
"""A state's id is its host's number, and below that as many bits for a number within the host."""


def host_of(state: StateId) -> int:
    """The host in which a state was created."""
    return state >> HOST_BITS


class Move(Struct, frozen=True):
    """A state that has not started, on its way to another host.

    `limits` is the record of its `StateLimits`. `ancestors` are its creator and everybody above who may still live,
    nearest first (`pack_ancestors`). Without `has_parent` nobody receives from it any more.
    """

    spec: bytes
    depth: int
    limits: bytes
    ancestors: bytes
    has_parent: bool


def write(kind: Kind, state: StateId, body: bytes = b"") -> bytes:
    """A letter."""
    return _HEAD.pack(kind, state) + body


def write_number(kind: Kind, state: StateId, number: int) -> bytes:
    """A letter whose body is one number."""
    return _HEAD.pack(kind, state) + _NUMBER.pack(number)


def read(letter: bytes | memoryview) -> tuple[Kind, StateId, bytes]:
    """Kind, state and body."""
    if len(letter) < _HEAD.size:
        raise LetterError(f"a letter of {len(letter)} bytes")
    kind, state = _HEAD.unpack_from(letter)
    if state not in _IDS:
        raise LetterError(f"a letter about a state {state}")
    try:
        return Kind(kind), StateId(state), bytes(letter[_HEAD.size :])
    except ValueError as error:
        raise LetterError(f"a letter of kind {kind}") from error


def read_number(body: bytes) -> int:
    """The body of `write_number`."""
    try:
        (number,) = _NUMBER.unpack(body)
    except struct.error as error:
        raise LetterError(f"{len(body)} bytes where a number was due") from error
    return int(number)


def read_move(body: bytes) -> Move:
    """The body of a `MOVED`."""
    try:
        return unpack(Move, body)
    except RecordError as error:
        raise LetterError(str(error)) from error


def pack_failure(failure: Failure | None) -> bytes:
    """The body of an `ENDED`."""
    return b"" if failure is None else pack(failure)


def read_failure(body: bytes) -> Failure | None:
    """The failure of an `ENDED`."""
    try:
        return unpack(Failure, body) if body else None
    except RecordError as error:
        raise LetterError(str(error)) from error


def pack_ancestors(ancestors: list[tuple[StateId, int]]) -> bytes:
    """Ids of ancestors and the hosts in which they live, nearest first."""
    return b"".join(_LINK.pack(state, host) for state, host in ancestors)


def read_ancestors(data: bytes) -> list[tuple[StateId, int]]:
    """What `pack_ancestors` made."""
    try:
        ancestors = [(StateId(state), host) for state, host in _LINK.iter_unpack(data)]
    except struct.error as error:
        raise LetterError(f"{len(data)} bytes of ancestors") from error
    if any(state not in _IDS for state, _ in ancestors):
        raise LetterError("an ancestor that can be none")
    return ancestors


def shown_number(state: int) -> int:
    """A state's id for people: in the first of several hosts they are counted from 1, too."""
    return state - (1 << HOST_BITS) if host_of(StateId(state)) == 1 else state
