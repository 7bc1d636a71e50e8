"""What has arrived on standard input and nobody has read yet."""

from __future__ import annotations

LINE_PIECE = 1024 * 1024
"""A longer line is given out in pieces of this many bytes: an endless one then meets the memory limit of the state
that reads it, and not that of the whole host. Large enough that a line in pieces is rare. Guessed."""


class InputBuffer:
    """Bytes in the order of arrival. Not thread-safe."""

    __slots__ = ("_bytes", "_ended", "_searched")

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._searched = 0  # no newline before this position; else a line that comes in crumbs costs quadratic time
        self._ended = False

    def arrived(self, chunk: bytes) -> None:
        """Append `chunk`."""
        self._bytes += chunk

    def end(self) -> None:
        """Nothing will arrive any more."""
        self._ended = True

    def take_rest(self) -> bytes:
        """Everything: somebody else will read it."""
        rest = bytes(self._bytes)
        self._bytes.clear()
        self._searched = 0
        return rest

    def read(self, size: int | None) -> bytes | None:
        """Take a line or up to `size` bytes, as `Port.read_input` says."""
        if size is None:
            size = self._line_length()
            if size is None:
                return None
        elif not self._bytes and not self._ended:
            return None
        taken = bytes(self._bytes[:size])
        del self._bytes[:size]  # a bytearray moves its start, so this does not copy the rest
        self._searched = 0
        return taken

    def _line_length(self) -> int | None:
        newline = self._bytes.find(b"\n", self._searched, LINE_PIECE)
        if newline >= 0:
            return newline + 1
        self._searched = min(len(self._bytes), LINE_PIECE)
        return self._searched if self._ended or self._searched == LINE_PIECE else None
