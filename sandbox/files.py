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
from typing import Final

from .calls import RefusedError, decode, encode

_PATH_MAX: Final = 4096
"""Bytes of a path that Linux takes, its NUL included."""


@dataclass(frozen=True, slots=True)
class LocatedFile:
    """A file that was found and not yet opened. `descriptor` gives no access to its content."""

    descriptor: int
    real_path: str

    def open_for_reading(self) -> int:
        """A descriptor that reads this file. OSError where that is not possible, or it is no regular file.

        Anything but a regular file is refused: reading a pipe or a terminal may wait for ever, and that would hold
        the executor thread; a device may never end. So are the kernel's own files, which only look regular: through
        /proc/self a script would read the host's memory and environment. A file without a name is one that somebody
        else has open, such as shared memory, reached through /proc as well.
        """
        found = os.fstat(self.descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(found.st_mode) or found.st_dev == os.stat("/proc").st_dev:
            raise OSError(errno.EINVAL, "Not a regular file")
        if found.st_nlink == 0:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        # Not to block: tracefs has files that look regular and wait for an event.
        return os.open(f"/proc/self/fd/{self.descriptor}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)


@contextmanager
def allowed_file(decide: Callable[[str, str], None], path: str) -> Iterator[LocatedFile]:
    """Walk to the file at `path`, which `decide("fs:read", its real path)` must let pass. OSError where there is none.

    That there is none is told only to who may look there, so `decide` is asked about a missing file as well: about the
    place where it would lie.
    """
    if "\0" in path:
        raise OSError(errno.EINVAL, "Path with a NUL byte")
    name = encode(path)
    if len(name) > _PATH_MAX:  # no file has such a path, and resolving a long one takes time that grows as its square
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    try:
        descriptor = os.open(name, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        decide("fs:read", decode(os.path.realpath(name)))
        raise
    try:
        real_path = decode(os.readlink(b"/proc/self/fd/%d" % descriptor))
        if not real_path.startswith("/"):  # a pipe or a socket, reached through /dev/stdin, has no path of its own
            real_path = decode(os.path.realpath(name))
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


def read_at_most(descriptor: int, size: int) -> bytes:
    """The content of an open file, but no more than its first `size` bytes. OSError."""
    pieces = []
    left = size
    while left > 0 and (piece := os.read(descriptor, min(left, 1 << 20))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
