"""What a state's decisions leave behind for the audit log, on its way out of the host.

Rows are kept until there are some, until the state's step is over, and for a fraction of a second at most while it goes
on deciding: so a host that is killed loses little, and a program that opens 10,000 files sends some dozen batches. The
same decision at the same place is one row with a count, until the state's pledges change or the rows have gone.

A batch is JSON: `[verdicts, rows]`. Most decisions share what decided, so that is a list of its own. A row is one of

    [verdict, where, asked, resolved, first, count, last]   a decision; `verdict` is the index of
        [permission, decision, reason, rule, origin, inherited, shadow's decision, shadow's rule]
    ["pledge", at, where, pledge, granted]
    ["state", at, creator, script, held, ceiling]
    ["end", at, outcome]

Times are nanoseconds since 1970. Who reads this takes nothing of it for granted: it comes from a host.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from time import time_ns
from typing import Any, Final, TypeAlias, TypeVar

from ..permissions import Audit, Decision, PledgeSet, Reason, Rule, held_and_ceiling
from .calls import decode

_ROWS: Final = 256
"""Of one batch at most. With more, what it costs by itself would not be any less that could be measured. Guessed."""
_CHARACTERS: Final = 64 * 1024
"""Of all texts in one batch, but for the last row: how long they are is the script's choice."""
_LONGEST: Final = 4096
"""Characters of one text; longer ones are cut. No path that is asked for and no pledge is longer."""
_HELD_BACK: Final = 100_000_000
"""Nanoseconds for which a row waits for the next at most, while one comes. Guessed: what a killed host may lose."""

Text = TypeVar("Text", str, str | None)
_Row: TypeAlias = list[Any]  # what JSON can say
_COUNT, _LAST = 5, 6
_encoded = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class Recorder:
    """The records of one state. Used by one thread at a time."""

    __slots__ = (
        "_audit",
        "_born_with",
        "_characters",
        "_inherited",
        "_is_worker",
        "_known",
        "_numbers",
        "_pending",
        "_pending_characters",
        "_places",
        "_rows",
        "_send",
        "_since",
        "_verdicts",
        "where",
    )

    def __init__(self, send: Callable[[bytes], None], audit: Audit, pledges: PledgeSet, *, is_worker: bool) -> None:
        """`send` takes a batch. `pledges` are those that the state begins with."""
        self.where = b"?"
        """The script's position in the call that is being answered."""
        self._send = send
        self._audit = audit
        self._born_with = pledges
        self._is_worker = is_worker
        self._inherited: frozenset[int] | None = None
        """The identities of the rules in `_born_with`, once somebody has asked."""
        self._pending: list[tuple[Decision, Decision | None, str | None, bytes, int]] = []
        """Decisions that are no rows yet: each with its shadow, what the path was called, where, and when."""
        self._pending_characters = 0
        self._rows: list[_Row] = []
        self._since = 0
        """The time of the first row, or decision that is kept."""
        self._characters = 0
        self._known: dict[tuple[object, ...], _Row] = {}
        """The rows of decisions that may be made again, as they were."""
        self._verdicts: list[_Row] = []
        self._places: dict[bytes, str] = {}
        """Positions, as texts."""
        self._numbers: dict[tuple[object, ...], int] = {}
        """Of the verdicts, by the identities of their rules: those of the present pledges."""

    def began(self, creator: int, script: str) -> None:
        """The state begins. `creator` is 0 for the root."""
        declared = self._audit.shadow if self._audit.observes else None
        held, ceiling = (_some_of(texts) for texts in held_and_ceiling(declared or self._born_with))
        script = _cut(script)
        self._add(["state", time_ns(), creator, script, held, ceiling], [script, *held, *ceiling])

    def decided(self, decision: Decision, shadow: Decision | None, asked: str | None) -> None:
        """A decision, and what the shadow set would have decided. `asked` is what the script called a real path.

        It is only kept here: rows are made of many at once, which takes half the time.
        """
        now = time_ns()
        pending = self._pending
        if not pending and not self._rows:
            self._since = now
        pending.append((decision, shadow, asked, self.where, now))
        self._pending_characters += len(asked or "") + len(decision.value or "")
        if now - self._since > _HELD_BACK:
            self.flush()
        elif len(pending) >= _ROWS or self._pending_characters >= _CHARACTERS:
            self._settle()

    def _settle(self) -> None:
        """Make rows of the decisions that are kept."""
        pending, self._pending, self._pending_characters = self._pending, [], 0
        known, numbers, places = self._known, self._numbers, self._places
        for decision, shadow, asked, at, now in pending:
            value, resolved = decision.value, None
            # By identity, which is quick: while the pledges are as they are, their rules are the same objects.
            verdict: tuple[object, ...] = (decision.permission, id(decision.reason), id(decision.rule))
            if shadow is not None:
                verdict = (*verdict, shadow.allowed, id(shadow.rule))
            key = (verdict, at, asked, value)
            row = known.get(key)
            if row is not None:
                row[_COUNT] += 1
                row[_LAST] = now
                continue
            number = numbers.get(verdict)
            if number is None:
                number = self._add_verdict(verdict, decision, shadow)
            where = places.get(at) or self._add_place(at)
            if asked is not None:
                value, resolved = asked, value
            size = len(value or "") + len(resolved or "")
            if size > _LONGEST:
                value, resolved = _cut(value), _cut(resolved)
            row = known[key] = [number, where, value, resolved, now, 1, now]
            self._append(row, size, now)

    def pledged(self, pledge: str, where: str, *, granted: bool) -> None:
        """One argument of a call of `pledge`. What is decided from here on is decided by another set."""
        self._settle()
        self._known.clear()
        self._numbers.clear()
        where, pledge = _cut(where), _cut(pledge)
        self._add(["pledge", time_ns(), where, pledge, granted], [where, pledge])

    def ended(self, outcome: str) -> None:
        """The state has ended; see `Port.ending`."""
        self._add(["end", time_ns(), outcome], [])
        self.flush()

    def flush(self) -> None:
        """Send what there is."""
        self._settle()
        self._send_rows()

    def _send_rows(self) -> None:
        if not self._rows:
            return
        batch = _encoded([self._verdicts, self._rows])
        self._rows, self._verdicts, self._characters = [], [], 0
        self._known.clear()
        self._places.clear()
        self._numbers.clear()
        self._send(batch.encode())

    def _add(self, row: _Row, texts: Sequence[str]) -> None:
        self._settle()
        self._append(row, sum(map(len, texts)), time_ns())

    def _append(self, row: _Row, size: int, now: int) -> None:
        if not self._rows:
            self._since = now
        self._rows.append(row)
        self._characters += size
        if len(self._rows) >= _ROWS or self._characters >= _CHARACTERS:
            self._send_rows()

    def _add_place(self, at: bytes) -> str:
        """A position."""
        where = self._places[at] = _cut(decode(at))
        self._characters += len(where)
        return where

    def _add_verdict(self, key: tuple[object, ...], decision: Decision, shadow: Decision | None) -> int:
        """Its number."""
        word, reason = "allowed" if decision.allowed else "denied", decision.reason
        if self._audit.observes and shadow is not None:
            if decision.allowed and not shadow.allowed:
                word, reason = "observed", Reason.UNPLEDGED
            shadow = None
        rule = _shown(decision.rule)
        verdict = [decision.permission, word, reason.value, *rule, self._is_inherited(decision.rule)]
        if shadow is not None:
            verdict += ["allowed" if shadow.allowed else "denied", _shown(shadow.rule)[0]]
        self._characters += sum(len(text) for text in verdict if isinstance(text, str))
        self._verdicts.append(verdict)
        number = self._numbers[key] = len(self._verdicts) - 1
        return number

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
    return (None, None) if rule is None else (_cut(str(rule.pledge)), _cut(rule.origin.text))


def _cut(text: Text) -> Text:
    return f"{text[:_LONGEST]}…" if text is not None and len(text) > _LONGEST else text


def _some_of(texts: list[str]) -> list[str]:
    """As many as there is room for in a batch; that is more than anybody would state."""
    some: list[str] = []
    left = _CHARACTERS
    for text in map(_cut, texts):
        left -= len(text)
        if left < 0:
            return [*some, f"… {len(texts) - len(some)} more"]
        some.append(text)
    return some
