"""A host that is one of several hosts of one tree.

Beyond the actors of `host` there are two. The *courier* (`courier`) is the thread that reads what comes from other
hosts and from the supervisor. It must never wait for anything else; so what it makes the machine announce is announced
by the *herald*, a thread that has no other duty, since announcing may wait for a slow reader of the output.
"""

from __future__ import annotations

import threading

from msgspec import Struct

from .board import BoardWriter
from .dispatcher import locate
from .events import HostEvents
from .executor import Factory
from .host import Host
from .limits import Limits
from .moving import SpecFormat
from .protocol import StateId
from .spread import SpreadMachine
from .spread_dispatcher import SpreadDispatcher


class Place(Struct, frozen=True):
    """A host among others."""

    host: int
    """Its number, from 1 upwards."""
    root: StateId
    limits: Limits
    """Those of the tree."""
    specs: SpecFormat
    board: BoardWriter


class SpreadHost(Host):
    """As `Host`, for the tree of `Place.root` alone: `create_root` in the root's host, `join_tree` in all others."""

    def __init__(
        self, place: Place, threads: int, factory: Factory, events: HostEvents, slice_nanoseconds: int
    ) -> None:
        self._place = place
        self._is_news = threading.Event()
        super().__init__(threads, factory, events, slice_nanoseconds)
        self._threads.append(threading.Thread(target=self._run, args=(self._speak,), name="herald", daemon=True))

    def _new_dispatcher(self, slice_nanoseconds: int) -> SpreadDispatcher:
        place = self._place
        machine = SpreadMachine(locate, place.host, place.specs)
        return SpreadDispatcher(self._announcer, slice_nanoseconds, machine, place.specs, place.board)

    @property
    def dispatcher(self) -> SpreadDispatcher:
        """For the courier."""
        assert isinstance(self._dispatcher, SpreadDispatcher)  # noqa: S101  for the type checker
        return self._dispatcher

    @property
    def limits(self) -> Limits:
        """Those of the tree."""
        return self._place.limits

    def join_tree(self) -> None:
        """Take part in a tree whose root lives elsewhere."""
        with self._dispatcher.lock:
            self.dispatcher.machine.join_tree(self._place.root, self._place.limits)

    def leave_input(self) -> None:
        """Give back what is here of standard input, by `HostEvents.input_left`. Never blocks."""
        with self._dispatcher.lock:
            left = self._dispatcher.input.take_rest()
            self._announcer.append(lambda events: events.input_left(left))
        self.announce_soon()

    def announce_soon(self) -> None:
        """Something may have to be announced; by another thread than this. Never blocks."""
        self._is_news.set()

    def _speak(self) -> None:
        while True:
            self._is_news.wait()
            self._is_news.clear()
            self._announcer.announce()
            with self._dispatcher.lock:
                if self._dispatcher.stopping:
                    return

    def _stop(self) -> None:
        super()._stop()
        self._is_news.set()
