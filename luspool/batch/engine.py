"""What runs the tasks of a batch, as the batch sees it: small, so that something else can take its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from ..errors import LuspoolError
from ..request import Request
from ..scheduler.connection import HostError
from ..scheduler.limits import Limits
from ..scheduler.surroundings import Traced
from .outcome import Outcome


class Task(Struct, frozen=True):
    """A program to be run once, as plain data that may cross to another machine. Its `number` is the caller's own."""

    number: int
    request: Request
    limits: Limits
    stdin: bytes = b""

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return len(self.request.source) + len(self.stdin) + 1024


class Done(Struct, frozen=True):
    """What became of a task. `outcome` is None where it was not begun, because of `withdraw`, and with a fault."""

    number: int
    outcome: Outcome | None
    fault: LuspoolError | None = None
    """Why it was not run to its end, where that is no doing of its own, and concerns no other task."""


class TracedTasks(Traced, Protocol):
    """Takes also what tasks there were. May raise CannotWriteError."""

    def ended(self, host: int, process: int, task: Task, began_at: int, outcome: Outcome) -> None:
        """A task that began then, by the monotonic clock in nanoseconds, has just ended in the host of this number."""


class CancelledError(HostError):
    """Somebody has ended what runs."""


class Engine(Protocol):
    """Runs tasks, several at a time; tasks with different rights never share a process. For one thread."""

    @property
    def has_room(self) -> bool:
        """Whether `submit` may be called: there is work enough ahead otherwise."""

    def submit(self, task: Task) -> None:
        """Run a task, as soon as there is room for it."""

    def wait(self, seconds: float | None) -> Sequence[Done]:
        """Wait until something has ended, for so long at most, or until something outside has happened; then what has
        ended. Each task is given back exactly once. LuspoolError where no task can be run at all."""

    def running(self) -> Sequence[tuple[int, float]]:
        """The tasks that run now, and for how many seconds they have."""

    def processes(self) -> Mapping[int, int]:
        """Of the tasks that run now on this machine, by number: their hosts' processes."""

    def withdraw(self) -> None:
        """Begin nothing more of what was submitted: it comes back from `wait` as not begun."""

    def cancel(self) -> None:
        """`withdraw`, and end what runs. It comes back from `wait` all the same, once."""

    def close(self) -> None:
        """End what is left, and give everything back."""
