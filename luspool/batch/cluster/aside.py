"""A folder for files that are not finished, of which nothing is left, also when the command is killed.

Each command has one of its own, which it holds locked, and the system unlocks it with the command's end, whatever that
is. Folders that nobody holds are removed by the next command. (Where folders can't be locked, as on some network file
systems, they stay.)
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil


class Aside:
    """To be closed."""

    def __init__(self, parent: str) -> None:
        """A folder in `parent`, which is made, too, and is there for nothing else. OSError."""
        self._parent = parent
        self._fd = -1
        while self._fd < 0:
            os.makedirs(parent, exist_ok=True)
            self.path = os.path.join(parent, os.urandom(8).hex())
            with contextlib.suppress(FileNotFoundError):  # others tidy up, and it was not locked yet
                os.mkdir(self.path)
                self._fd = self._locked()
        self._sweep()

    def close(self) -> None:
        """Remove it. Repeatable."""
        if self._fd < 0:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):  # others have theirs there
            os.rmdir(self._parent)
        os.close(self._fd)
        self._fd = -1

    def _locked(self) -> int:
        """Its descriptor; negative, if it was removed before it was locked. OSError."""
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX)
        if os.path.exists(self.path):
            return fd
        os.close(fd)
        return -1

    def _sweep(self) -> None:
        for name in os.listdir(self._parent):
            path = os.path.join(self._parent, name)
            with contextlib.suppress(OSError):  # it is gone, or held, or none of ours
                fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path, ignore_errors=True)
                finally:
                    os.close(fd)
