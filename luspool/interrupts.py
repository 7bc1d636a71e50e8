"""Ctrl-C, SIGTERM and SIGHUP as one exception that can only arise where the program would otherwise wait.

An exception out of a signal handler may arise between any two instructions, also in the middle of a clean-up. Here a
handler raises only inside `blocking`, which is entered around calls that may block and nothing else; anywhere else it
takes a note, and the next `blocking` raises. A call that may block is thus interrupted also when the signal comes just
before it, and everything between two of them is left in peace. Signals after the first change nothing: the end is
under way, and it does not wait for anything that needs a second Ctrl-C.
"""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any

from .errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Blocking:
    __slots__ = ("_interrupts",)

    def __init__(self, interrupts: Interrupts) -> None:
        self._interrupts = interrupts

    def __enter__(self) -> None:
        self._interrupts.armed = True
        self._interrupts.check()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._interrupts.armed = False


class Interrupts:
    """Handles the three signals while it is entered as a context manager, in the main thread.

    A signal that was ignored when we came (`nohup`, a background job of a shell without job control) stays ignored.
    """

    def __init__(self) -> None:
        self.armed = False
        self.blocking = _Blocking(self)
        """Enter this around a call that may block."""
        self._caught: int | None = None
        self._previous: dict[int, Any] = {}

    def check(self) -> None:
        """Raise `Interrupted` if a signal has come."""
        if self._caught is not None:
            raise Interrupted(self._caught)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._caught is None:
            self._caught = number
            if self.armed:
                raise Interrupted(number)

    def __enter__(self) -> Interrupts:
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            # After a signal the process ends. A second one meanwhile must not end it otherwise: the interpreter gives
            # up every handler when it closes down, but leaves ignored signals ignored.
            signal.signal(number, handler if self._caught is None else signal.SIG_IGN)
