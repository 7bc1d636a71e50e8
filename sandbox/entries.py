"""Names in directories, for what makes, renames and removes them: the directory is walked to once and held by its
descriptor, the decision is about its real path and the name, and the change is made in that very directory.

The last component of a path is a name here, and is never followed where it is a symbolic link.

A directory can be renamed between the decision and the change. What comes of it is what would have come of the change
just before and the renaming just after, so whoever renames it out of what was granted has carried the change there. A
file that is made is looked at once more before a byte is written: what is outside by then stays empty, and is removed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from msgspec import Struct

from .calls import decode
from .files import WALKS, Decide, Way, allowed_file, checked, is_of_proc, real_path_of, walk

_LINKS: Final = 40
"""Symbolic links that one path may lead through, as for the kernel."""
_ALL_MAY: Final = 0o666
"""What the process's umask takes from. As in C."""


class Entry(Struct, frozen=True):
    """A name in a directory, whether or not it is taken. `real_path` is the directory's, with the name."""

    directory: int
    name: bytes
    real_path: str
    is_of_directory: bool
    """The path ended with a slash: only a directory will do."""

    def status(self) -> os.stat_result:
        """Of what has the name, a link itself. OSError where nothing has."""
        found = os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)
        if self.is_of_directory and not stat.S_ISDIR(found.st_mode):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        return found

    def link(self) -> bytes:
        """What the symbolic link of this name holds. OSError where it is none, or one of the kernel's own in /proc,
        which would tell of the host's descriptors and of what other processes have open."""
        if is_of_proc(os.fstat(self.directory)):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return os.readlink(self.name, dir_fd=self.directory)

    def create(self, flags: int, mode: int) -> int:
        """A descriptor of a new, empty file. OSError where the name is taken, be it by a link that leads nowhere."""
        if self.is_of_directory:
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        flags |= os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(self.name, flags, mode, dir_fd=self.directory)


@contextmanager
def allowed_entry(decide: Decide, path: str, *permissions: str) -> Iterator[Entry]:
    """Walk to the directory in which `path` names something; `decide` must let pass each of `permissions` for the
    name's real path. OSError where there is no such directory, and for a path that ends in no name (`/`, `.`, `..`).

    As `allowed_file` tells nothing about where a script may not look.
    """
    name = checked(path)
    parent, last = os.path.split(name.rstrip(b"/"))
    if last in (b"", b".", b".."):
        number = errno.EINVAL if name else errno.ENOENT
        raise OSError(number, os.strerror(number))
    parent = parent or (b"/" if name.startswith(b"/") else b".")
    directory, place = walk(parent, Way(decide, permissions, parent, last), os.O_DIRECTORY)
    try:
        yield Entry(directory, last, decode(os.path.join(place, last)), name.endswith(b"/"))
    finally:
        os.close(directory)


class Opened(Struct, frozen=True):
    """A file that was opened for writing, and whether it was made by that."""

    descriptor: int
    is_new: bool


def open_for_writing(decide: Decide, path: str, flags: int, mode: int = _ALL_MAY) -> Opened:
    """A descriptor of the regular file at `path`. `flags` and `mode` are those of `open`: with O_CREAT it is made if it
    is missing, and with O_EXCL too it must be; what they let be read needs `fs:read` as well. OSError, also for any
    other kind of file.
    """
    permissions = ("fs:read", "fs:write") if flags & os.O_RDWR else ("fs:write",)
    creating, exclusive = flags & os.O_CREAT, flags & os.O_EXCL
    flags &= ~(os.O_CREAT | os.O_EXCL)
    for _ in range(WALKS + _LINKS):
        if not exclusive:
            try:
                with allowed_file(decide, path, *permissions) as file:
                    return Opened(file.open(flags), is_new=False)
            except FileNotFoundError:
                if not creating:
                    raise
        with allowed_entry(decide, path, *permissions) as entry:
            try:
                descriptor = entry.create(flags, mode)
            except FileExistsError:
                if exclusive:
                    raise
                with suppress(OSError):  # it is no link: it came after we had looked, or has gone again
                    path = os.path.join(os.path.dirname(entry.real_path), decode(entry.link()))
                continue
            _confirm(decide, permissions, entry, descriptor)
            return Opened(descriptor, is_new=True)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _confirm(decide: Decide, permissions: tuple[str, ...], entry: Entry, descriptor: int) -> None:
    """Decide on where a file that was just made is by now. One that may not be there is closed and removed."""
    made = os.fstat(descriptor)
    try:
        place = real_path_of(descriptor)
        if os.fstat(descriptor).st_nlink:  # else it was removed again, and is nowhere
            for permission in permissions:
                decide(permission, decode(place))
    except BaseException:
        os.close(descriptor)
        with suppress(OSError):
            if os.path.samestat(entry.status(), made):
                os.unlink(entry.name, dir_fd=entry.directory)
        raise
