"""The supervisor's side of a run: watches a host process and passes on what its states say.

Actors: this loop, in the one thread of the supervisor, and a host at the other end of a socket, which is not trusted.

Flow: the host says `Hello` within a deadline; `Start` hands it the program; from then on the loop waits, in one
blocking call, for the socket, the host's diagnostics, the host's death and, only while a state has asked for it,
standard input. `TreeEnded` ends the loop, `Shutdown` the host. `Stuck` ends both: the host is killed, because a state
in it that must end does not come out of one long call, and with one host there is nobody to carry on.

Back-pressure: while the listener writes to a blocked terminal the loop reads nothing more; the socket fills up and the
host's executors block in their sends. In the other direction nothing ever blocks: what the socket does not take is
kept, which is bounded because input is read only when all that was read before has been taken.

Calls: what a state calls is carried out by others (`callees`), on threads of their own. Their replies are sent by this
loop, and taken from them only when the host has taken all that was sent before.

Death: a host's last words are in the socket when it dies, so both signs of death (the sentinel, the end of the stream)
lead to the same place: read what is there, then report the death unless the tree's end was in it.
"""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from . import wire
from .callees import Callees, CallError, CallLedger, NoFunctions
from .process import HostProcess

HELLO_SECONDS = 60.0
"""How long a host may take to say `Hello`; some 50 ms are usual, the rest is for a machine that is short of breath."""

SHUTDOWN_SECONDS = 1.0
"""How long a host may take to close what is left after `Shutdown`; it is killed then. Long enough to free gigabytes,
short enough for a person who waits for the prompt because a cancelled script does not come out of a long C call."""

EXIT_SECONDS = 0.2
"""How long a host whose socket has closed may take to be gone, before it is killed: its own status says more."""

_RECEIVE_SIZE = 256 * 1024
_DIAGNOSTICS_KEPT = 64 * 1024


class HostError(Exception):
    """A host failed as a process. `diagnostics` is the end of what it left on its standard error."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.diagnostics = b""


class HostDiedError(HostError):
    """The host ended before its program did. `exit_status` as in `HostProcess.wait`."""

    def __init__(self, exit_status: int) -> None:
        how = f"was ended by signal {-exit_status}" if exit_status < 0 else f"exited with status {exit_status}"
        super().__init__(f"the process that ran the scripts {how} before they were done")
        self.exit_status = exit_status


class HostProtocolError(HostError):
    """The host said something that it may not say, or nothing in time."""


class Listener(Protocol):
    """Where the loop takes a program's words to. May raise; that ends the loop, and the caller ends the host."""

    def started(self) -> None:
        """The program is on its way to a host that is ready: first of all, and once."""

    def write(self, stream: int, data: bytes) -> None:
        """Write to standard output (1) or standard error (2), all of it, blocking for as long as it takes."""

    def failed(self, report: wire.Failed) -> None:
        """A state failed: the root, or a worker whose error nobody will receive."""

    def deadlocked(self, report: wire.Deadlocked) -> None:
        """No state can ever run again."""

    def stuck(self, report: wire.Stuck) -> None:
        """A state could not be ended; the host was killed, and the program is over."""

    def read_input(self) -> bytes:
        """The next chunk of standard input, at most `wire.INPUT_PIECE` bytes; b"" at its end."""


class HostConnection:
    """The frames to and from one host process, without blocking."""

    def __init__(self, process: HostProcess) -> None:
        self.process = process
        self._decoder = wire.Decoder(wire.FROM_HOST)
        self._outgoing = bytearray()
        self._diagnostics = bytearray()

    @property
    def unsent(self) -> bool:
        """Whether something waits for room in the socket; `flush` when it is writable."""
        return bool(self._outgoing)

    def send(self, message: wire.Message) -> None:
        self._outgoing += wire.encode(message)
        self.flush()

    def flush(self) -> None:
        """Send as much as the socket takes."""
        try:
            while self._outgoing:
                with memoryview(self._outgoing) as view:
                    sent = self.process.socket.send(view[:_RECEIVE_SIZE])
                del self._outgoing[:sent]
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self._outgoing.clear()  # the host is gone, which the sentinel reports in its turn

    def receive(self) -> bool:
        """Take in what has arrived, for `messages`. False when there is nothing, or nothing more."""
        try:
            data = self.process.socket.recv(_RECEIVE_SIZE)
        except (BlockingIOError, ConnectionResetError):
            return False
        self._decoder.feed(data)
        return bool(data)

    def messages(self) -> Iterator[wire.Message]:
        """The whole messages that have arrived. HostProtocolError at the first bad byte, after those before it."""
        try:
            yield from self._decoder
        except wire.WireError as error:
            raise HostProtocolError(f"the process that runs the scripts broke its protocol: {error}") from error

    def read_diagnostics(self) -> bool:
        """Take in what the host left on its standard error, keeping the end. False when there is no more."""
        try:
            data = os.read(self.process.diagnostics, _DIAGNOSTICS_KEPT)
        except BlockingIOError:
            return False
        self._diagnostics += data
        del self._diagnostics[:-_DIAGNOSTICS_KEPT]
        return bool(data)

    def explain(self, error: HostError) -> HostError:
        """Add the host's own last words to an error."""
        while self.read_diagnostics():
            pass
        error.diagnostics = bytes(self._diagnostics)
        return error


class Supervisor:
    """Runs one program on one host; for one thread, once.

    `interruptible` is entered around every call that may block (and around nothing else), so that a signal handler can
    raise there and only there; a listener does the same in its own calls. `input_fd` is polled, and the listener asked
    to read from it, only while a state wants input. `callees` carry out what states call; nothing is called without.
    """

    def __init__(
        self,
        process: HostProcess,
        listener: Listener,
        interruptible: AbstractContextManager[object],
        input_fd: int,
        callees: Callees | None = None,
    ) -> None:
        self._process = process
        self._host = HostConnection(process)
        self._listener = listener
        self._interruptible = interruptible
        self._input_fd = input_fd
        self._wants_input = False
        self._callees = callees if callees is not None else NoFunctions()
        self._calls = CallLedger(0)
        self._ended: wire.TreeEnded | None = None
        self._selector = selectors.PollSelector()  # not epoll, which refuses regular files as standard input

    def run(self, start: wire.Start) -> wire.TreeEnded:
        """Run the program to its end. HostError when the host fails; see `Listener`.

        Afterwards `close` gives the host the time to end in order. Whatever is raised, ending it is left to the caller.
        """
        with self._selector:
            for source in (self._process.socket.fileno(), self._process.diagnostics, self._process.pidfd):
                self._selector.register(source, selectors.EVENT_READ)
            try:
                self._wait_hello()
                self._calls = CallLedger(start.limits().tree.memory)
                self._host.send(start)
                self._listener.started()
                return self._wait_ended()
            except HostError as error:
                raise self._host.explain(error) from error.__cause__

    def close(self) -> None:
        """After `run`: let the host free what it holds and end, for `SHUTDOWN_SECONDS` at most."""
        self._host.send(wire.Shutdown())
        with self._interruptible:
            self._process.wait(SHUTDOWN_SECONDS)

    def _wait_hello(self) -> None:
        deadline = time.monotonic() + HELLO_SECONDS
        while True:
            alive = self._wait(max(0.0, deadline - time.monotonic()))
            for message in self._host.messages():
                if message != wire.Hello(wire.VERSION):
                    raise HostProtocolError(
                        f"the process that runs the scripts is of another version ({type(message).__name__} where "
                        f"Hello({wire.VERSION}) was due); was luspool updated a moment ago? Start it again"
                    )
                return
            if not alive:
                raise self._death()
            if time.monotonic() >= deadline:
                raise HostProtocolError(f"the process that runs the scripts was not ready after {HELLO_SECONDS:.0f} s")

    def _wait_ended(self) -> wire.TreeEnded:
        while True:
            alive = self._wait(None)
            self._handle_messages()
            self._send_replies()
            if self._ended is not None:
                return self._ended
            if not alive:
                raise self._death()

    def _death(self) -> HostDiedError:
        """What became of a host whose stream has ended."""
        with self._interruptible:
            status = self._process.wait(EXIT_SECONDS)
        return HostDiedError(self._process.kill() if status is None else status)

    def _wait(self, timeout: float | None) -> bool:
        """Wait until something happens, and take it in. False: the host is gone, and all it had sent is taken in."""
        sending = selectors.EVENT_WRITE if self._host.unsent else 0
        self._selector.modify(self._process.socket.fileno(), selectors.EVENT_READ | sending)
        reading = self._wants_input and not self._host.unsent
        if reading:
            self._selector.register(self._input_fd, selectors.EVENT_READ)
        replying = None if self._host.unsent else self._callees.fileno()
        if replying is not None:
            self._selector.register(replying, selectors.EVENT_READ)
        try:
            with self._interruptible:
                ready = {key.fd: events for key, events in self._selector.select(timeout)}
        finally:
            if reading:
                self._selector.unregister(self._input_fd)
            if replying is not None:
                self._selector.unregister(replying)
        if reading and self._input_fd in ready:
            self._wants_input = False
            self._host.send(wire.Input(self._listener.read_input()))
        if self._process.diagnostics in ready and not self._host.read_diagnostics():
            self._selector.unregister(self._process.diagnostics)
        return self._take_in(ready.get(self._process.socket.fileno(), 0), self._process.pidfd in ready)

    def _take_in(self, socket_events: int, is_dead: bool) -> bool:
        if socket_events & selectors.EVENT_WRITE:
            self._host.flush()
        if is_dead:
            self._process.kill()  # whatever it may have left in its session; nobody can write to the socket then
            while self._host.receive():
                pass
            return False
        return not socket_events & selectors.EVENT_READ or self._host.receive()

    def _handle_messages(self) -> None:
        """Pass on what has arrived, up to the tree's end. Neighbouring pieces of output become one write, always before
        what follows."""
        stream = 0
        output = bytearray()
        try:
            for message in self._host.messages():
                if isinstance(message, wire.Output) and message.stream == stream:
                    output += message.data
                    continue
                whole, output = output, bytearray()
                self._write(stream, whole)
                if isinstance(message, wire.Output):
                    stream, output = message.stream, bytearray(message.data)
                else:
                    self._handle(message)
                if self._ended is not None:
                    return
        finally:
            self._write(stream, output)

    def _write(self, stream: int, data: bytearray) -> None:
        if data:
            if stream not in (1, 2):
                raise HostProtocolError(f"the process that runs the scripts wrote to a stream {stream}")
            self._listener.write(stream, bytes(data))

    def _handle(self, message: wire.Message) -> None:
        match message:
            case wire.WantInput():
                self._wants_input = True
            case wire.Call():
                self._begin_call(message)
            case wire.Failed():
                self._listener.failed(message)
            case wire.Deadlocked():
                self._listener.deadlocked(message)
            case wire.Stuck():
                self._process.kill()
                self._listener.stuck(message)
                self._ended = wire.TreeEnded(exited=False, status=0)
            case wire.TreeEnded():
                self._ended = message
            case _:
                raise HostProtocolError(f"the process that runs the scripts sent {type(message).__name__} twice")

    def _begin_call(self, call: wire.Call) -> None:
        try:
            self._calls.begin(call)
        except CallError as error:
            raise HostProtocolError(f"the process that runs the scripts broke its protocol: {error}") from error
        self._callees.begin(call)

    def _send_replies(self) -> None:
        while not self._host.unsent and (reply := self._callees.take_reply()) is not None:
            self._calls.end(reply.call)
            self._host.send(reply)
