"""What a fleet notes about one of its hosts."""

from __future__ import annotations

import time
from contextlib import ExitStack

from .board import BoardReader
from .connection import HostConnection
from .protocol import Failure, StateId
from .supervisor import hello_deadline, not_ready

__all__ = ["Member"]


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
        "pinged_at",
        "process",
        "read_at",
        "stuck",
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
        self.stuck: tuple[StateId, Failure] | None = None
        """The state for which it is killed."""
        self.how: str | None = None
        """Why it is killed."""
        self.exit_status: int | None = None
        """Once it is dead; it is still here until its last words are passed on."""

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
