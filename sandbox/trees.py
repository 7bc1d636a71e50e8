"""Directories with what is in them: listing one, making several in each other, removing one with all beneath it.

All steps go from one directory to the next by descriptor, and none through a symbolic link: a tree that is renamed, or
parts of which are replaced by links meanwhile, leads nowhere else. Before each change it is decided on the real path
that the directory has then.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import ExitStack, suppress
from itertools import islice
from typing import Final

from msgspec import Struct

from .calls import RefusedError, decode
from .entries import Entry
from .files import Decide, Way, allowed_file, checked, real_path_of, resolved

_LONGEST_LIST: Final = 1_000_000
"""Names of one directory, which lie in the host's memory before they are the state's. Guessed."""
_BATCH: Final = 1000
"""Names that are read before they are removed, so that a directory of any size takes little memory. Guessed."""
_DIRECTORY: Final = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ALL_MAY: Final = 0o777
"""What the process's umask takes from. As in C."""

Ending = Callable[[], bool]
"""Whether the state is to end: what takes long asks between its steps."""


def names_in(decide: Decide, path: str, may_read: Callable[[str], bool] | None) -> list[bytes]:
    """The names in a directory, in no order, but for `.` and `..`; those alone whose real path `may_read` lets pass."""
    with allowed_file(decide, path) as directory:
        descriptor = directory.open_directory()
        try:
            with os.scandir(descriptor) as entries:
                names = [os.fsencode(entry.name) for entry in islice(entries, _LONGEST_LIST + 1)]
        finally:
            os.close(descriptor)
    if len(names) > _LONGEST_LIST:
        raise OSError(errno.EFBIG, f"More than {_LONGEST_LIST} names")
    if may_read is None:
        return names
    return [name for name in names if may_read(os.path.join(directory.real_path, decode(name)))]


def make_directories(decide: Decide, path: str, made: Callable[[], None]) -> None:
    """Make a directory and those above it that are missing; nothing if it is there. `made` is told of each."""
    name = checked(path)
    if not name:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    whole = resolved(name)
    Way(decide, ("fs:write",), name).decide_on(whole)
    here = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        for part in whole.split(b"/"):
            if part:
                below = _entered(decide, here, part, made)
                os.close(here)
                here = below
    finally:
        os.close(here)


def _entered(decide: Decide, here: int, name: bytes, made: Callable[[], None]) -> int:
    """A descriptor of the directory of this name, which is made if it is missing."""
    try:
        return os.open(name, os.O_PATH | _DIRECTORY, dir_fd=here)
    except FileNotFoundError:
        _decide_on(decide, here, name)
        with suppress(FileExistsError):  # somebody else was faster; what it is shows when it is entered
            os.mkdir(name, _ALL_MAY, dir_fd=here)
            made()
        return os.open(name, os.O_PATH | _DIRECTORY, dir_fd=here)


def _decide_on(decide: Decide, here: int, name: bytes) -> None:
    """On a name in a directory, where that lies now."""
    decide("fs:write", decode(os.path.join(real_path_of(here), name)))


class _Above(Struct, frozen=True):
    """A directory that was left for one in it."""

    device: int
    inode: int
    below: bytes
    """The name of that."""


def remove_tree(decide: Decide, entry: Entry, ending: Ending) -> None:
    """Remove the directory of this name and all beneath it; links are removed, and never followed. OSError.

    At most three descriptors are open at a time, whatever the depth: the way up is `..`, which must be the directory
    that the way down came through.
    """
    above: list[_Above] = []
    with ExitStack() as stack:
        here = _Here(stack, os.open(entry.name, os.O_RDONLY | _DIRECTORY, dir_fd=entry.directory))
        while True:
            if ending():
                raise RefusedError("the state is ending")
            below = _removed_files(decide, here.descriptor)
            if below is not None:
                found = os.fstat(here.descriptor)
                above.append(_Above(found.st_dev, found.st_ino, below))
                here.move(below, os.O_NOFOLLOW)
            elif above:
                last = above.pop()
                here.move(b"..", 0)
                found = os.fstat(here.descriptor)
                if (found.st_dev, found.st_ino) != (last.device, last.inode):
                    raise OSError(errno.EBUSY, "A directory was moved while it was being removed")
                _decide_on(decide, here.descriptor, last.below)
                os.rmdir(last.below, dir_fd=here.descriptor)
            else:
                break
    _decide_on(decide, entry.directory, entry.name)
    os.rmdir(entry.name, dir_fd=entry.directory)


class _Here:
    """The directory where a walk is now."""

    def __init__(self, stack: ExitStack, descriptor: int) -> None:
        self.descriptor = descriptor
        stack.callback(lambda: os.close(self.descriptor))

    def move(self, name: bytes, flags: int) -> None:
        """Go to another one. OSError, and it stays."""
        following = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | flags, dir_fd=self.descriptor)
        os.close(self.descriptor)
        self.descriptor = following


def _removed_files(decide: Decide, here: int) -> bytes | None:
    """Remove what is no directory; gives the name of the first directory met, None once there is nothing left."""
    while True:
        with os.scandir(here) as entries:
            names = [os.fsencode(entry.name) for entry in islice(entries, _BATCH)]
        if not names:
            return None
        for name in names:
            try:
                if stat.S_ISDIR(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode):
                    return name
                _decide_on(decide, here, name)
                os.unlink(name, dir_fd=here)
            except FileNotFoundError:
                continue  # somebody else has removed it
