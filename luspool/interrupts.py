"""Ctrl-C, SIGTERM, SIGHUP and a deadline as exceptions that can only arise where the program would otherwise wait.

An exception out of a signal handler may arise between any two instructions, also in the middle of a clean-up. Here a
handler raises only inside `blocking`, which is entered around calls that may block and nothing else; anywhere else it
takes a note, and the next `blocking` raises. A call that may block is thus interrupted also when the signal comes just
before it, and everything between two of them is left in peace. Signals after the first change nothing: the end is
under way, and it does not wait for anything that needs a second Ctrl-C.

A signal that falls between Python's last look at its signals and a call that blocks would be lost on that call, since
Python's handler runs when it is over. So a thread hears of each signal from C's handler (`signal.set_wakeup_fd`), and
sends it to the main thread again and again, until Python's handler has run.

A deadline is SIGALRM by a timer. It ends a run whose host does not obey, or whose output nobody takes: the supervisor
then waits in a write, where nothing but a signal reaches it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

from .errors import Interrupted, OverdueError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_TICK_SECONDS = 0.1
"""Between two sendings of a signal that may have been lost, a deadline's too."""


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
    """Handles these signals while it is entered as a context manager, in the main thread.

    A signal that was ignored when we came (`nohup`, a background job of a shell without job control) stays ignored.
    """

    def __init__(self) -> None:
        self.armed = False
        self.blocking = _Blocking(self)
        """Enter this around a call that may block."""
        self._caught: int | None = None
        self._deadline_problem: str | None = None
        self._is_overdue = False
        self._previous: dict[int, Any] = {}
        self._wakeup = self._previous_wakeup = -1
        self._insisting: threading.Thread | None = None

    def check(self) -> None:
        """Raise `Interrupted` if a signal has come, `OverdueError` if the deadline has passed."""
        if self._caught is not None:
            raise Interrupted(self._caught)
        if self._is_overdue and self._deadline_problem is not None:
            raise OverdueError(self._deadline_problem)

    def set_deadline(self, seconds: float, problem: str) -> None:
        """From so many seconds on, more than 0, `blocking` raises `OverdueError(problem)`. Once."""
        self._deadline_problem = problem
        self._previous[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._handle_deadline)
        signal.setitimer(signal.ITIMER_REAL, seconds, _TICK_SECONDS)

    def clear_deadline(self) -> None:
        """There is no deadline any more; if it has passed, that is forgotten."""
        if self._deadline_problem is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._deadline_problem = None  # this one: a last tick may still set the other

    def _handle_deadline(self, _number: int, _frame: FrameType | None) -> None:
        self._is_overdue = True
        if self.armed:
            self.check()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._caught is None:
            self._caught = number
            if self.armed:
                raise Interrupted(number)

    def __enter__(self) -> Interrupts:
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._handle)
        hears, self._wakeup = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._wakeup, False)
        self._previous_wakeup = signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        self._insisting = threading.Thread(target=self._insist, args=(hears, threading.get_ident()), daemon=True)
        self._insisting.start()
        return self

    def _insist(self, hears: int, main: int) -> None:
        """The body of the thread, until the other end of the pipe is closed."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        with open(hears, "rb", buffering=0) as numbers:
            while heard := numbers.read(1):
                while heard[0] in _SIGNALS and self._caught is None and self._wakeup >= 0:
                    time.sleep(_TICK_SECONDS)
                    if self._caught is None and self._wakeup >= 0:
                        signal.pthread_kill(main, heard[0])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear_deadline()
        signal.set_wakeup_fd(self._previous_wakeup)
        wakeup, self._wakeup = self._wakeup, -1
        os.close(wakeup)
        if self._insisting is not None:
            self._insisting.join()
        for number, handler in self._previous.items():
            # After a signal the process ends. A second one meanwhile must not end it otherwise: the interpreter gives
            # up every handler when it closes down, but leaves ignored signals ignored.
            signal.signal(number, handler if self._caught is None else signal.SIG_IGN)
