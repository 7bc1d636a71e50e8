"""From what runs were allowed to the least policy that allows it: `luspool audit derive`. docs/auditing.md says how.

A value is granted as it was used, and nothing in its stead unless patterns are asked for. Two things grant more than
was used, and a comment tells of each: a path that is a directory, and what scripts pledge themselves. So it does of a
path that is a link by now, since a policy grants what that leads to. What all the runs rejected from the start is
rejected again: it may lie in such a directory. Where all were sealed, the policy is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Final

from msgspec import Struct, field
from msgspec.structs import replace

from ..errors import SCRIPT_ERROR, LuspoolError
from ..permissions import MAX_RULES, PERMISSIONS, Origin, Pledge, PledgeSet, Rule, ValueKind
from ..permissions.decision import visible
from ..permissions.paths import literal_prefix
from ..policy import Entry, PolicyFile, PolicySet
from .derive_paths import GONE, LINES_MOST, Found, PathText, arranged, leads_text
from .log import Decided
from .report_words import asked_text, at_most, counted, doubts_text, time_text, where_text
from .summary import NO_RIGHT, RunSummary, StateSummary

SET_NAME: Final = "derived"
_PLACES_SHOWN: Final = 2
_BY_CALL: Final = Origin.call("").text
"""How origins begin that are calls of `pledge`."""


class DeriveError(LuspoolError):
    """No policy can be derived from these runs."""

    exit_status: ClassVar[int] = SCRIPT_ERROR


class Derived(Struct, frozen=True):
    """`left_out` is what was needed and can't be granted, since no pledge can say it."""

    policy: PolicyFile
    left_out: Sequence[str]


class _Use(Struct):
    """Of one permission and value: how often it was used, and where."""

    times: int = 0
    places: dict[str, None] = field(default_factory=dict)

    def note(self) -> str:
        shown = list(self.places)[:_PLACES_SHOWN]
        more = len(self.places) - len(shown)
        times = "once" if self.times == 1 else f"{self.times} times"
        return f"{times}: {', '.join(shown)}" + (f" and {more} more" if more else "")


def derive(runs: Sequence[RunSummary], base: str | None, *, ignores_denials: bool, patterns: bool) -> Derived:
    """The least policy that these runs needed. DeriveError where some of it was denied, unless that is ignored.

    Paths beneath `base`, the real path of the directory where the policy will lie, are written relative to it.
    `patterns` grants what is offered in the place of several files.
    """
    if not ignores_denials:
        _check_denials(runs)
    deriver = _Deriver(PathText(base), patterns)
    for run in runs:
        deriver.add(run)
    return deriver.derived(runs)


def _check_denials(runs: Iterable[RunSummary]) -> None:
    denied = [(run, decided) for run in runs for decided in run.denials]
    if denied:
        lines = [
            visible(f"{asked_text(decided)} at {where_text(decided)}: {decided.reason} (run {run.header.run})")
            for run, decided in denied
        ]
        shown = at_most(LINES_MOST, lines)
        advice = "grant it, or run it under `luspool audit observe`; --ignore-denials leaves out what was denied"
        raise DeriveError(
            "\n  ".join([f"these runs were denied something, so what they need is not known ({advice})", *shown])
        )


class _Deriver:
    def __init__(self, paths: PathText, patterns: bool) -> None:
        self._paths = paths
        self._patterns = patterns
        self._used: dict[str, dict[str | None, _Use]] = {}
        """By permission and value; of paths, the real path."""
        self._held: dict[str, _Use] = {}
        self._allowed: dict[str, _Use] = {}
        """Pledges that calls of workers, and of roots, have got."""
        self._left_out: list[str] = []
        self._refused: list[dict[str, None]] = []
        """Of each run: its rejections, and its seal."""

    def add(self, run: RunSummary) -> None:
        self._refused.append(dict.fromkeys(text for text in run.header.held if text.startswith(NO_RIGHT)))
        calls: dict[int, list[Rule]] = {}
        """By state, what calls of `pledge` got, of it and of those above."""
        for state in run.states:
            above = calls.get(state.parent, []) if state.parent is not None else []
            calls[state.number] = [*above, *self._pledged(state, above)]
            rules = {str(rule.pledge) for rule in calls[state.number]}
            for decided in state.decisions:
                by_call = (decided.origin or "").startswith(_BY_CALL) and decided.rule in rules
                if decided.decision != "denied" and not by_call:
                    self._add_used(decided)

    def _add_used(self, decided: Decided) -> None:
        value = decided.value if decided.resolved is None else decided.resolved
        if value is not None and PERMISSIONS[decided.permission].value is ValueKind.PATH and not value.startswith("/"):
            self._left_out.append(asked_text(decided))  # of no real path: no run has recorded that
            return
        use = self._used.setdefault(decided.permission, {}).setdefault(value, _Use())
        use.times += decided.count
        use.places[where_text(decided)] = None

    def derived(self, runs: Sequence[RunSummary]) -> Derived:
        held = [*self._granted(self._held, "a worker"), *self._entries()]
        allowed = list(self._granted(self._allowed, "the script"))
        _check_number([*held, *allowed])
        refused = list(self._refused_again())
        content = PolicySet(pledges=(*held, *refused), allowed=tuple(allowed))
        policy = PolicyFile({SET_NAME: content}, SET_NAME, tuple(self._head(runs, content)))
        return Derived(policy, self._left_out)

    def _refused_again(self) -> Iterator[Entry]:
        """What all runs refused. One that did not may have used what lies there, or got what it pledged."""
        first, *others = self._refused or [{}]
        for text in first:
            if not all(text in other for other in others):
                continue
            try:
                pledge = _sayable(self._written(Pledge.parse(text, command_line=True)))
            except ValueError as error:  # what no run can have had, or no policy can say
                raise DeriveError(f"these runs rejected what can't be rejected again: {visible(str(error))}") from error
            yield Entry(pledge, comment=(f"{'rejected' if pledge.rejected else 'sealed'} in these runs, too",))

    def _bound(self, content: PolicySet) -> PledgeSet:
        """What the policy will mean, links aside."""

        def rules(entries: Iterable[Entry]) -> list[Rule]:
            pledges = (entry.pledge for entry in entries)
            return [Rule(_with_path(pledge, self._paths.canonical), Origin.policy("")) for pledge in pledges]

        return PledgeSet.root(rules(content.pledges), rules(content.allowed))

    def _written(self, pledge: Pledge) -> Pledge:
        """A bound pledge as the policy says it."""
        return _with_path(pledge, self._paths.text)

    def _pledged(self, state: StateSummary, above: Sequence[Rule]) -> Iterator[Rule]:
        """What its calls of `pledge` got, and has to be within reach again."""
        for pledged in state.pledges:
            if not pledged.granted:
                continue
            try:
                pledge = Pledge.parse(pledged.pledge)
                _sayable(self._written(pledge))
                rule = Rule(pledge, Origin.call(where_text(pledged)))
            except ValueError:  # what no call can have got, or no policy can say
                self._left_out.append(pledged.pledge)
                continue
            if pledge.rejected or pledge.permission == "seal":
                continue
            yield rule
            covers = set(pledge.record.covers)
            if not any(outer.contains(rule) and covers <= set(outer.pledge.record.covers) for outer in above):
                into = self._held if state.parent is not None else self._allowed
                use = into.setdefault(str(pledge), _Use())
                use.times += 1
                use.places[where_text(pledged)] = None

    def _granted(self, pledged: Mapping[str, _Use], whose: str) -> Iterator[Entry]:
        for text, use in sorted(pledged.items()):
            pledge = Pledge.parse(text)
            note = use.note()
            if pledge.value is not None and pledge.record.value is ValueKind.PATH:
                note += leads_text(literal_prefix(pledge.value))
            yield Entry(self._written(pledge), comment=(f"pledged by {whose}, and granted whole; {note}",))

    def _entries(self) -> Iterator[Entry]:
        for permission, record in PERMISSIONS.items():
            used = self._used.get(permission, {})
            if None in used:
                note = used[None].note()
                every = f"every value; {note}" if record.value is not ValueKind.NONE else note
                yield Entry(Pledge(permission), comment=(every,))
            elif record.value is ValueKind.PATH:
                found = [Found(value, use.note()) for value, use in used.items() if value is not None]
                for text, comment in arranged(permission, found, self._paths, patterns=self._patterns):
                    yield from self._entry(permission, text, comment)
            else:
                for value, use in sorted((value or "", use) for value, use in used.items()):
                    yield from self._entry(permission, value, (use.note(),))

    def _entry(self, permission: str, value: str, comment: tuple[str, ...]) -> Iterator[Entry]:
        text = str(Pledge(permission, value))
        try:
            yield Entry(_sayable(Pledge.parse(text)), comment=comment)
        except ValueError:
            self._left_out.append(text)

    def _head(self, runs: Sequence[RunSummary], content: PolicySet) -> Iterator[str]:
        whence = f"Derived from {counted(len(runs), 'run')} by `luspool audit derive`"
        yield f"{whence}. It grants what was used there, and covers nothing else:"
        yield "with other arguments, input or files a script may need more."
        for run in runs:
            header = run.header
            what = f"{counted(header.arguments, 'argument')}, {counted(run.counts.asked, 'decision')}"
            what += f", {doubts_text(run)}" if run.doubts else ""
            end = f"status {run.footer.status}" if run.footer else "cut off, so it may have needed more"
            yield f"  {header.script}: run {header.run} of {time_text(header.time)} UTC, {what}, {end}"
        if any(GONE in entry.comment[0] for entry in content.pledges):
            yield f"What is {GONE} may have been a directory. One of that name is granted with all beneath it."
        granted = self._bound(content)
        denied: dict[bool, dict[str, None]] = {False: {}, True: {}}
        for decided in (each for run in runs for each in run.denials):
            denied[_may_have(granted, decided)][asked_text(decided)] = None
        yield from _section("Denied there, and not granted:", denied[False])
        yield from _section("Denied there, and granted all the same, with what is granted below:", denied[True])
        yield from _section("Used there, and not granted, since no pledge can say it:", self._left_out)


def _sayable(pledge: Pledge) -> Pledge:
    """The same; ValueError where the text of a policy can't hold it."""
    try:
        str(pledge).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"pledge {str(pledge)!r}: a byte that is not UTF-8, and a policy is") from error
    return pledge


def _with_path(pledge: Pledge, changed: Callable[[str], str]) -> Pledge:
    """The pledge with its path changed so, if it has one."""
    if pledge.value is None or pledge.record.value is not ValueKind.PATH:
        return pledge
    return replace(pledge, value=changed(pledge.value))


def _may_have(granted: PledgeSet, decided: Decided) -> bool:
    """Whether what was decided on may be had under these pledges."""
    value = decided.value if decided.resolved is None else decided.resolved
    if value is None:
        return granted.allows(decided.permission)
    try:
        return granted.may_ever_allow(decided.permission, value)
    except ValueError:  # no real path
        return False


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    indented = [f"  {line}" for line in at_most(LINES_MOST, list(lines))]
    if indented:
        yield from (title, *indented)


def _check_number(entries: Iterable[Entry]) -> None:
    """No more than one set of pledges takes."""
    number: dict[str, int] = {}
    for entry in entries:
        for name in entry.pledge.record.covers:
            number[name] = number.get(name, 0) + 1
    for name, found in number.items():
        if found > MAX_RULES:
            advice = "--patterns grants patterns in the place of many files of one directory"
            raise DeriveError(f"these runs need {found} pledges of {name}, and a policy takes {MAX_RULES} ({advice})")
