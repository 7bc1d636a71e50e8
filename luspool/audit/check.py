"""What scripts can ask for beyond a policy, from a scan of them: `luspool audit check`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from ..errors import UsageError
from ..permissions import (
    PERMISSIONS,
    Decision,
    Origin,
    Pledge,
    PledgeError,
    PledgeSet,
    PledgeSyntaxError,
    Reason,
    Rule,
    ValueKind,
)
from ..permissions.decision import visible
from ..policy import AppliedPolicy
from ..source import STANDARD_INPUT, working_directory
from .findings import ScanResult, Unknown, Use
from .scan import scan
from .show import grouped, in_order

_WITHIN: Final = frozenset((Reason.HELD, Reason.UNPLEDGED, Reason.SEALED))
"""Why a decision says that something is in the ceiling, at least."""
_SCRIPTS: Final = ".lus"


class Excess(Struct, frozen=True):
    """One thing that scripts can ask for at these places, and why the policy never grants it."""

    uses: Sequence[Use]
    why: str


class Exceeding(Struct, frozen=True):
    """What scripts can ask for beyond a policy. `unknowns` are the places where that can't be ruled out."""

    excesses: Sequence[Excess]
    unknowns: Sequence[Unknown]


def scan_paths(paths: Sequence[str], *, strict_globals: bool) -> ScanResult:
    """A scan of these scripts, and of all `.lus` files in those of the paths that are directories. UsageError."""
    return scan([script for path in paths for script in _scripts(path)], strict_globals=strict_globals)


def exceeding(found: ScanResult, policy: AppliedPolicy) -> Exceeding:
    """What of this a script can't have under the policy, whatever it pledges. UsageError; CannotLoadError."""
    try:
        # Without the seal, which only keeps a script from pledging what the policy lets it have.
        pledges = replace(PledgeSet.root(policy.held, policy.ceiling), sealed_by=None)
    except PledgeError as error:
        raise UsageError(f"the policy {visible(policy.name)}: {error}") from error
    checker = _Checker(pledges, working_directory())
    groups = [each for uses in grouped(found.uses) for each in _by_kind(uses)]
    excesses = [Excess(uses, why) for uses in groups if (why := checker.why_not(uses[0])) is not None]
    return Exceeding(excesses, [unknown for unknown in in_order(found.unknowns) if not checker.allows_all(unknown)])


def _scripts(path: str) -> Iterator[str]:
    if path == STANDARD_INPUT or not os.path.isdir(path):
        yield path
        return
    found = [
        os.path.join(directory, name)
        for directory, _, names in os.walk(path)
        for name in names
        if name.endswith(_SCRIPTS) and not Path(directory, name).is_fifo()  # who reads it might wait for ever
    ]
    if not found:
        raise UsageError(f"there is no script in {visible(path)} (scripts are files that end with {_SCRIPTS})")
    yield from sorted(os.path.normpath(each) for each in found)


def _by_kind(uses: Sequence[Use]) -> Iterator[list[Use]]:
    """Calls of `pledge` apart from other uses of the same value: what they ask for is all beneath a path, too."""
    for is_call in (False, True):
        if found := [use for use in uses if (use.function == "pledge") is is_call]:
            yield found


class _Checker:
    def __init__(self, pledges: PledgeSet, directory: str) -> None:
        self._pledges = pledges
        self._directory = directory

    def why_not(self, use: Use) -> str | None:
        """Why the policy never grants this; None where it does, or may."""
        try:
            return self._why_no_pledge(use) if use.function == "pledge" else self._why_denied(use)
        except (PledgeError, ValueError, RecursionError) as error:
            # A NUL, say, or links without end: nobody gets that.
            return error.problem if isinstance(error, PledgeSyntaxError) else "no file can be called that"

    def allows_all(self, unknown: Unknown) -> bool:
        """Whether the policy grants every value of what may be asked for at a place."""
        return bool(unknown.permissions) and all(
            self._pledges.decide(permission).reason in _WITHIN for permission in unknown.permissions
        )

    def _why_denied(self, use: Use) -> str | None:
        value = use.value
        if value is not None and PERMISSIONS[use.permission].value is ValueKind.PATH:
            value = os.path.realpath(os.path.join(self._directory, value))
        decision = self._pledges.decide(use.permission, value)
        return None if decision.reason in _WITHIN else _because(decision)

    def _why_no_pledge(self, use: Use) -> str | None:
        """A call of `pledge`, which must lie within the ceiling as a whole."""
        pledge = Pledge(use.permission, use.value).bind(self._directory)
        if not pledge.record.grantable:
            return "nothing can grant it here"
        rule = Rule(pledge, Origin.call(str(use.place)))
        for name in pledge.record.covers:
            if not self._pledges.grants[name].may_pledge(rule):
                rejected = next((each for each in self._pledges.grants[name].rejected if each.contains(rule)), None)
                return _rejected_by(rejected) if rejected else "it is not within one pledge of the policy"
        return None


def _because(decision: Decision) -> str:
    match decision.reason:
        case Reason.REJECTED if decision.rule is not None:
            return _rejected_by(decision.rule)
        case Reason.UNGRANTABLE:
            return "nothing can grant it here"
        case _:
            return "no pledge grants it"


def _rejected_by(rule: Rule) -> str:
    return f'rejected by "{rule.pledge}" ({rule.origin.text})'
