"""Files that scripts have open: buffered reading and writing over one descriptor, as Lua's io library has them.

C leaves open what a read right after a write does, and the other way round. Here each begins where the other ended.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Final

from .readers import MOST, Reader

_CHUNK: Final = 1 << 16
"""Bytes asked of a file at once. Guessed: the size at which read-ahead works in one piece."""
_PENDING: Final = 1 << 14
"""Bytes written to a file that are held back at most, whatever a script asks for. Guessed: a system call for so many
costs little beside what a script has spent on making them."""
_LEAST_OFFSET: Final = -(1 << 63)
_WHENCE: Final = {b"set": os.SEEK_SET, b"cur": os.SEEK_CUR, b"end": os.SEEK_END}


class OpenFile:
    """A regular file that a script has open. Closed by `close` or with the state.

    `most`: as `Reader` has it. `claim(size)` says how many of so many bytes may be written. OSError, EBADF for what the
    file was not opened for.
    """

    __slots__ = ("_claim", "_descriptor", "_lines", "_pending", "_problem", "_reader", "_room")

    def __init__(
        self, descriptor: int, *, reads: bool = True, most: int = MOST, claim: Callable[[int], int] | None = None
    ) -> None:
        self._descriptor = descriptor
        self._reader = Reader(self._fill, most) if reads else None
        self._claim = claim
        """None: not for writing."""
        self._pending = bytearray()
        self._room = _PENDING
        self._lines = False
        """A line is not held back once it is whole."""
        self._problem: OSError | None = None
        """What became of bytes that were held back, for whoever writes or closes next."""

    def read(self, kind: bytes, size: int = 0) -> bytes | None:
        """As `Reader.read`; one that fails has read nothing."""
        if self._reader is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        self.flush()
        self._reader.look_again()
        try:
            return self._reader.read(kind, size)
        except OSError:
            self._drop_read_ahead()  # as much as one read may give, in each of a state's files, would be too much
            raise

    def write(self, data: bytes) -> None:
        """Take all of it, or what may still be written; some is held back until `flush`."""
        self._raise_problem()
        if not data:
            return
        if self._claim is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        self._drop_read_ahead()
        data = data[: self._claim(len(data))]
        if len(self._pending) + len(data) > self._room or (self._lines and b"\n" in data):
            self.flush()
            write_all(self._descriptor, data)
        else:
            self._pending += data

    def flush(self) -> None:
        """Give the file what was held back. Bytes that it does not take are lost."""
        pending, self._pending = self._pending, bytearray()
        self._raise_problem()
        if pending:
            write_all(self._descriptor, pending)

    def flush_later(self) -> None:
        """As `flush`, but whoever writes or closes next is told of an error."""
        if self._pending:
            try:
                self.flush()
            except OSError as error:
                self._problem = error

    def hold_back(self, mode: bytes, size: int) -> None:
        """What `setvbuf` asks for: b"no", b"line" or b"full", and at most so many bytes."""
        self.flush()
        self._room = 0 if mode == b"no" else min(max(size, 0), _PENDING)
        self._lines = mode == b"line"

    def seek(self, whence: bytes, offset: int) -> int:
        """Move; gives the new position from the start, in bytes. OSError for a position before the start."""
        self.flush()
        how = _WHENCE[whence]
        if how == os.SEEK_CUR and self._reader is not None:
            offset -= self._reader.buffered
        if offset < _LEAST_OFFSET:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        position = os.lseek(self._descriptor, offset, how)
        if self._reader is not None:
            self._reader.discard()
        return position

    def close(self) -> None:
        """Flush, and give the descriptor back, also where the flush fails."""
        try:
            self.flush()
        finally:
            os.close(self._descriptor)

    def _fill(self) -> bytes:
        return os.read(self._descriptor, _CHUNK)

    def _drop_read_ahead(self) -> None:
        """Writing goes on where the script has read to."""
        if self._reader is not None:
            if self._reader.buffered:
                os.lseek(self._descriptor, -self._reader.buffered, os.SEEK_CUR)
            self._reader.discard()

    def _raise_problem(self) -> None:
        problem, self._problem = self._problem, None
        if problem is not None:
            raise problem


def write_all(descriptor: int, data: bytes | bytearray) -> None:
    """OSError."""
    with memoryview(data) as left:
        done = 0
        while done < len(left):
            done += os.write(descriptor, left[done:])
