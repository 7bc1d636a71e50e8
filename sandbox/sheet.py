"""Rows of the audit log, kept until they leave the host: decisions that are alike are one row with a count.

Decisions are kept as they are until there are many, until somebody takes them, and for a fraction of a second at most
while others follow: so a host that is killed loses little, and a program that opens 10,000 files sends a dozen batches.
native/sheet.c does the same in less time, and is used where it is there (`preemption.Mechanism`).
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from time import time_ns
from typing import Final, Protocol, TypeAlias, TypeVar

from ..permissions import Decision

ROWS: Final = 1024
"""Decisions of one batch at most. As many files can be opened while they may be held back: more were of no use. They
are kept outside of the script's heap, and take some megabytes if their paths are as long as paths can be."""
PARTS: Final = 256
"""Of one batch at most: a program may call `pledge` between any two decisions. Guessed."""
SAID: Final = 160 * 1024
"""Characters after which a batch is sent, those of what decided counted for each row: lines are longer than what they
are made of, and how long is the script's choice. With one row more it has less than `wire.RECORD_LIMIT`, however
escaped."""
LONGEST: Final = 4096
"""Characters of one text; longer ones are cut. No path that is asked for and no pledge is longer."""
HELD_BACK: Final = 100_000_000
"""Nanoseconds for which a row waits for the next at most, while one comes. Guessed: what a killed host may lose."""

Describe: TypeAlias = Callable[[Decision, Decision | None, bytes], bytes]
"""What rows of the same verdict at the same place have in common, as JSON: of a decision, that of the shadow set if
there is one, and the place."""
Text = TypeVar("Text", str, str | None)
_Made: TypeAlias = tuple[Decision, Decision | None, str | None, bytes, int]
encoded = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class Sheet(Protocol):
    """What is kept of one state. Used by one thread at a time."""

    def add(self, decision: Decision, shadow: Decision | None, asked: str | None, /) -> bool:
        """Keep a decision of now, within the host call that it is about. `asked` is what the script called a real path.

        Whether it is time to take what is kept.
        """

    def put(self, part: bytes, /) -> bool:
        """Keep a part of a batch, which is JSON, after what is kept already. Answers as `add`."""

    def take(self) -> bytes:
        """A batch as recorder.py describes it, of what is kept, which is forgotten by that; "" if nothing is.

        To be called until there is nothing: all of it may be too long for one batch.
        """


class PortableSheet:
    """A `Sheet` without the native module."""

    __slots__ = ("_describe", "_made", "_parts", "_position", "_said", "_since")

    def __init__(self, describe: Describe, position: Callable[[], bytes]) -> None:
        """`position` is called within `add`: where the script is."""
        self._describe = describe
        self._position = position
        self._made: list[_Made] = []
        """Decisions that are in no part yet: each with its shadow, what the path was called, where, and when."""
        self._parts: deque[bytes] = deque()
        self._said = 0
        """Characters, about: those of the parts, and of the values of decisions that are in none."""
        self._since = 0
        """Since when something is kept; 0: nothing is."""

    def add(self, decision: Decision, shadow: Decision | None, asked: str | None, /) -> bool:
        # As little as can be: what is done between two calls of a script costs three times what it does in a loop.
        now = time_ns()
        self._made.append((decision, shadow, asked, self._position(), now))
        self._said += len(decision.value or "")
        return len(self._made) >= ROWS or self._is_due(now)

    def put(self, part: bytes, /) -> bool:
        self._settle()
        self._parts.append(part)
        self._said += len(part)
        return len(self._parts) >= PARTS or self._is_due(time_ns())

    def take(self) -> bytes:
        self._settle()
        self._said = self._since = 0
        parts: list[bytes] = []
        while self._parts and sum(map(len, parts)) < SAID:
            parts.append(self._parts.popleft())
        return b"[%s]" % b",".join(parts) if parts else b""

    def _is_due(self, now: int) -> bool:
        self._since = self._since or now
        # A clock that was set back tells nothing of how long it has been.
        return not self._since <= now <= self._since + HELD_BACK or self._said >= SAID

    def _settle(self) -> None:
        """Make parts of the decisions that are kept: one, but where what decided takes long texts to say."""
        if self._made:
            made, self._made = iter(self._made), []
            while self._add_columns(made):
                continue

    def _add_columns(self, made: Iterator[_Made]) -> bool:
        """Make a part of as many of these as there is room for in it. Whether there may be more."""
        grounds: list[bytes] = []
        ground: list[int] = []
        asked: list[str | None] = []
        resolved: list[str | None] = []
        times: list[int] = []
        again: dict[int, list[int]] = {}
        # By identity, which is quick: the decisions are kept meanwhile, and their rules with them.
        numbers: dict[tuple[object, ...], int] = {}
        rows: dict[tuple[object, ...], int] = {}
        said = 0
        for decision, shadow, called, at, now in made:
            key: tuple[object, ...] = (decision.permission, id(decision.reason), id(decision.rule), at)
            if shadow is not None:
                key = (*key, shadow.allowed, id(shadow.rule))
            number = numbers.get(key)
            if number is None:
                number = numbers[key] = len(grounds)
                grounds.append(self._describe(decision, shadow, at))
            value = decision.value
            shown = (value, None) if called is None else (called, value)
            row = rows.setdefault((number, *shown), len(times))
            if row < len(times):
                repeated = again.setdefault(row, [row, 1, now])
                repeated[1] += 1
                repeated[2] = now
                continue
            ground.append(number)
            asked.append(shown[0])
            resolved.append(shown[1])
            times.append(now)
            said += len(grounds[number]) + len(called or "") + len(value or "")
            if said >= SAID:
                break
        if times:
            columns = map(encoded, (ground, _all_cut(asked), _all_cut(resolved), times, list(again.values())))
            self._parts.append(b"[[%s],%s]" % (b",".join(grounds), ",".join(columns).encode()))
        return said >= SAID


def cut(text: Text) -> Text:
    """The beginning of a text that is longer than a log shows."""
    return f"{text[:LONGEST]}…" if text is not None and len(text) > LONGEST else text


def _all_cut(texts: list[str | None]) -> list[str | None]:
    return texts if max(map(len, filter(None, texts)), default=0) <= LONGEST else [cut(text) for text in texts]
