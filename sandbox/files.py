"""Files, opened by descriptor: the path is walked once, the decision is about where the walk ended, and that very
file is used. A rename or a changed symbolic link in between can't lead anywhere else.

`LocatedFile.real_path` is what the kernel says of the descriptor, so `..`, links and double slashes are gone from it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .calls import RefusedError, decode


@dataclass(frozen=True, slots=True)
class LocatedFile:
    """A file that was found and not yet opened. `descriptor` gives no access to its content."""

    descriptor: int
    real_path: str

    def open_for_reading(self) -> int:
        """A descriptor that reads this file. OSError where that is not possible, or it is no regular file.

        Anything but a regular file is refused: reading a pipe or a terminal may wait for ever, and that would hold
        the executor thread; a device may never end.
        """
        mode = os.fstat(self.descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "Not a regular file")
        return os.open(f"/proc/self/fd/{self.descriptor}", os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def allowed_file(decide: Callable[[str, str], None], path: str) -> Iterator[LocatedFile]:
    """Walk to the file at `path`, which `decide("fs:read", its real path)` must let pass. OSError where there is none.

    That there is none is told only to who may look there, so `decide` is asked about a missing file as well: about the
    place where it would lie.
    """
    if "\0" in path:
        raise OSError(errno.EINVAL, "Path with a NUL byte")
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        decide("fs:read", os.path.realpath(path))
        raise
    try:
        real_path = os.readlink(f"/proc/self/fd/{descriptor}")
        decide("fs:read", real_path)
        yield LocatedFile(descriptor, real_path)
    finally:
        os.close(descriptor)


@contextmanager
def naming(path: bytes) -> Iterator[None]:
    """An error of the operating system inside is told with the path before it, as C's library does."""
    try:
        yield
    except OSError as error:
        raise RefusedError(f"{decode(path)}: {error.strerror}", error.errno) from None


def read_whole(descriptor: int, limit: int) -> bytes:
    """The content of an open file; OSError (EFBIG) when it is larger than `limit` bytes."""
    pieces = []
    left = limit + 1
    while left > 0 and (piece := os.read(descriptor, min(left, 1 << 20))):
        pieces.append(piece)
        left -= len(piece)
    if left <= 0:
        raise OSError(errno.EFBIG, f"File is larger than {limit} bytes")
    return b"".join(pieces)
