"""What luspool says about a program, as text for people. Pure; making control characters visible is for the streams.

Whatever a script supplied and spans lines is indented, so that no script can write a line that looks like luspool's.
"""

from __future__ import annotations

from collections.abc import Sequence

from .scheduler import wire
from .scheduler.events import Wait
from .scheduler.protocol import (
    ChildrenHaveMail,
    Condition,
    InboxHasMail,
    InboxHasRoom,
    InputArrived,
    OutboxHasRoom,
    StateId,
)


def failure_text(report: wire.Failed, *, brief: bool, debug: bool) -> str:
    """A state's error, with its traceback unless `brief`."""
    if report.kind == "internal":
        return internal_error_text(f"{report.script}: {report.message}", report.traceback, debug=debug)
    message = report.message if report.message.startswith(report.script) else f"{report.script}: {report.message}"
    if not report.is_root:
        message = f"worker {report.script} failed, and nobody received its error: {message}"
    first, *more = message.split("\n")
    if brief:
        return f"luspool: {first}"
    return "\n".join([f"luspool: {first}", *map(_indent, more), *map(_indent, report.traceback.splitlines())])


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
    where = ", ".join(locations.get(state, "one that has ended") for state in awaited)
    return f"{what} {whom} ({where})" if where else f"{what} {whom}, which has ended"


def _indent(line: str) -> str:
    return "  " + line.replace("\t", "  ")
