"""What a state's decisions leave behind for the audit log, on its way out of the host.

Decisions are kept as they are until there are many, until the state's step is over, and for a fraction of a second at
most while it goes on deciding: so a host that is killed loses little, and a program that opens 10,000 files sends a
dozen batches. Only then is something made of them, of all at once, in columns: a program pays for each decision. The
same decision at the same place is one row with a count, until the state's pledges change or the rows have gone.

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

import json
from collections.abc import Callable, Iterator, Sequence
from time import time_ns
from typing import Any, Final, TypeAlias, TypeVar

from ..permissions import Audit, Decision, PledgeSet, Reason, Rule, held_and_ceiling
from .calls import decode

_ROWS: Final = 1024
"""Decisions of one batch at most. As many files can be opened while they may be held back: more were of no use. They
are kept outside of the script's heap, and take some megabytes if their paths are as long as paths can be."""
_PARTS: Final = 256
"""Of one batch at most: a program may call `pledge` between any two decisions. Guessed."""
_CHARACTERS: Final = 64 * 1024
"""After so many in the texts of a batch, it is sent: how long they are is the script's choice."""
_SAID: Final = 160 * 1024
"""Characters of a part, those of what decided counted for each row: lines are longer than the batch that they are made
of. A batch has half as many more at most with what was there before: less than `wire.RECORD_LIMIT`, however escaped."""
_LONGEST: Final = 4096
"""Characters of one text; longer ones are cut. No path that is asked for and no pledge is longer."""
_HELD_BACK: Final = 100_000_000
"""Nanoseconds for which a row waits for the next at most, while one comes. Guessed: what a killed host may lose."""

Text = TypeVar("Text", str, str | None)
_Part: TypeAlias = list[Any]  # what JSON can say
_Made: TypeAlias = tuple[Decision, Decision | None, str | None, bytes, int]
_encoded = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class Recorder:
    """The records of one state. Used by one thread at a time."""

    __slots__ = (
        "_audit",
        "_born_with",
        "_characters",
        "_inherited",
        "_is_worker",
        "_made",
        "_parts",
        "_position",
        "_send",
        "_until",
    )

    def __init__(
        self,
        send: Callable[[bytes], None],
        position: Callable[[], bytes],
        audit: Audit,
        pledges: PledgeSet,
        *,
        is_worker: bool,
    ) -> None:
        """`send` takes a batch. `position` is called within each host call that is decided on: where the script is.
        `pledges` are those that the state begins with."""
        self._send = send
        self._position = position
        self._audit = audit
        self._born_with = pledges
        self._is_worker = is_worker
        self._inherited: frozenset[int] | None = None
        """The identities of the rules in `_born_with`, once somebody has asked."""
        self._made: list[_Made] = []
        """Decisions that are in no part yet: each with its shadow, what the path was called, where, and when."""
        self._characters = 0
        """In values of these that are no paths, and in the parts."""
        self._parts: list[_Part] = []
        self._until = 0
        """When what is kept has been held back for long enough; 0: nothing is kept."""

    def began(self, creator: int, script: str) -> None:
        """The state begins. `creator` is 0 for the root."""
        declared = self._audit.shadow if self._audit.observes else None
        held, ceiling = (_some_of(texts) for texts in held_and_ceiling(declared or self._born_with))
        script = _cut(script)
        self._add(["state", time_ns(), creator, script, held, ceiling], [script, *held, *ceiling])

    def decided(self, decision: Decision, shadow: Decision | None, asked: str | None) -> None:
        """A decision, and what the shadow set would have decided. `asked` is what the script called a real path."""
        # As little as can be: what is done between two calls of a script costs three times what it does in a loop.
        now = time_ns()
        made = self._made
        made.append((decision, shadow, asked, self._position(), now))
        if now > self._until or asked is None or len(made) >= _ROWS:
            self._keep_in_bounds(len(decision.value or ""), now)

    def _keep_in_bounds(self, size: int, now: int) -> None:
        """One more decision was made, now, about a value of so many characters; those of paths are bounded anyhow."""
        self._characters += size
        if not self._until:
            self._until = now + _HELD_BACK
        if now > self._until or len(self._made) >= _ROWS or self._characters >= _CHARACTERS:
            self.flush()

    def pledged(self, pledge: str, where: str, *, granted: bool) -> None:
        """One argument of a call of `pledge`. What is decided from here on is decided by another set."""
        where, pledge = _cut(where), _cut(pledge)
        self._add(["pledge", time_ns(), where, pledge, granted], [where, pledge])

    def ended(self, outcome: str) -> None:
        """The state has ended; see `Port.ending`."""
        self._add(["end", time_ns(), outcome], [])
        self.flush()

    def flush(self) -> None:
        """Send what there is."""
        self._settle()
        self._send_parts()

    def _add(self, part: _Part, texts: Sequence[str]) -> None:
        self._settle()
        if not self._until:
            self._until = part[1] + _HELD_BACK
        self._append(part, sum(map(len, texts)))

    def _append(self, part: _Part, size: int) -> None:
        self._parts.append(part)
        self._characters += size
        if len(self._parts) >= _PARTS or self._characters >= _CHARACTERS:
            self._send_parts()

    def _send_parts(self) -> None:
        if self._parts:
            parts, self._parts, self._characters, self._until = self._parts, [], 0, 0
            self._send(_encoded(parts).encode())

    def _settle(self) -> None:
        """Make parts of the decisions that are kept: one, but where what decided takes long texts to say."""
        if self._made:
            made, self._made = iter(self._made), []
            while self._add_columns(made):
                continue

    def _add_columns(self, made: Iterator[_Made]) -> bool:
        """Make a part of as many of these as there is room for in it. Whether there may be more."""
        grounds: list[_Part] = []
        sizes: list[int] = []
        ground: list[int] = []
        asked: list[str | None] = []
        resolved: list[str | None] = []
        times: list[int] = []
        again: dict[int, _Part] = {}
        # By identity, which is quick: the decisions are kept meanwhile, and their rules with them.
        numbers: dict[tuple[object, ...], int] = {}
        rows: dict[tuple[object, ...], int] = {}
        size = 0
        for decision, shadow, called, at, now in made:
            key: tuple[object, ...] = (decision.permission, id(decision.reason), id(decision.rule), at)
            if shadow is not None:
                key = (*key, shadow.allowed, id(shadow.rule))
            number = numbers.get(key)
            if number is None:
                number = numbers[key] = len(grounds)
                grounds.append(self._ground(decision, shadow, at))
                sizes.append(sum(len(text) for text in grounds[-1] if isinstance(text, str)))
            value = decision.value
            row = rows.setdefault((number, called, value), len(times))
            if row < len(times):
                repeated = again.setdefault(row, [row, 1, now])
                repeated[1] += 1
                repeated[2] = now
                continue
            ground.append(number)
            asked.append(value if called is None else called)
            resolved.append(None if called is None else value)
            times.append(now)
            size += sizes[number] + len(called or "") + len(value or "")
            if size >= _SAID:
                break
        if times:
            self._append([grounds, ground, _all_cut(asked), _all_cut(resolved), times, list(again.values())], size)
        return size >= _SAID

    def _ground(self, decision: Decision, shadow: Decision | None, at: bytes) -> _Part:
        """What rows of the same place and verdict have in common."""
        word, reason = "allowed" if decision.allowed else "denied", decision.reason
        if self._audit.observes and shadow is not None:
            if decision.allowed and not shadow.allowed:
                word, reason = "observed", Reason.UNPLEDGED
            shadow = None
        inherited = self._is_inherited(decision.rule)
        ground = [_cut(decode(at)), decision.permission, word, reason.value, *_shown(decision.rule), inherited]
        if shadow is not None:
            ground += ["allowed" if shadow.allowed else "denied", _shown(shadow.rule)[0]]
        return ground

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


def _all_cut(texts: list[str | None]) -> list[str | None]:
    return texts if max(map(len, filter(None, texts)), default=0) <= _LONGEST else [_cut(text) for text in texts]


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
