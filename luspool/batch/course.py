"""What happens next in a batch: which items begin, which are tried again and when, and when no more begin.

Pure: events in (an item is to begin, has ended, a signal has come), answers out; times are given from outside, in
seconds. It keeps nothing about items but for those that wait to be tried again and those that are being run.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from enum import Enum
from typing import Final

from msgspec import Struct

from .outcome import Outcome, Status

_LONGEST_DELAY: Final = 300.0
"""Seconds between two tries at most. Guessed."""

RETRIED: Final = frozenset({Status.FAILED, Status.TIMEOUT, Status.MEMORY, Status.DEADLOCK})
"""What may be otherwise the next time. A denial follows from the rights; a death has a budget of its own."""


class RetryPolicy(Struct, frozen=True):
    """How often an item is tried again after a failure, and a script after the death of a process."""

    retries: int = 0
    delay: float = 1.0
    """Seconds before the first retry; each further one waits twice as long."""
    crashes: int = 2
    """Processes that may die of one script. Its items are tried again up to then, and no more begin afterwards."""

    def delay_before(self, retry: int) -> float:
        """Seconds before retry number 1, 2, …"""
        return min(_LONGEST_DELAY, self.delay * 2.0 ** min(retry - 1, 64))


class HaltPolicy(Struct, frozen=True):
    """After how many failures no more items begin (`soon`), or those that run are ended, too (`now`)."""

    is_now: bool = False
    failures: int | None = None
    percent: float | None = None
    """Of all items of the batch."""

    @classmethod
    def parse(cls, text: str) -> HaltPolicy:
        """`never`, or as in `soon,fail=1`, `now,fail=20%`. ValueError."""
        if text == "never":
            return cls()
        match = _HALT.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is none of never, soon,fail=N, soon,fail=N%, now,fail=N, now,fail=N%")
        is_now, number, percent = match[1] == "now", match[2], match[3]
        if percent:
            if not 0 < float(number) <= 100:
                raise ValueError(f"{number}% is no share of the items; from 1% to 100%")
            return cls(is_now, percent=float(number))
        if not number.isdigit() or int(number) < 1:
            raise ValueError(f"{number} is no number of failures; the least is 1")
        return cls(is_now, failures=int(number))

    @property
    def is_possible(self) -> bool:
        return self.failures is not None or self.percent is not None

    def is_reached(self, failures: int, total: int) -> bool:
        """Whether so many failures out of `total` items are enough."""
        if self.failures is not None:
            return failures >= self.failures
        return self.percent is not None and failures > 0 and 100 * failures >= self.percent * total


_HALT: Final = re.compile(r"(soon|now),fail=(\d{1,9}(?:\.\d{1,6})?)(%?)", re.ASCII)


class Stage(Enum):
    """How far the end is."""

    GOING = "going"
    FINISHING = "finishing"
    """What runs goes on; nothing begins."""
    STOPPING = "stopping"
    """What runs is ended."""


class Tries(Struct, frozen=True):
    """How often an item was tried, this time included, and how many of these ended with the death of its process."""

    count: int = 1
    crashes: int = 0


class Course:
    """The decisions of one batch of `total` items."""

    def __init__(self, total: int, retry: RetryPolicy, halt: HaltPolicy) -> None:
        self.total = total
        self.stage = Stage.GOING
        self.counts: Counter[Status] = Counter()
        """Of the items that are over."""
        self.is_halted = False
        """By the policy, and not by a signal."""
        self._retry = retry
        self._halt = halt
        self._waiting: list[tuple[float, int, Tries]] = []
        """A heap: when, which, and how often it was tried."""
        self._running: dict[int, Tries] = {}
        self._deaths: Counter[bytes] = Counter()
        """By script, of those that have killed a process."""

    @property
    def failures(self) -> int:
        """Items that are over and did not come to their end."""
        return self.counts.total() - self.counts[Status.COMPLETED] - self.counts[Status.CANCELLED]

    @property
    def running(self) -> int:
        """How many items have begun and not ended."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many wait to be tried again."""
        return len(self._waiting)

    @property
    def may_begin(self) -> bool:
        """Whether items may begin at all."""
        return self.stage is Stage.GOING

    def begin(self, item: int, script: bytes, tries: Tries | None = None) -> bool:
        """`item` is to begin, with a script of this digest. False: it may not; it is `Status.QUARANTINED`."""
        if self.is_banned(script):
            return False
        self._running[item] = tries or Tries()
        return True

    def is_banned(self, script: bytes) -> bool:
        """Whether so many processes have died of a script that none of its items begins any more."""
        return self._deaths[script] >= self._retry.crashes

    def withdraw(self, item: int) -> None:
        """`item` has not begun after all."""
        del self._running[item]

    def ended(self, item: int, script: bytes, outcome: Outcome, now: float) -> Tries | None:
        """A try of `item` is over: None if that was the last one, else how often it was tried: it is `due` again."""
        tries = self._running.pop(item)
        if outcome.status is Status.CRASHED:
            self._deaths[script] += 1
            tries = Tries(tries.count, tries.crashes + 1)
        at = self._again_at(tries, script, outcome, now)
        if at is None or self.stage is not Stage.GOING:
            self.settle(outcome.status)
            return None
        heapq.heappush(self._waiting, (at, item, Tries(tries.count + 1, tries.crashes)))
        return tries

    def settle(self, status: Status) -> None:
        """An item is over; also one that was never begun."""
        self.counts[status] += 1
        if self.stage is not Stage.STOPPING and self._halt.is_reached(self.failures, self.total):
            self.is_halted = True
            self.stage = Stage.STOPPING if self._halt.is_now else Stage.FINISHING

    def interrupt(self, *, now: bool) -> None:
        """Somebody asks for the end: of what has not begun, or (`now`) of everything."""
        if now:
            self.stage = Stage.STOPPING
        elif self.stage is Stage.GOING:
            self.stage = Stage.FINISHING

    def due(self, now: float) -> tuple[int, Tries] | None:
        """The next item that is to be tried again by now, and as which try."""
        if self._waiting and self._waiting[0][0] <= now:
            _, item, tries = heapq.heappop(self._waiting)
            return item, tries
        return None

    def next_due(self) -> float | None:
        """When `due` has something."""
        return self._waiting[0][0] if self._waiting else None

    def _again_at(self, tries: Tries, script: bytes, outcome: Outcome, now: float) -> float | None:
        if outcome.status is Status.CRASHED:
            return None if self.is_banned(script) else now
        retries = tries.count - tries.crashes
        if outcome.status in RETRIED and not outcome.is_lasting and retries <= self._retry.retries:
            return now + self._retry.delay_before(retries)
        return None
