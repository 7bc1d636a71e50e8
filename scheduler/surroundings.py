"""What a supervisor's loop has to do with, besides the hosts and the listener of its program."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import Protocol

from msgspec import Struct

from . import wire
from .callees import CallRouter
from .connection import HostConnection


class Traced(Protocol):
    """Takes what hosts tell of their scheduling. May raise as a `Listener`."""

    def take(self, host: int, process: int, trace: wire.Trace) -> None:
        """Of the host of this number, a process. WireError for what no honest host says."""

    def died(self, process: int) -> None:
        """A host is dead. Some of its last words may still come."""


class Onlooker(Protocol):
    """Asks hosts for what they show. Never blocks, and never raises but as it is said here."""

    def awaits(self) -> tuple[int, int] | None:
        """A descriptor that is waited for, and the events, as of `selectors`; None while there is none."""

    def due(self) -> float | None:
        """When `serve` is to be called whatever happens, by the monotonic clock in seconds; None while nobody is there
        to be served."""

    def serve(self, hosts: Collection[HostConnection], *, is_ready: bool) -> None:
        """Do what can be done now. `hosts` are those of the program; what is awaited may have happened."""

    def saw(self, host: HostConnection, seen: wire.Seen) -> None:
        """A host shows something. WireError where it was not asked, or for what no honest host shows."""


class Surroundings(Struct, frozen=True):
    """What a supervisor's loop waits for and works with, besides its hosts."""

    interruptible: AbstractContextManager[object]
    """Entered around every call that may block (and around nothing else), so that a signal handler can raise there and
    only there; a listener does the same in its own calls."""
    input_fd: int
    """Polled, and the listener asked to read from it, only while a state wants input."""
    calls: CallRouter | None = None
    """Has what states call carried out; None: there is nothing to call."""
    stop_fd: int | None = None
    """When this is readable the run ends, with a `StoppedError`."""
    traced: Traced | None = None
    """None: hosts were not asked for a trace, and may send none."""
    onlooker: Onlooker | None = None
    """Somebody who may look at the program while it runs."""
