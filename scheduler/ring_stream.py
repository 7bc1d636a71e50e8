"""A stream of bytes from one process to another through shared memory, without locks: the core of a ring, pure.

Pure means that it knows words, bytes and a fence, all of them given, and nothing of processes, descriptors or sleeping:
where somebody has to be woken, a method returns True.

Memory
    words[0]   written         bytes that the writer has put in, ever     } stored by the writer only
    words[1]   wake_writer_at  it wants to be woken when `taken` is there }
    words[16]  taken           bytes that the reader has taken out, ever  } stored by the reader only
    words[17]  wake_reader_at  it wants to be woken when `written` is there }
    data       byte number p of the stream lies at data[p % capacity]

    The two groups are 128 bytes apart, so that no store of one side takes the other side's cache line away. Positions
    only grow (2**64 bytes last for decades), so `written - taken` tells empty from full. Both sides keep their own
    position in an ordinary variable too: what lies in the memory is for the other side to read, and is never read back.

What is relied on
    An item of a `memoryview` of format "Q" is stored and loaded by a `memcpy` of 8 bytes (CPython, `pack_single` and
    `unpack_single` in Objects/memoryobject.c), which every compiler turns into one `mov`, `str` or `ldr`; the words are
    aligned, so both processors do it whole: a reader sees the position before or the one after, never half of each.
    Plain stores and loads of payload and positions are ordered by nothing but `fence` (see `make_fence`).

Order
    Writer: look at `taken` · fence · payload · fence · store `written`         · fence · load `wake_reader_at`
    Reader: load `written`  · fence · copy the payload · fence · store `taken`  · fence · load `wake_writer_at`

    1. Who sees a position sees what it stands for. The payload is stored before `written` on one side, and loaded after
       it on the other; room is read out before `taken` is stored, and overwritten after that was loaded. This needs the
       first two fences of each line on ARM64. x86-64 keeps stores among themselves and loads before any later access
       in order by itself (and the C library fences the non-temporal stores of its large copies).
    2. No wake-up is lost. Who wants to sleep stores the position that is to wake it, fences, and looks at the position
       once more; who moves a position stores it, fences, and looks at what the other side wants. Of two
       "store, fence, load" at least one load sees the other's store (Dekker): either the sleeper sees the position and
       stays awake, or the mover sees that it is to ring. It rings exactly when its step led over the wanted position
       (before < wanted <= now), so a sleeper is woken by the one step that brings what it waits for; nobody takes the
       wish back when it has come true, and no step after it rings again. A wish that is out of date, because its owner
       woke for another reason, costs one ring for nothing. This needs the third fence, on x86-64 too.

Death at any instruction
    Nothing is ever locked. What was not published is as if it had never been written; what was is whole, since the
    position is stored last. A side that dies leaves words that are all in range, and the other side goes on until the
    ring is empty, or full. (That it died is told by the bell, see `bell`.)

The other side lies
    A position from the other side is loaded once, into a variable, and is good only if it has not gone back and lies
    within the ring; anything else is a `RingError`. What it wants as a wake-up is only compared. Its payload is
    copied before anybody looks inside. So a lie costs an error, or a ring too many, or one that never comes: which is
    the same as a side that is silent, and a matter of deadlines.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

WORDS_SIZE = 256
"""Bytes that the words take; the data lies behind them."""

_WRITTEN, _WAKE_WRITER_AT, _TAKEN, _WAKE_READER_AT = 0, 1, 16, 17

Fence = Callable[[], None]
"""A full memory fence: every access before the call is in order before every one after it."""


class RingError(ValueError):
    """The other side of a ring did what no honest one does. What it says next means nothing: end it."""


def make_fence() -> Fence:
    """A fence for one side, out of what CPython has: a lock of its own that is released and acquired again.

    On x86-64 both are locked instructions, each of them a full fence. On ARM64 the first is a store-release and the
    second a load-acquire (those of a POSIX semaphore up to CPython 3.12, sequentially consistent exchanges from 3.13
    on): every access before the release is in order before it, every one after the acquire after it, and the release
    before the acquire ("[L]; po; [A]" in the architecture's memory model). The other way round, acquire and then
    release, would let accesses from both sides slip in between and pass each other. It takes 80 ns. Rejected: a system
    call (no fence on ARM64), a check sum over each record (slower, and a chance is left), an extension in C (an
    optional one would leave this case to be solved all the same).
    """
    lock = threading.Lock()
    release, acquire = lock.release, lock.acquire
    acquire()

    def fence() -> None:
        release()
        acquire()

    return fence


class StreamWriter:
    """The writing side. Not thread-safe. `words` (format "Q") and `data` are fresh, that is all zero.

    Every method raises `RingError` when the reader's position is impossible.
    """

    __slots__ = ("_capacity", "_data", "_fence", "_published", "_taken", "_words", "_written")

    def __init__(self, words: memoryview, data: memoryview, fence: Fence) -> None:
        self._words = words
        self._data = data
        self._capacity = len(data)
        self._fence = fence
        self._written = 0
        """Where the next byte goes."""
        self._published = 0
        """What the reader may know of: `words[_WRITTEN]`. Between this and `_written` is what was not published yet."""
        self._taken = 0
        """The reader's position when it was last looked at."""

    def write(self, piece: bytes | memoryview) -> int:
        """Copy as much of `piece` as there is room for; how many bytes. The reader sees them after `publish`."""
        size = len(piece)
        if size > self._capacity - (self._written - self._taken):
            self._look()
            size = min(size, self._capacity - (self._written - self._taken))
        at = self._written % self._capacity
        end = at + size
        if size == len(piece) and end <= self._capacity:
            self._data[at:end] = piece
        else:
            first = min(size, self._capacity - at)
            with memoryview(piece) as view:
                self._data[at : at + first] = view[:first]
                self._data[: size - first] = view[first:size]
        self._written += size
        return size

    def publish(self) -> bool:
        """Let the reader see all that was written. True: the reader must be woken."""
        before, now = self._published, self._written
        if before == now:
            return False
        self._published = now
        self._fence()
        self._words[_WRITTEN] = now
        self._fence()
        return before < self._words[_WAKE_READER_AT] <= now

    def ask_for_room(self, wanted: int) -> bool:
        """Before sleeping: ask to be woken when there is room. False: don't sleep, there is room already.

        "Room" is `wanted` bytes, or half the ring if that is less: a writer woken for every byte would never get far.
        """
        at = self._published - self._capacity + min(wanted, (self._capacity + 1) // 2)
        if at > self._taken:
            self._words[_WAKE_WRITER_AT] = at
            self._fence()
            self._look()
        return at > self._taken

    def _look(self) -> None:
        taken = self._words[_TAKEN]
        if not self._taken <= taken <= self._published:
            raise RingError(f"the reader is at {taken}, having been at {self._taken}; {self._published} are written")
        self._taken = taken
        self._fence()

    def close(self) -> None:
        """Let go of the memory. No other method may be called then."""
        self._words.release()
        self._data.release()

    def validate(self) -> None:
        """Raise AssertionError if this side's own state is impossible."""
        assert 0 <= self._taken <= self._published <= self._written <= self._taken + self._capacity  # noqa: S101
        assert self._words[_WRITTEN] == self._published  # noqa: S101


class StreamReader:
    """The reading side. Not thread-safe. `words` (format "Q") and `data` are fresh, that is all zero.

    Every method raises `RingError` when the writer's position is impossible.
    """

    __slots__ = ("_capacity", "_data", "_fence", "_taken", "_words", "_written")

    def __init__(self, words: memoryview, data: memoryview, fence: Fence) -> None:
        self._words = words
        self._data = data
        self._capacity = len(data)
        self._fence = fence
        self._taken = 0
        """What this side has read and given back: `words[_TAKEN]`."""
        self._written = 0
        """The writer's position when it was last looked at."""

    def look(self) -> int:
        """How many bytes are there."""
        written = self._words[_WRITTEN]
        if written != self._written:
            if not self._written <= written <= self._taken + self._capacity:
                raise RingError(f"the writer is at {written}, having been at {self._written}; {self._taken} are taken")
            self._written = written
            self._fence()
        return written - self._taken

    def pieces(self) -> tuple[memoryview, ...]:
        """The bytes that `look` has seen, in one or two pieces that lie in shared memory.

        They may change at any time under a lying writer: copy once, and look at the copy. Of no use after `release`.
        """
        at = self._taken % self._capacity
        end = at + self._written - self._taken
        if end <= self._capacity:
            return (self._data[at:end],)
        return self._data[at:], self._data[: end - self._capacity]

    def release(self) -> bool:
        """Give back the room of the bytes that `look` has seen. True: the writer must be woken."""
        before, now = self._taken, self._written
        if before == now:
            return False
        self._taken = now
        self._fence()
        self._words[_TAKEN] = now
        self._fence()
        return before < self._words[_WAKE_WRITER_AT] <= now

    def ask_for_bytes(self) -> bool:
        """Before sleeping: ask to be woken when there is a byte. False: don't sleep, there are some already."""
        self._words[_WAKE_READER_AT] = self._taken + 1
        self._fence()
        return not self.look()

    def close(self) -> None:
        """Let go of the memory. No other method may be called then."""
        self._words.release()
        self._data.release()

    def validate(self) -> None:
        """Raise AssertionError if this side's own state is impossible."""
        assert 0 <= self._taken <= self._written <= self._taken + self._capacity  # noqa: S101
        assert self._words[_TAKEN] == self._taken  # noqa: S101
