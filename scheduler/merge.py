"""What several hosts say, put into one order that no script can tell from that of one host. Pure.

If a state prints, and then sends a message to one in another host which prints too, the second line must not come
first; but the two lines come over two sockets. So each host says when it wrote an event (`wire.Stamp`), by the
monotonic clock of the system, which is one for all processes and never goes back from one processor to another. Who
prints because of a message has read the clock after the sender did, and the sender's bytes were in its socket by then.

So the supervisor notes the time, then reads all sockets empty, and takes events up to that time, by their stamps:
whatever they depend on was in some socket at that time and has been read. Younger ones wait for the next round.

The frames of one event (a long output goes in several) stay together: once the first is taken, the others come next,
and what other hosts say waits in their sockets meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from . import wire


class StampError(ValueError):
    """A host's stamp is none that an honest host writes."""


class _Event:
    __slots__ = ("at", "frames", "missing")

    def __init__(self, at: int, missing: int) -> None:
        self.at = at
        self.missing = missing
        """Frames that have not come yet."""
        self.frames: deque[wire.Message] = deque()


class EventMerge:
    """Events of hosts, by their numbers."""

    __slots__ = ("_events", "speaker", "words")

    def __init__(self) -> None:
        self._events: dict[int, deque[_Event]] = {}
        """By host; those that are not there as a whole are last."""
        self.speaker: int | None = None
        """The host of which an event was taken in part: only its socket is to be read now."""
        self.words = 0
        """How many events have begun to be taken."""

    def add_host(self, host: int) -> None:
        """There is one more."""
        self._events[host] = deque()

    def remove_host(self, host: int) -> None:
        """It is gone, and all of its whole events were taken."""
        del self._events[host]
        if self.speaker == host:
            self.speaker = None

    def add(self, host: int, message: wire.Message, now: int) -> None:
        """The next frame of a host, read at the time `now`. StampError."""
        events = self._events[host]
        last = events[-1] if events else None
        if isinstance(message, wire.Stamp):
            if last is not None and last.missing:
                raise StampError("a stamp in the middle of an event")
            if message.frames < 1 or not (last.at if last else 0) <= message.at <= now:
                raise StampError(f"a stamp of {message.frames} frames at {message.at}, read at {now}")
            events.append(_Event(message.at, message.frames))
        elif last is None or not last.missing:
            raise StampError(f"{type(message).__name__} without a stamp")
        else:
            last.frames.append(message)
            last.missing -= 1

    def is_ahead(self, host: int, until: int) -> bool:
        """Whether nothing that is still to be read of a host can be the turn of any event up to a time.

        So it is when its last event is younger, and when that is not there as a whole: the rest of it comes first.
        """
        events = self._events[host]
        return bool(events) and (events[-1].missing > 0 or events[-1].at > until)

    def take(self, until: int) -> Iterator[tuple[int, wire.Message]]:
        """The frames that are next in order, up to a time, each with its host."""
        while True:
            if self.speaker is None:
                heads = [(events[0].at, host) for host, events in self._events.items() if events]
                at, host = min(heads, default=(until + 1, 0))
                if at > until:
                    return
                self.speaker = host
                self.words += 1
            speaker = self.speaker
            event = self._events[speaker][0]
            while event.frames:
                yield speaker, event.frames.popleft()
                if self.speaker != speaker:  # it was removed meanwhile
                    break
            else:
                if event.missing:
                    return
                self._events[speaker].popleft()
                self.speaker = None

    def rest(self) -> Iterator[tuple[int, wire.Message]]:
        """All that has not been taken, with its host, in each host's own order. Nothing may be taken afterwards."""
        for host, events in self._events.items():
            for event in events:
                for frame in event.frames:
                    yield host, frame

    def has_whole(self, host: int) -> bool:
        """Whether a whole event of a host waits, which is not the one that is being taken."""
        events = self._events.get(host)
        return events is not None and len(events) > 0 and not events[0].missing

    @property
    def is_holding(self) -> bool:
        """Whether there is something for the next round, whatever comes until then."""
        if self.speaker is None:
            return any(self._events.values())
        event = self._events[self.speaker][0]
        return bool(event.frames) or not event.missing
