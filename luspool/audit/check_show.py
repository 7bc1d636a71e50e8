"""The result of a check, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import asdict

from ..errors import OK, SCRIPT_ERROR
from ..permissions.decision import visible
from .changes import Change
from .check import Exceeding
from .findings import ScanResult
from .show import asked_for, columns, looked_at, shown_places, unknown_data, unknown_words, uses_data

JSON_VERSION: Final = 1


class CheckResult(Struct, frozen=True):
    """`policy` and `against` are as they were named; what was not asked for is None."""

    policy: str | None
    against: str | None
    found: ScanResult | None
    exceeding: Exceeding | None
    changes: Sequence[Change] | None

    def status(self, *, allows_unknown: bool) -> int:
        """The exit status: that of a script that can't be read, or whether there is more than there may be."""
        if self.found and self.found.fault_status:
            return self.found.fault_status
        if self.exceeding and (self.exceeding.excesses or (self.exceeding.unknowns and not allows_unknown)):
            return SCRIPT_ERROR
        is_more = any(change.more for change in self.changes or () if change.kind != "unknown" or not allows_unknown)
        return SCRIPT_ERROR if is_more else OK


def as_json(result: CheckResult) -> str:
    """One object; docs/auditing.md describes it."""
    data = {
        "v": JSON_VERSION,
        "policy": result.policy,
        "against": result.against,
        "scripts": list(result.found.scripts) if result.found else None,
        "exceeds": None,
        "unknown": None,
        "changes": None if result.changes is None else [asdict(change) for change in result.changes],
        "faults": list(result.found.faults) if result.found else [],
    }
    if result.exceeding is not None:
        data["exceeds"] = [{**uses_data(excess.uses), "why": excess.why} for excess in result.exceeding.excesses]
        data["unknown"] = [unknown_data(unknown) for unknown in result.exceeding.unknowns]
    return json.dumps(data, indent=2)


def as_text(result: CheckResult) -> str:
    """Lines in columns."""
    lines = [looked_at(result.found.scripts)] if result.found else []
    if result.exceeding is not None:
        lines += _exceeding(result.exceeding, result.policy or "")
    if result.changes is not None:
        lines += _changes(result.changes, result.against or "")
    return "\n".join(map(visible, lines)).lstrip("\n")


def _exceeding(exceeding: Exceeding, policy: str) -> list[str]:
    excesses = [(asked_for(each.uses), shown_places(each.uses), each.why) for each in exceeding.excesses]
    unknowns = [unknown_words(unknown) for unknown in exceeding.unknowns]
    lines = ["", f"Beyond {policy}:", *columns(excesses)] if excesses else []
    lines += ["", f"Not known to be within {policy}:", *columns(unknowns)] if unknowns else []
    return lines or ["", f"All that can be asked for is within {policy}."]


def _changes(changes: Sequence[Change], against: str) -> list[str]:
    if not changes:
        return ["", f"No difference from {against}."]
    rows = [("+" if each.is_added else "-", each.kind, each.text, each.where) for each in changes]
    return ["", f"Different from {against}:", *columns(rows)]
