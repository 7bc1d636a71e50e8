"""`luspool.Runtime`: runs scripts from within a Python program.

Each run has a host process of its own, and a supervisor's loop in the thread that asks for it. Nothing is shared
between runs; all end when the runtime is closed. A host that does not end in time, or whose runtime is closed, is
killed by a thread that is not in the loop; the loop sees the death as it sees any other.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from types import MappingProxyType, TracebackType
from typing import Final

from .audience import Audience, RunResult
from .cli import host_command
from .errors import ClosedError, HostFailedError, UsageError
from .functions import Function, FunctionPool
from .permissions import Pledge, PledgeError
from .request import Request
from .run import DEADLINE_GRACE_SECONDS, pledge_set
from .sandbox import CopyError, codec
from .scheduler import wire
from .scheduler.limits import Limits
from .scheduler.process import HostProcess
from .scheduler.protocol import DEFAULT_SLICE_NANOSECONDS
from .scheduler.supervisor import HostError, Supervisor
from .scheduler.units import UNLIMITED
from .source import SOURCE_MOST, STANDARD_INPUT, read_script

FUNCTIONS_GRACE_SECONDS: Final = 1.0
"""How long a run that is over waits for functions that still run: those who called them may have been ended."""

_DEFAULT_FUNCTION_THREADS: Final = 4
"""Functions mostly wait for something, and few states call at a time. Guessed."""


_DEFAULT_LIMITS: Final = Limits()

ARGUMENTS_MOST: Final = 16 << 20
"""Bytes of a script's arguments at most, whatever the limit on messages: they travel with the program."""


class Runtime:
    """Runs Lus scripts, each in a process that is not trusted. A context manager; thread-safe.

    Installs no signal handlers, prints nothing, and ends what it has started. The program that embeds it must leave
    descriptors 0 to 2 open, must not ignore SIGCHLD and not wait for children that it has not started itself.
    """

    def __init__(
        self,
        functions: Mapping[str, Function] | None = None,
        *,
        threads: int | None = None,
        function_threads: int = _DEFAULT_FUNCTION_THREADS,
        limits: Limits = _DEFAULT_LIMITS,
    ) -> None:
        """`threads` run the states of one script and its workers (default: one a processor).

        A script whose pledges allow `host:NAME` calls `functions[NAME]` as `host.NAME(...)`, with copies of its
        arguments, and gets a copy of what it returns; a tuple is several results. An exception becomes an error of the
        script, as `TypeName: text`. At most `function_threads` calls of one run are carried out at a time, on threads
        of their own; others wait, in order. What can be copied, and into what: see `luspool.sandbox.codec`.

        UsageError for what can't be a function or its name, and for numbers below 1.
        """
        self._functions = MappingProxyType({name: _checked(name, call) for name, call in (functions or {}).items()})
        self._threads = len(os.sched_getaffinity(0)) if threads is None else threads
        self._function_threads = function_threads
        if self._threads < 1 or function_threads < 1:
            raise UsageError(
                f"a runtime needs at least one thread of each kind, not {self._threads}, {function_threads}"
            )
        self._limits = limits
        self._lock = threading.Lock()
        self._closed = False
        self._watches: set[_Watch] = set()
        """Of all runs that go on. Under the lock."""

    def __enter__(self) -> Runtime:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take no more runs and end those of other threads at once: they raise ClosedError there. Repeatable."""
        with self._lock:
            self._closed = True
            for watch in self._watches:
                watch.end("closed")

    def run(  # noqa: PLR0913  all but the first are for who needs them, by name
        self,
        script: str | os.PathLike[str],
        *arguments: codec.Value,
        source: str | bytes | None = None,
        pledges: Iterable[str] = (),
        allow: Iterable[str] = (),
        stdin: bytes = b"",
        strict_globals: bool = False,
    ) -> RunResult:
        """Run a script to the end of it and of all its workers. It gets copies of `arguments` as its `...`.

        `script` is the path of a file; with `source`, the text itself, it is the name for messages. `pledges` is what
        the script may do (`-P` of the command), `allow` what it may pledge itself (`--allow`).

        Whatever the script does is in the result. UsageError, CannotLoadError, NotFoundError: the call is wrong.
        ClosedError. HostFailedError: the process that ran it failed.
        """
        self._refuse_if_closed()
        name = os.fspath(script)
        rights = pledge_set(tuple(pledges), tuple(allow))
        request = Request.of(name, self._read(name, source), (), rights, strict_globals)
        program = replace(request, values=self._encoded(name, arguments)).pack()
        start = wire.Start.of(self._threads, DEFAULT_SLICE_NANOSECONDS, self._limits, program)
        functions = FunctionPool(self._functions, rights, self._function_threads, self._limits.state.message)
        try:
            return self._run(start, name, stdin, functions)
        except OSError as error:
            raise HostFailedError(f"cannot run {name}: {error}") from error
        finally:
            functions.close(FUNCTIONS_GRACE_SECONDS)

    def _read(self, name: str, source: str | bytes | None) -> bytes:
        if source is None:
            path = name if name != STANDARD_INPUT else f"./{name}"  # which only the command takes for that
            return read_script(path, nullcontext(), self._limits.state.source)
        text = source.encode("utf-8", "surrogateescape") if isinstance(source, str) else source
        if len(text) > SOURCE_MOST:
            raise UsageError(f"{name} has {len(text)} bytes of source; {SOURCE_MOST} is the most")
        return text

    def _encoded(self, name: str, arguments: tuple[codec.Value, ...]) -> bytes:
        try:
            return codec.encode(
                *arguments, what=1, limits=codec.Limits(min(self._limits.state.message, ARGUMENTS_MOST))
            )
        except CopyError as error:
            raise UsageError(f"cannot pass these arguments to {name}: {error}") from error

    def _run(self, start: wire.Start, name: str, stdin: bytes, functions: FunctionPool) -> RunResult:
        limit = self._limits.tree.time
        seconds = None if limit == UNLIMITED else limit / 1e9 + DEADLINE_GRACE_SECONDS
        nothing = os.open(os.devnull, os.O_RDONLY)  # always readable, so `stdin` is asked for when it is wanted
        try:
            with HostProcess.start(host_command()) as host, _Watch(host, seconds) as watch:
                audience = Audience(name, self._limits, stdin, watch.start)
                self._add(watch)
                try:
                    supervisor = Supervisor(host, audience, nullcontext(), nothing, functions)
                    ended = supervisor.run(start)
                    supervisor.close()
                except HostError as error:
                    if watch.reason == "overdue":
                        return audience.overdue()
                    self._refuse_if_closed()
                    raise HostFailedError(str(error)) from error
                finally:
                    self._remove(watch)
                return audience.result(ended)
        finally:
            os.close(nothing)

    def _add(self, watch: _Watch) -> None:
        with self._lock:
            self._watches.add(watch)
        self._refuse_if_closed()

    def _remove(self, watch: _Watch) -> None:
        with self._lock:
            self._watches.discard(watch)

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise ClosedError("this luspool.Runtime is closed; make another one")


class _Watch:
    """Ends a host from outside of its loop: after `seconds` (None: never), or when `end` is called, from any thread."""

    def __init__(self, host: HostProcess, seconds: float | None) -> None:
        self.reason: str | None = None
        """Why the host was ended from here, if it was. Written once, under the lock."""
        self._lock = threading.Lock()
        self._pidfd: int | None = host.pidfd
        self._timer: threading.Timer | None = None
        if seconds is not None:
            self._timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), self.end, ("overdue",))
            self._timer.daemon = True

    def __enter__(self) -> _Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._pidfd = None  # it is closed next, and its number may become another's
        if self._timer is not None and self._timer.ident is not None:
            self._timer.cancel()
            self._timer.join()

    def start(self) -> None:
        """The time begins."""
        if self._timer is not None:
            self._timer.start()

    def end(self, reason: str) -> None:
        """Kill the host, for this reason; nothing once it has been given back."""
        with self._lock:
            if self._pidfd is not None and self.reason is None:
                self.reason = reason
                try:
                    signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
                except ProcessLookupError:
                    return  # it has ended by itself


def _checked(name: str, function: Function) -> Function:
    import inspect  # noqa: PLC0415  it takes longer to import than all else here

    try:
        Pledge.parse(f"host:{name}")
    except PledgeError as error:
        raise UsageError(f"{name!r} can't be the name of a function: {error}") from error
    if not callable(function):
        raise UsageError(f"function {name!r} is no function but a {type(function).__name__}")
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    if any(is_kind(function) for is_kind in kinds):
        raise UsageError(f"function {name!r} is async or a generator; give a plain one, which runs it to its end")
    return function
