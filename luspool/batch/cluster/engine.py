"""Runs tasks on a Ray cluster: what the `Dealer` decides, carried out, and stations to carry it out with.

There are a number of *places* for stations, of so many lanes each; how many were asked for, and as the machines'
processors allow. Whenever there is something to do and a place has no station, one is started: by Ray, wherever there
is room, now or later (a cluster that grows on demand sees by those that wait how much it is to grow). One that dies is
replaced; where it could not even begin, after a while that doubles. If none is left that could, the batch ends.

One thread. What Ray has to say arrives on threads of its own, is put into a list, and rings a bell that `wait` hears.
"""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from ...errors import HostFailedError, UsageError
from ...run import OWN_VARIABLES
from ...scheduler.units import UNLIMITED
from ...source import working_directory
from ..engine import Done, Task
from ..local import LocalOptions
from ..lookout import Lookout
from ..results import ResultFiles
from .connection import Cluster, Station, why_lost
from .dealer import HEARTBEAT_SECONDS, Dealer, Dismiss, Exchange, Interrupt
from .letters import LetterError, Orders, pack_tasks, unpack_report
from .logs import Drafts

LANES_MOST: Final = 16
"""Of a station, where nobody says how many: with one that dies so many items at a time begin anew, and each costs a
process of Python's and Ray's."""
_UNFIT_MOST: Final = 3
"""How often in a row a place may have a station that can't begin."""
_DEATHS_MOST: Final = 100
"""The same for those that die before anything has ended there, which may pass: somebody kills them, or machines go."""
_DEATHS_AT_ONCE: Final = 3
"""So often a place has the next station at once."""
_PAUSE_LEAST, _PAUSE_MOST = 1.0, 60.0
"""Seconds before it has the next one after that; each further pause is twice as long."""
_USED_LEAST: Final = 0.9
"""Of all processors, by stations of one size."""
_CLOSE_SECONDS: Final = 3.0
"""How long stations may take to end their hosts."""
_PLACED_SECONDS: Final = 30.0
"""After so long without a single station people are told what is waited for."""


class RayOptions(Struct, frozen=True):
    """`local` is what each station is opened with, but for its lanes, results and audits: these are of all together."""

    local: LocalOptions
    address: str | None = None
    """None: a cluster of our own, on this machine."""
    lanes: int | None = None
    """Of all stations; None: as many as the cluster has processors."""
    station_lanes: int | None = None
    """Of each; None: as many as each machine has processors for, `LANES_MOST` at most."""


class _Place(Struct):
    """For one station at a time."""

    lanes: int
    number: int = 0
    """Of its station; 0: it has none."""
    unfit: int = 0
    deaths: int = 0
    """In a row, of those of which none was of any use."""
    not_before: float = 0.0


class _Manned(Struct):
    """A station that was started."""

    station: Station
    place: _Place
    exchanges: int = 0
    is_ready: bool = False


class RayEngine:
    """See `Engine`. A context manager. Uses a cluster that is open; `close` leaves that to its owner."""

    def __init__(self, options: RayOptions, cluster: Cluster, wake_fd: int, notice: Callable[[str], None]) -> None:
        """As `LocalEngine`. CannotWriteError: there is no place for audit logs."""
        # A cluster that is not open is one for which nobody waits any more: nothing will be submitted.
        lanes = lanes_of_places(cluster.processors() if cluster.is_open else [1], options.lanes, options.station_lanes)
        self._drafts = None if options.local.audits is None else Drafts(options.local.audits)
        self._options = options
        self._cluster = cluster
        self._notice = notice
        self._notices: set[str] = set()
        self._bell = _Bell()
        self._selector = selectors.PollSelector()
        self._selector.register(wake_fd, selectors.EVENT_READ)
        self._selector.register(self._bell.fd, selectors.EVENT_READ)
        onlooker = options.local.onlooker
        self._lookout = None if onlooker is None else Lookout(onlooker, self._selector)
        self._wake_fd = wake_fd
        self._dealer = Dealer(sum(lanes))
        self._places = [_Place(one) for one in lanes]
        self._manned: dict[int, _Manned] = {}
        self._last_number = 0
        self._unfit = self._deaths = 0
        """Stations in a row that were of no use."""
        self._output_most = options.local.output_kept
        """Bytes of a stream of a task that a station may give back."""
        self._waiting_since: float | None = None
        """For a station that is ready; infinity, when people were told."""

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def has_room(self) -> bool:
        return self._dealer.has_room

    def submit(self, task: Task) -> None:
        if self._options.local.results is not None:
            self._output_most = max(self._output_most, task.limits.tree.output)
        if self._drafts is not None:
            self._drafts.expect(task)
        self._dealer.submit(task)

    def running(self) -> Sequence[tuple[int, float]]:
        return self._dealer.running(time.monotonic())

    def processes(self) -> Mapping[int, int]:
        return {}  # they are elsewhere

    def wait(self, seconds: float | None) -> Sequence[Done]:
        until = None if seconds is None else time.monotonic() + seconds
        self._carry_out()
        while not self._dealer.done:
            if self._turn(until):
                break
        done, self._dealer.done = self._dealer.done, []
        return [self._written(one) for one in done]

    def withdraw(self) -> None:
        self._dealer.withdraw()
        self._carry_out()

    def cancel(self) -> None:
        self._dealer.cancel(time.monotonic())
        self._carry_out()

    def close(self) -> None:
        """Hosts end with their station, but only when Ray has come to that; so each is asked to end them before."""
        leaving = {number for number, manned in self._manned.items() if manned.is_ready}
        for number in leaving:
            self._manned[number].station.close(partial(self._bell.ring, number, self._closed))
        until = time.monotonic() + _CLOSE_SECONDS
        with contextlib.suppress(KeyError):  # closed twice
            self._selector.unregister(self._wake_fd)  # whoever wakes us wants no more than this
        if self._lookout is not None:
            self._lookout.leave()
        while leaving and self._wait_for(until):
            leaving -= {number for number, hear, answer in self._bell.take() if hear == self._closed}
        for manned in self._manned.values():
            manned.station.end()
        self._manned.clear()
        self._bell.close()
        if self._drafts is not None:
            self._drafts.close()

    # --- stations ------------------------------------------------------------------------------------------------

    def _staff(self, now: float) -> None:
        """Start stations for what there is to do, where there are places without one."""
        wanted = self._dealer.waiting - sum(one.place.lanes for one in self._manned.values() if not one.is_ready)
        for place in self._places:
            if wanted <= 0:
                break
            if place.number == 0 and now >= place.not_before:
                wanted -= place.lanes
                self._start(place)

    def _start(self, place: _Place) -> None:
        self._last_number += 1
        place.number = self._last_number
        station = self._cluster.station(place.lanes)
        self._manned[place.number] = _Manned(station, place)
        station.begin(self._orders_for(place).pack(), partial(self._bell.ring, place.number, self._begun))

    def _orders_for(self, place: _Place) -> Orders:
        local = self._options.local
        return Orders(
            working_directory(),
            place.lanes,
            local.threads,
            local.slice_nanoseconds,
            local.tasks_per_host,
            # All of it has to come here, where the files are.
            UNLIMITED if local.results is not None else local.output_kept,
            tuple(text for item in os.environ.items() if item[0].startswith(OWN_VARIABLES) for text in item),
            is_audited=self._drafts is not None,
            gives_ahead=local.gives_ahead,
        )

    def _begun(self, number: int, answer: object) -> None:
        manned = self._manned[number]
        if answer == "":
            manned.is_ready = True
            self._waiting_since = None
            self._dealer.join(number, manned.place.lanes)
        else:
            self._unfit += 1
            manned.place.unfit += 1
            self._lost(number, str(answer))

    def _reported(self, number: int, answer: object) -> None:
        manned = self._manned[number]
        try:
            report = unpack_report(answer, self._output_most)
            if not report.problem:
                self._dealer.report(number, report, time.monotonic())
        except LetterError as error:
            self._died(number, f"it said what can't be: {error}")
            return
        for text in report.notices:
            self._say_once(text)
        if self._drafts is not None and not report.problem:
            for piece in report.logs:
                self._drafts.add(number, piece)
        if report.is_usage:  # it holds for all of them
            raise UsageError(report.problem)
        if report.problem:
            self._unfit += 1
            manned.place.unfit += 1
            self._lost(number, report.problem)
        elif any(done.outcome for done in report.done):
            manned.place.unfit = manned.place.deaths = 0
            self._unfit = self._deaths = 0

    def _died(self, number: int, why: str) -> None:
        self._deaths += 1
        self._manned[number].place.deaths += 1
        self._lost(number, why)

    def _lost(self, number: int, why: str) -> None:
        """A station is of no use any more. HostFailedError: nor is any other."""
        manned = self._manned.pop(number)
        if manned.is_ready:
            self._dealer.lose(number, why)
        self._give_up(number, manned)
        self._say_once(f"a Ray worker was lost: {why}")
        if self._deaths >= _DEATHS_MOST or (self._unfit >= _UNFIT_MOST and not self._manned):
            raise HostFailedError(f"no Ray worker can run scripts: {why}")

    def _give_up(self, number: int, manned: _Manned) -> None:
        """Of a station that the dealer does not have any more."""
        manned.station.end()
        if self._drafts is not None:
            self._drafts.lose(number, {done.number for done in self._dealer.done})
        place = manned.place
        place.number = 0
        failures = place.unfit + max(0, place.deaths - _DEATHS_AT_ONCE)
        if failures:
            place.not_before = time.monotonic() + min(_PAUSE_MOST, _PAUSE_LEAST * 2.0 ** (failures - 1))

    def _closed(self, number: int, answer: object) -> None:
        """Nothing more is to be done."""

    # --- what happens --------------------------------------------------------------------------------------------

    def _turn(self, until: float | None) -> bool:
        """Wait once, and take in what has happened. True: the caller's time is over, or it was woken."""
        now = time.monotonic()
        pauses = [place.not_before for place in self._places if place.number == 0 and place.not_before > now]
        lookout = self._lookout
        due = [until, self._dealer.due(now), *(pauses if self._dealer.waiting else ()), self._patience()]
        if lookout is not None:
            due.append(lookout.prepare())
        ready = self._wait_for(min((at for at in due if at is not None), default=None))
        for number, hear, answer in self._bell.take():
            if number not in self._manned:
                continue  # it was given up meanwhile
            if isinstance(answer, BaseException):
                self._died(number, why_lost(answer))
            else:
                hear(number, answer)
        self._carry_out()
        if lookout is not None:
            lookout.serve((), is_ready=any(key.data is lookout for key in ready))
        return any(key.fd == self._wake_fd for key in ready) or (until is not None and time.monotonic() >= until)

    def _carry_out(self) -> None:
        now = time.monotonic()
        for order in self._dealer.orders(now):
            match order:
                case Exchange(number, tasks, gather):
                    manned = self._manned[number]
                    manned.exchanges += 1
                    heard = partial(self._bell.ring, number, self._reported)
                    manned.station.exchange(manned.exchanges, pack_tasks(tasks), gather, HEARTBEAT_SECONDS, heard)
                case Interrupt(number, what):
                    manned = self._manned[number]
                    manned.station.interrupt(manned.exchanges, what)
                case Dismiss(number, why):
                    manned = self._manned.pop(number)
                    manned.place.deaths += 1
                    self._give_up(number, manned)
                    self._say_once(f"a Ray worker was lost: {why}")
        self._staff(now)
        self._tell_what_is_waited_for(now)

    def _wait_for(self, until: float | None) -> list[selectors.SelectorKey]:
        """What is ready by then."""
        timeout = None if until is None else max(0.0, until - time.monotonic())
        return [key for key, _ in self._selector.select(timeout)]

    def _patience(self) -> float | None:
        since = self._waiting_since
        return None if since is None or since == math.inf else since + _PLACED_SECONDS

    def _tell_what_is_waited_for(self, now: float) -> None:
        if not self._dealer.waiting or any(manned.is_ready for manned in self._manned.values()):
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = now
        elif now >= self._waiting_since + _PLACED_SECONDS:
            self._waiting_since = math.inf
            lanes = self._places[0].lanes
            self._say_once(f"waiting for a Ray worker: the cluster has no {lanes} processors free (Ctrl-C gives up)")

    def _written(self, done: Done) -> Done:
        """With its audit log and its output in files, and not more of this in the outcome than is to be kept."""
        local, outcome = self._options.local, done.outcome
        if self._drafts is not None:
            audit = self._drafts.settle(done)
            outcome = outcome and replace(outcome, audit=audit)
        if local.results is None or outcome is None:
            return Done(done.number, outcome)
        files = ResultFiles(local.results, done.number)
        try:
            files.write(1, outcome.stdout)
            files.write(2, outcome.stderr)
        finally:
            files.close()
        kept = local.output_kept
        return Done(done.number, replace(outcome, stdout=outcome.stdout[:kept], stderr=outcome.stderr[:kept]))

    def _say_once(self, text: str) -> None:
        if text not in self._notices:
            self._notices.add(text)
            self._notice(text)


class _Bell:
    """What other threads have to say, and a descriptor that is readable while there is something."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()
        self._words: deque[tuple[int, Callable[[int, object], None], object]] = deque()
        """Written by any thread, taken by one, under the lock."""

    def ring(self, number: int, hear: Callable[[int, object], None], answer: object) -> None:
        """Of station `number`; `hear` is to be called with it and its answer."""
        with self._lock:
            if self.fd >= 0:  # else nobody listens any more
                self._words.append((number, hear, answer))
                os.eventfd_write(self.fd, 1)

    def take(self) -> list[tuple[int, Callable[[int, object], None], object]]:
        with self._lock:
            words = list(self._words)
            if words:
                self._words.clear()
                os.eventfd_read(self.fd)
        return words

    def close(self) -> None:
        with self._lock:
            if self.fd >= 0:
                os.close(self.fd)
            self.fd = -1


def lanes_of_places(processors: Sequence[int], lanes: int | None, of_each: int | None) -> list[int]:
    """How many lanes each station is to have, on machines with so many processors. HostFailedError: they have none.

    All have as many, but for the last one, so that each fits wherever another does: as many as `of_each`, or else the
    most that leave no more than a tenth of all processors unused.
    """
    if not processors:
        raise HostFailedError("the Ray cluster has no processors to run anything on")
    sizes = range(min(LANES_MOST, max(processors)), 0, -1)
    fitting = (size for size in sizes if sum(one // size * size for one in processors) >= _USED_LEAST * sum(processors))
    size = of_each or next(fitting, 1)
    total = lanes or max(size, sum(one // size * size for one in processors))
    return [*[size] * (total // size), *([total % size] if total % size else [])]
