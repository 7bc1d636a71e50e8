"""A report for people, as tables. Whatever a script supplied is shown with its control characters spelt out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..permissions.decision import visible
from .log import Decided
from .report_words import asked_text, at_most, counted, doubts_text, duration_text, time_text, where_text
from .summary import Counts, RunSummary, StateSummary

_STATES_MOST: Final = 100
_DECISIONS_MOST: Final = 50
_PLEDGES_MOST: Final = 20
"""Rows of a table, and lines in one, at most; guessed at what anybody reads. It says what it leaves out."""
_DEPTH_MOST: Final = 20
"""Steps by which a worker is indented at most."""


def as_text(runs: Sequence[RunSummary], console: Console) -> str:
    """The report, as wide as the console, and in its colours if it has any."""
    with console.capture() as captured:
        for run in runs:
            console.print(_run(run))
    return "\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n"))


def _run(run: RunSummary) -> RenderableType:
    status = "cut off: the log has no end" if run.footer is None else f"status {run.footer.status}"
    parts: list[RenderableType] = [
        Text(visible(run.header.script), style="bold"),
        _text(f"  run {run.header.run} of {time_text(run.header.time)} UTC, {duration_text(run)}, {status}"),
        _text(f"  in {run.header.directory}, {counted(run.header.arguments, 'argument')}, from {run.file}"),
        *([_text(f"  this log {doubts_text(run)}", "yellow")] if run.doubts else []),
        Text(),
        _states(run),
        Text(),
        _scripts(run),
    ]
    if run.counts.denied:
        parts += [*_heading("Denied"), _decisions(run.denials, "Why", _because)]
    if run.header.shadow is not None:
        other = [each for state in run.states for each in state.decisions if _is_otherwise(each)]
        parts += _heading(f"{run.header.shadow} would have decided {'otherwise' if other else 'the same'}")
        parts += [_decisions(other, "Then", _shadow)] if other else []
    return Group(*parts, Text())


def _states(run: RunSummary) -> RenderableType:
    shown = run.states[:_STATES_MOST]
    table = _counting_table(run, ("State", "State of"), ("End", "Granted, never used"))
    for state in shown:
        last = (
            _text(state.outcome or "not known"),
            Text("\n").join(_text(pledge, "yellow") for pledge in at_most(_PLEDGES_MOST, state.unused)),
        )
        table.add_row(_indented(state), _text(state.script), *_numbers(run, state.counts), *last)
    return Group(table, *_more(len(run.states) - len(shown), "state"))


def _scripts(run: RunSummary) -> RenderableType:
    shown = run.scripts[:_STATES_MOST]
    table = _counting_table(run, ("Code in", "States"), ())
    for script in shown:
        table.add_row(_text(script.script), str(script.states), *_numbers(run, script.counts))
    return Group(table, *_more(len(run.scripts) - len(shown), "script"))


def _decisions(decisions: Sequence[Decided], last: str, of_last: Callable[[Decided], str]) -> RenderableType:
    shown = decisions[:_DECISIONS_MOST]
    table = _table("State", "Asked for", "Times", "Where", last)
    for decided in shown:
        where = (_text(where_text(decided)), _text(of_last(decided)))
        table.add_row(str(decided.state), _text(asked_text(decided)), str(decided.count), *where)
    return Group(table, *_more(len(decisions) - len(shown), "decision"))


def _because(decided: Decided) -> str:
    origin = f" ({decided.origin})" if decided.origin else ""
    return f"{decided.reason}: {decided.rule}{origin}" if decided.rule else decided.reason


def _is_otherwise(decided: Decided) -> bool:
    return decided.shadow is not None and (decided.shadow == "denied") is not (decided.decision == "denied")


def _shadow(decided: Decided) -> str:
    return f"{decided.shadow}: {decided.shadow_rule or 'no pledge grants it'}"


def _counting_table(run: RunSummary, first: Sequence[str], last: Sequence[str]) -> Table:
    numbers = ("Asked", "Allowed", "Denied", *(("Observed",) if run.counts.observed else ()))
    return _table(*first, *numbers, *last)


def _numbers(run: RunSummary, counts: Counts) -> Iterator[Text]:
    yield Text(str(counts.asked))
    yield Text(str(counts.allowed))
    yield Text(str(counts.denied), style="bold red" if counts.denied else "")
    if run.counts.observed:
        yield Text(str(counts.observed), style="yellow" if counts.observed else "")


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for column in columns:
        is_number = column in ("Asked", "Allowed", "Denied", "Observed", "Times", "States")
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    return table


def _indented(state: StateSummary) -> Text:
    return Text("  " * min(state.depth, _DEPTH_MOST) + str(state.number))


def _more(number: int, noun: str) -> list[Text]:
    return [Text(f"  and {counted(number, f'more {noun}')} (--json has all)")] if number > 0 else []


def _heading(text: str) -> list[Text]:
    return [Text(), Text(f" {visible(text)}", style="bold")]


def _text(text: str, style: str = "") -> Text:
    return Text(visible(text), style=style)
