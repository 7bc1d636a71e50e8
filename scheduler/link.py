"""A host's connection with another: a ring in each direction, and the other's board.

Writing: the machine writes letters under the dispatcher's lock; whoever has made it do so calls `flush` when the lock
is released. One thread at a time puts letters into the ring; who finds another one doing that leaves its own to it,
and the other looks again before it goes. So letters keep their order, and a message costs no change of thread on its
way out. When the ring is full, the courier goes on as soon as there is room, and nobody waits. While the coordinator
has still to hear of something that was asked of it, letters wait (see `spread`): whoever has told it flushes.

Reading is the courier's alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from .board import BoardReader
from .peer import Peer
from .ring import RingClosedError, RingEnd, RingError, RingReader, RingWriter


class LinkCalls(NamedTuple):
    """What a link asks of its host, from any thread."""

    may_put: Callable[[], bool]
    """Whether all that was asked of the coordinator up to now has been."""
    on_full: Callable[[], None]
    """Has the courier go on with what does not fit into the ring, or with a host that has broken it."""


class Link:
    """One other host. `flush` and `flush_now` from any thread; all else is the courier's."""

    __slots__ = (
        "_is_shut",
        "_letters",
        "_may_put",
        "_on_full",
        "_put",
        "_putting",
        "_writer",
        "board",
        "broken",
        "host",
        "is_full",
        "published",
        "reader",
    )

    def __init__(
        self,
        host: int,
        peer: Peer,
        descriptors: tuple[int, ...],
        limit: int,
        calls: LinkCalls,
    ) -> None:
        """`descriptors`: as they come with a `wire.Join`. Letters have `limit` bytes at most."""
        self.host = host
        self._letters = peer.letters
        self._writer = RingWriter(RingEnd(*descriptors[:3]), limit)
        self.reader = RingReader(RingEnd(*descriptors[3:6]), limit)
        self.board = BoardReader(descriptors[6])
        self._may_put, self._on_full = calls
        self._putting = threading.Lock()
        """Guards the writer and the four that follow."""
        self._is_shut = False
        """The other host reads no more: what is written to it is dropped. The supervisor will tell the rest."""
        self._put = 0
        self.published = 0
        """As many letters as the other host can read, whatever becomes of this one. Read by anybody."""
        self.is_full = False
        """Something waits for room in the ring. Read by the courier."""
        self.broken: str | None = None
        """What the other host did that no honest one does; for the courier, which is woken for it."""

    def flush(self) -> None:
        """Put what was written into the ring, or leave it to whoever is doing so. Never blocks."""
        while self._letters and not self.is_full and self._may_put() and self._putting.acquire(blocking=False):
            try:
                self._put_all()
            finally:
                self._putting.release()

    def flush_now(self) -> None:
        """As `flush`, and when this returns all that was written before is in the ring, unless it is full or shut, or
        the coordinator has still to hear of something."""
        with self._putting:
            self._put_all()
        self.flush()

    def room_fileno(self) -> int:
        """Readable when there may be room again, or the other host is gone."""
        return self._writer.fileno()

    def wait_room(self) -> bool:
        """Before sleeping while `is_full`: True when `room_fileno` will tell; else `flush_now`."""
        with self._putting:
            try:
                return self._writer.arm()
            except RingError as error:
                self._shut(str(error))
                return False

    def hush_room(self) -> None:
        """`room_fileno` is readable."""
        with self._putting:
            self._writer.hush()

    def close(self) -> None:
        """The other host is gone."""
        with self._putting:
            self._shut()
            self._writer.close()
        self.reader.close()
        self.board.close()

    def _put_all(self) -> None:
        writer = self._writer
        if self._is_shut:
            self._letters.clear()
            return
        try:
            if writer.unsent and not writer.flush():
                self._full()
                return
            self.published = self._put
            # In this order: of a letter that is counted, it is known what was asked before it was written.
            count = len(self._letters)
            letters = [self._letters.popleft() for _ in range(count if self._may_put() else 0)]
            writer.put_batch(letters)
        except RingClosedError:
            self._shut()
            return
        except RingError as error:
            self._shut(str(error))
            return
        self._put += len(letters)
        if writer.unsent:
            self._full()
        else:
            self.published = self._put
            self.is_full = False

    def _full(self) -> None:
        self.is_full = True
        self._on_full()

    def _shut(self, why: str | None = None) -> None:
        self._is_shut = True
        self.is_full = False  # nobody needs to wait for room
        self._letters.clear()
        if why is not None:
            self.broken = why
            self._on_full()
