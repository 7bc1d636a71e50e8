"""The thread of a host that waits for what comes from outside: from the supervisor, and from other hosts.

It sleeps in one blocking call until the supervisor says something, a ring brings letters, a full ring has room
again, an executor asks for it (`SpreadDispatcher.wake_courier`), or one of two appointments is due:

- a host that has nothing to do reports that to the coordinator when this has lasted for `_CALM`. Two states that
  answer each other leave their hosts idle thousands of times a second, and that is no news;
- states that could run elsewhere are given away when they have waited for `PATIENCE`.

Letters are taken in under the dispatcher's lock, a few at a time. Nothing here ever waits for output: see
`spread_host`.

The death of another host is known by two things, in any order: its ring is at its end, and the supervisor says so. Only
when both are there has its last letter been read, and the machine is told.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from . import wire
from .control import ControlSocket
from .coordinator import Gone
from .idle_report import Report, pack_counts
from .letters import LetterError
from .limits import Excess
from .link import Link, LinkCalls
from .placement import PATIENCE
from .protocol import Failure, StateId
from .records import unpack
from .ring import RingClosedError, RingError
from .spread_host import SpreadHost

_CALM: Final = 2_000_000
"""Nanoseconds for which a host has nothing to do before it reports that. The end of a program waits for it. Guessed."""

_LETTERS_AT_ONCE: Final = 64
"""Letters taken in during one stay under the lock: some 100 microseconds."""

_MOST_BEHIND: Final = 1 << 18
"""Ends below states of which a host has heard and another has not yet said that it has. One that keeps its words to
itself would have the others remember without end, and write letters that it does not read. Guessed."""

_RECORD_ROOM: Final = 64 * 1024 * 1024
"""Bytes of a letter beyond the limit of messages: a state's spec with its source text, an error value. Generous."""

_MOST: Final = (1 << 32) - 1


class Courier:
    """Carries letters and commands for one `SpreadHost`. For the thread that calls `serve`."""

    def __init__(self, control: ControlSocket, host: SpreadHost, on_message: Callable[[wire.Message], None]) -> None:
        """`on_message` gets whatever the supervisor says that is not about hosts and the tree."""
        self._control = control
        self._host = host
        self._dispatcher = host.dispatcher
        self._machine = host.dispatcher.machine
        self._on_message = on_message
        self._links: dict[int, Link] = {}
        self._gone: dict[int, Gone] = {}
        """Hosts that have died, and whose last letter is still to be read."""
        self._ended: set[int] = set()
        """Hosts whose ring is at its end, and whose death is still to be told."""
        self._wait_for_room: set[Link] = set()
        """Those whose `room_fileno` is waited for."""
        self._poll = select.poll()
        self._poll.register(control.fileno(), select.POLLIN)
        self._poll.register(self._dispatcher.waker, select.POLLIN)
        self._report_at = self._share_at = 0
        self._activity = 0
        """What the machine had done when the wait for calm began."""
        self._last_report: Report | None = None
        state_limits = host.limits.state
        self._letter_limit = min(state_limits.message + state_limits.source + _RECORD_ROOM, _MOST)

    def serve(self) -> None:
        """Until the supervisor is gone. WireError when it says what can't be."""
        while self._control.is_open:
            ready = self._sleep()
            if self._control.fileno() in ready:
                for message in self._control.receive():
                    self.obey(message)
            if self._dispatcher.waker in ready:
                os.eventfd_read(self._dispatcher.waker)
            for link in tuple(self._links.values()):
                self._serve(link, ready)
            self._keep_appointments()
            if self._control.unsent:
                self._control.flush()

    # --- waiting -------------------------------------------------------------------------------------------------

    def _sleep(self) -> set[int]:
        """Wait for something to happen; which descriptors are ready."""
        may_sleep = True
        for link in self._links.values():
            if link.host not in self._ended:
                may_sleep &= self._wait_letters(link)
            if link.is_full:
                may_sleep &= self._wait_room(link)
        events = select.POLLIN | (select.POLLOUT if self._control.unsent else 0)
        self._poll.modify(self._control.fileno(), events)
        return {fd for fd, _ in self._poll.poll(self._timeout() if may_sleep else 0)}

    def _wait_letters(self, link: Link) -> bool:
        try:
            return link.reader.arm()
        except RingError as error:
            link.broken = str(error)
            return False

    def _wait_room(self, link: Link) -> bool:
        if link not in self._wait_for_room:
            self._wait_for_room.add(link)
            self._poll.register(link.room_fileno(), select.POLLIN)
        return link.wait_room()

    def _forget(self, fd: int) -> None:
        with suppress(KeyError):
            self._poll.unregister(fd)

    def _timeout(self) -> float | None:
        # While the supervisor does not read, nothing new is reported: it would pile up here.
        report_at = 0 if self._control.unsent else self._report_at
        due = min(filter(None, (report_at, self._share_at)), default=0)
        return max(0, due - time.monotonic_ns()) / 1e6 if due else None

    def _keep_appointments(self) -> None:
        dispatcher, now = self._dispatcher, time.monotonic_ns()
        if not self._report_at and dispatcher.wants_report:
            self._await_calm(now)
        elif self._report_at and now >= self._report_at and not self._control.unsent:
            if self._activity != self._machine.activity:
                self._await_calm(now)  # something has come and gone meanwhile
            else:
                self._report_at = 0
                self._report()
        if not self._share_at and dispatcher.wants_share:
            self._share_at = now + PATIENCE
        elif self._share_at and now >= self._share_at:
            self._share_at = 0
            with dispatcher.lock:
                dispatcher.share()
            dispatcher.flush()

    def _await_calm(self, now: int) -> None:
        self._report_at = now + _CALM
        self._activity = self._machine.activity

    def _report(self) -> None:
        with self._dispatcher.lock:
            self._dispatcher.wants_report = False
            report = self._machine.report()
        if report is None or report == self._last_report:
            return
        self._last_report = report
        sent, received = pack_counts(report.sent), pack_counts(report.received)
        self._control.send(wire.Report(sent, received, report.commands, report.asks, report.is_timed))

    # --- letters -------------------------------------------------------------------------------------------------

    def _serve(self, link: Link, ready: set[int]) -> None:
        if link.room_fileno() in ready:
            link.hush_room()
        if link.is_full:
            link.flush_now()
            with self._dispatcher.lock:
                self._machine.letters_are_out(link.host, link.published)
                self._dispatcher.wake()
        if link in self._wait_for_room and not link.is_full:  # an executor may have seen to that
            self._wait_for_room.discard(link)
            self._forget(link.room_fileno())
        if link.broken is not None:
            self._break(link, link.broken)
        if link.host in self._ended:
            return
        if link.reader.fileno() in ready:
            link.reader.hush()
        try:
            letters = link.reader.get()
        except RingClosedError:
            self._end_reading(link)
        except RingError as error:
            self._break(link, str(error))
        else:
            if letters:
                self._take_in(link, letters)

    def _take_in(self, link: Link, letters: Sequence[bytes | memoryview]) -> None:
        for start in range(0, len(letters), _LETTERS_AT_ONCE):
            with self._dispatcher.lock:
                try:
                    for letter in letters[start : start + _LETTERS_AT_ONCE]:
                        self._machine.arrived(link.host, letter)
                except LetterError as error:
                    link.broken = str(error)
                self._settle()
            self._dispatcher.flush()
            if link.broken is not None:
                self._break(link, link.broken)
                return

    def _settle(self) -> None:
        """After the machine was told anything. Lock held."""
        dispatcher = self._dispatcher
        dispatcher.show(dispatcher.idle)
        dispatcher.wake()
        if dispatcher.publish():
            self._host.announce_soon()
        if self._machine.tree is None or not self._machine.tree.busy:
            dispatcher.wants_report = True  # what was told may have changed what a report counts

    def _end_reading(self, link: Link) -> None:
        self._ended.add(link.host)
        self._forget(link.reader.fileno())
        self._bury(link.host)

    def _break(self, link: Link, why: str) -> None:
        """A host does what no honest one does: nothing more is read from it, and the supervisor ends it."""
        link.broken = None
        if link.host not in self._ended:
            self._control.send(wire.Broken(link.host, wire.clip(why)))
            self._end_reading(link)

    def _bury(self, host: int) -> None:
        """Tell the machine of a host's death, if its last letter was read."""
        if host not in self._gone or host not in self._ended:
            return
        gone = self._gone.pop(host)
        self._ended.discard(host)
        link = self._links.pop(host)
        self._dispatcher.links = dict(self._links)
        self._wait_for_room.discard(link)
        self._forget(link.room_fileno())
        with self._dispatcher.lock:
            self._dispatcher.placement.forget(host)
            self._machine.peer_gone(host, gone.failure_of)
            self._machine.commands += 1
            self._settle()
        link.close()
        self._dispatcher.flush()

    # --- the supervisor ------------------------------------------------------------------------------------------

    def obey(self, message: wire.Message) -> None:
        """Do what the supervisor says."""
        match message:
            case wire.Join():
                self._join(message.host)
            case wire.Gone():
                failure = unpack(Failure, message.failure) if message.failure else None
                stuck = StateId(message.stuck) if message.stuck else None
                self._gone[message.host] = Gone(message.host, message.how, stuck, failure)
                self._bury(message.host)
            case wire.EndBelow():
                self._command(lambda: self._machine.end_below(StateId(message.state)))
            case wire.EndForExcess():
                self._command(lambda: self._exceed(Excess(message.kind, message.limit, message.value, is_of_tree=True)))
            case wire.TellWaits():
                self._command(self._machine.report_waits)
            case wire.EndTree():
                self._command(self._machine.end_tree)
            case wire.Ping():
                self._control.send(wire.Pong(message.number))
            case wire.Ban():
                with self._dispatcher.lock:
                    self._dispatcher.ban(message.script, message.why)
            case _:
                self._on_message(message)

    def _command(self, command: Callable[[], None]) -> None:
        """Carry out a command of the coordinator."""
        with self._dispatcher.lock:
            command()
            self._machine.commands += 1
            self._settle()
        self._dispatcher.flush()
        for link in tuple(self._links.values()):
            if len(self._machine.peers[link.host].behind) > _MOST_BEHIND:
                self._break(link, f"it does not say of {_MOST_BEHIND} ends of states that it has heard of them")

    def _exceed(self, excess: Excess) -> None:
        if self._machine.tree is not None:
            self._machine.exceed_tree(self._machine.tree, excess)

    def _join(self, host: int) -> None:
        descriptors = self._control.take_descriptors(wire.Join.DESCRIPTORS)

        def join() -> None:
            self._machine.peer_joined(host)
            peer = self._machine.peers[host]
            calls = LinkCalls(self._dispatcher.has_asked, self._dispatcher.wake_courier)
            link = Link(host, peer, descriptors, self._letter_limit, calls)
            self._links[host] = link
            self._poll.register(link.reader.fileno(), select.POLLIN)
            self._dispatcher.links = dict(self._links)

        self._command(join)
