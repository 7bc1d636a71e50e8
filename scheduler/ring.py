"""A ring: records from one process to another through shared memory, with one writer and one reader.

Three layers, each for itself: a stream of bytes through shared memory (`ring_stream`: layout, order of memory accesses,
why no wake-up is lost and no death tears anything), records on that stream (`ring_frames`), and bells by which the
sides wake each other and see each other die (`bell`). This module puts them together.

Flow
    The supervisor makes a ring and hands each side its end: three descriptors, inherited or sent over a socket. It
    closes its own copies, or no side would ever see the other one die.
    The writer puts records, one by one or in batches. What does not fit stays with the writer's end, as references to
    the records: so a batch is taken as a whole or not at all, a record larger than the ring goes through in pieces, and
    what the writer's end keeps is bounded by one batch. Nobody ever blocks in `put`, `flush` or `get`, and none of
    them copies more into or out of the ring than it holds.
    A bell is rung only when the other side has said that it sleeps, and what for (see `ring_stream`).

Waiting
    `wait_room` and `wait_records` wait for one ring. Who waits for several things at once does what they do: call
    `arm`, and only if that is True sleep until `fileno()` is readable, among others; `hush` if it is; look again.

Death and end
    A side that closes or dies is heard by the bell. The reader still gets every record that was published whole, then a
    `RingClosedError`; the writer gets one at its next `put` or `flush`. A record that arrived in part is dropped.
    The two are one event here: whether an end was meant is for those to say who watch the processes.

Threads
    An end is for one thread at a time. Its user has a lock, or a thread for it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple, Self

from .bell import Bell, BellEnds, create_bells
from .ring_frames import RECORD_LIMIT, FrameDecoder, Record, encode, encode_batch
from .ring_memory import create_memory, map_memory
from .ring_stream import RingError, StreamReader, StreamWriter, make_fence

__all__ = [
    "DEFAULT_CAPACITY",
    "RECORD_LIMIT",
    "RingClosedError",
    "RingEnd",
    "RingError",
    "RingReader",
    "RingWriter",
    "create_ring",
]

DEFAULT_CAPACITY = 1024 * 1024
"""Bytes of a ring unless told otherwise, all of which come to be resident. Measured from 64 KiB to 4 MiB with records
of 16 KiB to 1 MiB: throughput doubles or better up to 512 KiB or 1 MiB, and falls where the ring outgrows the cache."""


class RingClosedError(Exception):
    """The other side of a ring has closed its end or is dead, and there is nothing more to read."""


class RingEnd(NamedTuple):
    """One end of a ring on its way to the process that will use it: three descriptors, owned by whoever holds this.

    A tuple of them, as `socket.send_fds` and `pass_fds` want it; `RingEnd(*fds)` on the other side.
    """

    memory: int
    hears: int
    rings: int

    def close(self) -> None:
        """Close the descriptors: this end was handed over, or is not wanted."""
        for fd in self:
            os.close(fd)


def create_ring(capacity: int = DEFAULT_CAPACITY) -> tuple[RingEnd, RingEnd]:
    """A new ring of `capacity` bytes: the writer's end and the reader's. OSError where the system has no more room."""
    with contextlib.ExitStack() as undo:
        memory = create_memory(capacity)
        undo.callback(os.close, memory)
        copy = os.dup(memory)
        undo.callback(os.close, copy)
        ends = tuple(RingEnd(fd, *bell) for fd, bell in zip((memory, copy), create_bells(), strict=True))
        undo.pop_all()
    return ends[0], ends[1]


class _Side:
    """What both ends have in common. As a context manager, an end closes itself."""

    __slots__ = ("_bell",)
    _bell: Bell

    def fileno(self) -> int:
        """Readable when the other side has rung, or is gone; `hush` then."""
        return self._bell.fileno()

    @property
    def gone(self) -> bool:
        """Whether the other side is known to have closed its end or to be dead: by hushing, waiting or ringing."""
        return self._bell.gone

    def hush(self) -> None:
        """Take in the other side's rings, and whether it is gone. Never blocks. Look again afterwards."""
        self._bell.hush()

    def close(self) -> None:
        """Give back memory and descriptors, which ends the ring for the other side. Nothing else may be called then."""
        self._bell.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RingWriter(_Side):
    """The writing end. `RingError` where the reader's position is impossible, from any method that looks at it."""

    __slots__ = ("_limit", "_rest", "_stream")

    def __init__(self, end: RingEnd, record_limit: int = RECORD_LIMIT) -> None:
        """Takes over the descriptors of `end`, also when it raises.

        A record has `record_limit` bytes at most, which the reader must be told too and which is below 4 GiB.
        ValueError when that is not so, or `end` is none of a ring.
        """
        self._bell, words, data = _open(end, record_limit)
        self._limit = record_limit
        self._rest: list[bytes | memoryview] = []
        self._stream = StreamWriter(words, data, make_fence())

    @property
    def unsent(self) -> bool:
        """Whether a part of the last batch waits for room in the ring: wait for room, and `flush`."""
        return bool(self._rest)

    def put(self, record: bytes) -> bool:
        """Take `record`. False, and nothing changed, when the ring is full: when the batch before it is still `unsent`.

        ValueError when it is larger than the limit; `RingClosedError` when the reader was seen to be gone.
        """
        if not self.flush():
            return False
        self._push(encode(record, self._limit))
        return True

    def put_batch(self, records: Sequence[bytes]) -> bool:
        """Take all of `records`, at a fraction of what it costs to `put` them one by one; else as `put`."""
        if not self.flush():
            return False
        self._push(encode_batch(records, self._limit))
        return True

    def flush(self) -> bool:
        """Put as much of the rest into the ring as there is room for; True when none is left. Raises as `put`."""
        if self._bell.gone:
            raise RingClosedError("the reader of the ring is gone")
        if self._rest:
            self._push(self._rest)
        return not self._rest

    def arm(self) -> bool:
        """Before sleeping until a `flush` makes sense: True when the bell will tell. False: don't sleep, `flush`."""
        return bool(self._rest) and not self._bell.gone and self._stream.ask_for_room(sum(map(len, self._rest)))

    def wait_room(self, seconds: float | None = None) -> None:
        """Wait until a `flush` makes sense or the reader is gone, for `seconds` at most; it may also be for nothing."""
        if self.arm():
            self._bell.wait(seconds)

    def close(self) -> None:
        """As of every end. What is `unsent` is lost."""
        super().close()
        self._rest = []
        self._stream.close()

    def _push(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Copy into the ring what fits of `pieces`, keep the rest, publish, and wake the reader if it sleeps."""
        rest: list[bytes | memoryview] = []
        for number, piece in enumerate(pieces, 1):
            taken = self._stream.write(piece)
            if taken < len(piece):
                rest = [memoryview(piece)[taken:], *pieces[number:]]
                break
        self._rest = rest
        if self._stream.publish():
            self._bell.ring()


class RingReader(_Side):
    """The reading end. `RingError` where the writer's position or frames are impossible."""

    __slots__ = ("_decoder", "_stream")

    def __init__(self, end: RingEnd, record_limit: int = RECORD_LIMIT) -> None:
        """As the writer's. A record of more than `record_limit` bytes will be a `RingError`."""
        self._bell, words, data = _open(end, record_limit)
        self._decoder = FrameDecoder(record_limit)
        self._stream = StreamReader(words, data, make_fence())

    def get(self) -> list[Record]:
        """All records that have arrived whole, oldest first; none when there are none yet. Never blocks.

        Large ones are views of memory that is theirs alone.

        `RingClosedError` when the writer was seen to be gone and everything was read.
        """
        records: list[Record] = []
        if not self._stream.look():
            if self._bell.gone:  # which was heard before this look: there is nothing that it has not seen
                raise RingClosedError(f"the writer of the ring is gone, {self._decoder.unfinished} bytes into a record")
            return records
        try:
            for piece in self._stream.pieces():
                self._decoder.feed(piece, records)
        except RingError:
            if not records:
                raise
            return records  # the good ones before it; the decoder will raise again
        if self._stream.release():
            self._bell.ring()
        return records

    def arm(self) -> bool:
        """Before sleeping until a `get` makes sense: True when the bell will tell. False: don't sleep, `get`."""
        return not self._bell.gone and self._stream.ask_for_bytes()

    def wait_records(self, seconds: float | None = None) -> None:
        """Wait until a `get` makes sense or the writer is gone, for `seconds` at most; it may also be for nothing."""
        if self.arm():
            self._bell.wait(seconds)

    def close(self) -> None:
        """As of every end. What was not read is lost."""
        super().close()
        self._stream.close()


def _open(end: RingEnd, record_limit: int) -> tuple[Bell, memoryview, memoryview]:
    """Take over the descriptors of an end: its bell, words and data."""
    with contextlib.ExitStack() as undo:
        undo.callback(end.close)
        if not 0 <= record_limit < 1 << 32:
            raise ValueError(f"a record of a ring has less than 4 GiB, so {record_limit} bytes can't be its limit")
        words, data = map_memory(end.memory)
        undo.pop_all()
    os.close(end.memory)
    return Bell(BellEnds(end.hears, end.rings)), words, data
