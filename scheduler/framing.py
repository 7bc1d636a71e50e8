"""Frames: records as bytes on a stream, and back. Pure.

A frame is one byte that names its kind, four bytes with the length of the payload (big-endian) and the payload. Each
kind is a record (see `wire`): its fields, in their order, are the payload.

A host runs hostile scripts and may have fallen to one, so whatever comes from it is hostile too. Lengths are checked
against the kind's own limit before anything is buffered, the reader takes only the kinds that its side may receive,
and a payload must be used up exactly. Nothing here can execute anything (no pickle), and anything out of line is a
`WireError`, after which a decoder stays broken: its user ends the host.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar

from msgspec import Struct

from .records import RecordError, pack, unpack

_HEADER = struct.Struct(">BI")

TEXT_LIMIT = 16 * 1024
"""Bytes of a text for people (a message, a traceback) at most; longer ones are cut, see `clip`. Some screens full."""


class WireError(ValueError):
    """The other side sent something that is no frame, or none that it may send."""


class Message(Struct, frozen=True):
    """Base of all frames. `KIND` is the byte that names it, `LIMIT` the size of its payload in bytes at most."""

    KIND: ClassVar[int]
    LIMIT: ClassVar[int]


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


def clip(text: str, limit: int = TEXT_LIMIT) -> str:
    """`text`, or as much of its beginning as fits into `limit` bytes, and a note of what was left out."""
    data = text.encode("utf-8", "surrogateescape")
    if len(data) <= limit:
        return text
    return data[:limit].decode("utf-8", "surrogateescape") + f" … ({len(data) - limit} more bytes)"
