"""A report for programs. docs/auditing.md describes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from msgspec.structs import asdict

from .summary import Counts, RunSummary, StateSummary

JSON_VERSION: Final = 1


def as_json(runs: Sequence[RunSummary]) -> str:
    """One object, in ASCII."""
    return json.dumps({"v": JSON_VERSION, "runs": [_run(run) for run in runs]}, indent=2, default=_time)


def _run(run: RunSummary) -> dict[str, Any]:
    header = asdict(run.header)
    started = header.pop("time")
    return {
        "file": run.file,
        **header,
        "started": started,
        "last": run.last,
        "doubts": run.doubts,
        "complete": run.footer is not None,
        "status": run.footer.status if run.footer else None,
        **_counts(run.counts),
        "scripts": [{"script": each.script, "states": each.states, **_counts(each.counts)} for each in run.scripts],
        "states": [_state(state) for state in run.states],
    }


def _state(state: StateSummary) -> dict[str, Any]:
    return {
        "state": state.number,
        "parent": state.parent,
        "script": state.script,
        "began": state.began,
        "ended": state.ended,
        "outcome": state.outcome,
        **_counts(state.counts),
        "granted": state.granted,
        "unused": state.unused,
        "decisions": [_of_state(asdict(decided)) for decided in state.decisions],
        "pledges": [_of_state(asdict(pledged)) for pledged in state.pledges],
    }


def _of_state(record: dict[str, Any]) -> dict[str, Any]:
    del record["state"]
    return record


def _counts(counts: Counts) -> dict[str, int]:
    return {"asked": counts.asked, **asdict(counts)}


def _time(time: datetime) -> str:
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")
