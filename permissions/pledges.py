"""The pledges one state lives under, as an immutable value.

For each elementary permission a state has a ceiling (what it may pledge), what it holds, and what is rejected. The
laws, all of them under property tests:

- What is held lies within the ceiling; no call widens the ceiling.
- Rejection beats everything, stays for good, and passes to all states created later.
- A child starts with what its parent holds at that moment as its ceiling and as held: it never has more.
- The first pledge of a permission by a state replaces what it was given; further ones add.

Containment of one value in another is decided rule by rule and is cautious (`Rule.contains`): it may refuse a request
that lies within several rules together, and never lets through one that does not lie within the ceiling. Rejections
are different, since a request may lie partly in one: a request is refused when a rejection covers it whole, and
otherwise every single decision asks the rejections first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from .decision import Decision, Reason
from .grammar import Pledge, PledgeError, PledgeSyntaxError
from .paths import PathPattern
from .rules import Origin, Rule
from .table import PERMISSIONS, ValueKind

MAX_RULES: Final = 256
"""Rules in each list of a set. They live outside a script's heap and every decision may read all of them, so a script
must not be able to pile them up; a guess at more than any honest script or policy needs."""


class PledgeLimitError(PledgeError):
    """One more pledge than `MAX_RULES` of one kind, none of which covers another."""


class Grants(Struct, frozen=True):
    """What one state may do with one elementary permission.

    `narrowed_by` is the rule of the pledge call that first replaced what was given, in this state or the nearest
    parent that did so. `pledged` says whether this state itself has: its further pledges add.
    """

    ceiling: tuple[Rule, ...] = ()
    held: tuple[Rule, ...] = ()
    rejected: tuple[Rule, ...] = ()
    narrowed_by: Rule | None = None
    pledged: bool = False

    def may_pledge(self, rule: Rule) -> bool:
        """Whether the rule lies within the ceiling and is not rejected as a whole."""
        return _covered(self.ceiling, rule) and not _covered(self.rejected, rule)

    def allow(self, rule: Rule) -> Grants:
        """With a rule from outside that the state may pledge."""
        return replace(self, ceiling=_with(self.ceiling, rule))

    def give(self, rule: Rule) -> Grants:
        """With a rule from outside that the state holds."""
        return replace(self, ceiling=_with(self.ceiling, rule), held=_with(self.held, rule))

    def pledge(self, rule: Rule) -> Grants:
        """With a rule added that `may_pledge` let through."""
        if self.pledged:
            return replace(self, held=_with(self.held, rule))
        return replace(self, held=(rule,), narrowed_by=rule, pledged=True)

    def reject(self, rule: Rule) -> Grants:
        """With a rule rejected for good."""
        return replace(self, rejected=_with(self.rejected, rule))

    def inherit(self) -> Grants:
        """What a child starts with."""
        if self.ceiling is self.held and not self.pledged:  # most permissions of most states
            return self
        return Grants(self.held, self.held, self.rejected, self.narrowed_by)


class PledgeSet(Struct, frozen=True):
    """The pledges of one state: `grants` by elementary permission (all of them), and the seal if there is one.

    Made by `root`, `inherit` and `from_wire`. The methods that change something return a new set.
    """

    grants: Mapping[str, Grants]
    sealed_by: Rule | None = None

    @classmethod
    def root(cls, held: Iterable[Rule] = (), ceiling: Iterable[Rule] = ()) -> PledgeSet:
        """The set of a root: `held` as `-P` gives it (held from the start), `ceiling` as `--allow` (may be pledged).

        `held` may also reject (`~x`) and `seal`; the order of the rules does not matter. Raises `PledgeSyntaxError`
        for a word that can't be granted, and for a rejection or seal in `ceiling`; `PledgeLimitError`.
        """
        grants = dict.fromkeys(_ELEMENTARY, Grants())
        sealed_by = None
        for rule in held:
            if rule.pledge.permission == "seal":
                sealed_by = sealed_by or rule
            elif not rule.pledge.rejected:
                _require_grantable(rule.pledge)
            for name in rule.pledge.record.covers:
                own = grants[name]
                grants[name] = own.reject(rule) if rule.pledge.rejected else own.give(rule)
        for rule in ceiling:
            if rule.pledge.rejected or rule.pledge.permission == "seal":
                raise PledgeSyntaxError(str(rule.pledge), 1, "no permission to allow", "use -P to reject or to seal")
            _require_grantable(rule.pledge)
            for name in rule.pledge.record.covers:
                grants[name] = grants[name].allow(rule)
        return cls(MappingProxyType(grants), sealed_by)

    def inherit(self) -> PledgeSet:
        """The set of a state that this state creates now. A seal does not pass on: a child may always give up more."""
        return PledgeSet(MappingProxyType({name: own.inherit() for name, own in self.grants.items()}))

    def holding_all(self) -> PledgeSet:
        """The set that holds its whole ceiling from the start. For a root: as if that had been given so."""
        grants = {name: replace(own, held=own.ceiling) for name, own in self.grants.items()}
        return replace(self, grants=MappingProxyType(grants))

    def is_within(self, outer: PledgeSet) -> bool:
        """Whether a state with this set may live below one with `outer`: nothing beyond its ceiling, and all that it
        rejects is rejected. Cautious, as all that compares values; True for what `inherit` and scripts' calls make.
        """
        return all(
            all(_covered(limit.ceiling, rule) for rule in own.ceiling)
            and all(_covered(own.rejected, rule) for rule in limit.rejected)
            for own, limit in ((self.grants[name], outer.grants[name]) for name in _ELEMENTARY)
        )

    def request(self, pledge: Pledge, origin: Origin) -> tuple[PledgeSet, bool]:
        """What the script's `pledge(x)` does, in all three forms: the new set, and what the call returns.

        A request is granted whole or not at all. The pledge must be bound. Raises `PledgeLimitError`.
        """
        if pledge.permission == "seal":
            return self.seal(origin)
        if pledge.rejected:
            return self.reject(pledge, origin)
        rule = Rule(pledge, origin)
        covered = {name: self.grants[name] for name in pledge.record.covers}
        if self.sealed_by or not all(own.may_pledge(rule) for own in covered.values()):
            return self, False
        return self._with({name: own.pledge(rule) for name, own in covered.items()}), True

    def reject(self, pledge: Pledge, origin: Origin) -> tuple[PledgeSet, bool]:
        """Reject a bound pledge, with or without its `~`, for good: True unless sealed. Raises `PledgeLimitError`."""
        if self.sealed_by:
            return self, False
        rule = Rule(replace(pledge, rejected=True), origin)
        return self._with({name: self.grants[name].reject(rule) for name in pledge.record.covers}), True

    def seal(self, origin: Origin) -> tuple[PledgeSet, bool]:
        """Refuse every later change: True the first time."""
        if self.sealed_by:
            return self, False
        return replace(self, sealed_by=Rule(Pledge("seal"), origin)), True

    def decide(self, permission: str, value: str | None = None) -> Decision:
        """Whether the state may use an elementary permission on `value`, and what decided.

        For paths `value` is the real path of the opened descriptor, absolute and without NUL. None asks for all
        values at once, and is the only value of `load`. ValueError for other permissions and paths.
        """
        grants = self._grants_for(permission, value)
        for rule in grants.rejected:
            # Asking for all values at once meets every rejection of some of them.
            if value is None or rule.matches(value):
                return Decision(False, permission, value, Reason.REJECTED, rule)
        for rule in grants.held:
            if rule.matches(value):
                return Decision(True, permission, value, Reason.HELD, rule)
        within = next((rule for rule in grants.ceiling if rule.matches(value)), None)
        return self._denial(permission, value, within)

    def decide_tree(self, permission: str, path: str) -> Decision:
        """Whether the state may use a path permission on a real path and on everything that is or will be beneath it.

        For what acts on a whole directory at once: moving one would otherwise carry what is rejected in it out from
        under the rejection. Cautious where patterns are involved. ValueError as in `decide`.
        """
        grants = self._grants_for(permission, path)
        tree = PathPattern.tree(path)
        for rule in grants.rejected:
            if rule.may_touch_tree(path):
                return Decision(False, permission, path, Reason.REJECTED, rule)
        for rule in grants.held:
            if rule.contains_tree(tree):
                return Decision(True, permission, path, Reason.HELD, rule)
        within = next((rule for rule in grants.ceiling if rule.contains_tree(tree)), None)
        return self._denial(permission, path, within)

    def allows(self, permission: str, value: str | None = None) -> bool:
        """`decide(permission, value).allowed`."""
        return self.decide(permission, value).allowed

    def may_ever_allow(self, permission: str, value: str) -> bool:
        """Whether this state, or one below it, holds an elementary permission for `value` or may still pledge it.

        For whoever serves a whole tree and can't ask each of its states: more is allowed to none of them, ever.
        """
        grants = self._grants_for(permission, value)
        rejected = any(rule.matches(value) for rule in grants.rejected)
        return not rejected and any(rule.matches(value) for rule in grants.ceiling)

    def _grants_for(self, permission: str, value: str | None) -> Grants:
        grants = self.grants.get(permission)
        if grants is None:
            raise ValueError(f"not an elementary permission: {permission!r}")
        if value is not None and permission in _OF_PATHS and (not value.startswith("/") or "\0" in value):
            raise ValueError(f"not a real path: {value!r}")
        return grants

    def _denial(self, permission: str, value: str | None, within: Rule | None) -> Decision:
        """Why something is not held that nothing rejects; `within` is the rule of the ceiling that covers it."""
        narrowed_by = self.grants[permission].narrowed_by
        if not PERMISSIONS[permission].grantable:
            return Decision(False, permission, value, Reason.UNGRANTABLE, None)
        if within and self.sealed_by:
            return Decision(False, permission, value, Reason.SEALED, self.sealed_by)
        if narrowed_by:
            return Decision(False, permission, value, Reason.DROPPED if within else Reason.NARROWED, narrowed_by)
        return Decision(False, permission, value, Reason.UNPLEDGED if within else Reason.BEYOND, within)

    def _with(self, changed: Mapping[str, Grants]) -> PledgeSet:
        return replace(self, grants=MappingProxyType({**self.grants, **changed}))


_ELEMENTARY: Final = tuple(record.name for record in PERMISSIONS.values() if record.elementary)
_OF_PATHS: Final = frozenset(name for name in _ELEMENTARY if PERMISSIONS[name].value is ValueKind.PATH)


def _require_grantable(pledge: Pledge) -> None:
    if not pledge.record.grantable:
        problem = f'"{pledge.permission}" cannot be granted here'
        raise PledgeSyntaxError(str(pledge), 1, problem, "leave it out; scripts run without it")


def _covered(rules: tuple[Rule, ...], rule: Rule) -> bool:
    return any(known.contains(rule) for known in rules)


def _with(rules: tuple[Rule, ...], rule: Rule) -> tuple[Rule, ...]:
    """The rules and one more, without those that then cover nothing of their own."""
    if _covered(rules, rule):
        return rules
    kept = tuple(known for known in rules if not rule.contains(known))
    if len(kept) >= MAX_RULES:
        name = rule.pledge.permission
        raise PledgeLimitError(f'more than {MAX_RULES} different pledges of "{name}" (pledge a directory or a pattern)')
    return (*kept, rule)
