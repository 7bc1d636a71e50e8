"""A host that serves one program after another, behind one wall: what is new for each of them, and what stays.

A program is begun when nothing of the one before is left: its states are closed, no thread is inside a step, and the
machine that has run it, with its numbers, clocks, queues and standard input, was thrown away (`Dispatcher.renews`).
Only then is the supervisor told of its end. What was given to the host meanwhile waits until then; the executor that
has told of the end begins it, so that nobody has to be woken. What stays, and why it carries nothing from one program
to the next:

- the threads, which are asleep then, and their timers, which are set only within a step;
- the guarded library, compiled once, the same for all, and read-only;
- what was compiled of scripts, by the whole of their text: who finds something there has brought that very text. That
  it was faster than compiling may tell somebody that another had the same script. Bounded (`ChunkCache`);
- the wall, since all programs have the same rights: `begin` refuses others;
- what Python's and the system's allocators keep of freed memory, where no script can read;
- programs that wait, which no script can see.

What a program can't leave by itself (a step that does not end, a fault) ends the process.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import Final, Protocol

from msgspec import Struct

from .permissions import PledgeSet
from .request import Request
from .sandbox import NO_ARGUMENTS, Program, Sandbox, codec
from .sandbox.sources import SourceLog
from .scheduler import wire
from .scheduler.events import Cancelled, HostEvents, TreeResult
from .scheduler.host import Host
from .scheduler.limits import Limits
from .scheduler.protocol import Port, Runnable
from .scheduler.records import pack

GONE: Final = 0
"""The status with which a process ends that does not stay. Its supervisor was told that, by `wire.Used`."""


class Sender(HostEvents, Protocol):
    """The events of a host on their way to the supervisor."""

    def send_together(self, *messages: wire.Message) -> None:
        """Send all of these messages, so that they arrive at once."""


class _Waiting(Struct, frozen=True):
    """A program that may begin here."""

    program: Program
    sandbox: Sandbox
    sources: SourceLog
    limits: Limits


class Resident:
    """Runs the programs that its process is given by `wire.Start`. `host` is to be started once the wall is up.

    `begin`, `recall` and the two about input are called by the thread that reads commands, the rest by the host, one at
    a time. What they share is below `_lock`, which is taken before the lock of the host.
    """

    def __init__(self, events: Sender, sandbox: Sandbox, first: wire.Start) -> None:
        self._events = events
        self._base = self._sandbox = sandbox
        request = Request.unpack(first.program)
        self._rules = _rules(first, request)
        self._pledges: PledgeSet = request.pledge_set()
        self._sources = SourceLog(wire.SOURCES_LIMIT)
        self._began_at = 0
        self._ended: tuple[TreeResult, wire.TreeEnded] | None = None
        """How the present program has ended, until the supervisor is told."""
        self.host = Host(first.threads, self._new_state, events, first.slice_nanoseconds, renews=True)
        self._lock = threading.Lock()
        self._line: deque[_Waiting] = deque()
        """Those that wait for their turn."""
        self._is_at_work = False
        """There is a program whose end was not told yet."""
        self._asked = self._stale = 0
        """How often the present program has asked for input, and how often those before it have, without an answer."""

    def begin(self, message: wire.Start) -> None:
        """Begin the next program, after the end of the one before. WireError: it may not run here."""
        request = Request.unpack(message.program)
        if _rules(message, request) != self._rules:
            raise wire.WireError("a program with other rights was given to a host that has some already")
        sources = SourceLog(wire.SOURCES_LIMIT)
        sandbox = self._base.for_program(request.environment(), sources)
        program = Program(
            path=request.path,
            source=request.source,
            arguments=request.values or (codec.encode(*request.arguments) if request.arguments else NO_ARGUMENTS),
            pledges=self._pledges,
            strict_globals=request.strict_globals,
            audit=request.audit_plan(),
            is_job=request.is_job,
        )
        with self._lock:
            self._line.append(_Waiting(program, sandbox, sources, message.limits()))
            if not self._is_at_work:
                self._begin_next()

    def recall(self) -> int:
        """Forget the programs that have not begun; how many these are."""
        with self._lock:
            count = len(self._line)
            self._line.clear()
        return count

    def input_arrived(self, data: bytes) -> None:
        """The answer to the oldest question for input (b"": its end), which a program may have asked that is over."""
        with self._lock:
            if self._stale:
                self._stale -= 1
                return
            self._asked -= 1
            if data:
                self.host.input_arrived(data)
            else:
                self.host.input_ended()

    def want_input(self) -> None:
        """The program asks for input."""
        with self._lock:
            self._asked += 1

    def _begin_next(self) -> None:
        """Lock held."""
        self._is_at_work = bool(self._line)
        if self._line:
            self._stale += self._asked
            self._asked = 0
            new = self._line.popleft()
            self._sandbox, self._sources = new.sandbox, new.sources
            self._began_at = time.monotonic_ns()
            self.host.create_root(new.program, new.limits)

    def tree_ended(self, result: TreeResult, message: wire.TreeEnded) -> None:
        """The program is over; something of it may be left."""
        self._ended = (result, message)
        if isinstance(result.outcome, Cancelled):  # by nobody: the host has met a fault of its own, and stops
            self._tell_end(stays=False)

    def vacated(self) -> None:
        """Nothing of the program is left."""
        with self._lock:  # who hears of the end takes the next program for begun: it can't be recalled between the two
            self._tell_end(stays=True)
            self._begin_next()

    def stuck(self) -> None:
        """A step does not end. If the program has, its end is told, and that of the process follows."""
        if self._ended is not None:
            self._tell_end(stays=False)

    def _tell_end(self, *, stays: bool) -> None:
        assert self._ended is not None  # noqa: S101  for the type checker: a host is vacated after the end of a tree
        (result, message), self._ended = self._ended, None
        log = self._sources
        sources = tuple(pack(wire.SourceRecord(path, digest)) for path, digest in log.digests().items())
        wall = time.monotonic_ns() - self._began_at
        self._events.send_together(wire.Used(wall, result.cpu, result.memory, sources, log.has_all, stays), message)
        if not stays:
            os._exit(GONE)

    def _new_state(self, program: object, port: Port) -> Runnable:
        return self._sandbox.new_state(program, port)


def _rules(message: wire.Start, request: Request) -> tuple[object, ...]:
    """What the wall was made for, and what all programs of one host share."""
    tree = message.limits().tree
    return request.pledges, request.wall, tree.memory, message.threads, message.slice_nanoseconds
