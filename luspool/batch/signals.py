"""Signals of a batch, as something that its loop waits for: the first asks for an orderly end, the next for one now."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Any

_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Handles these signals while it is entered, in the main thread. One that was ignored before stays ignored.

    The first Ctrl-C asks what has not begun to stay undone; a second one, SIGTERM and SIGHUP ask for the end at once.
    """

    def __init__(self) -> None:
        self.first: int | None = None
        """The signal that came first."""
        self.wants_end_now = False
        self.fd = -1
        """Readable when a signal has come, until `taken`."""
        self._writing = self._previous_wakeup = -1
        self._previous: dict[int, Any] = {}

    def taken(self) -> None:
        """What has come has been seen."""
        try:
            os.read(self.fd, 4096)
        except BlockingIOError:
            return

    def __enter__(self) -> Signals:
        self.fd, self._writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # C's handler writes to it. Python's would come too late for a signal that falls just before a wait.
        self._previous_wakeup = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        # Whoever started us may have asked not to hear of its children; we need to hear of ours.
        self._previous[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number in _END:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_wakeup)
        os.close(self.fd)
        os.close(self._writing)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.wants_end_now |= self.first is not None or number != signal.SIGINT
        self.first = self.first or number
