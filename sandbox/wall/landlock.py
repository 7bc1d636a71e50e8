"""Landlock: which files can be opened at all, whoever asks. Everything that the kernel can restrict is restricted.

What is not named stays closed also for root. What Landlock does not know of (a file's status, links in /proc/self/fd,
descriptors that are open already) goes on: so a walk with O_PATH and the reopening of its end through /proc/self/fd
need rights on the file alone, and none in /proc.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterable
from typing import Final

from . import kernel
from .numbers import architecture

_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3
_WRITE_FILE: Final = 1 << 1
_TRUNCATE: Final = 1 << 14
_READING: Final = _READ_FILE | _READ_DIR
_WRITING: Final = _WRITE_FILE | _TRUNCATE | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 12 | 1 << 13 | _READ_DIR
"""Write, truncate; remove directories and files, make directories, regular files and symbolic links, rename across
directories; list directories, as removing one with all beneath it has to. Not: devices, sockets, pipes."""
_OF_FILES: Final = _READ_FILE | _WRITE_FILE | _TRUNCATE
"""The rights that a rule about a single file may have."""

_FILE_RIGHTS_BY_ABI: Final = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many kinds of access to files each ABI knows; from 5 on as 5."""
_NEWEST: Final = max(_FILE_RIGHTS_BY_ABI)
_NETWORK_ABI: Final = 4
_NETWORK: Final = 0b11  # bind and connect, TCP
_SCOPE_ABI: Final = 6
_SCOPE: Final = 0b11  # abstract unix sockets and signals, out of the process

_QUERY_VERSION: Final = 1
_ABSENT: Final = {
    errno.ENOSYS: "this kernel has none (Linux 5.13 and newer have it)",
    errno.EOPNOTSUPP: "it is not enabled (start the kernel with it in its list lsm=)",
}
_PATH_BENEATH: Final = 1
_KERNEL_TREES: Final = ("proc", "sys", "dev")


def abi() -> int:
    """The version of the kernel's Landlock. OSError where there is none, with the way to it."""
    number = architecture().numbers["landlock_create_ruleset"]
    try:
        return kernel.call(number, None, 0, _QUERY_VERSION)
    except OSError as error:
        if error.errno in _ABSENT:
            raise OSError(error.errno, _ABSENT[error.errno]) from None
        raise


def _words(version: int) -> str:
    kinds = ["files"]
    if version >= _NETWORK_ABI:
        kinds.append("TCP")
    if version >= _SCOPE_ABI:
        kinds.append("signals, abstract sockets")
    return f"ABI {version}: {', '.join(kinds)}"


def enforce(readable: Iterable[str], writable: Iterable[str]) -> str:
    """Close all files but those at and beneath these absolute paths, for good; in words what the kernel
    restricts. OSError as `abi`.

    This thread and those that it starts are bound, so there must be no other. Paths that do not exist are left out,
    but for writing: see `existing`. See `openings` for those that lead into the kernel's own trees.
    """
    readable, writable = existing(readable, writable)
    version = abi()
    numbers = architecture().numbers
    handled = (1 << _FILE_RIGHTS_BY_ABI[min(version, _NEWEST)]) - 1
    # An older kernel takes a longer record where what it doesn't know is 0.
    network = _NETWORK if version >= _NETWORK_ABI else 0
    scope = _SCOPE if version >= _SCOPE_ABI else 0
    attributes = struct.pack("=QQQ", handled, network, scope)
    ruleset = kernel.call(numbers["landlock_create_ruleset"], kernel.buffer(attributes), len(attributes), 0)
    try:
        for paths, rights in ((readable, _READING), (writable, _WRITING)):
            for path in openings(paths):
                _open_beneath(ruleset, path, rights & handled)
        kernel.call(numbers["landlock_restrict_self"], ruleset, 0)
    finally:
        os.close(ruleset)
    return _words(version)


def existing(readable: Iterable[str], writable: Iterable[str]) -> tuple[list[str], list[str]]:
    """The same paths, but in the place of one that may be written to and is missing the directory in which it would be
    made: a rule can only be about what is there. For what is to be read of it, too. The root never takes a place.
    """
    stands_in = {
        path: above
        for path in writable
        if not os.path.lexists(path) and (above := os.path.dirname(path)) != "/" and os.path.isdir(above)
    }

    def place(path: str) -> str:
        for missing, above in stands_in.items():
            if path == missing or path.startswith(f"{missing}/"):
                return above
        return path

    return sorted({place(path) for path in readable}), sorted({place(path) for path in writable})


def openings(paths: Iterable[str]) -> list[str]:
    """The paths that get a rule each: as given, but never the trees in which the kernel shows itself.

    A rule for the root would open everything in them: the host's own memory as a file, which can be written where
    pages can't, other processes, disks. So the root stands for its other entries, as they are now. Beneath /sys and
    /dev (/dev/shm, say) what is named itself is opened; nothing ever in /proc, where the library reads nothing either.
    """
    found = []
    for path in paths:
        if path == "/":
            found += [entry.path for entry in os.scandir("/") if entry.name not in _KERNEL_TREES]
        elif path not in {"/dev", "/proc"} and not path.startswith("/proc/"):
            found.append(path)
    return found


def _open_beneath(ruleset: int, path: str, rights: int) -> None:
    try:
        # Not through a link: what the ceiling names was resolved before, and a link that is there now is a new one.
        fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return  # nothing there that could be read
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= _OF_FILES
        rule = kernel.buffer(struct.pack("=Qi", rights, fd))
        kernel.call(architecture().numbers["landlock_add_rule"], ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(fd)
