"""The machine under its lock: where executors find work, sleep when there is none, and are woken."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from .announcer import Announcement, Announcer
from .deadlines import Deadlines
from .events import Wait
from .handoff import Handoff
from .instructions import (
    AskForEndBelow,
    AskForInput,
    Blocked,
    Instruction,
    ReportDeadlock,
    ReportExcess,
    ReportFailure,
    ReportRootEnd,
    ReportTreeEnd,
    StartCall,
)
from .limits import Limits
from .machine import Machine
from .meter import CpuMeter
from .port import StatePort
from .protocol import Ended, Failure, NotAChildError, Port, Runnable, Slice, StateId, StepResult
from .standard_input import InputBuffer
from .trace import Trace
from .traced_port import TracedPort
from .tree import State
from .units import UNLIMITED

if TYPE_CHECKING:
    from .board import BoardWriter
    from .executor import Executor


class Dispatcher:
    """A monitor: `lock` guards every field, and is held for a few microseconds at a time.

    How many executors are woken: `waking` counts those that were notified and have not got the lock back yet. It holds
    at every release of the lock that no executor sleeps, or as many are waking as there are pieces of work; but for a
    piece that is kept for an executor whose step has woken or created it, and which looks for work when that step ends
    (`handoff`). So no work waits beside a sleeping executor for more than a moment, and none is woken for work that
    another will take.
    """

    __slots__ = (
        "_announcer",
        "_is_work",
        "board",
        "deadlines",
        "executors",
        "handoff",
        "idle",
        "input",
        "lock",
        "machine",
        "renews",
        "slice",
        "stopping",
        "timekeeper_dozes",
        "timekeeper_is_wanted",
        "timekeeper_looks_at",
        "trace",
        "waking",
    )

    def __init__(
        self, announcer: Announcer, slice_nanoseconds: int, machine: Machine | None = None, *, renews: bool = False
    ) -> None:
        """`machine` is `Machine(locate)` unless given. `renews`: once a tree is over and nothing of it is left, all
        that it may have left its mark on is made anew, and `HostEvents.vacated` announced.
        """
        self.lock = threading.Lock()
        self._is_work = threading.Condition(self.lock)
        self.machine = machine or Machine(locate)
        self.renews = renews
        self.board: BoardWriter | None = None
        """Where executors note what they step, for a host that is one of several. Never changes."""
        self.trace: Trace | None = None
        """Takes note of what happens, if anything does. Does not change once there are threads."""
        self.deadlines = Deadlines()
        """When the time of a state, or of a tree (by its root's negative id), is over."""
        self.executors: list[Executor] = []
        """All whose threads run or are about to."""
        self.timekeeper_is_wanted = threading.Condition(self.lock)
        self.timekeeper_dozes = False
        """Nobody was at work: it looks at no clock, and wants to be told when somebody is."""
        self.timekeeper_looks_at = 0
        """When it looks again, by the monotonic clock in nanoseconds, unless it is woken. 0: it does not sleep."""
        self.input = InputBuffer()
        self.handoff = Handoff()
        self.idle = 0
        """Executors asleep in `wait_for_work` that nobody has notified."""
        self.waking = 0
        self.slice: Final = Slice(slice_nanoseconds, bytearray(2))
        """What every step gets. Its `wanted[0]` is not 0 whenever, at a release of the lock, there is work; `wanted[1]`
        whenever no executor sleeps, or what a step wakes is left to its own."""
        self.show_sleepers()
        self.stopping = False
        """No new step begins. Set once, by `stop`."""
        self._announcer = announcer

    def create_root(self, spec: object, limits: Limits) -> StateId:
        """A new tree; its time begins now. Lock held."""
        root = self.machine.create_root(spec, limits)
        self._set_deadline(StateId(-root), limits.tree.time)
        self.wake()
        return root

    def finish(self, state: State, result: StepResult, cpu: int, heap: int) -> None:
        """The step of `state` has returned; see `Machine.stepped`. Lock held."""
        state.stop_asked_at, state.stop_cpu = 0, -1
        try:
            self.machine.stepped(state, result, cpu, heap)
        except NotAChildError as error:
            self.machine.stepped(state, Ended(Failure("internal", b"", str(error), "", "")), heap=heap)
        if self.machine.stoppable:
            self._stop_steps()

    def port(self, state: State) -> Port:
        """The port of a state that is about to be made."""
        if self.trace is not None:
            return TracedPort(self, self._announcer, state, self.trace)
        return StatePort(self, self._announcer, state)

    def before_first_step(self, state: State) -> StepResult | None:
        """What the first step of a state gives instead of running it; None: run it. Without the lock."""
        del state
        return None

    def script_of(self, state: State) -> str | None:
        """The script of an unstarted state, where that is to be known while it runs."""
        del state
        return None

    def flush(self) -> None:
        """After the lock is released, when the machine may have written letters."""

    def publish(self) -> bool:
        """Hand what the machine wants announced to the announcer; True if there was anything. Lock held.

        A deadlock's locations are asked here, with the lock held and so before any executor can close its states.
        """
        instructions = self.machine.instructions
        if not instructions:
            return False
        for instruction in instructions:
            self._announcer.append(_announcement(instruction))
            if isinstance(instruction, ReportTreeEnd):
                self.deadlines.discard(StateId(-instruction.root))
        instructions.clear()
        return True

    def wait_for_work(self) -> bool:
        """Sleep until there is a state to run or to close; False when the host stops and nothing is left. Lock held.

        True, too, when it was seen that a tree has left nothing behind, which is to be announced.
        """
        while not (self.machine.run_queue or self.machine.woken or self.machine.closable):
            if self.stopping:
                return False
            if self.renews and self._is_vacated():
                self._renew()
                return True
            self.idle += 1
            self.show_sleepers()
            self._is_work.wait()
            self.waking -= 1
            is_for_nothing = not (self.machine.run_queue or self.machine.woken or self.machine.closable)
            if self.handoff.came(for_nothing=is_for_nothing and not self.stopping):
                self.show_sleepers()
                self._wake_timekeeper()  # which is to look more often now
        return True

    @property
    def is_vacant(self) -> bool:
        """Whether there is no tree yet, or none any more: what arrives now was for one that is over. Lock held."""
        return self.renews and not self.machine.last_id

    def _is_vacated(self) -> bool:
        """Whether there was a tree, and the caller is the last executor to find that nothing is left of it."""
        machine = self.machine
        return bool(machine.last_id) and not machine.states and self.idle == len(self.executors) - 1

    def _renew(self) -> None:
        """Begin as a new host does: what stays is the threads, and what the factory keeps.

        And the last call's number, so that a late reply answers nobody.
        """
        last_call = self.machine.calls.last_id
        self.machine = Machine(locate)
        self.machine.calls.last_id = last_call
        if self.trace is not None:
            self.trace.observe(self.machine)
            self._announcer.append(self.trace.send)  # all of a tree's is told before its end
        self.input = InputBuffer()
        self.deadlines = Deadlines()
        for executor in self.executors:
            executor.meter = CpuMeter()
        self._announcer.append(lambda events: events.vacated())

    def take_work(self) -> tuple[State | None, State | None]:
        """A state to close and a state to run, either or both None. Lock held."""
        machine = self.machine
        corpse = machine.closable.popleft() if machine.closable else None
        if corpse is not None:
            self.deadlines.discard(corpse.id)
        state = machine.take_ready()
        if state is not None:
            self.handoff.taken()
            if state.runnable is None:
                self._set_deadline(state.id, state.limits.time)
            if self.timekeeper_dozes:
                self._wake_timekeeper()
            if self.trace is not None:
                self.trace.stepping()
        self.slice.wanted[0] = 0
        if machine.woken or machine.run_queue or machine.closable or machine.stoppable:
            self.wake()
        return corpse, state

    def wake(self, *, in_step: bool = False) -> None:
        """Let executors know of work: as many that sleep as there is work for, and all that step. Lock held.

        Every use of the machine that may give anybody anything to do ends with this. `in_step`: by the thread of an
        executor, inside a step, for a state that was woken or created.
        """
        machine = self.machine
        if machine.stoppable:
            self._stop_steps()
        work = len(machine.run_queue) + len(machine.woken) + len(machine.closable)
        if work:
            self.slice.wanted[0] = 1
        if not self.idle:
            return
        if work and in_step and self.handoff.is_on:
            work -= 1
        while self.idle and work > self.waking:
            self.idle -= 1
            self.waking += 1
            self._is_work.notify()
        self.show_sleepers()

    def show_sleepers(self) -> None:
        """Let steps know whether anybody else would run at once what they wake. Lock held."""
        self.slice.wanted[1] = not self.idle or self.handoff.is_on

    def look(self) -> None:
        """As `wake`, every now and then: what was kept for an executor and not taken is given to another. Lock held."""
        machine = self.machine
        if self.handoff.is_on:
            self.handoff.look(is_work=bool(self.idle and (machine.run_queue or machine.woken)))
            self.show_sleepers()
        self.wake(in_step=self.handoff.is_on)

    def stop(self) -> None:
        """Cancel everything and let every executor go home once all is closed. Lock held; repeatable."""
        self.stopping = True
        self.machine.cancel_all()
        self._stop_steps()
        self.waking += self.idle
        self.idle = 0
        self._is_work.notify_all()
        self._wake_timekeeper()

    def _wake_timekeeper(self) -> None:
        self.timekeeper_dozes = False
        self.timekeeper_looks_at = 0
        self.timekeeper_is_wanted.notify()

    def _stop_steps(self) -> None:
        for state in self.machine.stoppable:
            state.stop_asked_at = time.monotonic_ns()
            if state.runnable is not None:  # one that is just being made is stopped by its executor
                state.runnable.stop()
        self.machine.stoppable.clear()

    def _set_deadline(self, name: StateId, nanoseconds: int) -> None:
        if nanoseconds != UNLIMITED:
            at = time.monotonic_ns() + nanoseconds
            self.deadlines.set(name, at)
            if at < self.timekeeper_looks_at:
                self._wake_timekeeper()


def _announcement(instruction: Instruction) -> Announcement:
    match instruction:
        case ReportFailure(failure, state, root):
            return lambda events: events.failed(failure, state, root)
        case ReportDeadlock(root, blocked):
            waits = tuple(_located(wait) for wait in blocked)
            return lambda events: events.deadlocked(root, waits)
        case ReportTreeEnd(root, result):
            return lambda events: events.tree_ended(root, result)
        case ReportRootEnd(root, outcome):
            return lambda events: events.root_ended(root, outcome)
        case ReportExcess(root, excess):
            return lambda events: events.exceeded(root, excess)
        case AskForEndBelow(state):
            return lambda events: events.end_below(state)
        case AskForInput():
            return lambda events: events.want_input()
        case StartCall(call, name, payload):
            return lambda events: events.called(call, name, payload)


def _located(blocked: Blocked) -> Wait:
    return Wait(blocked.state, _location(blocked.runnable), blocked.condition, blocked.awaited)


def locate(state: State) -> str:
    """Where a state is, that is in no step."""
    return _location(state.runnable)


def _location(runnable: Runnable | None) -> str:
    try:
        return "" if runnable is None else runnable.location()
    except Exception as error:
        return f"(internal error: {error!r})"  # a report with a gap is better than none
