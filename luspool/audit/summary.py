"""What a run did, from its log: who was above whom, what each state asked for and was given, and what it never used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from .log import Decided, Footer, Header, Log, Pledged

NO_RIGHT: Final = ("~", "seal")
"""How pledges begin that grant nothing."""


class Counts(Struct, frozen=True):
    """How many decisions, by what was decided. `observed`: allowed, since the run only observes."""

    allowed: int = 0
    denied: int = 0
    observed: int = 0

    @property
    def asked(self) -> int:
        """All of them."""
        return self.allowed + self.denied + self.observed

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.allowed + other.allowed, self.denied + other.denied, self.observed + other.observed)


class StateSummary(Struct, frozen=True):
    """One state. `depth` is 0 for a root, and one more than its parent's for a worker.

    `began`, `ended` and `outcome` are None where the log does not tell. `granted` is what it held from the start and
    what its pledge calls got, `unused` those of them on which no decision rests, of this state or of one below.
    """

    number: int
    parent: int | None
    depth: int
    script: str
    began: datetime | None
    ended: datetime | None
    outcome: str | None
    granted: tuple[str, ...]
    unused: tuple[str, ...]
    counts: Counts
    decisions: Sequence[Decided]
    pledges: Sequence[Pledged]


class ScriptSummary(Struct, frozen=True):
    """What the code of one file asked for, in whichever states it ran."""

    script: str
    states: int
    counts: Counts


class RunSummary(Struct, frozen=True):
    """One run. `states` are in the order of a tree: each before its workers, and those before the next.

    `last` is the latest time that the log tells of, `doubts` are as in a `Log`.
    """

    file: str
    header: Header
    footer: Footer | None
    last: datetime
    counts: Counts
    scripts: Sequence[ScriptSummary]
    states: Sequence[StateSummary]
    doubts: Sequence[str]

    @property
    def denials(self) -> list[Decided]:
        """All of them, in the order of the log."""
        found = (decided for state in self.states for decided in state.decisions if decided.decision == "denied")
        return sorted(found, key=lambda decided: decided.id)


def summarize(log: Log) -> RunSummary:
    """What the run of this log did."""
    gathered = _Gathered(log)
    counts = [state.counts for state in gathered.summaries]
    return RunSummary(
        log.name,
        log.header,
        log.footer,
        _last(log),
        sum(counts, Counts()),
        _scripts(log.decisions),
        gathered.summaries,
        log.doubts,
    )


class _Gathered:
    """The records of a log by their states, and the tree of these."""

    def __init__(self, log: Log) -> None:
        self._began = {state.state: state for state in log.states}
        self._ended = {end.state: end for end in log.ends}
        self._decisions: dict[int, list[Decided]] = {}
        self._pledges: dict[int, list[Pledged]] = {}
        for decided in log.decisions:
            self._decisions.setdefault(decided.state, []).append(decided)
        for pledged in log.pledges:
            self._pledges.setdefault(pledged.state, []).append(pledged)
        order = self._tree()
        unused = self._unused([number for number, _ in order])
        self.summaries = [self._summary(number, depth, unused[number]) for number, depth in order]

    def _tree(self) -> list[tuple[int, int]]:
        """All states with their depths, each before its workers."""
        children: dict[int | None, list[int]] = {}
        for number in sorted(self._began.keys() | self._ended.keys() | self._decisions.keys() | self._pledges.keys()):
            children.setdefault(self._parent(number), []).append(number)
        order = []
        waiting = [(number, 0) for number in reversed(children.get(None, []))]
        while waiting:
            number, depth = waiting.pop()
            order.append((number, depth))
            waiting += [(child, depth + 1) for child in reversed(children.get(number, []))]
        return order

    def _parent(self, number: int) -> int | None:
        """None also where the log does not tell of the parent's beginning."""
        began = self._began.get(number)
        return began.parent if began and began.parent in self._began else None

    def _granted(self, number: int) -> tuple[str, ...]:
        held = self._began[number].held if number in self._began else ()
        called = (pledged.pledge for pledged in self._pledges.get(number, ()) if pledged.granted)
        return tuple(dict.fromkeys(pledge for pledge in (*held, *called) if not pledge.startswith(NO_RIGHT)))

    def _unused(self, order: Sequence[int]) -> dict[int, tuple[str, ...]]:
        """By state, what was granted to it and on which no decision rests, of it or of a state below."""
        used = {
            number: {each.rule for each in self._decisions.get(number, ()) if each.decision != "denied"}
            for number in order
        }
        unused = {}
        for number in reversed(order):  # every worker before its parent
            own = used.pop(number)
            unused[number] = tuple(pledge for pledge in self._granted(number) if pledge not in own)
            if (parent := self._parent(number)) is not None:
                # The smaller into the larger: a long chain of states would else take time by its square.
                small, large = sorted((own, used[parent]), key=len)
                large |= small
                used[parent] = large
        return unused

    def _summary(self, number: int, depth: int, unused: tuple[str, ...]) -> StateSummary:
        began, ended = self._began.get(number), self._ended.get(number)
        decisions = self._decisions.get(number, [])
        return StateSummary(
            number,
            self._parent(number),
            depth,
            began.script if began else next((each.script for each in decisions), "?"),
            began.time if began else None,
            ended.time if ended else None,
            ended.outcome if ended else None,
            self._granted(number),
            unused,
            _counts(decisions),
            decisions,
            self._pledges.get(number, []),
        )


def _counts(decisions: Iterable[Decided]) -> Counts:
    found = dict.fromkeys(("allowed", "denied", "observed"), 0)
    for decided in decisions:
        found[decided.decision] += decided.count
    return Counts(**found)


def _scripts(decisions: Iterable[Decided]) -> list[ScriptSummary]:
    by_script: dict[str, list[Decided]] = {}
    for decided in decisions:
        by_script.setdefault(decided.script, []).append(decided)
    return [
        ScriptSummary(script, len({each.state for each in found}), _counts(found))
        for script, found in sorted(by_script.items())
    ]


def _last(log: Log) -> datetime:
    if log.footer:
        return log.footer.time
    times = [log.header.time, *(decided.last for decided in log.decisions), *(end.time for end in log.ends)]
    times += [state.time for state in log.states]
    return max(times + [pledged.time for pledged in log.pledges])
