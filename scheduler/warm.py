"""The supervisor's side of a host that stays: one program after another, each with a listener of its own.

As in `supervisor`, the host is not trusted. What it says counts for the program that it was last given, until it has
said that this one is over: a host that a script has taken over can lie about that script, and about those that come
after it in the same host, which have the same rights; `docs/batch.md` says how to keep them apart.

A host is given programs ahead, so that it need not wait for us between two of them: it runs them in the order in which
they came. `recall` takes back those that it has not begun.

Blame: a program is to blame for the death of its host from the moment at which it is its turn (a host that is ready was
given it, and nothing before it is left) until that host has said that nothing of the program is left. What a host had
ahead then was not begun.
"""

from __future__ import annotations

import time
from collections import deque

from msgspec import Struct

from . import wire
from .callees import CallError, CallRouter, NoFunctions
from .connection import HostConnection, HostError, HostProtocolError, protocol_broken
from .process import HostProcess
from .records import RecordError
from .supervisor import (
    EXIT_SECONDS,
    UNREFUSED_CALLS,
    HostDiedError,
    Listener,
    check_hello,
    check_waits,
    control_messages,
    hello_deadline,
    not_ready,
)
from .surroundings import Onlooker, Traced

_UNSENT_PROGRAMS = 256 * 1024
"""Bytes that wait for a host to read them, beyond which it is given nothing ahead: it has enough to do."""


class Ending(Struct, frozen=True):
    """How a program's time in a host has ended."""

    nanoseconds: int = 0
    """The wall time that it took: as the host says, if it does."""
    ended: wire.TreeEnded | None = None
    """None: the host has died or was ended, or has broken the protocol: `death`."""
    used: wire.Used | None = None
    sources: tuple[wire.SourceRecord, ...] = ()
    """Those of `used`."""
    death: HostError | None = None

    @property
    def was_begun(self) -> bool:
        """Whether its turn has come. If not, it is not going to, in this host."""
        return self.ended is not None or self.death is not None


class _Program(Struct):
    listener: Listener
    seconds: float | None
    """How long it may take."""
    calls: CallRouter
    began_at: int = 0
    """By the monotonic clock in nanoseconds: when its turn came. 0: it has not."""
    is_heard: bool = False
    """The host has said something of it."""
    used: wire.Used | None = None
    sources: tuple[wire.SourceRecord, ...] = ()

    def due(self) -> float | None:
        return None if self.seconds is None else self.began_at / 1e9 + self.seconds


class OverdueError(HostError):
    """A program was not over in time, and its host did not end it."""


class WarmHost:
    """One host process, and the programs that it was given: the one in it, and those ahead. For one thread.

    Whoever waits for its descriptors calls `hear_events` when `process.events` is readable, `hear_control` when
    `process.control` is, `connection.flush` when that is writable and something is `unsent`, `lost` when
    `process.pidfd` is readable or `connection.is_over`, `send_replies` when `reply_fd` is, `keep_time` at `due`; and
    takes the `endings` afterwards.
    A listener may raise: then the host has to be closed.
    """

    def __init__(
        self, process: HostProcess, number: int = 1, onlooker: Onlooker | None = None, traced: Traced | None = None
    ) -> None:
        """Takes over the process: `close` ends it. `number` is the one by which people know it. `traced` may raise as
        a listener, in `take`; None: no program asks it for a trace."""
        self.number = number
        self.process = process
        self.connection = HostConnection(process)
        self.is_ready = False
        """It has said `Hello`."""
        self.is_gone = False
        """It takes no further program: to be closed."""
        self.death: HostError | None = None
        """Why it is gone, where it has not said so itself."""
        self.programs = 0
        """How many it was given and has not given back."""
        self.endings: deque[tuple[Listener, Ending]] = deque()
        """Of its programs, each once: for the caller to take. Those that were not begun come last, in their order."""
        self.is_recalling = False
        """It was asked for what it has not begun, and has not answered yet."""
        self._has_ended_since = False
        """A program has, since it was asked."""
        self._hello_until = hello_deadline()
        self._onlooker = onlooker
        self._traced = traced
        self._programs: deque[_Program] = deque()
        """Those that have not ended: the first is the one whose turn it is."""
        self._has_noticed = False

    @property
    def is_free(self) -> bool:
        """Whether a program would begin now that it is given."""
        return self.has_room and not self._programs

    @property
    def has_room(self) -> bool:
        """Whether it can be given a program, also ahead."""
        return (
            self.is_ready
            and not self.is_gone
            and not self.is_recalling
            and self.connection.unsent_bytes < _UNSENT_PROGRAMS
        )

    @property
    def ahead(self) -> int:
        """How many programs it has beyond the one whose turn it is."""
        return max(0, len(self._programs) - 1)

    @property
    def reply_fd(self) -> int | None:
        """What to wait for on behalf of its program's calls, now."""
        if not self._programs or self.connection.is_swamped:
            return None
        return self._programs[0].calls.fileno()

    def give(
        self, start: wire.Start, listener: Listener, seconds: float | None, calls: CallRouter | None = None
    ) -> None:
        """Give it a program, which may take so many seconds before the host is ended over it. Only while it `has_room`.
        With those that follow at once it is on its way when the caller has called `connection.flush`.

        `calls` has what it calls carried out, until it has ended; None: there is nothing to call.
        """
        calls = calls or CallRouter(NoFunctions(), UNREFUSED_CALLS)
        self._programs.append(_Program(listener, seconds, calls))
        self.programs += 1
        self.connection.number = self.number  # it may be looked at from now on
        self.connection.send_soon(start)
        if len(self._programs) == 1:
            self._begin_turn()

    def recall(self) -> None:
        """Take back what it has ahead and has not begun: that ends as not begun, if it does not end otherwise."""
        if self.ahead and not self.is_recalling and not self.is_gone:
            self.is_recalling, self._has_ended_since = True, False
            self.connection.send(wire.Recall())

    def due(self) -> float | None:
        """When `keep_time` is to be called, by the monotonic clock in seconds."""
        if self._programs:
            return self._programs[0].due()
        return None if self.is_ready else self._hello_until

    def keep_time(self) -> None:
        """End it if its time is over."""
        due = self.due()
        if due is not None and time.monotonic() >= due:
            self.end(OverdueError("its time is over") if self._programs else HostProtocolError(not_ready()))

    def hear_events(self) -> None:
        """Take in what its scripts have said."""
        if not self.connection.events.receive():
            self.connection.is_over = True
        self._take_events()

    def hear_control(self) -> None:
        """Take in what it has said itself: that it is ready, what it gives back, and what it shows."""
        if not self.connection.control.receive():
            self.connection.is_over = True
        try:
            for message in control_messages(self.connection, self._onlooker):
                if not self.is_ready:
                    check_hello(message)
                    self.is_ready = True
                elif isinstance(message, wire.Recalled) and self.is_recalling and message.count in self._recallable():
                    self.is_recalling = False
                    self._give_back(message.count)
                else:
                    raise _out_of_turn(message)
        except HostError as error:
            self.end(error)

    def send_replies(self) -> None:
        """Send what its program's calls have come to, as long as it reads."""
        while self._programs and not self.connection.is_swamped:
            answer = self._programs[0].calls.take_reply()
            if answer is None:
                break
            self.connection.send(answer[1])

    def lost(self) -> None:
        """It is dead, or has closed a socket: take in its last words, and its death."""
        self.connection.drain_events()
        self._take_events()
        status = self.process.wait(EXIT_SECONDS)
        self.end(HostDiedError(self.process.kill() if status is None else status))

    def end(self, why: HostError) -> None:
        """End the process, and with it the program whose turn it is. The first reason counts."""
        self.process.kill()
        if not self.is_gone:
            why.diagnostics = self.connection.diagnostics()
            self.is_gone, self.death = True, why
        if self._programs:
            self._end(death=why)

    def close(self) -> None:
        """End the process, whatever it does, and give everything back."""
        self.connection.drop_unsent()
        self.process.__exit__(None, None, None)

    def _take_events(self) -> None:
        try:
            for message in self.connection.events.messages():
                if isinstance(message, wire.Trace):  # also of the time between two programs
                    self._trace(message)
                    continue
                if not self._programs:
                    raise _out_of_turn(message)
                self._event(message, self._programs[0])
        except HostError as error:
            self.end(error)

    def _event(self, message: wire.Message, program: _Program) -> None:
        listener = program.listener
        program.is_heard = True
        match message:
            case wire.Output(stream, data) if stream in (1, 2):
                listener.write(stream, data)
            case wire.Notice(text) if not self._has_noticed:
                self._has_noticed = True
                listener.notice(text)
            case wire.WantInput():
                self._reply(wire.Input(listener.read_input()))
            case wire.Call():
                self._call(message, program.calls)
            case wire.Failed():
                listener.failed(message)
            case wire.Deadlocked():
                check_waits(message)
                listener.deadlocked(message)
            case wire.Stuck():
                listener.stuck(message)
                self.is_gone = True
                self.process.kill()
                self._end(ended=wire.TreeEnded(exited=False, status=0))
            case wire.Record():
                _record(listener, message)
            case wire.Used() if program.used is None:
                program.sources = _sources(message)
                program.used = message
            case wire.TreeEnded():
                # One that can't begin at all says so, and has used nothing.
                self.is_gone |= program.used is None or not program.used.stays
                self._end(ended=message)
            case _:
                raise _out_of_turn(message)

    def _trace(self, message: wire.Trace) -> None:
        if self._traced is None:
            raise _out_of_turn(message)
        try:
            self._traced.take(self.number, self.process.pid, message)
        except wire.WireError as error:
            raise protocol_broken(error) from error

    def _call(self, call: wire.Call, calls: CallRouter) -> None:
        try:
            calls.begin(self.connection, call)
        except CallError as error:
            raise protocol_broken(error) from error
        self.send_replies()

    def _reply(self, message: wire.Message) -> None:
        """A host that asks and asks, and reads no answer, must not fill our memory."""
        if self.connection.is_swamped:
            raise HostProtocolError("the process that runs the scripts does not read what it has asked for")
        self.connection.send(message)

    def _begin_turn(self) -> None:
        program = self._programs[0]
        program.began_at = time.monotonic_ns()
        program.listener.started()

    def _end(self, ended: wire.TreeEnded | None = None, death: HostError | None = None) -> None:
        program = self._programs.popleft()
        self._has_ended_since = True
        used = program.used
        taken = time.monotonic_ns() - program.began_at if used is None else used.wall
        self.endings.append((program.listener, Ending(taken, ended, used, program.sources, death)))
        if self.is_gone:
            self._give_back(len(self._programs))
        elif self._programs:
            self._begin_turn()

    def _recallable(self) -> range:
        """How many it may give back.

        It speaks on two sockets: an end that came after the recall may be heard before the answer to that, so that a
        program whose turn seems to have come is among them, if nothing was heard of it.
        """
        may_have_all = self._has_ended_since and bool(self._programs) and not self._programs[0].is_heard
        return range(self.ahead + 1 + may_have_all)

    def _give_back(self, count: int) -> None:
        """The last ones are not begun."""
        back = [self._programs.pop() for _ in range(count)]
        self.programs -= count
        self.endings += ((program.listener, Ending()) for program in reversed(back))


def _sources(used: wire.Used) -> tuple[wire.SourceRecord, ...]:
    try:
        return tuple(used.records())
    except RecordError as error:
        raise protocol_broken(error) from error


def _record(listener: Listener, record: wire.Record) -> None:
    """All of a program's come before its end, since its states are closed by then."""
    try:
        listener.record(record)
    except wire.WireError as error:
        raise protocol_broken(error) from error


def _out_of_turn(message: wire.Message) -> HostProtocolError:
    return protocol_broken(f"{message!r:.100} is out of turn")
