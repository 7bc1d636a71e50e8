"""The supervisor's side of a run: watches host processes and passes on what their states say.

Actors: this loop, in one thread, and hosts at the other ends of sockets, which are not trusted. One host is a
`SoleHost` (below), several are a `Fleet` (`fleet`): they decide what becomes of what hosts say; the loop waits, reads
and writes.

Flow: a host says `Hello` within a deadline; `Start` hands it the program; from then on the loop waits, in one blocking
call, for the hosts' sockets, diagnostics and deaths, for standard input only while a state has asked for it, and for
the next time at which something is to be done. When the program is over, `Shutdown` ends the hosts.

Back-pressure: while the listener writes to a blocked terminal the loop reads nothing more; the sockets fill up and the
hosts' executors block in their sends. In the other direction nothing ever blocks: what a socket does not take is kept,
which is bounded because input is read only when all that was read before has been taken.

Calls: what a state calls is carried out by others (`callees`), on threads of their own. Their replies are sent by this
loop, and taken from them only while not too much waits for hosts that do not read.

Death: a host's last words are in its sockets when it dies, so both signs of death (the sentinel, the end of a stream)
lead to the same place: read what is there, then take in the death.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Iterable, Iterator
from typing import Protocol

from . import wire
from .callees import CallError, CallRouter, NoFunctions
from .connection import READS, HostConnection, HostError, HostProtocolError, how_it_died, protocol_broken
from .process import HostProcess
from .records import RecordError
from .surroundings import Onlooker, Surroundings

HELLO_SECONDS = 60.0
"""How long a host may take to say `Hello`; some 50 ms are usual, the rest is for a machine that is short of breath."""

SHUTDOWN_SECONDS = 1.0
"""How long a host may take to close what is left after `Shutdown`; it is killed then. Long enough to free gigabytes,
short enough for a person who waits for the prompt because a cancelled script does not come out of a long C call."""

_UNSENT_REPLIES = 64 * 1024 * 1024
"""Bytes that wait for hosts to take them, beyond which no further reply is taken from those who carry out calls: one
host that does not read must not fill the supervisor's memory. Guessed."""

UNREFUSED_CALLS = 64 * 1024 * 1024
"""Bytes of calls that wait to be refused, where there is nothing to call: only those of a host that does not read."""

EXIT_SECONDS = 0.2
"""How long a host whose socket has closed may take to be gone, before it is killed: its own status says more."""


class HostDiedError(HostError):
    """The host ended before its program did. `exit_status` as in `HostProcess.wait`."""

    def __init__(self, exit_status: int) -> None:
        super().__init__(f"the process that ran the scripts {how_it_died(exit_status)} before they were done")
        self.exit_status = exit_status


class StoppedError(HostError):
    """Somebody has stopped the run (see `Supervisor`)."""


class Listener(Protocol):
    """Where the loop takes a program's words to. May raise; that ends the loop, and the caller ends the hosts."""

    def started(self) -> None:
        """The program is on its way to a host that is ready: first of all, and once."""

    def notice(self, text: str) -> None:
        """Something that the user has to know of how the program is run."""

    def write(self, stream: int, data: bytes) -> None:
        """Write to standard output (1) or standard error (2), all of it, blocking for as long as it takes."""

    def record(self, record: wire.Record) -> None:
        """Something for the audit log. WireError for what can be none."""

    def failed(self, report: wire.Failed) -> None:
        """A state failed: the root, or a worker whose error nobody will receive."""

    def deadlocked(self, report: wire.Deadlocked) -> None:
        """No state can ever run again. Of all hosts, in one."""

    def stuck(self, report: wire.Stuck) -> None:
        """A state could not be ended; its host was killed, and where that was the root's, the program is over."""

    def host_died(self, text: str, details: bytes) -> None:
        """One of several hosts has died: what happened, and what follows; and its own last words, if it had any."""

    def read_input(self) -> bytes:
        """The next chunk of standard input, at most `wire.INPUT_PIECE` bytes; b"" at its end."""


class Hosts(Protocol):
    """The hosts of one program, as the loop sees them. Called by its thread alone; may raise `HostError`."""

    ended: wire.TreeEnded | None
    """How the program ended, once it is over."""
    wants_input: bool
    """Standard input is to be read, for `input_arrived`."""

    @property
    def connections(self) -> tuple[HostConnection, ...]:
        """To all that are there."""

    def due(self) -> float | None:
        """When `keep_time` is to be called, by the monotonic clock in seconds."""

    def keep_time(self) -> None:
        """Do what is due by now; called after everything else that happens, too."""

    def control(self, host: HostConnection, message: wire.Message) -> None:
        """A host has said something on its control socket."""

    def read_events(self, ready: set[HostConnection]) -> Iterator[tuple[HostConnection, wire.Message]]:
        """What is next to be said to the listener; `ready` are those whose events socket is readable."""

    def event(self, host: HostConnection, message: wire.Message) -> None:
        """It was the turn of this event, which is no output."""

    def wrote(self, data: bytes) -> bytes:
        """Scripts have written this; as much of it as they may."""

    def lost(self, host: HostConnection, exit_status: int) -> Iterator[tuple[HostConnection, wire.Message]]:
        """A host is dead: its last words, and when they are passed on, what follows from its death."""

    def broke(self, host: HostConnection, problem: HostProtocolError) -> None:
        """A host has broken the protocol."""

    def unspoken(self) -> Iterator[tuple[HostConnection, wire.Message]]:
        """After the end: what hosts had said by then, and whose turn has not come."""

    def input_arrived(self, data: bytes) -> None:
        """A chunk of standard input, b"" at its end."""


class Supervisor:
    """Runs one program on its hosts; for one thread, once."""

    def __init__(self, hosts: Hosts, listener: Listener, surroundings: Surroundings) -> None:
        self._hosts = hosts
        self._listener = listener
        self._interruptible = surroundings.interruptible
        self._input_fd = surroundings.input_fd
        self._calls = surroundings.calls or CallRouter(NoFunctions(), UNREFUSED_CALLS)
        self._stop_fd = surroundings.stop_fd
        self._traced = surroundings.traced
        self._onlooker = surroundings.onlooker

    def run(self) -> wire.TreeEnded:
        """Run the program to its end. HostError when a host fails and the program can't go on; see `Listener`.

        Afterwards `close` gives the hosts the time to end in order. Whatever is raised, ending them is the caller's.
        """
        hosts = self._hosts
        while hosts.ended is None:
            self._turn()
        return hosts.ended

    def close(self) -> None:
        """After `run`: let the hosts free what they hold and end, for `SHUTDOWN_SECONDS` at most.

        The last records and traces come only now: states that were cancelled inside their steps have to come out of
        these first.
        """
        deadline = time.monotonic() + SHUTDOWN_SECONDS
        for host in self._hosts.connections:
            host.send(wire.Shutdown())
        self._take_records(self._hosts.unspoken())
        for host in self._hosts.connections:
            self._hear_out(host, deadline)
            with self._interruptible:
                host.process.wait(max(0.0, deadline - time.monotonic()))

    def _hear_out(self, host: HostConnection, deadline: float) -> None:
        """Take a host's records and traces until it has closed its socket, or nothing comes any more."""
        late = 0
        with selectors.PollSelector() as selector:
            selector.register(host.process.events, selectors.EVENT_READ)
            while late < READS and self._take_records((host, message) for message in host.events.messages()):
                left = deadline - time.monotonic()
                late += left <= 0  # what lies in the socket is taken all the same
                with self._interruptible:
                    ready = selector.select(max(0.0, left))
                if not ready or not host.events.receive():
                    return

    def _take_records(self, events: Iterable[tuple[HostConnection, wire.Message]]) -> bool:
        """Take records and traces among what hosts say after the end. False if no honest host says that."""
        try:
            for host, message in events:
                if isinstance(message, wire.Record | wire.Trace):
                    self._note(host, message)
        except (HostProtocolError, wire.WireError):
            return False  # the program is over, and the host about to be ended
        return True

    def _turn(self) -> None:
        """Wait until something happens, and take it in."""
        hosts = self._hosts
        ready = self._wait()
        if self._stop_fd in ready:
            raise StoppedError("the run was stopped")
        for host in hosts.connections:
            if ready.get(host.process.control.fileno(), 0) & selectors.EVENT_WRITE:
                host.flush()
            if host.process.diagnostics in ready and not host.read_diagnostics():
                host.hears_diagnostics = False
            if ready.get(host.process.control.fileno(), 0) & selectors.EVENT_READ:
                self._guarded(host, self._read_control(host))
        talking = {host for host in hosts.connections if host.process.events.fileno() in ready}
        self._pass_on(hosts.read_events(talking))
        for host in hosts.connections:
            if hosts.ended is None and (host.process.pidfd in ready or host.is_over):
                exit_status = self._reap(host)
                if self._traced is not None:  # before anybody can do anything because of it
                    self._traced.died(host.process.pid)
                self._pass_on(hosts.lost(host, exit_status))
                self._calls.gone(host)
        if self._input_fd in ready and hosts.ended is None:
            hosts.input_arrived(self._listener.read_input())
        if hosts.ended is None:
            self._send_replies()
            hosts.keep_time()
            if self._onlooker is not None:
                awaited = self._onlooker.awaits()
                is_ready = awaited is not None and awaited[0] in ready
                self._onlooker.serve(hosts.connections, is_ready=is_ready)

    def _reap(self, host: HostConnection) -> int:
        with self._interruptible:
            exit_status = host.process.wait(EXIT_SECONDS)
        return host.process.kill() if exit_status is None else exit_status

    def _wait(self) -> dict[int, int]:
        """Which descriptors are ready, and for what."""
        hosts = self._hosts
        with selectors.PollSelector() as selector:  # not epoll, which refuses regular files as standard input
            for host in hosts.connections:
                process = host.process
                writing = selectors.EVENT_WRITE if host.unsent else 0
                selector.register(process.control, selectors.EVENT_READ | writing)
                selector.register(process.pidfd, selectors.EVENT_READ)
                if host.hears_events:
                    selector.register(process.events, selectors.EVENT_READ)
                if host.hears_diagnostics:
                    selector.register(process.diagnostics, selectors.EVENT_READ)
            # Read only when all that was read before has been taken.
            if hosts.wants_input and not any(host.unsent for host in hosts.connections):
                selector.register(self._input_fd, selectors.EVENT_READ)
            if self._takes_replies() and (replies := self._calls.fileno()) is not None:
                selector.register(replies, selectors.EVENT_READ)
            if self._stop_fd is not None:
                selector.register(self._stop_fd, selectors.EVENT_READ)
            dues = [hosts.due()]
            if self._onlooker is not None:
                if (awaited := self._onlooker.awaits()) is not None:
                    selector.register(*awaited)
                dues.append(self._onlooker.due())
            due = min((at for at in dues if at is not None), default=None)
            timeout = None if due is None else max(0.0, due - time.monotonic())
            with self._interruptible:
                return {key.fd: events for key, events in selector.select(timeout)}

    def _read_control(self, host: HostConnection) -> Iterator[None]:
        if not host.control.receive():
            host.is_over = True
        for message in control_messages(host, self._onlooker):
            self._hosts.control(host, message)
            yield

    def _takes_replies(self) -> bool:
        return sum(host.unsent_bytes for host in self._hosts.connections) < _UNSENT_REPLIES

    def _send_replies(self) -> None:
        while self._takes_replies() and (answer := self._calls.take_reply()) is not None:
            host, reply = answer
            if host in self._hosts.connections:
                host.send(reply)

    def _guarded(self, host: HostConnection, steps: Iterator[None]) -> None:
        try:
            for _ in steps:
                if self._hosts.ended is not None:
                    return
        except HostProtocolError as problem:
            self._hosts.broke(host, problem)

    def _pass_on(self, events: Iterable[tuple[HostConnection, wire.Message]]) -> None:
        """Pass on what has arrived, up to the program's end. Neighbouring pieces of output become one write, always
        before what follows."""
        hosts = self._hosts
        stream = 0
        output = bytearray()
        try:
            for host, message in events:
                if isinstance(message, wire.Output):
                    if message.stream not in (1, 2):
                        why = f"the process that runs the scripts wrote to a stream {message.stream}"
                        hosts.broke(host, HostProtocolError(why))
                        continue
                    if message.stream != stream:
                        whole, output = output, bytearray()
                        self._write(stream, whole)
                        stream = message.stream
                    output += message.data
                    continue
                whole, output = output, bytearray()
                self._write(stream, whole)
                if isinstance(message, wire.Call):
                    self._call(host, message)
                elif isinstance(message, wire.Record | wire.Trace):
                    self._record(host, message)
                else:
                    hosts.event(host, message)
                if hosts.ended is not None:
                    return
        finally:
            self._write(stream, output)

    def _call(self, host: HostConnection, call: wire.Call) -> None:
        try:
            self._calls.begin(host, call)
        except CallError as error:
            self._hosts.broke(host, protocol_broken(error))

    def _record(self, host: HostConnection, message: wire.Record | wire.Trace) -> None:
        try:
            self._note(host, message)
        except wire.WireError as error:
            self._hosts.broke(host, protocol_broken(error))

    def _note(self, host: HostConnection, message: wire.Record | wire.Trace) -> None:
        if isinstance(message, wire.Record):
            self._listener.record(message)
        elif self._traced is not None:
            self._traced.take(host.number, host.process.pid, message)
        else:
            raise wire.WireError("a trace, and nothing is traced")

    def _write(self, stream: int, data: bytearray) -> None:
        if data:
            self._listener.write(stream, self._hosts.wrote(bytes(data)))


class SoleHost:
    """The one host of a program (see `Hosts`). When it dies the program is over, with a `HostError`."""

    def __init__(self, process: HostProcess, start: wire.Start, listener: Listener) -> None:
        self._host = HostConnection(process)
        self._start = start
        self._listener = listener
        self._hello_until: float | None = hello_deadline()
        self.connections = (self._host,)
        self.ended: wire.TreeEnded | None = None
        self.wants_input = False
        self._has_noticed = False
        self._output_left = start.limits().tree.output

    def due(self) -> float | None:
        return self._hello_until

    def keep_time(self) -> None:
        if self._hello_until is not None and time.monotonic() >= self._hello_until:
            raise self._explained(HostProtocolError(not_ready()))

    def control(self, host: HostConnection, message: wire.Message) -> None:
        if self._hello_until is None:
            raise HostProtocolError(f"the process that runs the scripts sent {type(message).__name__} twice")
        check_hello(message)
        self._hello_until = None
        host.number = 1
        host.send(self._start)
        self._listener.started()

    def read_events(self, ready: set[HostConnection]) -> Iterator[tuple[HostConnection, wire.Message]]:
        host = self._host
        if host in ready and not host.events.receive():
            host.is_over = True
        try:
            for message in host.events.messages():
                if self._hello_until is not None:
                    check_hello(message)
                yield host, message
        except HostProtocolError as problem:
            self.broke(host, problem)

    def event(self, host: HostConnection, message: wire.Message) -> None:
        match message:
            case wire.Notice() if not self._has_noticed:
                self._has_noticed = True
                self._listener.notice(message.text)
            case wire.WantInput():
                self.wants_input = True
            case wire.Failed():
                self._listener.failed(message)
            case wire.Deadlocked():
                check_waits(message)
                self._listener.deadlocked(message)
            case wire.Stuck():
                host.process.kill()
                self._listener.stuck(message)
                self.ended = wire.TreeEnded(exited=False, status=0)
            case wire.TreeEnded():
                self.ended = message
            case _:
                self.broke(host, HostProtocolError(f"{type(message).__name__} is out of turn"))

    def wrote(self, data: bytes) -> bytes:
        self._output_left -= len(data)
        if self._output_left < 0:  # an honest host ends whoever would write more
            self.broke(self._host, HostProtocolError("the process that runs the scripts wrote more than it may"))
        return data

    def lost(self, host: HostConnection, exit_status: int) -> Iterator[tuple[HostConnection, wire.Message]]:
        host.drain_events()
        yield from self.read_events(set())
        raise self._explained(HostDiedError(exit_status))

    def broke(self, host: HostConnection, problem: HostProtocolError) -> None:
        del host
        raise self._explained(problem)

    def unspoken(self) -> Iterator[tuple[HostConnection, wire.Message]]:
        return iter(())

    def input_arrived(self, data: bytes) -> None:
        self.wants_input = False
        self._host.send(wire.Input(data))

    def _explained(self, error: HostError) -> HostError:
        error.diagnostics = self._host.diagnostics()
        return error


def hello_deadline() -> float:
    """Until when a host that was just executed has to have said `Hello`, by the monotonic clock in seconds."""
    return time.monotonic() + HELLO_SECONDS


def not_ready() -> str:
    """What is said of one that has not."""
    return f"the process that runs the scripts was not ready after {HELLO_SECONDS:.0f} s"


def control_messages(host: HostConnection, onlooker: Onlooker | None) -> Iterator[wire.Message]:
    """What a host has said on its control socket, but for what it shows: the onlooker takes that. HostProtocolError."""
    for message in host.control.messages():
        if isinstance(message, wire.Seen):
            _take_seen(onlooker, host, message)
        else:
            yield message


def _take_seen(onlooker: Onlooker | None, host: HostConnection, seen: wire.Seen) -> None:
    """Hand on what a host shows. Raise HostProtocolError unless it was asked for that."""
    if onlooker is None:
        raise HostProtocolError("the process that runs the scripts shows what nobody has asked for")
    try:
        onlooker.saw(host, seen)
    except wire.WireError as error:
        raise protocol_broken(error) from error


def check_waits(message: wire.Deadlocked) -> None:
    """Raise HostProtocolError unless its records are some."""
    try:
        message.records()
    except RecordError as error:
        raise protocol_broken(error) from error


def check_hello(message: wire.Message) -> None:
    """Raise HostProtocolError unless this is the first message of a host of our own version."""
    if message != wire.Hello(wire.VERSION):
        raise HostProtocolError(
            f"the process that runs the scripts is of another version ({type(message).__name__} where "
            f"Hello({wire.VERSION}) was due); was luspool updated a moment ago? Start it again"
        )
