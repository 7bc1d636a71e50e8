"""Which scripts are not to be started again because processes that ran them have died, and how fast hosts are replaced.

Pure: time comes in as numbers of a monotonic clock, in seconds.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Final

from msgspec import Struct


class RestartPolicy(Struct, frozen=True):
    """How much death of hosts is borne. The defaults are guesses."""

    deaths_per_script: int = 2
    """A script inside of which so many hosts have died is not started any more."""
    restarts: int = 10
    """Hosts that are replaced in any `window` seconds, at most; beyond, those that are left go on alone."""
    window: float = 60.0
    first_delay: float = 0.05
    """Seconds before a host is replaced when another one was in the same window; doubled with each further one."""
    longest_delay: float = 5.0


class Blame:
    """Counts deaths by script. What a host ran is its own word: one that lies can blame any script of its tree.

    With several executors, each script inside of which one was is blamed: nobody can tell them apart. A host that was
    ended for a state that could not be stopped is that state's script's fault alone.
    """

    __slots__ = ("_deaths", "_policy", "banned")

    def __init__(self, policy: RestartPolicy) -> None:
        self._policy = policy
        self._deaths: Counter[str] = Counter()
        self.banned: dict[str, str] = {}
        """Scripts that are not started any more, and why."""

    def died(self, scripts: Iterable[str], how: str) -> list[str]:
        """A host has died, inside of these scripts. Which of them are banned from now on."""
        newly = []
        for script in sorted(set(scripts)):
            self._deaths[script] += 1
            if self._deaths[script] >= self._policy.deaths_per_script and script not in self.banned:
                self.banned[script] = (
                    f"not started: {self._deaths[script]} processes have died while they ran it (the last one {how})"
                )
                newly.append(script)
        return newly


class RestartBudget:
    """When a host that has died may be replaced."""

    __slots__ = ("_at", "_policy")

    def __init__(self, policy: RestartPolicy) -> None:
        self._policy = policy
        self._at: deque[float] = deque()

    def next(self, now: float) -> float | None:
        """A host has died: when to start another in its place, from now on; None: never."""
        policy = self._policy
        while self._at and self._at[0] <= now - policy.window:
            self._at.popleft()
        recent = len(self._at)
        if recent >= policy.restarts:
            return None
        delay = 0.0 if not recent else min(policy.longest_delay, policy.first_delay * 2.0 ** min(recent - 1, 64))
        self._at.append(now + delay)
        return now + delay


USUAL: Final = RestartPolicy()
"""What holds unless told otherwise."""
