"""Which host a new state runs in: pure decisions from what hosts show of their load.

A state starts in its creator's host unless another has less to do. All hosts of a program have as many executors, so
of two hosts that with more sleeping executors, or fewer states that wait for one, has less to do. Half of the
difference is given away, out of the states that have not begun; what runs counts too, for it comes back into the queue
and can't be given any more. States of ten seconds each, created one after another, are spread evenly by this although
each looks, when it is created, like one that may be over in a moment.

What was given shows on the other's board only when it has arrived. It is counted as the other's until then, which is
taken to be `ARRIVAL` after the last gift; then the board is believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from .board import Load

__all__ = ["ARRIVAL", "PATIENCE", "Placement"]

PATIENCE: Final = 1_000_000
"""Nanoseconds that states wait in their creator's host before they are given away. Less sends states to other hosts
that would have been run here sooner; a message to another host and back takes a third of this. Guessed."""

ARRIVAL: Final = 3_000_000
"""Nanoseconds after which a state that was given away shows on the board of the other host: ten times what a letter
takes between two hosts at rest. Guessed."""


class _Gift(NamedTuple):
    states: int
    until: int
    """Nanoseconds: until then they are not taken to be on the other's board."""


_NOTHING: Final = _Gift(0, 0)


class Placement:
    """What one host decides. Times are nanoseconds of one clock that never goes back."""

    __slots__ = ("_gifts", "_turn", "spreads")

    def __init__(self) -> None:
        self.spreads = False
        """For tests: every new state goes to the next host, whatever the load, and none is given later."""
        self._gifts: dict[int, _Gift] = {}
        self._turn = 0

    def home_of_new(self, hosts: Sequence[int]) -> int:
        """The host for a state that was just created; `hosts`: all, the own one first."""
        if not self.spreads:
            return hosts[0]
        self._turn += 1
        return hosts[self._turn % len(hosts)]

    def surplus(self, host: int, own: Load, other: Load, now: int) -> int:
        """As many states are to be given to `host`, whose board shows `other`. 0: none."""
        if self.spreads:
            return 0
        difference = own.ready - own.idle - (other.ready - other.idle + self._on_the_way(host, now))
        return max(0, difference // 2)

    def gave(self, host: int, count: int, now: int) -> None:
        """As many have been given to it."""
        self._gifts[host] = _Gift(self._on_the_way(host, now) + count, now + ARRIVAL)

    def forget(self, host: int) -> None:
        """The host is gone."""
        self._gifts.pop(host, None)

    def _on_the_way(self, host: int, now: int) -> int:
        gift = self._gifts.get(host, _NOTHING)
        return gift.states if now < gift.until else 0
