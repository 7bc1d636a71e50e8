"""The result of a scan, for people and for programs. Whatever scripts supplied has its control characters spelt out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from ..permissions.decision import visible
from .findings import Place, ScanResult, Unknown, Use
from .report_words import counted

JSON_VERSION: Final = 1
_PLACES_SHOWN: Final = 3
"""Places of one permission that people are shown; `--json` has all. Guessed."""


def as_json(result: ScanResult) -> str:
    """One object; docs/auditing.md describes it."""
    data = {
        "v": JSON_VERSION,
        "scripts": list(result.scripts),
        "permissions": [uses_data(uses) for uses in grouped(result.uses)],
        "unknown": [unknown_data(unknown) for unknown in in_order(result.unknowns)],
        "faults": list(result.faults),
    }
    return json.dumps(data, indent=2)


def as_text(result: ScanResult) -> str:
    """Lines in columns."""
    permissions = [(asked_for(uses), shown_places(uses)) for uses in grouped(result.uses)]
    unknowns = [unknown_words(unknown) for unknown in in_order(result.unknowns)]
    lines = [looked_at(result.scripts)]
    lines += ["", "Permissions that can be asked for:", *columns(permissions)] if permissions else []
    lines += ["", "Not known:", *columns(unknowns)] if unknowns else []
    if not permissions and not unknowns:
        lines += ["", "No permissions can be asked for."]
    return "\n".join(map(visible, lines))


# --- parts, which other reports have, too ----------------------------------------------------------------------------


def grouped(uses: Sequence[Use]) -> list[list[Use]]:
    """Uses by what they ask for, both in a fixed order and each once."""
    found: dict[tuple[str, str, str], list[Use]] = {}
    for use in dict.fromkeys(uses):
        # What a script pledges may be a pattern, and is then no path of the same text.
        found.setdefault((use.permission, use.value or "", use.pledge or ""), []).append(use)
    return [sorted(found[key], key=lambda use: (use.place, use.function)) for key in sorted(found)]


def in_order(unknowns: Sequence[Unknown]) -> list[Unknown]:
    """In a fixed order, each once."""
    return sorted(dict.fromkeys(unknowns), key=lambda unknown: (unknown.place, unknown.what, unknown.why))


def uses_data(uses: Sequence[Use]) -> dict[str, Any]:
    """One of `grouped`, for JSON."""
    places = [{**_place(use.place), "function": use.function} for use in uses]
    return {"permission": uses[0].permission, "value": uses[0].value, "pledge": uses[0].pledge, "uses": places}


def unknown_data(unknown: Unknown) -> dict[str, Any]:
    """For JSON."""
    permissions = list(unknown.permissions) or None
    return {**_place(unknown.place), "what": unknown.what, "why": unknown.why, "permissions": permissions}


def asked_for(uses: Sequence[Use]) -> str:
    """What one of `grouped` asks for: a pledge, if one can say it."""
    use = uses[0]
    return use.pledge or f"{use.permission}: {use.value}"


def shown_places(uses: Sequence[Use]) -> str:
    """The first places of one of `grouped`."""
    shown = [f"{use.function} at {use.place}" for use in uses[:_PLACES_SHOWN]]
    more = len(uses) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def unknown_words(unknown: Unknown) -> tuple[str, ...]:
    """Where, what, what it can be at most, and why, for `columns`."""
    return str(unknown.place), unknown.what, ", ".join(unknown.permissions) or "anything", unknown.why


def looked_at(scripts: Sequence[str]) -> str:
    """Which scripts were read, in words."""
    return f"Looked at {counted(len(scripts), 'script')}: {', '.join(scripts)}"


def columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Lines of these, made visible, in columns."""
    rows = [tuple(map(visible, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _place(place: Place) -> dict[str, Any]:
    return {"script": place.script, "line": place.line, "column": place.column}
