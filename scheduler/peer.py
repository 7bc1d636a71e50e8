"""Another host, as the machine of this one knows it: its letters, and which ends below a state it has heard of."""

from __future__ import annotations

from collections import deque
from collections.abc import Set as AbstractSet
from typing import Final

from .letters import Kind, LetterError, write
from .protocol import StateId
from .tree import State

__all__ = ["Peer"]


class Peer:
    """All hosts hear of ends below states in the same order (see `spread`), so counting is enough to compare them."""

    __slots__ = ("ahead", "behind", "letters", "number", "published", "received", "sent", "waiters")

    def __init__(self, number: int) -> None:
        self.number: Final = number
        self.behind: deque[StateId] = deque()
        """Ends below these states it may not have heard of, in their order, and this host has."""
        self.ahead = 0
        """How many such ends it has heard of before this host."""
        self.letters: deque[bytes] = deque()
        """Written and not yet fetched by the shell."""
        self.sent = 0
        """Letters ever written to it."""
        self.received = 0
        """Letters ever read from it."""
        self.published = 0
        """As many letters as it can read, whatever becomes of us; kept up to date while there are `waiters`."""
        self.waiters: list[State] = []
        """States that wait for `LetterIsOut`."""

    def post(self, letter: bytes) -> None:
        """Write it a letter."""
        self.sent += 1
        self.letters.append(letter)

    def end_below(self, top: StateId) -> None:
        """This host hears that everybody below `top` ends, and says so behind all that it wrote before."""
        self.post(write(Kind.PASSED, top))
        if self.ahead:
            self.ahead -= 1
        else:
            self.behind.append(top)

    def passed(self, top: StateId) -> None:
        """The other has said the same. LetterError when it can't have."""
        if not self.behind:
            self.ahead += 1
        elif self.behind.popleft() != top:
            raise LetterError(f"host {self.number} has heard of an end below state {top} before its time")

    def may_not_know(self, names: AbstractSet[StateId]) -> bool:
        """Whether what comes from it may be of before an end below one of these."""
        return not names.isdisjoint(self.behind)
