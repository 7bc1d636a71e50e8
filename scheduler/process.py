"""One host process as its supervisor holds it: started clean, seen to die, ended without a trace.

A host is executed, never forked: it shares no lock, thread or buffer with the supervisor. It is a session of its own,
so that a Ctrl-C at the terminal reaches the supervisor alone, and its standard streams are not the user's: input is
empty; output and errors, where only luspool's own faults and those of libraries arrive, go to a pipe that the
supervisor reads. All that scripts say goes over one socket.

`os.posix_spawn` rather than `subprocess`: it starts a host some milliseconds sooner, because of what the latter
imports, at the moment where the user waits. What it lacks, closing descriptors that the supervisor itself inherited,
a host does first of all (`close_inherited_descriptors`).
"""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Sequence
from types import TracebackType

SOCKET_FD = 3
"""The descriptor at which a host finds its end of the socket."""


class HostProcess:
    """A running host. Leaving it as a context manager ends it, whatever it is doing, and gives everything back.

    `socket` is non-blocking and becomes readable when the host has sent something or is gone; `pidfd` becomes readable
    when it is gone; `diagnostics` is the reading end of its standard output and errors, non-blocking. For one thread.
    """

    __slots__ = ("_exit_status", "diagnostics", "pid", "pidfd", "socket")

    def __init__(self, pid: int, pidfd: int, sock: socket.socket, diagnostics: int) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.socket = sock
        self.diagnostics = diagnostics
        self._exit_status: int | None = None

    @classmethod
    def start(cls, command: Sequence[str]) -> HostProcess:
        """Execute `command`, whose first item is the path of a program. OSError where that is not possible.

        Descriptors 0, 1 and 2 of the caller must be open, or the pipes made here would take their places.
        """
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        try:
            pid = os.posix_spawn(
                command[0],
                list(command),
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, writing, 1),
                    (os.POSIX_SPAWN_DUP2, writing, 2),
                    # Last, since `writing` may itself be descriptor 3.
                    (os.POSIX_SPAWN_DUP2, theirs.fileno(), SOCKET_FD),
                ],
                setsid=True,
                setsigmask=(),
            )
        except BaseException:
            ours.close()
            os.close(reading)
            raise
        finally:
            theirs.close()
            os.close(writing)
        ours.setblocking(False)
        os.set_blocking(reading, False)
        try:
            # Nobody else waits for this child, so its number stays its own until it is reaped here.
            pidfd = os.pidfd_open(pid)
        except BaseException:
            ours.close()
            os.close(reading)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        return cls(pid, pidfd, ours, reading)

    def wait(self, seconds: float) -> int | None:
        """Wait until the host is gone; its exit status, or minus the signal that ended it. None: still there."""
        if self._exit_status is None:
            gone = select.poll()
            gone.register(self.pidfd, select.POLLIN)
            if gone.poll(seconds * 1000):
                self._reap()
        return self._exit_status

    def kill(self) -> int:
        """End the host at once, with all it may have started, and wait until it is gone; as `wait`. Repeatable."""
        if self._exit_status is None:
            os.killpg(self.pid, signal.SIGKILL)
            self._reap()
        assert self._exit_status is not None  # noqa: S101  for the type checker: _reap has set it
        return self._exit_status

    def _reap(self) -> None:
        ended = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        assert ended is not None  # noqa: S101  for the type checker: only WNOHANG gives None
        self._exit_status = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def __enter__(self) -> HostProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self.socket.close()
        os.close(self.pidfd)
        os.close(self.diagnostics)


def close_inherited_descriptors() -> None:
    """In a host, before anything else: close all but the standard streams and the socket.

    A shell may have left descriptors open in the supervisor, which a script must not inherit.
    """
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd > SOCKET_FD:
            try:
                os.close(fd)
            except OSError:
                continue  # the descriptor by which the directory was read
