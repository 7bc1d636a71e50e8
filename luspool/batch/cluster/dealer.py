"""Which task goes to which station, and what follows when a station reports or is lost. Pure: events in, orders out.

Every task that was submitted is in one place: it waits here, it is held by one station, or it is done and has not been
taken yet (`validate`). A task leaves a station by that station's report, or with its loss, and whatever a lost station
still says is heard by nobody: so each task is done once, however often it was begun.

**Exchanges.** A station has an exchange open while it holds anything: it gets tasks with it, and its end is a report.
At most one is open, and what has to be said meanwhile is an *interruption*, which makes the station end it.

**Blame.** With a station all that it held is lost, the task that may have killed it among many that are innocent. What
was lost is given out again, first of all. What has been lost `_SUSPECT` times is given alone, to a station that holds
nothing else; what is then lost another `_ALONE_MOST` times has crashed. So one bad task costs a few stations, and the
outcomes of no others; and the machines' own deaths are no task's.

**The end.** When nothing waits here any more and a station has nothing to do, what another one holds and will not begin
soon is recalled, and given out anew.

One thread. Times are seconds of the caller's clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from typing import Final

from msgspec import Struct

from ... import errors
from ..engine import Done, Task
from ..outcome import Outcome, Status
from .credit import Credit
from .letters import LetterError, Report

_INTERVAL_LEAST: Final = 0.05
"""Seconds for which a station gathers what is done before it reports, while it has something left to do."""
_INTERVAL_PER_STATION: Final = 0.002
"""With many stations that grows, so that there are no more than 500 reports a second: each costs the command some
time, whatever is in it (docs/scale.md)."""
HEARTBEAT_SECONDS: Final = 5.0
"""After so long a station reports, even if nothing has ended."""
_SILENT_MOST: Final = 60.0
"""A station that has not reported for so long is lost. Long enough for a machine that is short of breath."""
_CANCEL_SECONDS: Final = 5.0
"""How long a station may take to end what it runs before it is ended itself."""
_RECALL_SECONDS: Final = 0.5
"""A task that would begin at its station within that stays there: the way to another is not free either."""
_LOOK_SECONDS: Final = 0.25
"""Between two looks at all stations, for what only time tells."""

_AHEAD_LEAST: Final = 64
"""Tasks that may wait here, whatever the stations' credit, and however many lanes there are."""
_AHEAD_BYTES: Final = 64 << 20
"""What these may take, in all, and those that one station has."""

_SUSPECT: Final = 2
_ALONE_MOST: Final = 2
"""See above. Both are guessed: a station seldom dies of anything but its machine's end."""


class Interruption(IntEnum):
    """What a station is told during an exchange; each includes those before it."""

    REPORT = 1
    """End the exchange: there is more to do."""
    RECALL = 2
    """Give back what has not begun."""
    CANCEL = 3
    """End what runs."""


class Exchange(Struct, frozen=True):
    """Begin an exchange: the station gets these tasks, and reports `gather` seconds after the first one has ended."""

    station: int
    tasks: tuple[Task, ...]
    gather: float


class Interrupt(Struct, frozen=True):
    """Tell the station that."""

    station: int
    what: Interruption


class Dismiss(Struct, frozen=True):
    """The station is lost, as if its process had died: end that."""

    station: int
    why: str


Order = Exchange | Interrupt | Dismiss


class _Station:
    """What is known of one. `held` is in the order in which it got them."""

    __slots__ = (
        "began",
        "bytes",
        "cancel_until",
        "credit",
        "ended_at",
        "exchange_since",
        "held",
        "interrupted",
        "is_reserved",
        "room",
    )

    def __init__(self, lanes: int) -> None:
        self.credit = Credit(lanes)
        self.held: dict[int, Task] = {}
        self.bytes = 0
        """Of those."""
        self.began: dict[int, float] = {}
        """When those began that ran at its last report."""
        self.room = lanes
        """How many it is to have."""
        self.exchange_since: float | None = None
        self.ended_at = 0.0
        """When something has ended here, or was given to it, for the last time."""
        self.interrupted: Interruption | None = None
        """In the present exchange."""
        self.cancel_until: float | None = None
        self.is_reserved = False
        """It gets nothing until it holds nothing, and then one suspect."""

    @property
    def lanes(self) -> int:
        return self.credit.lanes

    @property
    def free(self) -> int:
        """Lanes that have nothing to do, of those that may be given something."""
        return 0 if self.is_reserved else max(0, self.lanes - len(self.held))

    def give(self, task: Task, now: float) -> None:
        self.held[task.number] = task
        self.bytes += task.size
        self.ended_at = now

    def take_back(self, number: int) -> Task:
        task = self.held.pop(number)
        self.bytes -= task.size
        self.began.pop(number, None)
        return task

    def believe(self, running: Iterable[tuple[int, float]], now: float) -> None:
        """By its own word these run."""
        self.began = {number: now - seconds for number, seconds in running if number in self.held}


class Dealer:
    """The tasks of one engine, which means to have so many lanes."""

    def __init__(self, lanes: int) -> None:
        self._ahead_least = max(_AHEAD_LEAST, lanes)
        self.done: list[Done] = []
        """To be taken by the caller, who empties it."""
        self._queue: deque[Task] = deque()
        self._queued_bytes = 0
        self._suspects: deque[Task] = deque()
        """To be given alone."""
        self._losses: dict[int, int] = {}
        """How many stations were lost with this task, of those that are not done."""
        self._withdrawn: set[int] = set()
        """Of the tasks that stations hold: not to be begun any more, if that can still be helped."""
        self._stations: dict[int, _Station] = {}
        self._open: dict[int, None] = {}
        """The stations without an exchange."""
        self._lanes = 0
        self._room = 0
        """Of all stations."""
        self._interrupts: set[int] = set()
        """The stations that have not been told yet how they are interrupted."""
        self._look_at = 0.0

    # --- the caller's side ---------------------------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        """As of `Engine`."""
        return len(self._queue) < max(self._ahead_least, self._room) and self._queued_bytes < _AHEAD_BYTES

    @property
    def waiting(self) -> int:
        """How many tasks no station has."""
        return len(self._queue) + len(self._suspects)

    def submit(self, task: Task) -> None:
        """As of `Engine`."""
        self._queue.append(task)
        self._queued_bytes += task.size

    def running(self, now: float) -> Sequence[tuple[int, float]]:
        """As of `Engine`; as known from the last reports."""
        began = (one for station in self._stations.values() for one in station.began.items())
        return [(number, now - at) for number, at in began]

    def withdraw(self) -> None:
        """As of `Engine`. What stations hold and have not begun comes back with their next reports."""
        self.done += [Done(task.number, None) for task in (*self._queue, *self._suspects)]
        for task in (*self._queue, *self._suspects):
            self._losses.pop(task.number, None)
        self._queue.clear()
        self._suspects.clear()
        self._queued_bytes = 0
        for number, station in self._stations.items():
            if len(station.held) > len(station.began):
                self._interrupt(number, station, Interruption.RECALL)
            self._withdrawn.update(station.held)

    def cancel(self, now: float) -> None:
        """As of `Engine`; a station that takes long to end what it runs is lost, and what runs there with it."""
        self.withdraw()
        for number, station in self._stations.items():
            if station.held and station.cancel_until is None:
                station.cancel_until = now + _CANCEL_SECONDS
                self._interrupt(number, station, Interruption.CANCEL)
                self._look_at = 0.0

    # --- the stations' side --------------------------------------------------------------------------------------

    def join(self, number: int, lanes: int) -> None:
        """There is another station, with a number that none ever had."""
        self._stations[number] = station = _Station(lanes)
        self._open[number] = None
        self._lanes += lanes
        self._room += station.room

    def report(self, number: int, report: Report, now: float) -> None:
        """A station's exchange has ended. LetterError: it says what can't be; nothing of it was taken in."""
        station = self._stations[number]
        self._check(station, report)
        since = now if station.exchange_since is None else station.exchange_since
        station.exchange_since, station.interrupted = None, None
        self._open[number] = None
        ended = 0
        for done in report.done:
            task = station.take_back(done.number)
            if done.outcome is None:
                self._give_back(task)
            else:
                ended += 1
                self._settle(done)
        if ended:
            station.ended_at = now
        station.believe(report.running, now)
        if not station.held:
            station.cancel_until = None
        station.credit.learn(ended, now - since, report.spent)
        room = station.credit.tasks(self._interval)
        self._room += room - station.room
        station.room = room

    def lose(self, number: int, why: str) -> None:
        """A station is gone."""
        station = self._stations.pop(number)
        self._open.pop(number, None)
        self._lanes -= station.lanes
        self._room -= station.room
        for task in reversed(station.held.values()):
            if station.cancel_until is not None and task.number in station.began:
                failure = f"it was ended together with the batch, and so was the process that ran it ({why})"
                self._settle(Done(task.number, Outcome(Status.CANCELLED, 0, failure=failure)))
            elif task.number in self._withdrawn:
                self._give_back(task)
            else:
                self._lost(task, why)

    def orders(self, now: float) -> Iterator[Order]:
        """What is to be done now."""
        if now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            yield from self._look_around(now)
        yield from self._deal(now)
        interrupted, self._interrupts = self._interrupts, set()
        for number in sorted(interrupted):
            station = self._stations.get(number)
            if station is not None and station.interrupted is not None:  # else it is lost, or the exchange is over
                yield Interrupt(number, station.interrupted)

    def due(self, now: float) -> float | None:
        """When there may be orders although nothing has happened; None: never."""
        return max(now, self._look_at) if len(self._open) < len(self._stations) else None

    def validate(self) -> None:
        """Raises AssertionError where an invariant does not hold."""
        held = [number for station in self._stations.values() for number in station.held]
        places = [*held, *(task.number for task in (*self._queue, *self._suspects)), *(one.number for one in self.done)]
        assert len(places) == len(set(places)), places  # noqa: S101  that is what it is for
        assert self._withdrawn <= set(held)  # noqa: S101
        assert self._losses.keys() <= set(places)  # noqa: S101
        assert self._queued_bytes == sum(task.size for task in self._queue)  # noqa: S101
        assert self._lanes == sum(station.lanes for station in self._stations.values())  # noqa: S101
        assert self._room == sum(station.room for station in self._stations.values())  # noqa: S101
        for number, station in self._stations.items():
            assert (station.exchange_since is None) == (number in self._open)  # noqa: S101
            assert station.began.keys() <= station.held.keys()  # noqa: S101
            assert len(station.began) <= station.lanes  # noqa: S101
            suspects = [one for one in station.held if self._losses.get(one, 0) >= _SUSPECT]
            assert not suspects or len(station.held) == 1  # noqa: S101

    # --- what becomes of a task ----------------------------------------------------------------------------------

    def _settle(self, done: Done) -> None:
        self._withdrawn.discard(done.number)
        self._losses.pop(done.number, None)
        self.done.append(done)

    def _give_back(self, task: Task) -> None:
        """A station has not begun it, or it does not matter whether it has."""
        if task.number in self._withdrawn:
            self._settle(Done(task.number, None))
        else:
            self._put_first(task)

    def _lost(self, task: Task, why: str) -> None:
        losses = self._losses[task.number] = self._losses.get(task.number, 0) + 1
        if losses >= _SUSPECT + _ALONE_MOST:
            name = task.request.path
            failure = (
                f"{name}: {losses} Ray workers that had it have died, the last {_ALONE_MOST} with nothing else: {why}"
            )
            self._settle(Done(task.number, Outcome(Status.CRASHED, errors.INTERNAL, failure=failure)))
        else:
            self._put_first(task)

    def _put_first(self, task: Task) -> None:
        if self._losses.get(task.number, 0) >= _SUSPECT:
            self._suspects.append(task)
        else:
            self._queue.appendleft(task)
            self._queued_bytes += task.size

    # --- what goes where -----------------------------------------------------------------------------------------

    @property
    def _interval(self) -> float:
        return max(_INTERVAL_LEAST, _INTERVAL_PER_STATION * len(self._stations))

    def _deal(self, now: float) -> Iterator[Exchange]:
        """Begin an exchange with each station that has none, and holds something or can be given something."""
        if self._suspects:
            self._reserve()
        # Lanes that have nothing to do come before what others get ahead, also those of which we shall hear only soon.
        many = len(self._queue) > self._lanes
        ahead = len(self._queue) - (self._lanes if many else sum(one.free for one in self._stations.values()))
        for number in tuple(self._open):
            station = self._stations[number]
            free = station.free
            portion = self._portion(station, ahead)
            ahead -= max(0, len(portion) - free)
            for task in portion:
                station.give(task, now)
            if station.held:
                del self._open[number]
                station.exchange_since = now
                yield Exchange(number, tuple(portion), self._interval)
                if station.cancel_until is not None:
                    self._interrupt(number, station, Interruption.CANCEL)
                elif self._withdrawn and len(station.held) > len(station.began):
                    self._interrupt(number, station, Interruption.RECALL)

    def _reserve(self) -> None:
        """Have one station at least that gets nothing but a suspect."""
        if not any(station.is_reserved for station in self._stations.values()) and self._stations:
            min(self._stations.values(), key=lambda station: len(station.held)).is_reserved = True

    def _portion(self, station: _Station, ahead: int) -> list[Task]:
        """What a station is given now, of which `ahead` tasks at most may have to wait there."""
        if station.is_reserved:
            if station.held:
                return []
            if self._suspects:
                return [self._suspects.popleft()]
            station.is_reserved = False
        # Of what there is each has its share, so that the last ones are spread over all.
        free = station.free
        share = len(self._queue) * station.lanes // self._lanes
        count = free + max(0, min(ahead, share - free, station.room - len(station.held) - free))
        size = station.bytes
        portion: list[Task] = []
        while self._queue and len(portion) < count and (size < _AHEAD_BYTES or len(portion) < free):
            task = self._queue.popleft()
            self._queued_bytes -= task.size
            size += task.size
            portion.append(task)
        return portion

    # --- what only time tells ------------------------------------------------------------------------------------

    def _look_around(self, now: float) -> Iterator[Dismiss]:
        free = 0
        for number, station in tuple(self._stations.items()):
            free += station.free
            why = _overdue(station, now)
            if why:
                self.lose(number, why)
                yield Dismiss(number, why)
        if self._queue or self._suspects:
            for number, station in self._stations.items():
                if station.free:
                    self._interrupt(number, station, Interruption.REPORT)
        elif free:
            self._recall(now)

    def _recall(self, now: float) -> None:
        """Have the station that will be busy for longest give back what it has not begun."""
        heard = now - self._interval  # what has ended since may be untold
        times = [
            (station.credit.seconds_for(len(station.held) - station.lanes, heard - station.ended_at), number)
            for number, station in self._stations.items()
            if len(station.held) > station.lanes and station.interrupted is None
        ]
        seconds, number = max(times, default=(0.0, 0))
        if seconds > _RECALL_SECONDS:
            self._interrupt(number, self._stations[number], Interruption.RECALL)

    def _interrupt(self, number: int, station: _Station, what: Interruption) -> None:
        """Tell a station that in its exchange, if it has one open and was not told so already."""
        if station.exchange_since is not None and (station.interrupted or 0) < what:
            station.interrupted = what
            self._interrupts.add(number)

    @staticmethod
    def _check(station: _Station, report: Report) -> None:
        numbers = [done.number for done in report.done]
        if len(set(numbers)) != len(numbers) or not station.held.keys() >= set(numbers):
            raise LetterError("the end of a task that it does not have")
        logs = [piece.number for piece in report.logs]
        if len(set(logs)) != len(logs) or not station.held.keys() >= set(logs):
            raise LetterError("the audit log of a task that it does not have")
        running = [number for number, _ in report.running]
        if len(set(running)) != len(running) or len(running) > station.lanes:
            raise LetterError("more tasks that run than it has lanes for")


def _overdue(station: _Station, now: float) -> str:
    """Why a station is lost by now; "": it is not."""
    if station.cancel_until is not None and now >= station.cancel_until:
        return f"it has not ended within {_CANCEL_SECONDS:.0f} s"
    if station.exchange_since is not None and now - station.exchange_since >= _SILENT_MOST:
        return f"it has said nothing for {_SILENT_MOST:.0f} s"
    return ""
