"""Calls a host's events: one at a time, in order, never under the dispatcher's lock."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from .events import HostEvents
from .protocol import StateId
from .tree import Phase, State

Announcement = Callable[[HostEvents], None]
FaultHandler = Callable[[Exception], None]
"""Told of a fault of luspool itself that no state can be blamed for. Called without any lock."""


class Announcer:
    """The only one who calls `HostEvents`.

    Announcements are appended to `_pending` by whoever holds the dispatcher's lock, so they lie in the order of the
    machine's decisions. Whoever gets `_speaking` speaks for all. `announce` never waits for another's callback: if
    somebody speaks, it leaves what is pending to them, and a speaker looks again after letting go, so nothing is left
    behind. `say`, and so `write` and `record`, does wait, since what was only queued would grow without bound before a
    slow reader.
    """

    __slots__ = ("_events", "_on_fault", "_pending", "_speaking")

    def __init__(self, events: HostEvents, on_fault: FaultHandler) -> None:
        self._events: HostEvents | None = events
        """None once a callback has raised: nobody is there to hear more. Written by the speaker."""
        self._on_fault = on_fault
        self._pending: deque[Announcement] = deque()
        self._speaking = threading.Lock()

    def append(self, announcement: Announcement) -> None:
        """Put in line; `announce` must follow, after the dispatcher's lock is released. Dispatcher's lock held."""
        self._pending.append(announcement)

    def announce(self) -> None:
        """Say what is pending, or leave it to the present speaker."""
        while self._pending and self._speaking.acquire(blocking=False):
            fault = self._speak()
            if fault is not None:
                self._on_fault(fault)

    def write(self, state: State, stream: int, data: bytes) -> None:
        """`HostEvents.write`, after all that was announced before, unless `state` is cancelled by then.

        That is asked with `_speaking` held: the announced end of a tree can't slip in between the answer and the write.
        """

        def write_out(events: HostEvents) -> None:
            if state.phase is not Phase.ENDED:
                events.write(stream, data)

        self.say(write_out)

    def record(self, state: StateId, rows: bytes) -> None:
        """`HostEvents.record`, after all that was announced before, whatever has become of the state."""
        self.say(lambda events: events.record(state, rows))

    def say(self, last: Announcement) -> None:
        """Make an announcement after all that is pending; waits for another's callback."""
        self._speaking.acquire()
        fault = self._speak(last)
        if fault is not None:
            self._on_fault(fault)
        self.announce()

    def _speak(self, last: Announcement | None = None) -> Exception | None:
        """All that is pending, then `last`. Gives `_speaking` back, and what a callback raised."""
        try:
            while self._events is not None and self._pending:
                self._pending.popleft()(self._events)
            if self._events is not None and last is not None:
                last(self._events)
        except Exception as fault:
            self._events = None
            return fault
        else:
            return None
        finally:
            if self._events is None:
                self._pending.clear()
            self._speaking.release()
