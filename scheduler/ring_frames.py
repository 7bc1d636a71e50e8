"""Records on a stream of bytes: pure, records in, frames out, and back.

A frame is one record or a batch of small ones:

    count (4 bytes) · size of the payload (4 bytes) · if count > 1, the size of each record (4 bytes each) · the payload

Batches exist because of what Python costs: their sizes and their payload are made by one C call each, so a small record
costs some 0.2 µs on its way through instead of two. Large records go alone, and are never copied into a batch.

The bytes may come from a broken process: every number is checked before anything is done with it, a batch is bounded in
count and size, and what is kept of an unfinished frame grows only with the bytes that have really arrived. Anything
out of line is a `RingError`.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import TypeAlias

from .ring_stream import RingError

RECORD_LIMIT = 256 * 1024 * 1024
"""Bytes of a record at most, unless told otherwise: what a broken writer can make its reader keep. Guessed."""

BATCH_RECORDS = 4096
"""Records of a batch at most. Enough that what a batch costs does not count. An empty record takes 4 bytes in a
frame and more than twice that in a list, so the number is bounded as well as the bytes."""

BATCH_BYTES = 64 * 1024
"""Bytes of a batch's payload at most, and of a record that is copied to lie behind its head: above that, copying once
more costs more than a second call. A quarter of a second-level cache; guessed."""

Record: TypeAlias = bytes | memoryview
"""What comes out: a large record is a view of memory that belongs to it alone."""

_HEAD = struct.Struct("=II")
_SIZE = 4


def encode(record: bytes, limit: int) -> list[bytes]:
    """The frame of one record, in pieces. ValueError when it is larger than `limit`."""
    size = len(record)
    if size > limit:
        raise ValueError(f"a record of {size} bytes; {limit} is the most that this ring takes")
    head = _HEAD.pack(1, size)
    return [head + record] if size <= BATCH_BYTES else [head, record]


def encode_batch(records: Sequence[bytes], limit: int) -> list[bytes]:
    """The frames of many records, in pieces. ValueError when one of them is larger than `limit`."""
    count = len(records)
    if count < 2:
        return encode(records[0], limit) if records else []
    if count <= BATCH_RECORDS:
        sizes = list(map(len, records))
        total = sum(sizes)
        if total <= BATCH_BYTES:
            if max(sizes) > limit:
                return encode(max(records, key=len), limit)  # which raises
            return [b"".join((_HEAD.pack(count, total), array("I", sizes).tobytes(), *records))]
    half = count // 2
    return encode_batch(records[:half], limit) + encode_batch(records[half:], limit)


class FrameDecoder:
    """Takes a stream in any pieces and gives its records. Not thread-safe.

    Keeps one unfinished frame at most. Raises `RingError` at the first frame that is out of line, after appending the
    records before it, and from then on always.
    """

    __slots__ = ("_error", "_limit", "_unfinished")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._unfinished = bytearray()
        self._error: str | None = None

    @property
    def unfinished(self) -> int:
        """Bytes of the frame that is not there as a whole yet."""
        return len(self._unfinished)

    def feed(self, piece: memoryview, records: list[Record]) -> None:
        """Take in the next piece of the stream and append what is whole to `records`.

        The piece may change meanwhile: what is looked into has been copied.
        """
        if self._error is not None:
            raise RingError(self._error)
        while self._unfinished or self._begins_large(piece):
            piece = self._finish(piece, records)
            if not piece:
                return
        self._take_many(bytes(piece), records)

    def _begins_large(self, piece: memoryview) -> bool:
        """Whether a large record begins here. It is copied piece by piece to where it stays."""
        if len(piece) <= BATCH_BYTES:
            return False
        count, size = _HEAD.unpack(bytes(piece[: _HEAD.size]))
        return bool(count == 1 and size > BATCH_BYTES)

    def _take_many(self, block: bytes, records: list[Record]) -> None:
        """As `feed`, of a copy, where there is no unfinished frame."""
        at, size = 0, len(block)
        while at < size:
            frame = self._frame(block, at)
            if frame is None or frame[2] > size:
                self._unfinished += memoryview(block)[at:]
                break
            count, start, at = frame
            if count == 1:
                records.append(block[start:at])
            else:
                records += self._split(block, count, start, at)

    def _finish(self, piece: memoryview, records: list[Record]) -> memoryview:
        """Add to the unfinished frame what it lacks, first of its head, then of the rest; what is left of `piece`."""
        block = self._unfinished
        while True:
            frame = self._frame(block, 0)
            missing = (_HEAD.size if frame is None else frame[2]) - len(block)
            if not missing or not piece:
                break
            block += piece[:missing]
            piece = piece[missing:]
        if frame is not None and not missing:
            count, start, end = frame
            self._unfinished = bytearray()
            if count == 1:
                record = memoryview(block)[start:end]
                records.append(record if len(record) > BATCH_BYTES else bytes(record))
            else:
                records += self._split(bytes(block), count, start, end)
        return piece

    def _frame(self, block: bytes | bytearray, at: int) -> tuple[int, int, int] | None:
        """Number of records of the frame at `at`, start of what follows its head, and its end; None: no whole head."""
        if len(block) - at < _HEAD.size:
            return None
        count, size = _HEAD.unpack_from(block, at)
        start = at + _HEAD.size
        if count == 1:
            if size > self._limit:
                raise self._broken(f"a record of {size} bytes; {self._limit} is the most")
            return 1, start, start + size
        if not 0 < count <= BATCH_RECORDS or size > BATCH_BYTES:
            raise self._broken(f"a batch of {count} records, {size} bytes; {BATCH_RECORDS}, {BATCH_BYTES} are the most")
        return count, start, start + count * _SIZE + size

    def _split(self, block: bytes, count: int, start: int, end: int) -> list[bytes]:
        """The records of a batch that is there as a whole; the arguments as of `_frame`."""
        first = start + count * _SIZE
        sizes = memoryview(block)[start:first].cast("I").tolist()
        if sum(sizes) != end - first or max(sizes) > self._limit:
            raise self._broken(f"a batch of {end - first} bytes, by its records {sum(sizes)}, up to {max(sizes)} each")
        return [block[here:there] for here, there in pairwise(accumulate(sizes, initial=first))]

    def _broken(self, why: str) -> RingError:
        self._error = why
        return RingError(why)
