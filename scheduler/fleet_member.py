"""What a fleet notes about one of its hosts."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Final

from . import wire
from .board import BoardReader
from .connection import HostConnection, HostProtocolError
from .protocol import Failure, StateId
from .supervisor import hello_deadline, not_ready

__all__ = ["Member"]

_MOST_OWING: Final = 1 << 20
"""Frames that may come of a host after it was told that the program is over. All that its executors had still to say
is far less; guessed."""


class Member:
    """A host that was executed."""

    __slots__ = (
        "answered",
        "board",
        "connection",
        "exit_status",
        "heard_at",
        "hello_until",
        "how",
        "number",
        "owed",
        "owes_from",
        "owing",
        "pinged_at",
        "process",
        "read_at",
        "stuck",
        "written",
    )

    def __init__(self, connection: HostConnection) -> None:
        self.connection = connection
        self.process = ExitStack()
        """Gives the process back, if it is ours."""
        self.number = 0
        """0 until it has said `Hello`."""
        self.board: BoardReader | None = None
        self.hello_until = hello_deadline()
        self.answered = True
        """The last ping."""
        self.pinged_at = 0.0
        self.heard_at = self.read_at = time.monotonic()
        """When an event of it came in last, and when it last had read what it was told, or nearly so."""
        self.owes_from: float | None = None
        """How long the loop had been idle (see `Fleet`) when it was told to end its part, or to say who waits there."""
        self.owed: type[wire.Message] | None = None
        """What it is to answer."""
        self.owing = 0
        """Frames that have come since."""
        self.written = 0
        """Bytes of output."""
        self.stuck: tuple[StateId, Failure] | None = None
        """The state for which it is killed."""
        self.how: str | None = None
        """Why it is killed."""
        self.exit_status: int | None = None
        """Once it is dead; it is still here until its last words are passed on."""

    def heard(self, message: wire.Message, output_limit: int) -> None:
        """Count what it says. HostProtocolError when it is more than an honest host says."""
        if isinstance(message, wire.Output):
            self.written += len(message.data)
            if self.written > output_limit:
                raise HostProtocolError("it wrote more than it may")
        if self.owes_from is not None:
            self.owing += 1
            if self.owing > _MOST_OWING:
                raise HostProtocolError("it went on after the end of the program")

    def is_asked(self, owed: type[wire.Message], idle: float) -> None:
        """It was told to end its part, or to say who waits there, and owes that as an answer."""
        self.owed, self.owes_from, self.owing = owed, idle, 0

    def has_paid(self, message: wire.Message) -> None:
        """It has said this. The other answer, at the wrong time, is none."""
        if type(message) is self.owed:
            self.owes_from = self.owed = None

    def owes_too_long(self, idle: float, hang_seconds: float) -> str:
        """As `what_is_late`, by the time for which the loop had nothing to do; so a host that says just enough never to
        be silent is found out too, and one that waits for us is not blamed."""
        if self.owes_from is not None and idle >= self.owes_from + hang_seconds:
            return f"it did not end its part of the program for {hang_seconds:g} s"
        return ""

    def what_is_late(self, now: float, hang_seconds: float, *, is_speaking: bool) -> str:
        """What it should have done by now, in words; "" if nothing. `is_speaking`: in the middle of a word."""
        if not self.number:
            return not_ready() if now >= self.hello_until else ""
        if not self.answered and now >= self.pinged_at + hang_seconds:
            return f"it did not answer for {hang_seconds:g} s"
        if is_speaking and now >= self.heard_at + hang_seconds:
            return f"it stopped in the middle of a word for {hang_seconds:g} s"
        if self.connection.is_swamped and now >= self.read_at + hang_seconds:
            return f"it read nothing for {hang_seconds:g} s"
        return ""

    def give_back(self) -> None:
        """All that is held of it; a process that is ours ends."""
        self.process.close()
        self.connection.drop_unsent()
        if self.board is not None:
            self.board.close()
            self.board = None
