"""How what a log tells is said to people, in whichever form. Texts are not made visible here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from .log import Decided, Pledged
from .summary import RunSummary

_DOUBTS_SHOWN: Final = 5


def counted(number: int, noun: str) -> str:
    """`1 state`, `2 states`."""
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"


def at_most(number: int, lines: Sequence[str]) -> list[str]:
    """The first of these, and how many more there are."""
    more = len(lines) - number
    return [*lines[:number], f"and {more} more"] if more > 0 else list(lines)


def asked_text(decided: Decided) -> str:
    """What was asked for, as a pledge would say it: `fs:read=/srv/a.csv`, `host:log`, `load`."""
    value = decided.resolved if decided.resolved is not None else decided.value
    if value is None:
        return decided.permission
    return f"{decided.permission}{':' if decided.permission == 'host' else '='}{value}"


def where_text(record: Decided | Pledged) -> str:
    """Where it was asked for."""
    return record.script if record.line is None else f"{record.script}:{record.line}"


def time_text(time: datetime) -> str:
    """A time to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S")


def duration_text(run: RunSummary) -> str:
    """How long the run took, or was seen to take."""
    seconds = max(0.0, (run.last - run.header.time).total_seconds())
    return f"{seconds:.3f} s" if run.footer else f"{seconds:.3f} s and perhaps more"


def doubts_text(run: RunSummary) -> str:
    """Where the log contradicts itself; "" if it does not."""
    return f"contradicts itself: {'; '.join(at_most(_DOUBTS_SHOWN, run.doubts))}" if run.doubts else ""
