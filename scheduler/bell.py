"""A bell: two processes wake each other, and each sees the death of the other.

A pair of bells is two pipes. Each side holds the reading end of one, at which it hears, and the writing end of the
other, with which it rings. When a process dies, however it dies, the system closes its ends: the other side hears the
end of the stream, and can't ring any more. So one descriptor tells both "look again" and "nobody is there", and one
`poll` waits for any number of bells. (An eventfd is a little faster and says nothing of death; a socket pair takes
twice as long. Measured: 6.7, 7.7 and 10.9 µs for there and back.)

This holds only as long as no third process holds an end: whoever makes a pair and hands it on closes its own copies.

Rings add up: how many were rung is not told, and a pipe full of rings takes no more, because it will wake anyway.
Neither side can ever make the other block, nor fill its memory: both ends are non-blocking, and a pipe holds 64 KiB.
"""

from __future__ import annotations

import os
import select
from typing import NamedTuple


class BellEnds(NamedTuple):
    """The two descriptors of one side, owned by whoever holds this."""

    hears: int
    rings: int


def create_bells() -> tuple[BellEnds, BellEnds]:
    """The ends of two sides that wake each other."""
    first_hears, second_rings = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        second_hears, first_rings = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    except BaseException:
        os.close(first_hears)
        os.close(second_rings)
        raise
    return BellEnds(first_hears, first_rings), BellEnds(second_hears, second_rings)


class Bell:
    """One side. `ring` from one thread and `wait` or `hush` from another is fine; else not thread-safe."""

    __slots__ = ("_hears", "_poll", "_rings", "gone")

    def __init__(self, ends: BellEnds) -> None:
        """Takes over the two descriptors."""
        self.gone = False
        """The other side has closed its ends, or is dead. True is learnt by ringing, hushing and waiting."""
        self._hears, self._rings = ends
        self._poll = select.poll()
        self._poll.register(self._hears, select.POLLIN)

    def fileno(self) -> int:
        """Readable when the other side has rung, or is gone; `hush` then."""
        return self._hears

    def ring(self) -> None:
        """Wake the other side. Never blocks."""
        try:
            os.write(self._rings, b"\0")
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.gone = True

    def hush(self) -> None:
        """Take in all rings so far; whoever does looks afterwards at all that the rings may have meant."""
        try:
            if not os.read(self._hears, 65536):
                self.gone = True
        except BlockingIOError:
            return

    def wait(self, seconds: float | None = None) -> None:
        """Wait for a ring or the end of the other side, for `seconds` at most, and hush."""
        if not self.gone and self._poll.poll(None if seconds is None else seconds * 1000):
            self.hush()

    def close(self) -> None:
        """Give back the descriptors; for the other side, this one is gone. Repeatable."""
        ends = {self._hears, self._rings} - {-1}
        self._hears = self._rings = -1
        for fd in ends:
            os.close(fd)
