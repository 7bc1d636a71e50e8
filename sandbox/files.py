"""Files that exist, opened by descriptor: the path is walked once, the decision is about where the walk ended, and
that very file is used. A rename or a changed symbolic link in between can't lead anywhere else.

`LocatedFile.real_path` is what the kernel says of the descriptor, so `..`, links and double slashes are gone from it.
It is believed only where it names that very file. Otherwise it is the name of something else, or of nothing: the file
was renamed or removed meanwhile; or it was reached through /proc, and lies in another mount name space, or has lost
its name.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Final

from msgspec import Struct

from .calls import RefusedError, decode, encode

_PATH_MAX: Final = 4096
"""Bytes of a path that Linux takes, its NUL included."""

WALKS: Final = 16
"""How often the walk is tried while files are renamed under it. Guessed: one is enough for a file that is replaced."""

_MAX_DETOURS: Final = 16
"""Directories that a path may enter only to leave them by `..`. Each is resolved anew, and the path may be long."""


Decide = Callable[[str, str], None]
"""Raises unless the permission holds for the real path."""


class LocatedFile(Struct, frozen=True):
    """A file that was found and not yet opened. `descriptor` gives no access to its content."""

    descriptor: int
    real_path: str

    def open(self, flags: int = os.O_RDONLY) -> int:
        """A descriptor of this file. OSError where that is not possible, or it is no regular file.

        Anything but a regular file is refused: reading a pipe or a terminal may wait for ever, and that would hold
        the executor thread; a device may never end. So are the kernel's own files, which only look regular: through
        /proc/self a script would read the host's memory and environment, and write to them.
        """
        found = os.fstat(self.descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        is_named = self.real_path.startswith("/")
        if not is_named or not stat.S_ISREG(found.st_mode) or is_of_proc(found):
            raise OSError(errno.EINVAL, "Not a regular file")
        # Not to block: tracefs has files that look regular and wait for an event.
        return os.open(f"/proc/self/fd/{self.descriptor}", flags | os.O_CLOEXEC | os.O_NONBLOCK)

    def open_directory(self) -> int:
        """A descriptor that lists this directory. OSError, also where it is none, or one of the kernel's own in /proc,
        which would tell of the host's descriptors and of other processes."""
        if is_of_proc(os.fstat(self.descriptor)):
            raise OSError(errno.EINVAL, "Not a directory of files")
        return os.open(f"/proc/self/fd/{self.descriptor}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def is_of_proc(found: os.stat_result) -> bool:
    """Whether the kernel has made this up, in /proc."""
    return found.st_dev == _device_of_proc()


@cache
def _device_of_proc() -> int:
    return os.stat("/proc").st_dev


@contextmanager
def allowed_file(decide: Decide, path: str, *permissions: str) -> Iterator[LocatedFile]:
    """Walk to the file at `path`; `decide(permission, its real path)` must let pass each of `permissions`, which are
    `fs:read` if none are given. OSError where there is no file.

    That there is none is told only to who may look there, so `decide` is asked about a missing file as well: about the
    place where it would lie. And about a directory that the path enters only to leave it by `..`: whether the walk
    comes through tells that it exists.
    """
    name = checked(path)
    descriptor, real_path = walk(name, Way(decide, permissions or ("fs:read",), name))
    try:
        yield LocatedFile(descriptor, decode(real_path))
    finally:
        os.close(descriptor)


def checked(path: str) -> bytes:
    """A path as the kernel takes it. OSError for what can be none."""
    if "\0" in path:
        raise OSError(errno.EINVAL, "Path with a NUL byte")
    name = encode(path)
    if len(name) > _PATH_MAX:  # no file has such a path, and resolving a long one takes time that grows as its square
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    return name


class Way(Struct, frozen=True):
    """How it is decided on a walk of `name`, which ends at `last` in the directory where it leads, if that is given."""

    decide: Decide
    permissions: tuple[str, ...]
    name: bytes
    last: bytes = b""

    def decide_on(self, end: bytes) -> None:
        """Decide on where the walk has led, or would have, and on each directory that it left by `..`, but for those
        above the end or the working directory: that they exist is known."""
        if self.last:
            end = os.path.join(end, self.last)
        for permission in self.permissions:
            self.decide(permission, decode(end))
        detours = _detours(self.name)
        if len(detours) > _MAX_DETOURS:
            raise OSError(errno.ELOOP, f"More than {_MAX_DETOURS} directories are left by '..'")
        known = [end]
        if detours:
            with suppress(OSError):  # it was removed
                known.append(os.getcwdb())
        for place in map(resolved, detours):
            if not any((path + b"/").startswith(place.rstrip(b"/") + b"/") for path in known):
                self.decide(self.permissions[0], decode(place))


def walk(name: bytes, way: Way, flags: int = 0) -> tuple[int, bytes]:
    """Walk to what is there, which `way` decides on: its descriptor, which gives no access, and its real path."""
    for _ in range(WALKS):
        try:
            descriptor = os.open(name, os.O_PATH | os.O_CLOEXEC | flags)
        except OSError:
            way.decide_on(resolved(name))
            raise
        try:
            real_path = real_path_of(descriptor)
            has_path = real_path.startswith(b"/")  # a pipe or a socket, reached through /dev/stdin, has none
            way.decide_on(real_path if has_path else resolved(name))
            if not has_path or _is_at(descriptor, real_path):
                return descriptor, real_path
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))


def real_path_of(descriptor: int) -> bytes:
    """What the kernel says of it: the file's path, unless that is gone."""
    return os.readlink(b"/proc/self/fd/%d" % descriptor)


def _is_at(descriptor: int, real_path: bytes) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(real_path))
    except OSError:
        return False


def _detours(name: bytes) -> list[bytes]:
    """The directories that a path enters and leaves again by `..`; of some that lie in each other, the innermost."""
    components = name.split(b"/")
    detours = []
    last = b".."
    for index, component in enumerate(components):
        if component == b".." and last != b"..":
            detours.append(b"/".join(components[:index]))
        if component not in (b"", b"."):
            last = component
    return detours


def resolved(name: bytes) -> bytes:
    """The real path of what may not exist. OSError where that can't be known."""
    known, rest = name, b""
    while True:
        try:
            return os.path.normpath(os.path.join(os.path.realpath(known), rest))
        except RecursionError:  # each link takes a frame; the kernel follows 40
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
        except OSError:  # of links that can't be read, only /proc has any
            known, last = os.path.split(known)
            if not last:
                raise
            rest = os.path.join(last, rest)


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
