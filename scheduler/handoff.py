"""Whether a state that is woken, or created, out of a step is left to the executor of that step, which may be about to
wait itself.

Two states that answer each other keep one executor busy at a time. If each message wakes a second one, that finds the
work taken when it comes, and has only taken processor time and Python's lock from the first: it doubles what a round
trip takes. So when executors have come for nothing several times in a row, a waking step may keep one piece of
work for its own executor, until it turns out that some work was not taken for a while.

A pure object; used under the dispatcher's lock.
"""

from __future__ import annotations

from typing import Final

_FOR_NOTHING: Final = 8
"""Times in a row. Guessed; each costs some 30 microseconds."""

LOOK_EVERY: Final = 2_000_000
"""Nanoseconds between two looks of the timekeeper, while work may be kept: the longest time it waits in vain is two of
these. Less than that would be felt in everything: a look takes 20 microseconds. Guessed."""


class Handoff:
    """See the module."""

    __slots__ = ("_for_nothing", "_turns", "_turns_seen", "is_on")

    def __init__(self) -> None:
        self.is_on = False
        """A waking step keeps a piece of work for its own executor."""
        self._for_nothing = 0
        self._turns = 0
        """Pieces of work that were taken."""
        self._turns_seen = -1

    def came(self, *, for_nothing: bool) -> bool:
        """An executor that was woken has got the lock, and found something to do or not. True: it is on from now on."""
        self._for_nothing = self._for_nothing + 1 if for_nothing else 0
        if self.is_on or self._for_nothing < _FOR_NOTHING:
            return False
        self.is_on, self._turns_seen = True, -1
        return True

    def taken(self) -> None:
        """Somebody has taken work."""
        self._turns += 1

    def look(self, *, is_work: bool) -> None:
        """Every `LOOK_EVERY` while it is on: end it where work lies that nobody has touched since the last look."""
        if is_work and self._turns == self._turns_seen:
            self.is_on, self._for_nothing = False, 0
        self._turns_seen = self._turns if is_work else -1
