"""The supervisor's side of one host: frames to it and from it, without blocking, and what it left on standard error."""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from . import wire
from .process import HostProcess

_RECEIVE_SIZE: Final = 256 * 1024
_DIAGNOSTICS_KEPT: Final = 64 * 1024
READS: Final = 16
"""How often a socket or a pipe is read before it is the next one's turn. Once takes in all that it held, unless
somebody has set the system's sockets to more than one read takes; a host that writes faster than we read must not keep
us for ever."""

_SWAMPED: Final = 32 * 1024 * 1024
"""Bytes that wait for a host to read them, beyond which nobody should give it more to do. A program, or what a function
of the supervisor's owner has given, may be as large. Guessed."""


class HostError(Exception):
    """A host failed as a process. `diagnostics` is the end of what it left on its standard error."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.diagnostics = b""


class HostProtocolError(HostError):
    """The host sent something that it may not send, or was not ready in time. It has to be ended."""


def protocol_broken(why: object) -> HostProtocolError:
    """What is said of a host that sends what it may not."""
    return HostProtocolError(f"the process that runs the scripts broke its protocol: {why}")


def how_it_died(exit_status: int) -> str:
    """The end of a process in words; `exit_status` as in `HostProcess.wait`."""
    if exit_status >= 0:
        return f"exited with status {exit_status}"
    try:
        name = f" ({signal.Signals(-exit_status).name})"
    except ValueError:
        name = ""
    return f"was ended by signal {-exit_status}{name}"


class _Incoming:
    """One socket of a host, read."""

    __slots__ = ("_decoder", "_socket")

    def __init__(self, sock: socket.socket, kinds: tuple[type[wire.Message], ...]) -> None:
        self._socket = sock
        self._decoder = wire.Decoder(kinds)

    def receive(self) -> bool:
        """Take in what has arrived. False when there is nothing, or nothing more."""
        try:
            data = self._socket.recv(_RECEIVE_SIZE)
        except (BlockingIOError, ConnectionResetError):
            return False
        self._decoder.feed(data)
        return bool(data)

    def messages(self) -> Iterator[wire.Message]:
        """The whole messages that have arrived. HostProtocolError at the first bad byte, after those before it."""
        try:
            yield from self._decoder
        except wire.WireError as error:
            raise protocol_broken(error) from error


class HostConnection:
    """The frames to and from one host process, which it owns. For one thread."""

    def __init__(self, process: HostProcess) -> None:
        self.process = process
        self.number = 0
        """Among the hosts of its program, from 1 upwards; 0 until it gets its `Start`."""
        self.events = _Incoming(process.events, wire.EVENTS)
        self.control = _Incoming(process.control, wire.CONTROL)
        self._outgoing: deque[tuple[memoryview, tuple[int, ...]]] = deque()
        """Frames and the descriptors that go with them, which are closed when they are sent."""
        self._gathered: list[bytes] = []
        """Frames that come after those."""
        self._unsent_bytes = 0
        self._diagnostics = bytearray()
        self.hears_events = self.hears_diagnostics = True
        """Whether the loop is to wait for them."""
        self.is_over = False
        """A socket of it is at its end."""

    def drain_events(self) -> None:
        """Take in what it may have left in its socket: it is dead. A child of it may still write, so within bounds."""
        for _ in range(READS):
            if not self.events.receive():
                break

    @property
    def unsent(self) -> bool:
        """Whether something waits for room in the control socket; `flush` when it is writable."""
        return bool(self._outgoing or self._gathered)

    @property
    def unsent_bytes(self) -> int:
        """How much that is."""
        return self._unsent_bytes

    @property
    def is_swamped(self) -> bool:
        """Whether more is kept for the host than one that reads would ever leave."""
        return self._unsent_bytes > _SWAMPED

    def send(self, message: wire.Message, descriptors: Sequence[int] = ()) -> None:
        """Send a message; what there is no room for is kept. Takes over the descriptors."""
        self._gather()
        frame = memoryview(wire.encode(message))
        self._outgoing.append((frame, tuple(descriptors)))
        self._unsent_bytes += len(frame)
        self.flush()

    def send_soon(self, message: wire.Message) -> None:
        """Send a message together with those before and after it, by the next `flush` or `send`."""
        frame = wire.encode(message)
        self._gathered.append(frame)
        self._unsent_bytes += len(frame)

    def flush(self) -> None:
        """Send as much as the socket takes."""
        self._gather()
        try:
            while self._outgoing:
                data, descriptors = self._outgoing[0]
                if descriptors:
                    sent = socket.send_fds(self.process.control, [data], descriptors)
                else:
                    sent = self.process.control.send(data[:_RECEIVE_SIZE])
                self._outgoing[0] = (data[sent:], ())
                self._unsent_bytes -= sent
                _close(descriptors)
                if sent == len(data):
                    self._outgoing.popleft()
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self.drop_unsent()  # the host is gone, which the sentinel reports in its turn
        except OSError as error:
            # The system bounds how many descriptors of a user may lie in sockets: there is room when hosts have read.
            if error.errno != errno.ETOOMANYREFS:
                raise

    def _gather(self) -> None:
        if self._gathered:
            self._outgoing.append((memoryview(b"".join(self._gathered)), ()))
            self._gathered.clear()

    def drop_unsent(self) -> None:
        """The host is gone: nobody needs what was to be sent to it."""
        self._unsent_bytes = 0
        self._gathered.clear()
        while self._outgoing:
            _close(self._outgoing.popleft()[1])

    def read_diagnostics(self) -> bool:
        """Take in what the host left on its standard error, keeping the end. False when there is no more."""
        try:
            data = os.read(self.process.diagnostics, _DIAGNOSTICS_KEPT)
        except BlockingIOError:
            return False
        self._diagnostics += data
        del self._diagnostics[:-_DIAGNOSTICS_KEPT]
        return bool(data)

    def diagnostics(self) -> bytes:
        """The host's own last words. One that is alive may write for ever."""
        for _ in range(READS):
            if not self.read_diagnostics():
                break
        return bytes(self._diagnostics)


def _close(descriptors: Sequence[int]) -> None:
    for fd in descriptors:
        os.close(fd)
