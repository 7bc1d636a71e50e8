"""How much processor time the steps of one thread take."""

from __future__ import annotations

import time
from typing import Final

_SHORT: Final = 1_000_000
"""Nanoseconds. The thread's own clock costs ten times as much to read as the wall clock (600 ns and 54, measured),
which would be felt in every message; so a step shorter than this counts with its wall time."""


class CpuMeter:
    """`start` and `stop` are called by the thread that steps, `running` by any other.

    What it says is never too little. It may be too much by what the thread did in `_SHORT` before a step, and for a
    short step by the time in which the thread was ready but not running.
    """

    __slots__ = ("_sample", "_sampled_at", "started_at", "stopped_at")

    def __init__(self) -> None:
        self._sample = 0
        """The thread's processor time, at most `_SHORT` before the present step began."""
        self._sampled_at = -_SHORT
        self.started_at = 0
        """When the present step began; written last by `start`."""
        self.stopped_at = 0
        """When the last step ended."""

    def start(self) -> None:
        """A step begins."""
        now = time.monotonic_ns()
        if now - self._sampled_at >= _SHORT:
            self._sample = time.thread_time_ns()
            self._sampled_at = now
        self.started_at = now

    def stop(self) -> int:
        """The step is over; what it took, in nanoseconds."""
        self.stopped_at = now = time.monotonic_ns()
        elapsed = now - self.started_at
        if elapsed < _SHORT:
            return elapsed
        cpu = time.thread_time_ns()
        used = min(elapsed, cpu - self._sample)
        self._sample = cpu
        self._sampled_at = now
        return used

    def running(self, thread: int, now: int) -> int:
        """What the present step of the living `thread` has taken until `now`; only if `started_at` has not changed."""
        elapsed = now - self.started_at
        if elapsed < _SHORT:
            return elapsed
        return min(elapsed, time.clock_gettime_ns(time.pthread_getcpuclockid(thread)) - self._sample)
