"""Runs tasks on this machine, on hosts that stay (`scheduler.warm`).

There are a number of *lanes*: so many tasks run at a time, each alone in a host. A host is bound to a *domain* by the
first task that it gets: what its wall was made for, and so the rights of all that ever runs in it. It takes further
tasks of its domain; it is replaced when it has died, has run `tasks_per_host` of them or has grown by more than
`_GROWTH`, and when there is only work for others, or when others have waited for long enough.

While all that waits is of one domain, hosts are given some tasks ahead, so that none has to wait for us between two of
them. These are called back when another host has nothing to do, or nobody wants them any more, and begin elsewhere.

One thread waits for everything: the hosts' sockets and deaths, times that are over, and a descriptor of the caller's.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from ..errors import CannotWriteError, HostFailedError, UsageError
from ..host_command import host_command, host_environment
from ..run import DEADLINE_GRACE_SECONDS
from ..scheduler import wire
from ..scheduler.callees import Callees, CallRouter, NoFunctions
from ..scheduler.connection import HostError, HostProtocolError
from ..scheduler.process import HostProcess
from ..scheduler.supervisor import HostDiedError
from ..scheduler.surroundings import Onlooker
from ..scheduler.units import UNLIMITED
from ..scheduler.warm import Ending, WarmHost
from .capture import Capture
from .engine import CancelledError, Done, Task, TracedTasks
from .logs import TaskLog, open_log
from .lookout import Lookout

_AHEAD: Final = 64
"""Tasks that are taken ahead for each lane: so that those of one domain meet, and a lane never waits. Guessed."""
_AHEAD_BYTES: Final = 64 << 20
"""What these may take in all."""
_AT_HOST: Final = 32
"""Tasks that a host has, the one that runs included: as many small ones as end while we are busy with other hosts, wait
for the disk or nap."""
_NAP: Final = 0.002
"""Seconds that we sleep once ends were taken in, while no host is short of tasks: what comes meanwhile is taken in at
once, and the processors are the hosts' until then. With small tasks a quarter of all processor time is saved."""
_AT_HOST_BYTES: Final = 1 << 20
"""What a host may have ahead in all."""
_PASSED_MOST: Final = 64
"""Tasks that may begin before those of a domain which waits for a host: a new one costs as much as some dozen tasks."""
_GROWTH: Final = 64 << 20
"""Bytes that a host may grow by, between its tasks, before it is replaced. Guessed: what it keeps of compiled scripts
is a quarter of that."""
_MEASURED_EVERY: Final = 64
"""Tasks between two looks at that."""
_STILLBORN_MOST: Final = 3
"""Hosts in a row that may die before they are ready: something is wrong with the machine then."""
_KILLED_MOST: Final = 100
"""The same for those that somebody else has killed, a system that is short of memory, say: which may pass."""

TASKS_PER_HOST: Final = 10_000
"""What creeps up in a process that is used for long is gone after so many. A new one takes some 100 ms of processor
time, which is 10 us for each of them; with 1,000 it would be felt."""

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")

Domain = tuple[object, ...]


class LocalOptions(Struct, frozen=True):
    """How tasks are run. A task's states are served by `threads` threads, in slices of so many nanoseconds."""

    lanes: int
    threads: int = 1
    slice_nanoseconds: int = 10_000_000
    tasks_per_host: int = TASKS_PER_HOST
    """1: each task has a host of its own."""
    output_kept: int = 64 * 1024
    """Bytes of each stream."""
    results: str | None = None
    """A directory, for all output, by the number of the task."""
    audits: str | None = None
    """A directory, by its absolute path, for audit logs (see `logs`)."""
    log_of: Callable[[Task], TaskLog | None] | None = None
    """Opens the audit log of a task, if it is to have one; instead of `audits`. If that can't be done, or the log can't
    be written, the task has a fault, and the others go on."""
    gives_ahead: bool = True
    """Hosts may be given tasks before it is their turn. Not where the end of one may decide that no other begins."""
    spare_hosts: int = 0
    """So many hosts may be there beyond those that are needed for the lanes: for tasks with other rights."""
    callees: Callable[[int], Callees | None] | None = None
    """Who carries out what the task of this number calls, asked when it begins; if that is None, the task is not to
    begin any more. None: there is nothing to call."""
    onlooker: Onlooker | None = None
    """Who may look at what runs; to be closed after the engine."""
    traced: TracedTasks | None = None
    """Who is told what runs when."""
    start_host: Callable[[], HostProcess] = lambda: HostProcess.start(host_command(), host_environment())


class _Given(Struct, eq=False):
    """A task that a host has."""

    task: Task
    capture: Capture
    is_wanted: bool = True
    """If it has not begun, it is to begin elsewhere."""


class _Lane:
    """A host, and the tasks that it has."""

    __slots__ = ("at_first", "began", "domain", "ended", "fault", "given", "host", "is_retiring", "reply_fd")

    def __init__(self, host: WarmHost) -> None:
        self.host = host
        self.domain: Domain | None = None
        """None: it has had no task yet."""
        self.given: deque[_Given] = deque()
        """The first one runs."""
        self.ended = 0
        """How many of its tasks have."""
        self.fault: CannotWriteError | None = None
        """What the task that runs is ended for, and nothing else."""
        self.began = 0.0
        """When the last task has."""
        self.is_retiring = False
        """It is given nothing more."""
        self.reply_fd: int | None = None
        """As waited for now; see `WarmHost`."""
        self.at_first = 0
        """Bytes that the host had after its first task."""

    @property
    def is_free(self) -> bool:
        return self.host.is_free and not self.is_retiring


class LocalEngine:
    """See `Engine`. A context manager. Starts processes; waits for no other children of the caller's."""

    def __init__(self, options: LocalOptions, wake_fd: int, notice: Callable[[str], None]) -> None:
        """`wait` comes back when `wake_fd` is readable. `notice` gets, once each, what people have to know."""
        self._options = options
        self._wake_fd = wake_fd
        self._notice = notice
        self._notices: set[str] = set()
        self._queues: dict[Domain, deque[Task]] = {}
        """Of those that wait, in order; no queue is empty. First the one from which none was taken for the longest."""
        self._passed = 0
        """Tasks of others that have begun since it was the first."""
        self._queued = self._queued_bytes = 0
        self._lanes: list[_Lane] = []
        self._done: list[Done] = []
        self._stillborn = self._killed = 0
        self._had_walls: set[str] = set()
        """Behind which a task has run: they can be had."""
        self._selector = selectors.DefaultSelector()
        self._selector.register(wake_fd, selectors.EVENT_READ)
        self._lookout = None if options.onlooker is None else Lookout(options.onlooker, self._selector)
        self._last_host = 0
        """Its number."""
        self._writing: set[_Lane] = set()
        self._to_flush: set[_Lane] = set()
        """Those that were given tasks which are not on their way yet."""
        # With a host for each task, the next ones get ready meanwhile.
        # Files are made, and others are asked and told, when a task begins; so it can't be given to a host before.
        is_plain = not (options.audits or options.results or options.log_of or options.callees or options.traced)
        self._at_host = _AT_HOST if is_plain and options.gives_ahead else 1
        self._ready_hosts = options.lanes * (2 if options.tasks_per_host == 1 else 1)
        self._most_hosts = self._ready_hosts + options.spare_hosts

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def has_room(self) -> bool:
        return self._queued < self._options.lanes * _AHEAD and self._queued_bytes < _AHEAD_BYTES

    def submit(self, task: Task) -> None:
        self._queues.setdefault(self._domain(task), deque()).append(task)
        self._queued += 1
        self._queued_bytes += task.size
        self._place()

    def running(self) -> Sequence[tuple[int, float]]:
        now = time.monotonic()
        return [(lane.given[0].task.number, now - lane.began) for lane in self._lanes if lane.given]

    def processes(self) -> Mapping[int, int]:
        return {lane.given[0].task.number: lane.host.process.pid for lane in self._lanes if lane.given}

    def wait(self, seconds: float | None) -> Sequence[Done]:
        until = None if seconds is None else time.monotonic() + seconds
        if (seconds is None or seconds >= _NAP) and self._has_supply():
            time.sleep(_NAP)
        while not self._done:
            self._place()
            if self._done or self._turn(until):
                break
        self._place()
        done, self._done = self._done, []
        return done

    def withdraw(self) -> None:
        for queue in self._queues.values():
            self._done += [Done(task.number, None) for task in queue]
        self._queues.clear()
        self._queued = self._queued_bytes = 0
        for lane in self._lanes:
            self._call_back(lane, lambda _: False)

    def cancel(self) -> None:
        self.withdraw()
        for lane in tuple(self._lanes):
            if lane.given:
                self._end(lane, "it was ended together with the batch")

    def cancel_one(self, number: int) -> None:
        """As `cancel`, for one task. Nothing if it has ended, or was never submitted."""
        for lane in tuple(self._lanes):
            if lane.given and lane.given[0].task.number == number:
                self._end(lane, "it was cancelled")
                return
            if any(given.task.number == number for given in lane.given):
                self._call_back(lane, lambda task: task.number != number)
                return
        for queue in self._queues.values():
            for task in queue:
                if task.number == number:
                    self._take(task)
                    self._done.append(Done(number, None))
                    return

    def close(self) -> None:
        for lane in tuple(self._lanes):
            self._drop(lane)
        self._selector.close()

    def abandon(self) -> None:
        """In a child that was forked: close the descriptors, and touch nothing else of the parent's."""
        self._selector.close()
        for lane in self._lanes:
            lane.host.process.abandon()

    # --- tasks to hosts ------------------------------------------------------------------------------------------

    def _domain(self, task: Task) -> Domain:
        """What tasks have in common that may share a host (see `resident`)."""
        request = task.request
        return request.pledges, request.wall, task.limits.tree.memory

    def _place(self) -> None:
        """Give tasks to hosts that are free, and start or replace hosts as there is need for them."""
        while self._queued and sum(bool(lane.given) for lane in self._lanes) < self._options.lanes:
            lane = self._lane_for_work()
            if lane is None:
                break
            self._begin(lane)
        self._give_ahead()
        for lane in self._to_flush:
            lane.host.connection.flush()
            self._watch(lane)
        self._to_flush.clear()
        usable = sum(not lane.given and (lane.domain is None or lane.domain in self._queues) for lane in self._lanes)
        missing = min(self._queued, self._ready_hosts) - usable
        for _ in range(min(missing, self._ready_hosts - len(self._lanes))):
            self._start()

    def _give_ahead(self) -> None:
        """Let hosts have some more tasks than those that run; or take them back, for one that has nothing to do."""
        if len(self._queues) == 1:
            for lane in self._lanes:
                while (
                    lane.domain in self._queues
                    and 0 < len(lane.given) < min(self._at_host, 1 + self._queued // self._options.lanes)
                    and self._may_give(lane)
                ):
                    self._begin(lane)
        elif not self._queues and any(lane.is_free for lane in self._lanes):
            self._call_back(max(self._lanes, key=lambda lane: lane.host.ahead), lambda _: True)

    def _has_supply(self) -> bool:
        """All hosts that run something have enough for now."""
        least = min((len(lane.given) for lane in self._lanes if lane.given), default=0)
        return self._at_host > 1 and 2 * least > self._at_host

    def _may_give(self, lane: _Lane) -> bool:
        host, size = lane.host, sum(given.task.size for given in lane.given)
        return (
            host.has_room
            and not lane.is_retiring
            and host.programs < self._options.tasks_per_host
            and size < _AT_HOST_BYTES
        )

    def _call_back(self, lane: _Lane, is_wanted: Callable[[Task], bool]) -> None:
        """Have it give back what it has ahead; what is wanted begins elsewhere then."""
        for given in list(lane.given)[1:]:
            given.is_wanted = given.is_wanted and is_wanted(given.task)
        lane.host.recall()
        self._watch(lane)

    def _lane_for_work(self) -> _Lane | None:
        """A host that can take a task now. One that can't, but stands in the way of another, is given up."""
        free = [lane for lane in self._lanes if lane.is_free]
        if not free:
            return None
        first = next(iter(self._queues))
        by_domain = {lane.domain: lane for lane in free}
        lane = by_domain.get(first) or by_domain.get(None)
        if lane is not None:
            lane.domain = first
            return lane
        others = [lane for lane in free if lane.domain in self._queues]
        is_starting = any(not lane.host.is_ready for lane in self._lanes)
        if not is_starting and (not others or self._passed >= _PASSED_MOST):
            if len(self._lanes) >= self._most_hosts:
                given_up = min(free, key=lambda lane: (lane in others, lane.began))
                self._drop(given_up)
                others = [lane for lane in others if lane is not given_up]
            self._start()
        return others[0] if others else None

    def _take(self, task: Task) -> None:
        """Out of its queue."""
        domain = self._domain(task)
        queue = self._queues[domain]
        queue.remove(task)
        if not queue:
            del self._queues[domain]
        self._queued -= 1
        self._queued_bytes -= task.size

    def _begin(self, lane: _Lane) -> None:
        assert lane.domain is not None  # noqa: S101  for the type checker: `_lane_for_work` has seen to it
        self._passed = 0 if lane.domain == next(iter(self._queues)) else self._passed + 1
        task = self._queues[lane.domain][0]
        self._take(task)
        if lane.domain in self._queues:  # the others come first the next time
            self._queues[lane.domain] = self._queues.pop(lane.domain)
        options = self._options
        callees = NoFunctions() if options.callees is None else options.callees(task.number)
        if callees is None:
            self._done.append(Done(task.number, None))
            return
        limit = task.limits.tree.time
        try:
            log = self._open_log(task)
        except CannotWriteError as error:
            self._done.append(Done(task.number, None, self._fault_alone(error)))
            return
        request = task.request if log is None else replace(task.request, audit="enforce")
        start = wire.Start.of(
            options.threads,
            options.slice_nanoseconds,
            task.limits,
            request.pack(),
            stays=True,
            traces=options.traced is not None,
        )
        given = _Given(task, Capture(task, options.output_kept, options.results, log))
        if not lane.given:
            lane.began = time.monotonic()
        lane.given.append(given)
        seconds = None if limit == UNLIMITED else limit / 1e9 + DEADLINE_GRACE_SECONDS
        lane.host.give(start, given.capture, seconds, CallRouter(callees, task.limits.tree.memory))
        self._to_flush.add(lane)

    def _open_log(self, task: Task) -> TaskLog | None:
        options = self._options
        if options.log_of is not None:
            return options.log_of(task)
        return open_log(options.audits, task) if options.audits is not None else None

    def _fault_alone(self, error: CannotWriteError) -> CannotWriteError:
        """Of one task. Raises it where it is that of all."""
        if self._options.log_of is None:
            raise error
        return error

    def _start(self) -> None:
        try:
            options = self._options
            host = WarmHost(options.start_host(), self._last_host + 1, options.onlooker, options.traced)
        except OSError as error:
            if self._done or any(lane.given for lane in self._lanes):
                return  # it is tried again after their ends, when what was missing may be there
            raise HostFailedError(f"no process that runs scripts can be started: {error}") from error
        self._last_host += 1
        lane = _Lane(host)
        self._lanes.append(lane)
        process, register = lane.host.process, self._selector.register
        register(process.events, selectors.EVENT_READ, (lane, lane.host.hear_events))
        register(process.control, selectors.EVENT_READ, (lane, lane.host.hear_control))
        register(process.pidfd, selectors.EVENT_READ, (lane, lane.host.lost))
        register(process.diagnostics, selectors.EVENT_READ, (lane, lambda: self._read_diagnostics(lane)))

    def _drop(self, lane: _Lane) -> None:
        self._lanes.remove(lane)
        self._writing.discard(lane)
        self._to_flush.discard(lane)
        process = lane.host.process
        calls = () if lane.reply_fd is None else (lane.reply_fd,)
        for one in (process.events, process.control, process.pidfd, process.diagnostics, *calls):
            if one in self._selector.get_map():
                self._selector.unregister(one)
        lane.host.close()
        if self._options.traced is not None:
            self._options.traced.died(process.pid)
        for given in lane.given:
            given.capture.close()

    # --- what hosts say ------------------------------------------------------------------------------------------

    def _turn(self, until: float | None) -> bool:
        """Wait once, and take in what has happened. True: the caller's time is over, or it was woken."""
        lookout = self._lookout
        due = [until, *(lane.host.due() for lane in self._lanes)]
        if lookout is not None:
            due.append(lookout.prepare())
        times = [at for at in due if at is not None]
        timeout = max(0.0, min(times) - time.monotonic()) if times else None
        woken = is_visited = False
        for key, events in self._selector.select(timeout):
            if key.data is None:
                woken = True
                continue
            if key.data is lookout:
                is_visited = True
                continue
            lane, hear = key.data
            if lane not in self._lanes:  # what was heard before it has ended it
                continue
            if events & selectors.EVENT_WRITE:
                lane.host.connection.flush()
            if events & selectors.EVENT_READ:
                self._hear(lane, hear)
            if lane.host.connection.is_over and not lane.host.is_gone:
                self._hear(lane, lane.host.lost)
            self._watch(lane)
            self._look_at(lane)
        for lane in tuple(self._lanes):
            lane.host.keep_time()
            self._look_at(lane)
        if lookout is not None and lookout.serve([one.host.connection for one in self._lanes], is_ready=is_visited):
            for lane in self._lanes:
                self._watch(lane)
        return woken or (until is not None and time.monotonic() >= until)

    def _hear(self, lane: _Lane, hear: Callable[[], None]) -> None:
        try:
            hear()
        except CannotWriteError as error:
            lane.fault = self._fault_alone(error)
            lane.host.end(CancelledError(str(error)))
        except UsageError as error:
            # It would hold for all. But what one host could be the next one can: this one has fallen to its script.
            if lane.given[0].task.request.wall not in self._had_walls:
                raise
            lane.host.end(HostProtocolError(f"the process that runs the scripts says what can't be: {error}"))

    def _look_at(self, lane: _Lane) -> None:
        """Take in the ends of its tasks, and of its host."""
        host = lane.host
        if host.endings:
            self._take_endings(lane)
        if host.is_ready:
            self._stillborn = self._killed = 0
        elif host.is_gone:
            is_killed = isinstance(host.death, HostDiedError) and host.death.exit_status == -signal.SIGKILL
            self._killed += is_killed
            self._stillborn += not is_killed
            if self._stillborn >= _STILLBORN_MOST or self._killed >= _KILLED_MOST:
                raise _no_host(host.death)
        if host.is_gone:
            self._drop(lane)

    def _end(self, lane: _Lane, why: str) -> None:
        lane.host.end(CancelledError(why))
        self._look_at(lane)

    def _take_endings(self, lane: _Lane) -> None:
        host, back = lane.host, list[Task]()
        while host.endings:
            listener, ending = host.endings.popleft()
            if ending.was_begun:
                self._take_end(lane, ending)
                continue
            given = next(given for given in lane.given if given.capture is listener)
            lane.given.remove(given)
            given.capture.close()
            if given.is_wanted:
                back.append(given.task)
            else:
                self._done.append(Done(given.task.number, None))
        self._watch(lane)  # whoever has ended calls nothing any more: what was waited for may be closed now
        for task in reversed(back):
            self._queues.setdefault(self._domain(task), deque()).appendleft(task)
            self._queued += 1
            self._queued_bytes += task.size
        lane.began = time.monotonic()
        if lane.is_retiring:
            host.recall()
        host.is_gone |= not lane.given and (lane.is_retiring or host.programs >= self._options.tasks_per_host)

    def _take_end(self, lane: _Lane, ending: Ending) -> None:
        """Of the task whose turn it was."""
        given, outcome = lane.given[0], None
        if ending.used is not None:
            self._had_walls.add(given.task.request.wall)
        try:
            outcome = given.capture.outcome(ending)
        except CannotWriteError as error:
            lane.fault = lane.fault or self._fault_alone(error)
        for text in given.capture.notices:
            if text not in self._notices:
                self._notices.add(text)
                self._notice(text)
        if self._options.traced is not None and outcome is not None:
            began_at = round(lane.began * 1e9)
            self._options.traced.ended(lane.host.number, lane.host.process.pid, given.task, began_at, outcome)
        given.capture.close()
        lane.given.popleft()
        self._done.append(Done(given.task.number, outcome if lane.fault is None else None, lane.fault))
        lane.fault = None
        lane.ended += 1
        lane.is_retiring |= self._has_grown(lane)

    def _has_grown(self, lane: _Lane) -> bool:
        if lane.ended != 1 and lane.ended % _MEASURED_EVERY:
            return False
        try:
            with open(f"/proc/{lane.host.process.pid}/statm", "rb") as file:
                resident = int(file.read().split()[1]) * _PAGE
        except (OSError, IndexError):
            return False  # it is dead, which is heard next
        lane.at_first = lane.at_first or resident
        return resident > lane.at_first + _GROWTH

    def _read_diagnostics(self, lane: _Lane) -> None:
        if not lane.host.connection.read_diagnostics():
            self._selector.unregister(lane.host.process.diagnostics)

    def _watch(self, lane: _Lane) -> None:
        """Wait for room in its control socket, and for replies to its calls, only while there is something to be done
        about them."""
        unsent = lane.host.connection.unsent
        if unsent != (lane in self._writing):
            self._writing ^= {lane}
            writing = selectors.EVENT_WRITE if unsent else 0
            control = lane.host.process.control
            self._selector.modify(control, selectors.EVENT_READ | writing, (lane, lane.host.hear_control))
        reply_fd = lane.host.reply_fd
        if reply_fd != lane.reply_fd:
            if lane.reply_fd is not None:
                self._selector.unregister(lane.reply_fd)
            if reply_fd is not None:
                self._selector.register(reply_fd, selectors.EVENT_READ, (lane, lane.host.send_replies))
            lane.reply_fd = reply_fd


def _no_host(death: HostError | None) -> HostFailedError:
    death = death or HostProtocolError("it said nothing")
    last = death.diagnostics.decode("utf-8", "replace").strip().splitlines()[-1:]
    details = "".join(f" ({line})" for line in last)
    return HostFailedError(f"no process that runs scripts can be started: {death}{details}")
