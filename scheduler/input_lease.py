"""Who reads standard input, where several hosts may: one at a time, which gives back what it has not used. Pure."""

from __future__ import annotations

from collections import deque
from enum import Enum

from .wire import INPUT_PIECE


class Next(Enum):
    """What is to be done for standard input now."""

    NOTHING = "nothing"
    READ = "read"
    """Read a chunk, and tell `arrived`."""
    RECALL = "recall"
    """Have `holder` give back what it has, and tell `gave_back`."""


class LeaseError(ValueError):
    """A host gives back more than it ever had."""


class InputLease:
    """States in several hosts read one stream, each line once; hosts ask for chunks, which hold many lines.

    So a host keeps the rest of its chunk until another one asks. Hosts are served in the order in which they ask.
    """

    __slots__ = ("_asking", "_has_ended", "_is_recalled", "_left", "_lent", "deliveries", "holder")

    def __init__(self) -> None:
        self.holder: int | None = None
        """The host that has what was read last."""
        self.deliveries: list[tuple[int, bytes]] = []
        """Chunks for hosts, b"" for the end of input: to be sent, and cleared."""
        self._asking: deque[int] = deque()
        self._left = bytearray()
        """What was given back."""
        self._lent = 0
        """Bytes that the holder has got since it became that, and has not given back."""
        self._has_ended = False
        self._is_recalled = False

    def asked(self, host: int) -> None:
        """A host wants input."""
        if host not in self._asking:
            self._asking.append(host)

    def next(self) -> Next:
        """What to do. What can be delivered is in `deliveries` afterwards."""
        while self._asking:
            host = self._asking[0]
            if self.holder not in (None, host):
                if self._is_recalled:
                    return Next.NOTHING
                self._is_recalled = True
                return Next.RECALL
            if self._left:
                for start in range(0, len(self._left), INPUT_PIECE):
                    self.deliveries.append((host, bytes(self._left[start : start + INPUT_PIECE])))
                self._lent = len(self._left) + (self._lent if self.holder == host else 0)
                self._left.clear()
                self.holder = host
            elif self._has_ended:
                self.deliveries.append((host, b""))
            else:
                return Next.READ
            self._asking.popleft()
        return Next.NOTHING

    def arrived(self, data: bytes) -> None:
        """A chunk was read, b"" at the end."""
        self._left += data
        self._has_ended = not data

    def gave_back(self, host: int, data: bytes) -> None:
        """A piece of what the holder had, b"" after the last one. What others say is ignored. LeaseError."""
        if host == self.holder and self._is_recalled:
            if len(data) > self._lent:
                raise LeaseError(f"it gave back {len(data)} bytes of standard input where it had {self._lent}")
            self._lent -= len(data)
            self._left += data
            if not data:
                self.holder, self._is_recalled = None, False

    def gone(self, host: int) -> None:
        """A host is dead, and with it what it had and nobody had read."""
        if host in self._asking:
            self._asking.remove(host)
        if host == self.holder:
            self.holder, self._is_recalled = None, False
