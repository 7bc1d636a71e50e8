"""The small walls: what a process says of itself. Each function puts up one, for good, and says in words what it did.

They raise OSError where the kernel does not let them.
"""

from __future__ import annotations

import os
import resource
import signal
import struct
from typing import Final

from . import kernel
from .numbers import architecture

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38

_CAPABILITIES_VERSION: Final = 0x20080522
_CAP_DAC_OVERRIDE: Final = 1 << 1
_CAP_DAC_READ_SEARCH: Final = 1 << 2


def own_session() -> str:
    """Out of reach of the terminal: no Ctrl-C, no job control, and nothing to type at it."""
    if os.getsid(0) != os.getpid():
        os.setsid()
    return "own session"


def die_with_parent() -> str:
    """Killed by the kernel when the thread that started this process ends.

    A parent that was gone before is not seen here: a host notices by its socket, which is then at its end.
    """
    parent = os.getppid()
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended in between: the signal was never sent
        os.kill(os.getpid(), signal.SIGKILL)
    return "killed when its parent ends"


def limit(open_files: int, data_bytes: int) -> str:
    """No core file; 0 leaves the other limits as they are. A limit that is lower already stays.

    `data_bytes` bounds private writable memory (RLIMIT_DATA), thread stacks included. The address space is not bounded:
    every thread reserves far more of it than it uses.
    """
    words = ["no core file"]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for kind, value, unit in (
        (resource.RLIMIT_NOFILE, open_files, "open files"),
        (resource.RLIMIT_DATA, data_bytes, "bytes of memory"),
    ):
        if value:
            _, most = resource.getrlimit(kind)
            value = value if most == resource.RLIM_INFINITY else min(value, most)  # noqa: PLW2901
            resource.setrlimit(kind, (value, value))
            words.append(f"{value} {unit}")
    return ", ".join(words)


def hide_memory() -> str:
    """Other processes of the same user can neither trace this one nor read its memory, environment or descriptors."""
    _prctl(_PR_SET_DUMPABLE, 0)
    return "closed to other processes of the same user"


def no_new_privileges() -> str:
    """No program can be executed with more rights. The kernel wants it before it takes filters from ordinary users."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    return "for good"


def drop_capabilities(*, reading: bool, writing: bool) -> str:
    """Root's rights go, but for opening the files of others, where there is something to read or write.

    Otherwise a run by root could not read what it was granted. Landlock says which files.
    """
    keep = reading * _CAP_DAC_READ_SEARCH | writing * _CAP_DAC_OVERRIDE
    numbers = architecture().numbers
    header = kernel.buffer(struct.pack("=Ii", _CAPABILITIES_VERSION, 0))
    sets = kernel.buffer(bytes(24))
    kernel.call(numbers["capget"], header, sets)
    _, permitted, *_ = struct.unpack("=6I", sets.raw)
    kept = permitted & keep
    kernel.call(numbers["capset"], header, kernel.buffer(struct.pack("=6I", kept, kept, 0, 0, 0, 0)))
    return "none but to open files" if kept else "none"


def _prctl(operation: int, argument: int) -> None:
    kernel.call(architecture().numbers["prctl"], operation, argument, 0, 0, 0)
