"""What the end of a program comes to: one word, and the exit status of the command."""

from __future__ import annotations

from . import errors
from .scheduler import wire
from .scheduler.limits import MEASURES

_STATUS_OF_FAILURE = {
    **dict.fromkeys((*MEASURES, "cancelled"), errors.LIMIT),
    "cpu": errors.TIME_LIMIT,
    "time": errors.TIME_LIMIT,
    "memory": errors.MEMORY_LIMIT,
    "usage": errors.USAGE,
    "denied": errors.DENIED,
    "load": errors.CANNOT_LOAD,
    "internal": errors.INTERNAL,
    "crashed": errors.INTERNAL,
}


class Verdict:
    """Is told what is heard of a program, and then how it ended.

    What the root did decides; only where it ended well does a worker's failure count.
    """

    def __init__(self) -> None:
        self._root_failure: str | None = None
        self._worker_failed = False
        self._is_deadlocked = False

    def failed(self, failure: wire.Failed) -> None:
        if failure.is_root:
            self._root_failure = failure.kind
        else:
            self._worker_failed = True

    def stuck(self, stuck: wire.Stuck) -> None:
        self._root_failure = self._root_failure or stuck.kind

    def deadlocked(self) -> None:
        self._is_deadlocked = True

    def kind(self, ended: wire.TreeEnded) -> str:
        """`returned`, `exited`, `deadlock`, `unreceived` (a worker's error), or the kind of the root's failure."""
        if self._root_failure is not None:
            return self._root_failure
        if self._is_deadlocked:
            return "deadlock"
        if ended.exited:
            return "exited"
        return "unreceived" if self._worker_failed else "returned"

    def exit_status(self, ended: wire.TreeEnded) -> int:
        """What the command exits with."""
        if self._root_failure is not None:
            return _STATUS_OF_FAILURE.get(self._root_failure, errors.SCRIPT_ERROR)
        if self._is_deadlocked:
            return errors.DEADLOCK
        if ended.exited:
            return ended.status & 0xFF  # as the operating system cuts it
        return errors.SCRIPT_ERROR if self._worker_failed else errors.OK
