"""The dispatcher and ports of a host that is one of several: letters go out, load is shown, states are given away.

Each host shows on its board how many executors sleep and how many states wait for one; `placement` decides by that how
many to give away. That is done `PATIENCE` after states began to wait, not before: who creates a worker and waits for it
at once is served sooner at home.

What is asked of the coordinator has to be out before any letter that is written after it (see `spread`). So the
question is announced like everything else, letters wait while there are questions that have not been put, and whoever
puts the last one flushes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Final

from .announcer import Announcer
from .board import BoardWriter, Load, sum_of
from .dispatcher import Dispatcher
from .limits import StateLimits, Usage
from .link import Link
from .moving import SpecFormat
from .placement import Placement
from .port import StatePort
from .protocol import Delivered, Ended, Failure, Port, StateId, StepResult, Thrown, Waiting
from .spread import SpreadMachine
from .traced_port import TracedPort
from .tree import State

_LOOK_EVERY: Final = 1_000_000
"""Nanoseconds between two looks at the other hosts' boards, while there is work. A look takes some microseconds."""
_MOST_ELSEWHERE: Final = 1 << 62
"""Of anything that boards say: with what is used here it still has 63 bits, and is no limit that nothing reaches."""


class SpreadDispatcher(Dispatcher):
    """See `Dispatcher`; every field is guarded by the same lock. Bans, which only come, are looked at without, too."""

    __slots__ = (
        "_asks_announced",
        "_asks_put",
        "_bans",
        "_look_at",
        "_may_give",
        "_shown_idle",
        "_specs",
        "_waker",
        "links",
        "placement",
        "wants_report",
        "wants_share",
    )
    machine: SpreadMachine
    board: BoardWriter

    def __init__(
        self,
        announcer: Announcer,
        slice_nanoseconds: int,
        machine: SpreadMachine,
        specs: SpecFormat,
        board: BoardWriter,
    ) -> None:
        super().__init__(announcer, slice_nanoseconds, machine)
        self.board = board
        self.links: dict[int, Link] = {}
        """The other hosts, by number. Replaced as a whole when it changes, so it may be read without the lock."""
        self.placement = Placement()
        self.wants_report = False
        """The courier is to report, if there is nothing to do for a while."""
        self.wants_share = False
        """The courier is to look for somebody to give states to, in a while."""
        self._asks_announced = 0
        self._asks_put = 0
        """As many questions to the coordinator can't be lost any more. Written by the announcer's speaker."""
        self._specs = specs
        self._bans: dict[str, str] = {}
        self._look_at = 0
        self._may_give = False
        """A state was created since none was found that could be given away."""
        self._shown_idle = 0
        self._waker = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    @property
    def waker(self) -> int:
        """A descriptor that is readable when the courier is wanted; read 8 bytes."""
        return self._waker

    def ban(self, script: str, why: str) -> None:
        """Start no state of this script any more. Lock held."""
        self._bans[script] = why

    def wake_courier(self) -> None:
        """Have the courier look at everything. From any thread."""
        os.eventfd_write(self._waker, 1)

    def port(self, state: State) -> Port:
        if self.trace is not None:
            return TracedSpreadPort(self, self._announcer, state, self.trace)
        return SpreadPort(self, self._announcer, state)

    def script_of(self, state: State) -> str:
        return self._specs.script(state.spec)

    def before_first_step(self, state: State) -> StepResult | None:
        script = self.script_of(state)
        why = self._bans.get(script)
        if why is not None:
            return Ended(Failure("quarantined", b"", f"{script}: {why}", "", script))
        with self.lock:
            condition = self.machine.start(state)
        if condition is None:
            return None
        link = self.links.get(condition.host)
        if link is not None:
            link.flush_now()
            with self.lock:
                self.machine.letters_are_out(condition.host, link.published)
                self.wake()  # others may have waited for letters that lay before this one
                if not self.machine.holds(state, condition):
                    return Waiting(condition)
        return None

    def flush(self) -> None:
        for link in self.links.values():
            link.flush()

    def has_asked(self) -> bool:
        """Whether all questions to the coordinator up to now have been put. From any thread."""
        return self.machine.asks == self._asks_put

    def publish(self) -> bool:
        published = super().publish()
        asks = self.machine.asks
        if asks != self._asks_announced:
            self._asks_announced = asks
            self._announcer.append(lambda _events: self._put(asks))
        return published

    def _put(self, asks: int) -> None:
        self._asks_put = asks
        links = self.links
        for link in links.values():
            link.flush_now()
        with self.lock:
            for link in links.values():
                self.machine.letters_are_out(link.host, link.published)
            self.wake()

    def take_work(self) -> tuple[State | None, State | None]:
        work = super().take_work()
        now = time.monotonic_ns()
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY
            self.look_around()
        elif self._shown_idle != self.idle:
            self.show(self.idle)  # who has just woken up may be busy for long
        return work

    def wait_for_work(self) -> bool:
        machine = self.machine
        if not (machine.run_queue or machine.woken or machine.closable or self.stopping):
            self.show(self.idle + 1)
            if machine.tree is None or not machine.tree.busy:
                self.want_report()
        return super().wait_for_work()

    def show_sleepers(self) -> None:
        """Who is woken may live in another host, so not even a first message waits for the end of a step."""

    def show(self, idle: int, coming: int = 0) -> None:
        """Show the load, with so many executors asleep, and so many states more than there are. Lock held."""
        self._shown_idle = idle
        machine, tree = self.machine, self.machine.tree
        ready = self._ready()
        if tree is None:
            self.board.publish(Load(idle, ready))
        else:
            states = machine.population + coming
            self.board.publish(Load(idle, ready, states, max(0, tree.memory), tree.cpu, tree.output))

    def _ready(self) -> int:
        return len(self.machine.run_queue) + len(self.machine.woken)

    def look_around(self) -> None:
        """Show the load, take in that of the others, and see whether somebody should be given something. Lock held."""
        self.show(self.idle)
        loads = self._look_elsewhere()
        if self._may_give and not self.wants_share and any(map(self._surplus, self.links, loads)):
            self.wants_share = True
            self.wake_courier()

    def _look_elsewhere(self) -> list[Load]:
        """Take in what the tree uses in other hosts; their loads."""
        loads = [link.board.load() for link in self.links.values()]
        tree = self.machine.tree
        if tree is not None and loads:
            total = sum_of(loads)
            used = (total.states, total.memory, total.cpu, total.output)
            tree.elsewhere = Usage(*(min(number, _MOST_ELSEWHERE) for number in used))
        return loads

    def make_room(self) -> None:
        """Before a state is created: count it, and then see how many there are elsewhere. Lock held.

        In this order. Of two hosts that do so at the same time at least one sees the other's new state, so there are
        never more than there may be; and who hears of a new state by a letter finds it on the board.
        """
        self.show(self.idle, coming=1)
        self._look_elsewhere()

    def want_report(self) -> None:
        """There is nothing to do here, for now. Lock held."""
        if not self.wants_report:
            self.wants_report = True
            self.wake_courier()

    def share(self) -> None:
        """Give away what others would run sooner. Lock held; `flush` must follow."""
        self.wants_share = False
        for link in self.links.values():
            surplus, given = self._surplus(link.host, link.board.load()), 0
            while given < surplus and self.machine.give(link.host):
                given += 1
            if given:
                self.placement.gave(link.host, given, time.monotonic_ns())
            if given < surplus:
                self._may_give = False
                break

    def _surplus(self, host: int, load: Load) -> int:
        own = Load(self.idle, self._ready())
        return self.placement.surplus(host, own, load, time.monotonic_ns())

    def place(self, child: StateId) -> None:
        """A state was just created. Lock held."""
        if child not in self.machine.states:
            return
        self._may_give = True
        here = self.machine.host
        host = self.placement.home_of_new((here, *self.links))
        if host != here:
            self.machine.give_newest(host)


class SpreadPort(StatePort):
    """As `StatePort`; what it has the machine write goes out before the call is over."""

    __slots__ = ()
    _dispatcher: SpreadDispatcher

    def create(self, spec: object, size: int, limits: StateLimits) -> StateId:
        with self._lock:
            self._dispatcher.make_room()
            child = self._machine.create(self._state, spec, size, limits)
            self._dispatcher.show(self._dispatcher.idle)
            self._dispatcher.place(child)
            self._dispatcher.wake()
        self._dispatcher.flush()
        return child

    def cancel(self, child: StateId) -> None:
        super().cancel(child)
        self._dispatcher.flush()

    def message(self, payload: bytes) -> int | None:
        room = super().message(payload)
        self._dispatcher.flush()
        return room

    def send(self, child: StateId, payload: bytes) -> int | None:
        room = super().send(child, payload)
        self._dispatcher.flush()
        return room

    def receive(self, children: Sequence[StateId]) -> Delivered | Thrown | None:
        received = super().receive(children)
        self._dispatcher.flush()
        return received

    def peek(self) -> bytes | None:
        payload = super().peek()
        self._dispatcher.flush()
        return payload

    def release(self, children: Sequence[StateId]) -> None:
        super().release(children)
        self._dispatcher.flush()


class TracedSpreadPort(TracedPort, SpreadPort):
    """Both."""

    __slots__ = ()
