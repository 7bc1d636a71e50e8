"""A report as one page of HTML, which needs no network and works without its script.

Names in a log are a script's to choose. Each text that the template prints goes through `_printed`, which makes it
visible, and is then escaped by jinja2; and the page carries a policy that lets a browser run no script and use no style
but ours, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from msgspec import Struct

from ..permissions.decision import visible
from .log import Decided
from .report_words import asked_text, at_most, counted, doubts_text, duration_text, time_text, where_text
from .summary import RunSummary, StateSummary

_STATES_MOST: Final = 1000
_BARS_MOST: Final = 200
_DECISIONS_MOST: Final = 5000
_MARKS_MOST: Final = 500
_PLEDGES_MOST: Final = 100
"""What a page shows of each at most, so that browsers stay quick; guessed. It says what it leaves out."""
_DEPTH_MOST: Final = 16
"""How deep the tree is drawn; deeper states are drawn there, since browsers nest only so far."""
_WIDTH: Final = 1000
"""Of the time line, in units of its own."""
_KINDS: Final = {"allowed": "good", "denied": "bad", "observed": "noted"}


def as_page(runs: Sequence[RunSummary]) -> str:
    """The page as text that UTF-8 can hold."""
    parts = {
        name: (files(__package__) / "page" / f"report.{name}").read_text("utf-8") for name in ("css", "js", "html")
    }
    environment = Environment(
        autoescape=True, finalize=_printed, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(parts["html"]).render(
        runs=[_run(run) for run in runs],
        policy=f"default-src 'none'; style-src {_hash(parts['css'])}; script-src {_hash(parts['js'])}",
        style=Markup(parts["css"]),  # noqa: S704  our own
        script=Markup(parts["js"]),  # noqa: S704  our own
    )


def _printed(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


class _Node(Struct, frozen=True):
    """A state in the tree. `opens`: a list begins before it; `closes`: how many end behind it; None: it has workers."""

    state: StateSummary
    opens: bool
    closes: int | None
    granted: Sequence[str]
    unused: frozenset[str]
    used: Sequence[str]
    denied: Sequence[str]


class _Bar(Struct, frozen=True):
    """A state in the time line."""

    state: StateSummary
    label: str
    start: float
    width: float
    marks: Sequence[_Mark]


class _Mark(Struct, frozen=True):
    decision: str
    x: float
    label: str


def _run(run: RunSummary) -> dict[str, Any]:
    states = run.states[:_STATES_MOST]
    decisions = sorted(
        (decided for state in run.states for decided in state.decisions),
        key=lambda decided: (decided.decision != "denied", decided.id),
    )
    scale = _Scale(run)
    return {
        "header": run.header,
        "footer": run.footer,
        "file": run.file,
        "doubts": doubts_text(run),
        "counts": run.counts,
        "started": time_text(run.header.time),
        "duration": duration_text(run),
        "arguments": counted(run.header.arguments, "argument"),
        "states": states,
        "unused": {state.number: at_most(_PLEDGES_MOST, state.unused) for state in states},
        "state_count": len(run.states),
        "scripts": run.scripts[:_STATES_MOST],
        "script_count": len(run.scripts),
        "tree": list(_tree(states)),
        "timeline": [_bar(state, scale) for state in run.states[:_BARS_MOST]],
        "ticks": scale.ticks(),
        "decisions": [_row(decided) for decided in decisions[:_DECISIONS_MOST]],
        "decision_count": len(decisions),
    }


def _row(decided: Decided) -> dict[str, Any]:
    return {
        **{name: getattr(decided, name) for name in ("state", "permission", "value", "resolved", "count", "decision")},
        **{name: getattr(decided, name) for name in ("rule", "reason", "origin", "shadow")},
        "where": where_text(decided),
        "kind": _KINDS[decided.decision],
        "as_asked": decided.resolved is not None and decided.value not in (None, decided.resolved),
    }


def _tree(states: Sequence[StateSummary]) -> Iterator[_Node]:
    depths = [min(state.depth, _DEPTH_MOST) for state in states]
    for state, depth, before, after in zip(states, depths, [-1, *depths], [*depths[1:], 0], strict=False):
        yield _Node(
            state,
            depth > before >= 0,
            None if after > depth else depth - after,
            at_most(_PLEDGES_MOST, state.granted),
            frozenset(state.unused),
            _asked(each for each in state.decisions if each.decision != "denied"),
            _asked(each for each in state.decisions if each.decision == "denied"),
        )


def _asked(decisions: Iterable[Decided]) -> list[str]:
    """What was asked for, each once."""
    return at_most(_PLEDGES_MOST, list(dict.fromkeys(map(asked_text, decisions))))


class _Scale:
    """From times to places on the time line, from the first state's beginning to the last one's end.

    Without what it takes to start and to end a process, which would be most of a short run. Whatever lies outside is
    drawn at the border.
    """

    def __init__(self, run: RunSummary) -> None:
        self._start = min((state.began for state in run.states if state.began), default=run.header.time)
        ends = [state.ended for state in run.states]
        last = max((end for end in ends if end), default=run.last) if all(ends) else run.last
        self._seconds = max((last - self._start).total_seconds(), 1e-6)

    def seconds(self, time: datetime) -> float:
        return (time - self._start).total_seconds()

    def x(self, time: datetime) -> float:
        return round(max(0.0, min(1.0, self.seconds(time) / self._seconds)) * _WIDTH, 1)

    def ticks(self) -> list[str]:
        return [f"{self._seconds * quarter / 4:.3g} s" for quarter in range(5)]


def _bar(state: StateSummary, scale: _Scale) -> _Bar:
    start = scale.x(state.began) if state.began else 0
    end = scale.x(state.ended) if state.ended else _WIDTH
    life = f"{state.script}, {state.outcome or 'end not known'}"
    if state.began and state.ended:
        life += f", {scale.seconds(state.began):.3g} s to {scale.seconds(state.ended):.3g} s"
    # Drawn last is what lies on top, and of many marks those of denials are kept.
    marks = sorted(state.decisions, key=lambda decided: decided.decision == "denied")[-_MARKS_MOST:]
    return _Bar(state, life, start, round(max(1, end - start), 1), [_mark(decided, scale) for decided in marks])


def _mark(decided: Decided, scale: _Scale) -> _Mark:
    seconds = scale.seconds(decided.time)
    label = f"{decided.decision} at {seconds:.3g} s: {asked_text(decided)}"
    return _Mark(decided.decision, scale.x(decided.time), label)
