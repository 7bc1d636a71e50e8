"""One host process as its supervisor holds it: started clean, seen to die, ended without a trace.

A host is executed, never forked: it shares no lock, thread or buffer with the supervisor. It is a session of its own,
so that a Ctrl-C at the terminal reaches the supervisor alone, and its standard streams are not the user's: input is
empty; output and errors, where only luspool's own faults and those of libraries arrive, go to a pipe that the
supervisor reads. All that scripts say goes over two sockets (see `wire`).

`os.posix_spawn` rather than `subprocess`: it starts a host some milliseconds sooner, because of what the latter
imports, at the moment where the user waits. What it lacks, closing descriptors that the supervisor itself inherited,
a host does first of all (`close_inherited_descriptors`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
from collections.abc import Mapping, Sequence
from types import TracebackType

EVENTS_FD, CONTROL_FD = 3, 4
"""The descriptors at which a host finds its ends of the sockets."""

_FREE_FD = 10
"""What a host gets is kept above these numbers until it is put in its place, so that nothing is overwritten before."""


class HostProcess:
    """A running host. Leaving it as a context manager ends it, whatever it is doing, and gives everything back.

    The sockets `events` and `control` are non-blocking and become readable when the host has sent something or is gone;
    `pidfd` becomes readable when it is gone; `diagnostics` is the reading end of its standard output and errors,
    non-blocking. For one thread.
    """

    __slots__ = ("_exit_status", "control", "diagnostics", "events", "pid", "pidfd")

    def __init__(self, pid: int, pidfd: int, sockets: tuple[socket.socket, socket.socket], diagnostics: int) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.events, self.control = sockets
        self.diagnostics = diagnostics
        self._exit_status: int | None = None

    @classmethod
    def start(cls, command: Sequence[str], environment: Mapping[str, str] | None = None) -> HostProcess:
        """Execute `command`, whose first item is the path of a program, by default in our own environment. OSError
        where that is not possible.

        Descriptors 0, 1 and 2 of the caller must be open, or the pipes made here would take their places.
        """
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            sockets: list[socket.socket] = []
            actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
            ]
            for place in (EVENTS_FD, CONTROL_FD):
                here, there = socket.socketpair()
                sockets.append(ours.enter_context(here))
                with there:
                    actions.append((os.POSIX_SPAWN_DUP2, _above(there.fileno(), theirs), place))
                here.setblocking(False)
            reading, writing = os.pipe()
            ours.callback(os.close, reading)
            try:
                high = _above(writing, theirs)
            finally:
                os.close(writing)
            actions += [(os.POSIX_SPAWN_DUP2, high, place) for place in (1, 2)]
            os.set_blocking(reading, False)
            pid = os.posix_spawn(
                command[0],
                list(command),
                os.environ if environment is None else environment,
                file_actions=actions,
                setsid=True,
                setsigmask=(),
            )
            try:
                # Nobody else waits for this child, so its number stays its own until it is reaped here.
                pidfd = os.pidfd_open(pid)
            except BaseException:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise
            ours.pop_all()
        return cls(pid, pidfd, (sockets[0], sockets[1]), reading)

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
            from .usage import kill_descendants  # noqa: PLC0415  most hosts end by themselves, and don't wait for this

            kill_descendants(self.pid)  # also those that have left its session
            os.killpg(self.pid, signal.SIGKILL)
            self._reap()
        assert self._exit_status is not None  # noqa: S101  for the type checker: _reap has set it
        return self._exit_status

    def _reap(self) -> None:
        """It has died, or was just killed. With it goes whatever it may have left in its session."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # its number is its own until it is reaped
        ended = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        assert ended is not None  # noqa: S101  for the type checker: only WNOHANG gives None
        self._exit_status = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def __enter__(self) -> HostProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self.abandon()

    def abandon(self) -> None:
        """Give back the descriptors, and leave the host alone: it is another process's affair."""
        self.events.close()
        self.control.close()
        os.close(self.pidfd)
        os.close(self.diagnostics)


def _above(fd: int, stack: contextlib.ExitStack) -> int:
    """A copy of a descriptor, out of the way of those that a host finds in their places; closed with `stack`."""
    copy = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FREE_FD)
    stack.callback(os.close, copy)
    return copy


def close_inherited_descriptors() -> None:
    """In a host, before anything else: close all but the standard streams and the sockets.

    A shell may have left descriptors open in the supervisor, which a script must not inherit.
    """
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd > CONTROL_FD:
            try:
                os.close(fd)
            except OSError:
                continue  # the descriptor by which the directory was read
