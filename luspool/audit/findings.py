"""What a scan finds, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from msgspec import Struct

from ..permissions import PERMISSIONS, Pledge, PledgeSyntaxError, ValueKind
from ..permissions.paths import escape


class Place(Struct, frozen=True, order=True):
    """A place in a script: its path, and line and column from 1."""

    script: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.script}:{self.line}:{self.column}"


class Use(Struct, frozen=True):
    """A place where a permission can be asked for. `value` None: for every value that there is.

    `function` is the function of the library that asks.
    """

    permission: str
    value: str | None
    function: str
    place: Place

    @property
    def pledge(self) -> str | None:
        """The least pledge that grants it; None where the value can't be written in one."""
        return _pledge(self.permission, self.value, is_pledge=self.function == "pledge")


@lru_cache(maxsize=1024)  # a script may use the same long path at a hundred thousand places
def _pledge(permission: str, value: str | None, *, is_pledge: bool) -> str | None:
    if value is not None and PERMISSIONS[permission].value is ValueKind.PATH and not is_pledge:
        value = escape(value)
    text = str(Pledge(permission, value))
    try:
        Pledge.parse(text)
    except PledgeSyntaxError:
        return None
    return text


class Unknown(Struct, frozen=True):
    """A place where it can't be known what is asked for: `permissions` at most, or anything if there are none."""

    what: str
    why: str
    permissions: tuple[str, ...]
    place: Place


class Target(Struct, frozen=True):
    """A script that another one runs, as it names it: one of `paths`, the first that is there."""

    paths: tuple[str, ...]
    function: str
    place: Place


class ScriptFindings(Struct, frozen=True):
    """What one script can do by itself, and which others it runs."""

    uses: Sequence[Use]
    unknowns: Sequence[Unknown]
    targets: Sequence[Target]


class ScanResult(Struct, frozen=True):
    """What scripts and all that they run can do. `scripts` are the paths of all that were read, in that order."""

    scripts: Sequence[str]
    uses: Sequence[Use]
    unknowns: Sequence[Unknown]
    faults: Sequence[str]
    """What was wrong with scripts, as `luspool check` says it."""
    fault_status: int
    """The exit status of the first fault; 0: there is none."""


ANYTHING: Final[tuple[str, ...]] = ()
