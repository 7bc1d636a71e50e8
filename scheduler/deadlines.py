"""Deadlines by name, earliest first. Pure, and not thread-safe."""

from __future__ import annotations

import heapq

from .protocol import StateId


class Deadlines:
    """A heap with lazy deletion: what is discarded or set anew stays in it until it comes up, or until it is the most.

    So each operation takes O(log n) amortised, and the heap is never larger than twice what it is good for.
    """

    __slots__ = ("_due", "_heap")

    def __init__(self) -> None:
        self._due: dict[StateId, int] = {}
        self._heap: list[tuple[int, StateId]] = []

    def __len__(self) -> int:
        return len(self._due)

    def set(self, name: StateId, at: int) -> None:
        """From now on the deadline of `name` is `at`."""
        self._due[name] = at
        heapq.heappush(self._heap, (at, name))
        self._tidy()

    def discard(self, name: StateId) -> None:
        """`name` has no deadline any more, if it had one."""
        if self._due.pop(name, None) is not None:
            self._tidy()

    def next(self) -> int | None:
        """The earliest deadline."""
        return self._heap[0][0] if self._heap else None

    def take(self, now: int) -> list[StateId]:
        """Everybody whose deadline is not later than `now`, earliest first; they have none any more."""
        over = []
        while self._heap and self._heap[0][0] <= now:
            name = heapq.heappop(self._heap)[1]
            del self._due[name]
            over.append(name)
            self._tidy()
        return over

    def _tidy(self) -> None:
        """Keep a valid entry at the top, and the invalid ones in the minority."""
        if len(self._heap) > 2 * len(self._due) + 64:
            self._heap = [(at, name) for name, at in self._due.items()]
            heapq.heapify(self._heap)
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
