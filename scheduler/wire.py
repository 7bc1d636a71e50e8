"""The frames between a supervisor and a host process: a pure encoder and decoder, bytes in, messages out.

A frame is one byte that names its kind, four bytes with the length of the payload (big-endian) and the payload. Each
kind is a frozen dataclass below whose annotations are its layout: the payload is its fields in their order, an `int`
or `bool` as eight bytes, `str` and `bytes` as a length and the bytes, `tuple[str, ...]` as a count and its items.

A host runs hostile scripts and may have fallen to one, so whatever comes from it is hostile too. Lengths are checked
against the kind's own limit before anything is buffered, the reader takes only the kinds that its side may receive,
and a payload must be used up exactly. Nothing here can execute anything (no pickle), and anything out of line is a
`WireError`, after which a decoder stays broken: its user ends the host.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

VERSION = 1
"""Changes whenever any frame changes; both sides must have the same (see `Hello`)."""

OUTPUT_PIECE = 60 * 1024
"""Bytes of output per frame at most; longer writes go in several. Some pages below a socket buffer, so that back
pressure sets in early; guessed."""

INPUT_PIECE = 64 * 1024
"""Bytes of standard input per frame at most: one read of a pipe."""

TEXT_LIMIT = 256 * 1024
"""Bytes of a text for people (a message, a traceback) at most; longer ones are cut, see `clip`."""

PROGRAM_LIMIT = 64 * 1024 * 1024
"""Bytes of a program (source and arguments) at most."""

WAITS_LIMIT = 100
"""How many waits a report of a deadlock lists at most."""

_HEADER = struct.Struct(">BI")
_INT = struct.Struct(">q")
_LENGTH = struct.Struct(">I")


class WireError(ValueError):
    """The other side sent something that is no frame, or none that it may send."""


# --- fields -----------------------------------------------------------------------------------------------------


def _read(payload: bytes, at: int, size: int) -> bytes:
    if size > len(payload) - at:
        raise WireError(f"a field of {size} bytes does not fit into the rest of the frame")
    return payload[at : at + size]


def _put_int(value: int) -> bytes:
    return _INT.pack(value)


def _get_int(payload: bytes, at: int) -> tuple[int, int]:
    return _INT.unpack(_read(payload, at, _INT.size))[0], at + _INT.size


def _get_bool(payload: bytes, at: int) -> tuple[bool, int]:
    value, at = _get_int(payload, at)
    if value not in (0, 1):
        raise WireError(f"{value} is no truth value")
    return bool(value), at


def _put_bytes(value: bytes) -> bytes:
    return _LENGTH.pack(len(value)) + value


def _get_bytes(payload: bytes, at: int) -> tuple[bytes, int]:
    (size,) = _LENGTH.unpack(_read(payload, at, _LENGTH.size))
    at += _LENGTH.size
    return _read(payload, at, size), at + size


# Text from a script may hold any bytes; surrogateescape carries them through `str` unchanged.
def _put_str(value: str) -> bytes:
    return _put_bytes(value.encode("utf-8", "surrogateescape"))


def _get_str(payload: bytes, at: int) -> tuple[str, int]:
    raw, at = _get_bytes(payload, at)
    return raw.decode("utf-8", "surrogateescape"), at


def _put_strs(value: tuple[str, ...]) -> bytes:
    return _LENGTH.pack(len(value)) + b"".join(map(_put_str, value))


def _get_strs(payload: bytes, at: int) -> tuple[tuple[str, ...], int]:
    (count,) = _LENGTH.unpack(_read(payload, at, _LENGTH.size))
    at += _LENGTH.size
    # Each item takes a length at least: a count beyond that is a lie, refused before it is looped over.
    if count > (len(payload) - at) // _LENGTH.size:
        raise WireError(f"a list of {count} items does not fit into the rest of the frame")
    items = []
    for _ in range(count):
        item, at = _get_str(payload, at)
        items.append(item)
    return tuple(items), at


_Put = Callable[[Any], bytes]
_Get = Callable[[bytes, int], tuple[Any, int]]

_FIELDS: dict[str, tuple[_Put, _Get]] = {
    "int": (_put_int, _get_int),
    "bool": (_put_int, _get_bool),
    "bytes": (_put_bytes, _get_bytes),
    "str": (_put_str, _get_str),
    "tuple[str, ...]": (_put_strs, _get_strs),
}


# --- messages ---------------------------------------------------------------------------------------------------


class Message:
    """Base of all frames. `KIND` is the byte that names it, `LIMIT` the size of its payload in bytes at most."""

    __slots__ = ()
    KIND: ClassVar[int]
    LIMIT: ClassVar[int]


_FIELD_HEADS = 256  # room for the lengths of a handful of fields, on top of a limit on their content


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """Host to supervisor, first and once: ready. `version` must be the supervisor's own, to the letter."""

    version: str
    KIND = ord("H")
    LIMIT = 1024


@dataclass(frozen=True, slots=True)
class Start(Message):
    """Supervisor to host, once: run `program` (opaque here) on `threads` executors."""

    threads: int
    program: bytes
    KIND = ord("S")
    LIMIT = PROGRAM_LIMIT + _FIELD_HEADS


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
    LIMIT = 4 * TEXT_LIMIT


@dataclass(frozen=True, slots=True)
class Deadlocked(Message):
    """Host to supervisor: no state can ever run again. A line per waiting state, at most `WAITS_LIMIT` of them."""

    waiting: int
    waits: tuple[str, ...]
    KIND = ord("D")
    LIMIT = 4 * TEXT_LIMIT


@dataclass(frozen=True, slots=True)
class TreeEnded(Message):
    """Host to supervisor, once, after everything else: the program is over.

    `exited`: the root called `os.exit`, with `status` (any integer; else 0).
    """

    exited: bool
    status: int
    KIND = ord("E")
    LIMIT = _FIELD_HEADS


FROM_SUPERVISOR: tuple[type[Message], ...] = (Start, Input, Shutdown)
"""What a host may receive."""

FROM_HOST: tuple[type[Message], ...] = (Hello, Output, WantInput, Failed, Deadlocked, TreeEnded)
"""What a supervisor may receive."""


def clip(text: str, limit: int = TEXT_LIMIT // 2) -> str:
    """`text`, or as much of its beginning as fits into `limit` bytes, and a note of what was left out."""
    data = text.encode("utf-8", "surrogateescape")
    if len(data) <= limit:
        return text
    return data[:limit].decode("utf-8", "surrogateescape") + f" … ({len(data) - limit} more bytes)"


# --- encoder and decoder ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Layout:
    """How one kind of message lies in its payload."""

    fields: tuple[tuple[str, _Put, _Get], ...]

    @classmethod
    def of(cls, kind: type[Message]) -> _Layout:
        names = getattr(kind, "__slots__", ())
        return cls(tuple((name, *_FIELDS[kind.__annotations__[name]]) for name in names))


_LAYOUTS = {kind: _Layout.of(kind) for kind in (*FROM_SUPERVISOR, *FROM_HOST)}


def encode(message: Message) -> bytes:
    """The frame of a message. ValueError when it is larger than its kind allows."""
    payload = b"".join(put(getattr(message, name)) for name, put, _ in _LAYOUTS[type(message)].fields)
    if len(payload) > message.LIMIT:
        raise ValueError(f"{type(message).__name__} of {len(payload)} bytes; {message.LIMIT} is the most")
    return _HEADER.pack(message.KIND, len(payload)) + payload


def _decode(kind: type[Message], payload: bytes) -> Message:
    values = []
    at = 0
    for _, _, get in _LAYOUTS[kind].fields:
        value, at = get(payload, at)
        values.append(value)
    if at != len(payload):
        raise WireError(f"{len(payload) - at} bytes too many in {kind.__name__}")
    return kind(*values)


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
                yield _decode(kind, bytes(self._buffer[start:at]))
        except WireError as error:
            self._error = error
            at = len(self._buffer)
            raise
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
