"""The entry point of the command `luspool`.

Starting a host process takes longer than anything else in a short run, so commands that run a script start one first of
all, and everything that is slow to import (click, above all) is imported while it gets ready.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import NoReturn

from . import errors
from .errors import Interrupted, LuspoolError, OutputClosedError, OverdueError, is_debugging
from .interrupts import Interrupts
from .streams import StandardStreams, open_missing_streams


def main() -> NoReturn:
    """Carry out the command line of this process and exit with its status.

    By `os._exit`: freeing every module would take a noticeable part of a short run, for nothing. No buffer is lost by
    it: we have none, and click flushes what it writes.
    """
    open_missing_streams()
    os._exit(_status())


def _status() -> int:
    streams = StandardStreams(nullcontext())
    try:
        return _dispatch(sys.argv[1:])
    except Interrupted as interrupted:
        return interrupted.exit_status
    except KeyboardInterrupt:
        return errors.SIGNALLED + signal.SIGINT
    except (OutputClosedError, BrokenPipeError):
        return OutputClosedError.exit_status
    except OverdueError as error:
        # What is blocked may be error output itself.
        streams.say_nowait(f"luspool: {error}")
        return error.exit_status
    except LuspoolError as error:
        streams.say(f"luspool: {error}")
        return error.exit_status
    except Exception as error:
        import traceback  # noqa: PLC0415  not needed where nothing goes wrong

        from .report import internal_error_text  # noqa: PLC0415  likewise

        details = getattr(error, "diagnostics", b"").decode("utf-8", "surrogateescape")
        trace = "".join(traceback.format_exception(error)) if is_debugging() else ""
        streams.say(internal_error_text(_described(error), trace + details, debug=is_debugging()))
        return errors.INTERNAL


def _dispatch(arguments: Sequence[str]) -> int:
    if arguments[:1] != ["run"] and arguments[:2] != ["audit", "observe"]:
        from .commands import invoke  # noqa: PLC0415  see the module

        return invoke(arguments, None)
    # Whoever started us may have asked not to hear of its children; we need to hear of ours.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    from .host_command import host_command, host_environment  # noqa: PLC0415  see the module
    from .scheduler.process import HostProcess  # noqa: PLC0415  see the module

    with Interrupts() as interrupts, HostProcess.start(host_command(), host_environment()) as host:
        from .commands import Prepared, invoke  # noqa: PLC0415  see the module

        return invoke(arguments, Prepared(host, interrupts))


def _described(error: Exception) -> str:
    from .scheduler.connection import HostError  # noqa: PLC0415  not needed where nothing goes wrong

    return str(error) if isinstance(error, HostError) else f"{type(error).__name__}: {error}"
