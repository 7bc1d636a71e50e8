"""How many tasks a station is to have. Pure; times are seconds.

A station gives back what is done, and gets new tasks, in *exchanges*, each a call that costs both sides some time.
Small tasks should not pay a call each, so a station has as many ahead as it will do until the next exchange; long ones
should not wait at one station while another has nothing to do, so it has no more than that. Both are the same number:
how fast tasks end there, times how long it takes until it gets new ones (as a sender's window is the product of
bandwidth and delay). A station about which nothing is known has as many as it can run.
"""

from __future__ import annotations

import math
from typing import Final

AHEAD_MOST: Final = 4096
"""Tasks that a station has beyond those that run: what is lost with it, and begun anew elsewhere. Guessed."""
_MARGIN: Final = 2.0
"""How much more a station has than it is expected to need: its tasks are not all alike. Guessed."""
_MEMORY_SECONDS: Final = 2.0
"""What was longer ago than that hardly counts any more."""
_DOUBT_SECONDS: Final = 0.02
"""As if nothing had ended for so long before anything was known: one task that was over at once says little."""
_LAG_AT_FIRST: Final = 0.01
_LAG_MOST: Final = 1.0
"""A call that takes longer says something about the moment, and nothing about the next one."""


class Credit:
    """Of one station, which runs `lanes` tasks at a time."""

    __slots__ = ("_ended", "_lag", "_took", "lanes")

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self._ended = 0.0
        self._took = _DOUBT_SECONDS
        """So many tasks have ended in so long; both fade away."""
        self._lag = _LAG_AT_FIRST
        """How much longer an exchange takes for us than for the station: the way there and back."""

    def learn(self, ended: int, took: float, spent: float) -> None:
        """In an exchange that took so long, of which the station had it for `spent`, so many tasks have ended."""
        fading = math.exp(-took / _MEMORY_SECONDS)
        self._ended = self._ended * fading + ended
        self._took = self._took * fading + took
        self._lag += 0.5 * (min(max(took - spent, 0.0), _LAG_MOST) - self._lag)

    def tasks(self, interval: float) -> int:
        """How many it is to have, those that run included, where it reports every so many seconds."""
        # Rounded down: where less than one is expected to end meanwhile, tasks are long, and the way costs them little.
        ahead = int(_MARGIN * self._rate * (interval + self._lag))
        return self.lanes + min(ahead, AHEAD_MOST)

    def seconds_for(self, tasks: int, silent: float) -> float:
        """How long so many will take, where nothing has ended for `silent` seconds."""
        rate = min(self._rate, 1 / silent) if silent > 0 else self._rate
        return tasks / rate if rate > 0 else math.inf

    @property
    def _rate(self) -> float:
        return self._ended / self._took
