"""Figures that are kept from one run to the next, so that a run may measure some works only: `docs/bench.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from measure import Result, Work


def keep(file: Path, group: str, results: Sequence[Result]) -> None:
    """Put the samples of works in the place of those that they had. Those of a contender that has failed are none."""
    kept = _read(file)
    kept.setdefault(group, {}).update({result.work.name: result.samples for result in results})
    file.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def results(file: Path, groups: Mapping[str, Iterable[Work]]) -> dict[str, list[Result]]:
    """What is kept of these groups, in their order; nothing of works that are no more."""
    kept = _read(file)
    return {
        name: [Result(work, kept[name][work.name]) for work in works if work.name in kept[name]]
        for name, works in groups.items()
        if name in kept
    }


def _read(file: Path) -> dict[str, dict[str, dict[str, list[float]]]]:
    """The samples, by group, work and contender."""
    kept: dict[str, dict[str, dict[str, list[float]]]] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    return kept
