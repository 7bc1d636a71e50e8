"""The memory of a ring: anonymous, of a fixed size, known to those who were given its descriptor.

It has no name anywhere, so nothing is left when its last user is gone, however that came about. Its size is sealed:
a process that could shrink it would kill the other one, whose next access beyond the end would be a SIGBUS.
"""

from __future__ import annotations

import fcntl
import mmap
import os

from .ring_stream import WORDS_SIZE

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def create_memory(capacity: int) -> int:
    """The descriptor of a new memory, all zero, for a ring of `capacity` bytes. Executed programs don't inherit it."""
    if capacity < 1:
        raise ValueError(f"a ring needs room for at least one byte, not {capacity}")
    fd = os.memfd_create("luspool-ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, WORDS_SIZE + capacity)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def map_memory(fd: int) -> tuple[memoryview, memoryview]:
    """Words (format "Q") and data of the memory, which stays mapped for as long as any view of it is left.

    The descriptor is not needed after that. ValueError when it is not the descriptor of such a memory.
    """
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    except OSError as error:
        raise ValueError(f"descriptor {fd} is no memory of a ring: it can't be sealed") from error
    size = os.fstat(fd).st_size
    if seals & _SEALS != _SEALS or size <= WORDS_SIZE:
        raise ValueError(f"descriptor {fd} is no memory of a ring: {size} bytes, seals {seals:#x}")
    view = memoryview(mmap.mmap(fd, size))
    return view[:WORDS_SIZE].cast("Q"), view[WORDS_SIZE:]
