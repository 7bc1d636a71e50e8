"""What has changed between two versions of scripts, or of a policy: `luspool audit check --against`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

from msgspec import Struct

from ..limit_options import LIMIT_OPTIONS
from ..policy import Entry, PolicySet, strictest_limits
from ..scheduler.limits import Limits
from .findings import ScanResult, Unknown
from .show import asked_for, grouped, in_order, shown_places


class Change(Struct, frozen=True):
    """Something that only the new version has, or (`is_added` false) only the old one. `more`: the new one can do more.

    `kind` is `permission` or `unknown` of scripts; `pledge`, `allow` or `limit` of policies.
    """

    is_added: bool
    kind: str
    text: str
    where: str
    more: bool


def changes_of_scripts(old: ScanResult, new: ScanResult) -> list[Change]:
    """What the scripts can ask for. Where they do is of no matter, but for what is said of it."""
    before, after = ({asked_for(uses): shown_places(uses) for uses in grouped(found.uses)} for found in (old, new))
    found = [Change(True, "permission", text, where, True) for text, where in after.items() if text not in before]
    found += [Change(False, "permission", text, where, False) for text, where in before.items() if text not in after]
    found += [_unknown(each, is_added=True) for each in _only_in(new.unknowns, old.unknowns, _what)]
    return found + [_unknown(each, is_added=False) for each in _only_in(old.unknowns, new.unknowns, _what)]


def changes_of_policies(old: Sequence[PolicySet], new: Sequence[PolicySet]) -> list[Change]:
    """What these sets together say, as it is written: as if both files were in the same directory."""
    return [
        *_pledges("pledge", _pledged(old), _pledged(new)),
        *_pledges("allow", _allowed(old), _allowed(new)),
        *_limits(old, new),
    ]


def _unknown(unknown: Unknown, *, is_added: bool) -> Change:
    most = ", ".join(unknown.permissions) or "anything"
    return Change(is_added, "unknown", f"{unknown.what}, {most}: {unknown.why}", str(unknown.place), is_added)


def _what(unknown: Unknown) -> Hashable:
    return unknown.what, unknown.why, unknown.permissions


def _only_in(
    unknowns: Sequence[Unknown], others: Sequence[Unknown], key: Callable[[Unknown], Hashable]
) -> Iterator[Unknown]:
    """Those of which the others have less: there may be several of one key."""
    left = Counter(map(key, in_order(others)))
    for unknown in in_order(unknowns):
        left[key(unknown)] -= 1
        if left[key(unknown)] < 0:
            yield unknown


def _pledged(sets: Iterable[PolicySet]) -> dict[str, Entry]:
    return {str(entry.pledge): entry for each in sets for entry in each.pledges}


def _allowed(sets: Iterable[PolicySet]) -> dict[str, Entry]:
    return {str(entry.pledge): entry for each in sets for entry in each.allowed}


def _pledges(kind: str, old: dict[str, Entry], new: dict[str, Entry]) -> Iterator[Change]:
    for is_added, these, others in ((True, new, old), (False, old, new)):
        for text, entry in sorted(these.items()):
            if text not in others:
                takes_away = entry.pledge.rejected or entry.pledge.permission == "seal"
                yield Change(is_added, kind, text, f"line {entry.place.line}", is_added is not takes_away)


def _limits(old: Sequence[PolicySet], new: Sequence[PolicySet]) -> Iterator[Change]:
    """A limit that nobody states has its default."""
    before, after, defaults = strictest_limits(old), strictest_limits(new), Limits()
    for option in LIMIT_OPTIONS:
        values = [each[option.name].value if option.name in each else option.get(defaults) for each in (before, after)]
        for is_added, these in ((True, after), (False, before)):
            if values[0] != values[1] and option.name in these:
                entry = these[option.name]
                text = f"{option.name} = {entry.text}"
                yield Change(is_added, "limit", text, f"line {entry.place.line}", values[1] > values[0])
