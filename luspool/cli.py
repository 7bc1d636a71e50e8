"""The entry point of the command `luspool`.

Starting a host process takes longer than anything else in a short run, so `run` starts one first of all, and everything
that is slow to import (click, above all) is imported while it gets ready.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import nullcontext

from . import errors
from .errors import Interrupted, LuspoolError, OutputClosedError, is_debugging
from .interrupts import Interrupts
from .streams import StandardStreams, open_missing_streams


def main() -> int:
    """Carry out the command line of this process; its exit status. Never raises."""
    open_missing_streams()
    streams = StandardStreams(nullcontext())
    try:
        return _dispatch(sys.argv[1:])
    except Interrupted as interrupted:
        return interrupted.exit_status
    except KeyboardInterrupt:
        return errors.SIGNALLED + signal.SIGINT
    except (OutputClosedError, BrokenPipeError):
        _forget_output()
        return OutputClosedError.exit_status
    except LuspoolError as error:
        streams.say(f"luspool: {error}")
        return error.exit_status
    except Exception as error:
        from .report import internal_error_text  # noqa: PLC0415  not needed where nothing goes wrong

        details = getattr(error, "diagnostics", b"").decode("utf-8", "surrogateescape")
        trace = "".join(traceback.format_exception(error)) if is_debugging() else ""
        streams.say(internal_error_text(_described(error), trace + details, debug=is_debugging()))
        return errors.INTERNAL


def _dispatch(arguments: Sequence[str]) -> int:
    if arguments[:1] != ["run"]:
        from .commands import invoke  # noqa: PLC0415  see the module

        return invoke(arguments, None)
    # Whoever started us may have asked not to hear of its children; we need to hear of ours.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    from .scheduler.process import HostProcess  # noqa: PLC0415  see the module

    with Interrupts() as interrupts, HostProcess.start(host_command()) as host:
        from .commands import Prepared, invoke  # noqa: PLC0415  see the module

        return invoke(arguments, Prepared(host, interrupts))


def host_command() -> list[str]:
    """How to execute a host process: by the same Python, which looks for modules where this one did and nowhere else.

    `-I` and `-S` keep the working directory, the environment and start-up files out of it; the latter alone halves
    the time to start. This package's own folder comes last, for installations that `sys.path` does not show.
    """
    code = "import sys; sys.path[:] = sys.argv[1:]; from luspool.host_process import main; main()"
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return [sys.executable, "-I", "-S", "-c", code, *sys.path, home]


def _forget_output() -> None:
    # Python would try once more, at exit, to write what is left in its buffer, and complain.
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _described(error: Exception) -> str:
    from .scheduler.supervisor import HostError  # noqa: PLC0415  not needed where nothing goes wrong

    return str(error) if isinstance(error, HostError) else f"{type(error).__name__}: {error}"
