"""What luspool says about a program, as text for people. Pure; making control characters visible is for the streams.

Whatever a script supplied and spans lines is indented, so that no script can write a line that looks like luspool's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .limit_options import NO_PLACES, is_about_program, with_flag
from .scheduler import wire
from .scheduler.limits import MEASURES, Limits
from .scheduler.protocol import (
    ChildrenHaveMail,
    InboxHasMail,
    InboxHasRoom,
    InputArrived,
    LetterIsOut,
    OutboxHasRoom,
    ReplyArrived,
)


def failure_text(
    report: wire.Failed, limits: Limits, *, brief: bool, debug: bool, places: Mapping[str, str] = NO_PLACES
) -> str:
    """A state's error in a program with these limits, with its traceback unless `brief`.

    `places` says where limits were set that no flag raises (see `with_flag`).
    """
    if report.kind == "usage":
        return f"luspool: {report.message}"
    if report.kind == "internal":
        return internal_error_text(f"{report.script}: {report.message}", report.traceback, debug=debug)
    message = _explained(report, limits, places)
    if not report.is_root:
        how = "was ended" if report.kind in MEASURES else "failed"
        message = f"{_worker(report.script)} {how}, and nobody received its error: {message}"
    first, *more = message.split("\n")
    if brief:
        return f"luspool: {first}"
    return "\n".join([f"luspool: {first}", *map(_indent, more), *map(_indent, report.traceback.splitlines())])


def notice_text(text: str) -> str:
    """What a host says about itself: on one line, whatever it says."""
    return f"luspool: {' '.join(text.split())}"


def stuck_text(report: wire.Stuck, limits: Limits, *, brief: bool, places: Mapping[str, str] = NO_PLACES) -> str:
    """A state that nothing but the end of its process could end. `places` as in `failure_text`."""
    message = _explained(report, limits, places)
    first = f"luspool: {message if report.is_root else f'{_worker(report.script)}: {message}'}"
    more = "It did not come out of one long call of a library function, so the whole program was ended."
    return first if brief else f"{first}\n{_indent(more)}"


def deadlock_text(report: wire.Deadlocked) -> str:
    """Who waits for whom, a line each."""
    lines = [_indent(wire.clip(line)) for line in wait_lines(report)]
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


def host_died_text(text: str, details: str, *, debug: bool) -> str:
    """One of several host processes has died. `details` are its last words, which are luspool's own or a library's."""
    lines = details.rstrip().splitlines()
    return "\n".join([f"luspool: {text}", *map(_indent, lines if debug else lines[-1:])])


def _worker(script: str) -> str:
    # Only a state that could not be asked has no script.
    return f"worker {script}" if script else "a worker"


def _explained(report: wire.Failed | wire.Stuck, limits: Limits, places: Mapping[str, str]) -> str:
    """The message, with its script and, where that helps, the flag to use."""
    message = report.message if report.message.startswith(report.script) else f"{report.script}: {report.message}"
    # A worker may have stricter limits than those of the command line, which its creator gave it.
    raisable = report.kind in MEASURES and (report.is_root or is_about_program(message))
    return with_flag(report.kind, message, limits, places) if raisable else message


def wait_lines(report: wire.Deadlocked) -> tuple[str, ...]:
    """The states of a deadlock as lines `where waits for what, from whom`."""
    waits = report.records()
    locations = {wait.state: wait.location for wait in waits}
    other = "another" if report.waiting > len(waits) else "one that has ended"
    return tuple(f"{wait.location} waits for {_wanted(wait, locations, other)}" for wait in waits)


_WANTED = {
    InboxHasMail.__name__: ("a message from", "its parent"),
    ChildrenHaveMail.__name__: ("a message from", "its workers"),
    OutboxHasRoom.__name__: ("room for a message to", "its parent"),
    InboxHasRoom.__name__: ("room for a message to", "its worker"),
}

WAITED_FOR: Final = {
    **{what: " ".join(words) for what, words in _WANTED.items()},
    InputArrived.__name__: "standard input",
    ReplyArrived.__name__: "a function of the program that runs it",
    LetterIsOut.__name__: "another process",
}
"""What a state waits for, in words, by the name of its condition's class."""


def _wanted(wait: wire.WaitRecord, locations: dict[int, str], other: str) -> str:
    if wait.what not in _WANTED:
        return WAITED_FOR.get(wait.what, "something unknown")
    what, whom = _WANTED[wait.what]
    awaited = [int.from_bytes(wait.awaited[at : at + 8]) for at in range(0, len(wait.awaited), 8)]
    if wait.what == ChildrenHaveMail.__name__ and len(awaited) == 1:
        whom = "its worker"
    where = ", ".join(locations.get(state, other) for state in awaited)
    return f"{what} {whom} ({where})" if where else f"{what} {whom}, which has ended"


def _indent(line: str) -> str:
    return "  " + line.replace("\t", "  ")
