"""A file that tells of a run while it goes on: its audit log, its trace. What can't be written ends the run."""

from __future__ import annotations

import errno
import os
import select
import stat
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

from msgspec import Struct

from .errors import CannotWriteError, UsageError


class Purpose(Struct, frozen=True):
    """What such a file is for, in messages."""

    what: str
    option: str
    """Names the file on the command line."""
    why: str
    """The run ends without it."""


class OutputFile:
    """For one thread. To be closed."""

    def __init__(
        self, name: str, purpose: Purpose, inputs: Iterable[str], interruptible: AbstractContextManager[object]
    ) -> None:
        """Opens the file `name`, replacing what is there.

        `inputs` are files that it must not be. `interruptible` is entered around each call that may wait for somebody.
        UsageError when it is one of them, or can't be opened.
        """
        self.name = name
        self._purpose = purpose
        self._fd = _opened(name, purpose, tuple(inputs))
        self.is_regular = stat.S_ISREG(os.fstat(self._fd).st_mode)
        """Writing waits for nobody, and is never interrupted."""
        self._interruptible = nullcontext() if self.is_regular else interruptible

    def close(self) -> None:
        os.close(self._fd)

    def write(self, text: str) -> None:
        """Write all of it. CannotWriteError."""
        rest = memoryview(text.encode())
        while rest:
            try:
                with self._interruptible:
                    rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:  # a pipe or terminal that somebody else has made so
                writable = select.poll()
                writable.register(self._fd, select.POLLOUT)
                with self._interruptible:
                    writable.poll()
            except OSError as error:
                why = "nobody reads it any more" if error.errno == errno.EPIPE else error.strerror
                purpose = self._purpose
                message = f"cannot write the {purpose.what} {self.name}: {why} (the run was ended, since {purpose.why})"
                raise CannotWriteError(message) from error


def _opened(name: str, purpose: Purpose, inputs: tuple[str, ...]) -> int:
    try:
        for path in inputs:
            if os.path.exists(name) and os.path.exists(path) and os.path.samefile(name, path):
                advice = f"name another file with {purpose.option}"
                raise UsageError(f"the {purpose.what} {name} would replace {path} ({advice})")
        # Not to wait for somebody who reads a pipe: without one it can't be opened.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(name, flags, 0o666)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        if isinstance(error, OSError) and error.errno == errno.ENXIO and _is_pipe(name):
            reason = "nobody reads this pipe"
        raise UsageError(f"cannot write the {purpose.what} {name or repr(name)}: {reason}") from error
    os.set_blocking(fd, True)
    return fd


def _is_pipe(name: str) -> bool:
    return stat.S_ISFIFO(os.stat(name).st_mode)
