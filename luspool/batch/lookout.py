"""Somebody who may look at what an engine runs, among what its thread waits for."""

from __future__ import annotations

import selectors
from collections.abc import Collection

from ..scheduler.connection import HostConnection
from ..scheduler.surroundings import Onlooker


class Lookout:
    """An `Onlooker`, whose descriptors are in a selector that is there for others, too. For one thread.

    `key.data` of what is selected on its behalf is the lookout.
    """

    def __init__(self, onlooker: Onlooker, selector: selectors.BaseSelector) -> None:
        self._onlooker = onlooker
        self._selector = selector
        self._awaited: tuple[int, int] | None = None
        """What is registered."""

    def prepare(self) -> float | None:
        """Before the selector is asked; until when at most, by the monotonic clock in seconds."""
        awaited = self._onlooker.awaits()
        if awaited != self._awaited:
            self.leave()
            if awaited is not None:
                self._selector.register(*awaited, self)
            self._awaited = awaited
        return self._onlooker.due()

    def serve(self, hosts: Collection[HostConnection], *, is_ready: bool) -> bool:
        """Afterwards. `is_ready`: something was selected on its behalf. Whether hosts may have been sent something."""
        if not is_ready and self._onlooker.due() is None:
            return False  # nobody is there
        self.leave()  # the descriptor may be closed now, and its number become another's
        self._onlooker.serve(hosts, is_ready=is_ready)
        return True

    def leave(self) -> None:
        """Nothing of it is in the selector any more, until it is prepared again."""
        if self._awaited is not None:
            self._selector.unregister(self._awaited[0])
            self._awaited = None
