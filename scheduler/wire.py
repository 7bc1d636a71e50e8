"""The frames between a supervisor and a host process: a pure encoder and decoder, bytes in, messages out.

A frame is one byte that names its kind, four bytes with the length of the payload (big-endian) and the payload. Each
kind is a record below (see `records`): its fields, in their order, are the payload.

A host runs hostile scripts and may have fallen to one, so whatever comes from it is hostile too. Lengths are checked
against the kind's own limit before anything is buffered, the reader takes only the kinds that its side may receive,
and a payload must be used up exactly. Nothing here can execute anything (no pickle), and anything out of line is a
`WireError`, after which a decoder stays broken: its user ends the host.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from .limits import Limits, StateLimits, TreeLimits
from .protocol import CALL_LIMIT, FUNCTION_NAME_LIMIT, REPLY_LIMIT
from .records import RecordError, pack, unpack

VERSION = 3
"""Changes whenever any frame changes; both sides must have the same (see `Hello`)."""

OUTPUT_PIECE = 60 * 1024
"""Bytes of output per frame at most; longer writes go in several. Some pages below a socket buffer, so that back
pressure sets in early; guessed."""

INPUT_PIECE = 64 * 1024
"""Bytes of standard input per frame at most: one read of a pipe."""

TEXT_LIMIT = 16 * 1024
"""Bytes of a text for people (a message, a traceback) at most; longer ones are cut, see `clip`. Some screens full."""

PROGRAM_LIMIT = 64 * 1024 * 1024
"""Bytes of a program (source and arguments) at most."""

WAITS_LIMIT = 100
"""How many waits a report of a deadlock lists at most."""

_HEADER = struct.Struct(">BI")


class WireError(ValueError):
    """The other side sent something that is no frame, or none that it may send."""


# --- messages ---------------------------------------------------------------------------------------------------


class Message:
    """Base of all frames. `KIND` is the byte that names it, `LIMIT` the size of its payload in bytes at most."""

    __slots__ = ()
    KIND: ClassVar[int]
    LIMIT: ClassVar[int]


_FIELD_HEADS = 256  # room for numbers and the lengths of a handful of fields, on top of a limit on their content


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """Host to supervisor, first and once: ready. `version` must be the supervisor's own `VERSION`."""

    version: int
    KIND = ord("H")
    LIMIT = 8


@dataclass(frozen=True, slots=True)
class Start(Message):
    """Supervisor to host, once: run `program` (opaque here) on `threads` executors, in slices (0: without end).

    The two limits are the bytes of their records: see `of` and `limits`.
    """

    threads: int
    slice_nanoseconds: int
    state_limits: bytes
    tree_limits: bytes
    program: bytes
    KIND = ord("S")
    LIMIT = PROGRAM_LIMIT + _FIELD_HEADS

    @classmethod
    def of(cls, threads: int, slice_nanoseconds: int, limits: Limits, program: bytes) -> Start:
        return cls(threads, slice_nanoseconds, pack(limits.state), pack(limits.tree), program)

    def limits(self) -> Limits:
        """RecordError when they are none."""
        return Limits(unpack(StateLimits, self.state_limits), unpack(TreeLimits, self.tree_limits))


@dataclass(frozen=True, slots=True)
class Input(Message):
    """Supervisor to host: the chunk of standard input that a `WantInput` asked for; empty at the end of input."""

    data: bytes
    KIND = ord("I")
    LIMIT = INPUT_PIECE + _FIELD_HEADS


@dataclass(frozen=True, slots=True)
class Shutdown(Message):
    """Supervisor to host: close every state, join every thread and exit."""

    KIND = ord("Q")
    LIMIT = 0


@dataclass(frozen=True, slots=True)
class Output(Message):
    """Host to supervisor: bytes for standard output (1) or standard error (2)."""

    stream: int
    data: bytes
    KIND = ord("O")
    LIMIT = OUTPUT_PIECE + _FIELD_HEADS


@dataclass(frozen=True, slots=True)
class WantInput(Message):
    """Host to supervisor: a state waits for standard input."""

    KIND = ord("W")
    LIMIT = 0


@dataclass(frozen=True, slots=True)
class Call(Message):
    """Host to supervisor: a state calls the function `name`. `call` is greater than in each `Call` before."""

    call: int
    name: str
    payload: bytes
    KIND = ord("C")
    LIMIT = CALL_LIMIT + FUNCTION_NAME_LIMIT + _FIELD_HEADS


@dataclass(frozen=True, slots=True)
class Reply(Message):
    """Supervisor to host: what a call came to; see `protocol.CallResult`. Once for each, in any order."""

    call: int
    ok: bool
    payload: bytes
    KIND = ord("R")
    LIMIT = REPLY_LIMIT + _FIELD_HEADS


@dataclass(frozen=True, slots=True)
class Failed(Message):
    """Host to supervisor: the root ended with an error (`is_root`), or a worker did and nobody will receive it.

    `kind`, `message`, `traceback` and `script` are those of `protocol.Failure`; its error value stays in the host.
    """

    kind: str
    message: str
    traceback: str
    script: str
    is_root: bool
    KIND = ord("F")
    LIMIT = 4 * (TEXT_LIMIT + _FIELD_HEADS)


@dataclass(frozen=True, slots=True)
class Deadlocked(Message):
    """Host to supervisor: no state can ever run again. A line per waiting state, at most `WAITS_LIMIT` of them."""

    waiting: int
    waits: tuple[str, ...]
    KIND = ord("D")
    LIMIT = WAITS_LIMIT * (TEXT_LIMIT + _FIELD_HEADS)


@dataclass(frozen=True, slots=True)
class Stuck(Message):
    """Host to supervisor: a state that should have ended does not come out of one long call; only we can end it.

    `kind` is that of the limit that it exceeded, or "cancelled". The rest as in `Failed`.
    """

    kind: str
    message: str
    script: str
    is_root: bool
    KIND = ord("K")
    LIMIT = 3 * (TEXT_LIMIT + _FIELD_HEADS)


@dataclass(frozen=True, slots=True)
class TreeEnded(Message):
    """Host to supervisor, once, after everything else: the program is over.

    `exited`: the root called `os.exit`, with `status` (any integer; else 0).
    """

    exited: bool
    status: int
    KIND = ord("E")
    LIMIT = _FIELD_HEADS


FROM_SUPERVISOR: tuple[type[Message], ...] = (Start, Input, Reply, Shutdown)
"""What a host may receive."""

FROM_HOST: tuple[type[Message], ...] = (Hello, Output, WantInput, Call, Failed, Deadlocked, Stuck, TreeEnded)
"""What a supervisor may receive."""


def clip(text: str, limit: int = TEXT_LIMIT) -> str:
    """`text`, or as much of its beginning as fits into `limit` bytes, and a note of what was left out."""
    data = text.encode("utf-8", "surrogateescape")
    if len(data) <= limit:
        return text
    return data[:limit].decode("utf-8", "surrogateescape") + f" … ({len(data) - limit} more bytes)"


# --- encoder and decoder ----------------------------------------------------------------------------------------


def encode(message: Message) -> bytes:
    """The frame of a message. ValueError when it is larger than its kind allows."""
    payload = pack(message)
    if len(payload) > message.LIMIT:
        raise ValueError(f"{type(message).__name__} of {len(payload)} bytes; {message.LIMIT} is the most")
    return _HEADER.pack(message.KIND, len(payload)) + payload


class Decoder:
    """Takes a stream of bytes in any pieces and gives its messages: `feed`, then iterate until it is exhausted.

    Holds one unfinished frame at most, beyond what was fed since the last iteration. Iterating raises `WireError`
    at the first byte that is out of line, after the good messages before it, and from then on always.
    """

    def __init__(self, accepted: tuple[type[Message], ...]) -> None:
        self._kinds = {kind.KIND: kind for kind in accepted}
        self._buffer = bytearray()
        self._error: WireError | None = None

    def feed(self, data: bytes) -> None:
        if self._error is None:
            self._buffer += data

    def __iter__(self) -> Iterator[Message]:
        if self._error is not None:
            raise self._error
        at = 0
        try:
            while (frame := self._frame(at)) is not None:
                kind, start, at = frame
                yield unpack(kind, bytes(self._buffer[start:at]))
        except (WireError, RecordError) as error:
            self._error = WireError(str(error))
            at = len(self._buffer)
            raise self._error from error
        finally:
            del self._buffer[:at]

    def _frame(self, at: int) -> tuple[type[Message], int, int] | None:
        """Kind, start and end of the payload of the frame at `at`; None until all of it is there."""
        if len(self._buffer) - at < _HEADER.size:
            return None
        byte, size = _HEADER.unpack_from(self._buffer, at)
        kind = self._kinds.get(byte)
        if kind is None:
            raise WireError(f"no message of kind {byte} is expected here")
        if size > kind.LIMIT:
            raise WireError(f"{kind.__name__} of {size} bytes; {kind.LIMIT} is the most")
        start = at + _HEADER.size
        return (kind, start, start + size) if len(self._buffer) >= start + size else None
