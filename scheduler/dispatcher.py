"""The machine under its lock: where executors find work, sleep when there is none, and are woken."""

from __future__ import annotations

import threading
from typing import Final

from .announcer import Announcement, Announcer
from .events import Wait
from .instructions import AskForInput, Blocked, Instruction, ReportDeadlock, ReportFailure, ReportTreeEnd
from .machine import Machine
from .protocol import Ended, Failure, NotAChildError, Slice, StepResult
from .standard_input import InputBuffer
from .tree import State


class Dispatcher:
    """A monitor: `lock` guards every field, and is held for a few microseconds at a time.

    How many executors are woken: `waking` counts those that were notified and have not got the lock back yet. It holds
    at every release of the lock that no executor sleeps, or as many are waking as there are pieces of work. So work
    never waits beside a sleeping executor, and no executor is woken for work that another is on its way to.
    """

    __slots__ = ("_announcer", "_is_work", "idle", "input", "lock", "machine", "slice", "stopping", "waking")

    def __init__(self, machine: Machine, announcer: Announcer, slice_nanoseconds: int) -> None:
        self.lock = threading.Lock()
        self._is_work = threading.Condition(self.lock)
        self.machine = machine
        self.input = InputBuffer()
        self.idle = 0
        """Executors asleep in `wait_for_work` that nobody has notified."""
        self.waking = 0
        self.slice: Final = Slice(slice_nanoseconds, bytearray(1))
        """What every step gets. Its `wanted` is not 0 whenever, at a release of the lock, there is work."""
        self.stopping = False
        """No new step begins. Set once, by `stop`."""
        self._announcer = announcer

    def finish(self, state: State, result: StepResult) -> None:
        """The step of `state` has returned `result`. Lock held."""
        try:
            self.machine.stepped(state, result)
        except NotAChildError as error:
            self.machine.stepped(state, Ended(Failure("internal", b"", str(error), "", "")))

    def publish(self) -> bool:
        """Hand what the machine wants announced to the announcer; True if there was anything. Lock held.

        A deadlock's locations are asked here, with the lock held and so before any executor can close its states.
        """
        instructions = self.machine.instructions
        if not instructions:
            return False
        for instruction in instructions:
            self._announcer.append(_announcement(instruction))
        instructions.clear()
        return True

    def wait_for_work(self) -> bool:
        """Sleep until there is a state to run or to close; False when the host stops and nothing is left. Lock held."""
        machine = self.machine
        while not (machine.run_queue or machine.closable):
            if self.stopping:
                return False
            self.idle += 1
            self._is_work.wait()
            self.waking -= 1
        return True

    def take_work(self) -> tuple[State | None, State | None]:
        """A state to close and a state to run, either or both None. Lock held."""
        machine = self.machine
        corpse = machine.closable.popleft() if machine.closable else None
        state = machine.take_ready() if machine.run_queue else None
        self.slice.wanted[0] = 0
        self.wake()
        return corpse, state

    def wake(self) -> None:
        """Let executors know of work: as many that sleep as there is work for, and all that step. Lock held."""
        machine = self.machine
        work = len(machine.run_queue) + len(machine.closable)
        if work:
            self.slice.wanted[0] = 1
        while self.idle and work > self.waking:
            self.idle -= 1
            self.waking += 1
            self._is_work.notify()

    def stop(self) -> None:
        """Cancel everything and let every executor go home once all is closed. Lock held; repeatable."""
        self.stopping = True
        self.machine.cancel_all()
        self.waking += self.idle
        self.idle = 0
        self._is_work.notify_all()


def _announcement(instruction: Instruction) -> Announcement:
    match instruction:
        case ReportFailure(failure, state, root):
            return lambda events: events.failed(failure, state, root)
        case ReportDeadlock(root, blocked):
            waits = tuple(_located(wait) for wait in blocked)
            return lambda events: events.deadlocked(root, waits)
        case ReportTreeEnd(root, result):
            return lambda events: events.tree_ended(root, result)
        case AskForInput():
            return lambda events: events.want_input()


def _located(blocked: Blocked) -> Wait:
    try:
        location = "" if blocked.runnable is None else blocked.runnable.location()
    except Exception as error:
        location = f"(internal error: {error!r})"  # a report with a gap is better than none
    return Wait(blocked.state, location, blocked.condition, blocked.awaited)
