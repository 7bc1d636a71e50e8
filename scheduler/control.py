"""A host's end of the control socket: frames in both directions, and descriptors with some of those that come in.

Descriptors travel beside the bytes, in order, and reach us no later than the first byte of the frame that was sent with
them. So they wait in line, and a frame that brings some takes them from the front.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Iterator
from typing import Final

from . import wire

_RECEIVE_SIZE: Final = 256 * 1024
_MOST_DESCRIPTORS: Final = 253
"""The most that Linux sends with one message."""


class ControlSocket:
    """Never blocks. For one thread."""

    __slots__ = ("_decoder", "_descriptors", "_outgoing", "_socket", "is_open")

    def __init__(self, sock: socket.socket) -> None:
        """Takes over the socket."""
        sock.setblocking(False)
        self._socket = sock
        self._decoder = wire.Decoder(wire.TO_HOST)
        self._descriptors: deque[int] = deque()
        self._outgoing = bytearray()
        self.is_open = True
        """The other side is there, as far as is known."""

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def unsent(self) -> bool:
        """Whether something waits for room in the socket: `flush` when it is writable."""
        return bool(self._outgoing)

    def receive(self) -> Iterator[wire.Message]:
        """What has come. WireError at the first bad byte, after the good messages before it."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._socket, _RECEIVE_SIZE, _MOST_DESCRIPTORS)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data, descriptors = b"", []
        self._descriptors.extend(descriptors)
        if not data:
            self.is_open = False
            return
        self._decoder.feed(data)
        yield from self._decoder

    def take_descriptors(self, count: int) -> tuple[int, ...]:
        """The descriptors that came with the frame just received. The caller owns them. WireError: they did not."""
        if len(self._descriptors) < count:
            raise wire.WireError(f"{len(self._descriptors)} descriptors where {count} were due")
        taken = tuple(self._descriptors.popleft() for _ in range(count))
        for fd in taken:
            os.set_inheritable(fd, False)
        return taken

    def send(self, message: wire.Message) -> None:
        """Send it, or as much as there is room for; the rest is sent by `flush`."""
        self._outgoing += wire.encode(message)
        self.flush()

    def flush(self) -> None:
        """Send as much as there is room for."""
        try:
            while self._outgoing:
                del self._outgoing[: self._socket.send(self._outgoing)]
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self._outgoing.clear()
            self.is_open = False
