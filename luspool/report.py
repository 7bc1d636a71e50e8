"""What luspool says about a program, as text for people. Pure; making control characters visible is for the streams.

Whatever a script supplied and spans lines is indented, so that no script can write a line that looks like luspool's.
"""

from __future__ import annotations

from collections.abc import Sequence

from .limit_options import is_about_program, with_flag
from .scheduler import wire
from .scheduler.events import Wait
from .scheduler.limits import MEASURES, Limits
from .scheduler.protocol import (
    ChildrenHaveMail,
    Condition,
    InboxHasMail,
    InboxHasRoom,
    InputArrived,
    OutboxHasRoom,
    ReplyArrived,
    StateId,
)


def failure_text(report: wire.Failed, limits: Limits, *, brief: bool, debug: bool) -> str:
    """A state's error in a program with these limits, with its traceback unless `brief`."""
    if report.kind == "usage":
        return f"luspool: {report.message}"
    if report.kind == "internal":
        return internal_error_text(f"{report.script}: {report.message}", report.traceback, debug=debug)
    message = _explained(report, limits)
    if not report.is_root:
        how = "was ended" if report.kind in MEASURES else "failed"
        message = f"{_worker(report.script)} {how}, and nobody received its error: {message}"
    first, *more = message.split("\n")
    if brief:
        return f"luspool: {first}"
    return "\n".join([f"luspool: {first}", *map(_indent, more), *map(_indent, report.traceback.splitlines())])


def stuck_text(report: wire.Stuck, limits: Limits, *, brief: bool) -> str:
    """A state that nothing but the end of its process could end."""
    message = _explained(report, limits)
    first = f"luspool: {message if report.is_root else f'{_worker(report.script)}: {message}'}"
    more = "It did not come out of one long call of a library function, so the whole program was ended."
    return first if brief else f"{first}\n{_indent(more)}"


def deadlock_text(report: wire.Deadlocked) -> str:
    """Who waits for whom, a line each."""
    lines = [_indent(line) for line in report.waits]
    if report.waiting > len(report.waits):
        lines.append(_indent(f"… and {report.waiting - len(report.waits)} more"))
    return "\n".join(["luspool: deadlock: every script waits, and none can ever go on", *lines])


def internal_error_text(problem: str, details: str, *, debug: bool) -> str:
    """A fault of luspool's own. `details` (a traceback, a host's last words) are for those who want to mend it."""
    details = details.rstrip()
    if debug:
        return "\n".join([f"luspool: internal error: {problem}", *map(_indent, details.splitlines())])
    last = f" ({details.splitlines()[-1].strip()})" if details else ""
    return f"luspool: internal error: {problem}{last}\n  This is a fault of luspool. LUSPOOL_DEBUG=1 shows its details."


def _worker(script: str) -> str:
    # Only a state that could not be asked has no script.
    return f"worker {script}" if script else "a worker"


def _explained(report: wire.Failed | wire.Stuck, limits: Limits) -> str:
    """The message, with its script and, where that helps, the flag to use."""
    message = report.message if report.message.startswith(report.script) else f"{report.script}: {report.message}"
    # A worker may have stricter limits than those of the command line, which its creator gave it.
    raisable = report.kind in MEASURES and (report.is_root or is_about_program(message))
    return with_flag(report.kind, message, limits) if raisable else message


def wait_lines(waits: Sequence[Wait]) -> tuple[str, ...]:
    """The states of a deadlock as lines `where waits for what, from whom`."""
    locations = {wait.state: wait.location for wait in waits}
    return tuple(f"{wait.location} waits for {_wanted(wait.condition, wait.awaited, locations)}" for wait in waits)


def _wanted(condition: Condition, awaited: Sequence[StateId], locations: dict[StateId, str]) -> str:
    match condition:
        case InboxHasMail():
            what, whom = "a message from", "its parent"
        case ChildrenHaveMail():
            what, whom = "a message from", "its worker" if len(awaited) == 1 else "its workers"
        case OutboxHasRoom():
            what, whom = "room for a message to", "its parent"
        case InboxHasRoom():
            what, whom = "room for a message to", "its worker"
        case InputArrived():
            return "standard input"
        case ReplyArrived():
            return "a function of the program that runs it"
    where = ", ".join(locations.get(state, "one that has ended") for state in awaited)
    return f"{what} {whom} ({where})" if where else f"{what} {whom}, which has ended"


def _indent(line: str) -> str:
    return "  " + line.replace("\t", "  ")
