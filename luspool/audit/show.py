"""The result of a scan, for people and for programs. Whatever scripts supplied has its control characters spelt out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from ..permissions.decision import visible
from .findings import Place, ScanResult, Unknown, Use

JSON_VERSION: Final = 1
_PLACES_SHOWN: Final = 3
"""Places of one permission that people are shown; `--json` has all. Guessed."""


def as_json(result: ScanResult) -> str:
    """One object; docs/auditing.md describes it."""
    data = {
        "v": JSON_VERSION,
        "scripts": list(result.scripts),
        "permissions": [
            {
                "permission": permission,
                "value": value,
                "pledge": uses[0].pledge,
                "uses": [{**_place(use.place), "function": use.function} for use in uses],
            }
            for (permission, value), uses in _grouped(result.uses)
        ],
        "unknown": [
            {
                **_place(unknown.place),
                "what": unknown.what,
                "why": unknown.why,
                "permissions": list(unknown.permissions) or None,
            }
            for unknown in _sorted(result.unknowns)
        ],
        "faults": list(result.faults),
    }
    return json.dumps(data, indent=2)


def as_text(result: ScanResult) -> str:
    """Lines in columns."""
    permissions = [
        (uses[0].pledge or f"{permission}: {value}", _shown_places(uses))
        for (permission, value), uses in _grouped(result.uses)
    ]
    unknowns = [
        (str(unknown.place), unknown.what, _at_most(unknown), unknown.why) for unknown in _sorted(result.unknowns)
    ]
    lines = [f"Looked at {_counted(len(result.scripts), 'script')}: {', '.join(result.scripts)}"]
    lines += ["", "Permissions that can be asked for:", *_columns(permissions)] if permissions else []
    lines += ["", "Not known:", *_columns(unknowns)] if unknowns else []
    if not permissions and not unknowns:
        lines += ["", "No permissions can be asked for."]
    return "\n".join(map(visible, lines))


def _grouped(uses: Sequence[Use]) -> list[tuple[tuple[str, str | None], list[Use]]]:
    """Uses by what they ask for, both in a fixed order and each once."""
    found: dict[tuple[str, str | None, str | None], list[Use]] = {}
    for use in dict.fromkeys(uses):
        # What a script pledges may be a pattern, and is then no path of the same text.
        found.setdefault((use.permission, use.value, use.pledge), []).append(use)
    keys = sorted(found, key=lambda key: (key[0], key[1] or "", key[2] or ""))
    return [((key[0], key[1]), sorted(found[key], key=lambda use: (use.place, use.function))) for key in keys]


def _sorted(unknowns: Sequence[Unknown]) -> list[Unknown]:
    return sorted(dict.fromkeys(unknowns), key=lambda unknown: (unknown.place, unknown.what, unknown.why))


def _place(place: Place) -> dict[str, Any]:
    return {"script": place.script, "line": place.line, "column": place.column}


def _shown_places(uses: Sequence[Use]) -> str:
    shown = [f"{use.function} at {use.place}" for use in uses[:_PLACES_SHOWN]]
    more = len(uses) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _at_most(unknown: Unknown) -> str:
    return ", ".join(unknown.permissions) or "anything"


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    rows = [tuple(map(visible, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _counted(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"
