"""The supervisor's side of a host that stays: one program after another, each with a listener of its own.

As in `supervisor`, the host is not trusted. What it says counts for the program that it was last given, until it has
said that this one is over: a host that a script has taken over can lie about that script, and about those that come
after it in the same host, which have the same rights; `docs/batch.md` says how to keep them apart.

Blame: a program is to blame for the death of its host from the moment at which it was given to a host that was ready,
until that host has said that nothing of the program is left.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from . import wire
from .callees import CallError, CallRouter, NoFunctions
from .connection import READS, HostConnection, HostError, HostProtocolError
from .process import HostProcess
from .records import RecordError
from .supervisor import (
    EXIT_SECONDS,
    UNREFUSED_CALLS,
    HostDiedError,
    Listener,
    check_hello,
    check_waits,
    hello_deadline,
    not_ready,
    take_seen,
)
from .surroundings import Onlooker, Traced


@dataclass(frozen=True, slots=True)
class Ending:
    """How a program's time in a host has ended. `nanoseconds` is the wall time that it took."""

    nanoseconds: int
    ended: wire.TreeEnded | None = None
    """None: the host has died or was ended, or has broken the protocol: `death`."""
    used: wire.Used | None = None
    sources: tuple[wire.SourceRecord, ...] = ()
    """Those of `used`."""
    death: HostError | None = None


@dataclass(slots=True)
class _Program:
    listener: Listener
    began_at: int
    until: float | None
    """By the monotonic clock in seconds."""
    calls: CallRouter
    used: wire.Used | None = None
    sources: tuple[wire.SourceRecord, ...] = ()


class OverdueError(HostError):
    """A program was not over in time, and its host did not end it."""


class WarmHost:
    """One host process, and the program in it, if there is one. For one thread.

    Whoever waits for its descriptors calls `hear_events` when `process.events` is readable, `hear_control` when
    `process.control` is, `connection.flush` when that is writable and something is `unsent`, `lost` when
    `process.pidfd` is readable or `connection.is_over`, `send_replies` when `reply_fd` is, `keep_time` at `due`; and
    looks at `ending` afterwards.
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
        """How many it was given."""
        self.ending: Ending | None = None
        """Of the last program, until the next one begins."""
        self._hello_until = hello_deadline()
        self._program: _Program | None = None
        self._onlooker = onlooker
        self._traced = traced
        self._has_noticed = False

    @property
    def is_free(self) -> bool:
        """Whether it can be given a program now."""
        return self.is_ready and not self.is_gone and self._program is None

    @property
    def reply_fd(self) -> int | None:
        """What to wait for on behalf of its program's calls, now."""
        if self._program is None or self.connection.is_swamped:
            return None
        return self._program.calls.fileno()

    def begin(
        self, start: wire.Start, listener: Listener, seconds: float | None, calls: CallRouter | None = None
    ) -> None:
        """Give it a program, which may take so many seconds before the host is ended over it. Only while `is_free`.

        `calls` has what it calls carried out, until it has ended; None: there is nothing to call.
        """
        until = None if seconds is None else time.monotonic() + seconds
        calls = calls or CallRouter(NoFunctions(), UNREFUSED_CALLS)
        self._program = _Program(listener, time.monotonic_ns(), until, calls)
        self.ending = None
        self.programs += 1
        self.connection.number = self.number  # it may be looked at from now on
        self.connection.send(start)
        listener.started()

    def due(self) -> float | None:
        """When `keep_time` is to be called, by the monotonic clock in seconds."""
        if self._program is not None:
            return self._program.until
        return None if self.is_ready else self._hello_until

    def keep_time(self) -> None:
        """End it if its time is over."""
        due = self.due()
        if due is not None and time.monotonic() >= due:
            self.end(OverdueError("its time is over") if self._program else HostProtocolError(not_ready()))

    def hear_events(self) -> None:
        """Take in what its scripts have said."""
        if not self.connection.events.receive():
            self.connection.is_over = True
        self._take_events()

    def hear_control(self) -> None:
        """Take in what it has said itself: that it is ready, and what it shows."""
        if not self.connection.control.receive():
            self.connection.is_over = True
        try:
            for message in self.connection.control.messages():
                if isinstance(message, wire.Seen):
                    take_seen(self._onlooker, self.connection, message)
                    continue
                if self.is_ready:
                    raise _out_of_turn(message)
                check_hello(message)
                self.is_ready = True
        except HostError as error:
            self.end(error)

    def send_replies(self) -> None:
        """Send what its program's calls have come to, as long as it reads."""
        program = self._program
        while program is not None and not self.connection.is_swamped:
            answer = program.calls.take_reply()
            if answer is None:
                break
            self.connection.send(answer[1])

    def lost(self) -> None:
        """It is dead, or has closed a socket: take in its last words, and its death."""
        for _ in range(READS):  # a child that it has left may still write
            if not self.connection.events.receive():
                break
        self._take_events()
        status = self.process.wait(EXIT_SECONDS)
        self.end(HostDiedError(self.process.kill() if status is None else status))

    def end(self, why: HostError) -> None:
        """End the process, and with it the program, if there is one. The first reason counts."""
        self.process.kill()
        if not self.is_gone:
            why.diagnostics = self.connection.diagnostics()
            self.is_gone, self.death = True, why
        if self._program is not None:
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
                if self._program is None:
                    raise _out_of_turn(message)
                self._event(message, self._program)
        except HostError as error:
            self.end(error)

    def _event(self, message: wire.Message, program: _Program) -> None:
        listener = program.listener
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
            raise HostProtocolError(f"the process that runs the scripts broke its protocol: {error}") from error

    def _call(self, call: wire.Call, calls: CallRouter) -> None:
        try:
            calls.begin(self.connection, call)
        except CallError as error:
            raise HostProtocolError(f"the process that runs the scripts broke its protocol: {error}") from error
        self.send_replies()

    def _reply(self, message: wire.Message) -> None:
        """A host that asks and asks, and reads no answer, must not fill our memory."""
        if self.connection.is_swamped:
            raise HostProtocolError("the process that runs the scripts does not read what it has asked for")
        self.connection.send(message)

    def _end(self, ended: wire.TreeEnded | None = None, death: HostError | None = None) -> None:
        program, self._program = self._program, None
        assert program is not None  # noqa: S101  for the type checker: every caller has just seen it
        taken = time.monotonic_ns() - program.began_at
        self.ending = Ending(taken, ended, program.used, program.sources, death)


def _sources(used: wire.Used) -> tuple[wire.SourceRecord, ...]:
    try:
        return tuple(used.records())
    except RecordError as error:
        raise HostProtocolError(f"the process that runs the scripts broke its protocol: {error}") from error


def _record(listener: Listener, record: wire.Record) -> None:
    """All of a program's come before its end, since its states are closed by then."""
    try:
        listener.record(record)
    except wire.WireError as error:
        raise HostProtocolError(f"the process that runs the scripts broke its protocol: {error}") from error


def _out_of_turn(message: wire.Message) -> HostProtocolError:
    return HostProtocolError(f"the process that runs the scripts broke its protocol: {message!r:.100} is out of turn")
