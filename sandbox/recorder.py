"""What a state's decisions leave behind for the audit log, on its way out of the host.

Decisions are kept until there are many, until the state's step is over, and for a fraction of a second at most while it
goes on deciding (`sheet`); what leaves the host is a batch. The same decision at the same place is one row with a
count, until the state's pledges change or the rows have gone.

A batch is JSON, a list of parts in order. A part is one of

    ["state", at, creator, script, held, ceiling]
    ["pledge", at, where, pledge, granted]
    ["end", at, outcome]
    [grounds, ground, asked, resolved, at, again]           decisions

`ground`, `asked`, `resolved` and `at` are columns, with an item for each row. `ground` is an index in `grounds`, a list
of [where, permission, decision, reason, rule, origin, inherited, shadow's decision, shadow's rule]. `again` has
[row, count, last] for the rows that count for more than one decision. Times are nanoseconds since 1970. Who reads this
takes nothing of it for granted: it comes from a host.
"""

from __future__ import annotations

from collections.abc import Callable
from time import time_ns
from typing import Final

from ..permissions import Audit, Decision, PledgeSet, Reason, Rule, held_and_ceiling
from .calls import decode
from .sheet import Describe, Sheet, cut, encoded

_CHARACTERS: Final = 64 * 1024
"""Of the pledges that a state is said to begin with, each list of them."""


class Recorder:
    """The records of one state. Used by one thread at a time."""

    __slots__ = ("_add", "_audit", "_born_with", "_send", "_sheet")

    def __init__(
        self,
        send: Callable[[bytes], None],
        new_sheet: Callable[[Describe], Sheet],
        audit: Audit,
        pledges: PledgeSet,
        *,
        is_worker: bool,
    ) -> None:
        """`send` takes a batch, `new_sheet` makes what keeps decisions. The state begins with these `pledges`."""
        self._send = send
        self._audit = audit
        self._born_with = pledges
        self._sheet = new_sheet(_Grounds(audit, pledges, is_worker=is_worker).described)
        self._add = self._sheet.add

    def began(self, creator: int, script: str) -> None:
        """The state begins. `creator` is 0 for the root."""
        declared = self._audit.shadow if self._audit.observes else None
        held, ceiling = (_some_of(texts) for texts in held_and_ceiling(declared or self._born_with))
        self._put("state", time_ns(), creator, cut(script), held, ceiling)

    def decided(self, decision: Decision, shadow: Decision | None, asked: str | None) -> None:
        """A decision, and what the shadow set would have decided. `asked` is what the script called a real path."""
        if self._add(decision, shadow, asked):
            self.flush()

    def pledged(self, pledge: str, where: str, *, granted: bool) -> None:
        """One argument of a call of `pledge`. What is decided from here on is decided by another set."""
        self._put("pledge", time_ns(), cut(where), cut(pledge), granted)

    def ended(self, outcome: str) -> None:
        """The state has ended; see `Port.ending`."""
        self._put("end", time_ns(), outcome)
        self.flush()

    def flush(self) -> None:
        """Send what there is."""
        while batch := self._sheet.take():
            self._send(batch)

    def _put(self, *part: object) -> None:
        if self._sheet.put(encoded(part).encode()):
            self.flush()


class _Grounds:
    """Says on what a decision about one state rests."""

    __slots__ = ("_born_with", "_inherited", "_is_worker", "_observes")

    def __init__(self, audit: Audit, pledges: PledgeSet, *, is_worker: bool) -> None:
        self._observes = audit.observes
        self._born_with = pledges
        self._is_worker = is_worker
        self._inherited: frozenset[int] | None = None
        """The identities of the rules in `_born_with`, once somebody has asked."""

    def described(self, decision: Decision, shadow: Decision | None, at: bytes) -> bytes:
        """What rows of the same place and verdict have in common, as `sheet.Describe`."""
        word, reason = "allowed" if decision.allowed else "denied", decision.reason
        if self._observes and shadow is not None:
            if decision.allowed and not shadow.allowed:
                word, reason = "observed", Reason.UNPLEDGED
            shadow = None
        inherited = self._is_inherited(decision.rule)
        ground = [cut(decode(at)), decision.permission, word, reason.value, *_shown(decision.rule), inherited]
        if shadow is not None:
            ground += ["allowed" if shadow.allowed else "denied", _shown(shadow.rule)[0]]
        return encoded(ground).encode()

    def _is_inherited(self, rule: Rule | None) -> bool:
        """Whether a worker has the rule from its creator."""
        if rule is None or not self._is_worker:
            return False
        if self._inherited is None:
            born_with = self._born_with.grants.values()
            rules = [known for own in born_with for known in (*own.held, *own.ceiling, *own.rejected, own.narrowed_by)]
            self._inherited = frozenset(map(id, rules))
        return id(rule) in self._inherited


def _shown(rule: Rule | None) -> tuple[str | None, str | None]:
    """A rule's pledge and its origin."""
    return (None, None) if rule is None else (cut(str(rule.pledge)), cut(rule.origin.text))


def _some_of(texts: list[str]) -> list[str]:
    """As many as there is room for in a batch; that is more than anybody would state."""
    some: list[str] = []
    left = _CHARACTERS
    for text in map(cut, texts):
        left -= len(text)
        if left < 0:
            return [*some, f"… {len(texts) - len(some)} more"]
        some.append(text)
    return some
