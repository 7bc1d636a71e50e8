"""A bound on what it takes to read one script without running it, and Ctrl-C meanwhile.

A hostile text may keep a compiler busy for a minute. They ask a `Stop` on their way, which a signal requests here: an
exception out of a handler would be lost in Lua's compiler, as if it were an error of the text.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from .errors import CannotLoadError, Interrupted
from .sandbox import Stop, TranslationStoppedError

PROCESSOR_SECONDS = 10.0
"""For one script. Guessed: a megabyte of an ordinary one takes three; nobody waits longer for a hostile one."""


@contextmanager
def bounded_reading(name: str) -> Iterator[Stop]:
    """What reads the script `name` gets this stop. CannotLoadError: it took too long; Interrupted.

    In the main thread only, and not within itself: it has the process's one timer of processor time.
    """
    stop = Stop()
    is_interrupted = False

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal is_interrupted
        is_interrupted = stop.requested = True

    def run_out(_number: int, _frame: FrameType | None) -> None:
        stop.requested = True

    previous = {signal.SIGPROF: signal.signal(signal.SIGPROF, run_out)}
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        previous[signal.SIGINT] = signal.signal(signal.SIGINT, interrupt)
    signal.setitimer(signal.ITIMER_PROF, PROCESSOR_SECONDS)
    is_stopped = False
    try:
        yield stop
    except TranslationStoppedError:
        is_stopped = True
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        for number, handler in previous.items():
            signal.signal(number, handler)
        if is_interrupted:
            raise Interrupted(signal.SIGINT)
    if is_stopped:
        raise CannotLoadError(f"{name}: took too long to read: more than {PROCESSOR_SECONDS:g} s of processor time")
