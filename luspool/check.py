"""`luspool check`: whether scripts are well formed, without running them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from . import errors
from .errors import CannotLoadError
from .reading import bounded_reading
from .sandbox import SyntaxFault
from .sandbox import check as check_syntax
from .source import display_name, read_script
from .streams import StandardStreams


def check_scripts(scripts: Sequence[str], *, strict_globals: bool, verbosity: int) -> int:
    """Say what is wrong with each script; the exit status is that of the first that has a fault."""
    streams = StandardStreams(nullcontext())
    status = errors.OK
    for script in scripts:
        try:
            source = read_script(script, nullcontext())
            with bounded_reading(display_name(script)) as stop:
                check_syntax(source, display_name(script), strict_globals=strict_globals, stop=stop)
        except SyntaxFault as fault:
            problem, failed = str(fault), errors.CANNOT_LOAD
        except CannotLoadError as error:
            problem, failed = str(error), error.exit_status
        else:
            if verbosity > 0:
                streams.say(f"luspool: {display_name(script)}: no syntax errors")
            continue
        status = status or failed
        first, *more = problem.split("\n")
        streams.say("\n".join([f"luspool: {first}", *([f"  {line}" for line in more] if verbosity >= 0 else [])]))
    return status
