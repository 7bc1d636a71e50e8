"""`luspool.Runtime`: runs scripts from within a Python program.

There are two ways, since neither can be the other. A *run* has host processes of its own, one or several, and a
supervisor's loop in the thread that asks for it. Nothing is shared between runs, so that a function which a run calls
may itself run scripts; all end when the runtime is closed. A run that is not over in time, or whose runtime is closed,
is stopped by a descriptor that its loop waits for among others. *Jobs* share hosts that stay, so many at a time, which
makes them far cheaper: some 2 ms of processor time rather than 100 (`jobs`).
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, nullcontext
from itertools import count
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct
from msgspec.structs import asdict, replace

from .audience import Audience, RunResult
from .batch.engine import Task
from .batch.local import LocalOptions
from .errors import ClosedError, HostFailedError, UsageError
from .functions import Function, FunctionPool
from .host_command import host_command, host_environment
from .hosts import MAX_HOSTS, MAX_THREADS, open_hosts
from .jobs.core import AuditFile, Functions, JobCore
from .jobs.crew import FUNCTIONS_GRACE_SECONDS, Crew
from .jobs.job import Job
from .onlooker import open_onlooker, program_name
from .permissions import Audit, Pledge, PledgeError, PledgeSet
from .request import Request
from .run import DEADLINE_GRACE_SECONDS, AuditOptions, no_record, open_log, pledge_set
from .sandbox import CopyError, codec
from .scheduler import wire
from .scheduler.callees import CallRouter
from .scheduler.connection import HostError
from .scheduler.limits import Limits
from .scheduler.process import HostProcess
from .scheduler.protocol import DEFAULT_SLICE_NANOSECONDS
from .scheduler.supervisor import Supervisor
from .scheduler.surroundings import Surroundings
from .scheduler.units import UNLIMITED
from .source import SOURCE_MOST, STANDARD_INPUT, read_script

if TYPE_CHECKING:
    from .audit.record import AuditLog

_SPARE_HOSTS: Final = 2
"""Hosts that are kept for jobs with other rights, beyond those that work: some 25 MB each, 100 ms to have one anew."""

_DEFAULT_FUNCTION_THREADS: Final = 4
"""Functions mostly wait for something, and few states call at a time. Guessed."""


_DEFAULT_LIMITS: Final = Limits()

ARGUMENTS_MOST: Final = 16 << 20
"""Bytes of a script's arguments at most, whatever the limit on messages: they travel with the program."""


class _Wanted(Struct, frozen=True):
    """What is to be run, as a caller states it."""

    name: str
    source: bytes
    arguments: bytes
    pledges: PledgeSet
    strict_globals: bool
    argument_count: int
    is_file: bool


def _open_log(file: str, wanted: _Wanted) -> AuditLog:
    return open_log(
        AuditOptions(file),
        script=wanted.name,
        arguments=wanted.argument_count,
        pledges=wanted.pledges,
        inputs=[wanted.name] if wanted.is_file else [],
        interruptible=nullcontext(),
    )


class Runtime:
    """Runs Lus scripts, each in a process that is not trusted. A context manager; thread-safe.

    Installs no signal handlers, prints nothing, and ends what it has started. The program that embeds it must leave
    descriptors 0 to 2 open, must not ignore SIGCHLD and not wait for children that it has not started itself.
    """

    def __init__(  # noqa: PLR0913  all by name
        self,
        functions: Mapping[str, Function] | None = None,
        *,
        hosts: int = 1,
        threads: int | None = None,
        jobs: int | None = None,
        placement: Literal["near", "spread"] = "near",
        wall: Literal["strict", "best-effort", "off"] | None = None,
        function_threads: int = _DEFAULT_FUNCTION_THREADS,
        limits: Limits = _DEFAULT_LIMITS,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """The states of one script and its workers run in `hosts` processes, with `threads` each (default: as many as
        there are processors for all together). A worker starts in its creator's process unless that is busy and
        another is not (`near`), or each in the next process (`spread`). Of what is submitted `jobs` run at a time
        (default: as many as there are processors), in one process each.

        `wall` is what the operating system adds around these processes: all of it or an error, what there is, or
        nothing. By default all of it where the system can; where it can't, a RuntimeWarning says what is missing.

        A script whose pledges allow `host:NAME` calls `functions[NAME]` as `host.NAME(...)`, with copies of its
        arguments, and gets a copy of what it returns; a tuple is several results. An exception becomes an error of the
        script, as `TypeName: text`. At most `function_threads` calls of one run are carried out at a time, on threads
        of their own; others wait, in order. What can be copied, and into what: see `luspool.sandbox.codec`.

        `environment` has the variables that scripts can read by `os.getenv`, each if its pledges allow it; by default
        there are none. This process's own environment is never read for that.

        UsageError for what can't be a function or its name, or a variable, and for numbers out of bounds.
        """
        self._pid = os.getpid()
        self._functions = MappingProxyType({name: _checked(name, call) for name, call in (functions or {}).items()})
        if not 1 <= hosts <= MAX_HOSTS:
            raise UsageError(f"a runtime has from 1 to {MAX_HOSTS} hosts, not {hosts}")
        self._hosts = hosts
        self._spreads = placement == "spread"
        self._wall = wall or ""
        processors = len(os.sched_getaffinity(0))
        jobs = processors if jobs is None else jobs
        self._threads = max(1, processors // hosts) if threads is None else threads
        self._function_threads = function_threads
        if self._threads > MAX_THREADS:
            raise UsageError(f"a host has {MAX_THREADS} threads at most, not {self._threads}")
        if self._threads < 1 or function_threads < 1 or jobs < 1:
            raise UsageError(
                f"a runtime needs at least one thread of each kind, not {self._threads}, {function_threads}, "
                f"and runs at least one job at a time, not {jobs}"
            )
        threads_of_jobs = max(1, processors // jobs) if threads is None else threads
        self._limits = _checked_limits(limits)
        self._environment = dict(environment or {})
        for variable in self._environment.items():
            _check_variable(*variable)
        self._numbers = count(1)
        options = LocalOptions(
            jobs, threads_of_jobs, DEFAULT_SLICE_NANOSECONDS, output_kept=UNLIMITED, spare_hosts=_SPARE_HOSTS
        )
        self._crew = Crew(options)
        # Who forgets to close it still gets what was submitted done.
        weakref.finalize(self, self._crew.retire).atexit = False
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
        """Take no more and end what goes on, at once: it raises ClosedError where somebody waits for it. Repeatable.

        When it is back, nothing of the jobs is left but functions that have not returned for a second.
        """
        if os.getpid() != self._pid:
            return  # what there is belongs to the process that this one was forked from
        with self._lock:
            self._closed = True
            for watch in self._watches:
                watch.end("closed")
        self._crew.close()

    def run(  # noqa: PLR0913  all but the first are for who needs them, by name
        self,
        script: str | os.PathLike[str],
        *arguments: codec.Value,
        source: str | bytes | None = None,
        pledges: Iterable[str] = (),
        allow: Iterable[str] = (),
        stdin: bytes = b"",
        strict_globals: bool = False,
        audit: str | os.PathLike[str] | None = None,
    ) -> RunResult:
        """Run a script to the end of it and of all its workers. It gets copies of `arguments` as its `...`.

        `script` is the path of a file; with `source`, the text itself, it is the name for messages. `pledges` is what
        the script may do (`-P` of the command), `allow` what it may pledge itself (`--allow`). `audit` is a file for
        the audit log (`--audit`); CannotWriteError if that can't be written.

        Whatever the script does is in the result. UsageError, CannotLoadError, NotFoundError: the call is wrong.
        ClosedError. HostFailedError: the process that ran it failed.
        """
        self._refuse_if_closed()
        wanted = self._wanted(script, arguments, source, pledges, allow, strict_globals=strict_globals)
        name, rights, stdin = wanted.name, wanted.pledges, _checked_input(stdin)
        program = self._request(wanted, Audit() if audit is not None else None).pack()
        start = wire.Start.of(self._threads, DEFAULT_SLICE_NANOSECONDS, self._limits, program, spreads=self._spreads)
        with ExitStack() as opened:
            log = None
            if audit is not None:
                log = opened.enter_context(_open_log(os.fspath(audit), wanted))
            functions = FunctionPool(self._functions, rights, self._function_threads, self._limits.state.message)
            opened.callback(functions.close, FUNCTIONS_GRACE_SECONDS)
            try:
                return self._run(start, name, stdin, functions, log)
            except OSError as error:
                raise HostFailedError(f"cannot run {name}: {error}") from error

    def submit(  # noqa: PLR0913  as `run`
        self,
        script: str | os.PathLike[str],
        *arguments: codec.Value,
        source: str | bytes | None = None,
        pledges: Iterable[str] = (),
        allow: Iterable[str] = (),
        limits: Limits | None = None,
        stdin: bytes = b"",
        strict_globals: bool = False,
        audit: str | os.PathLike[str] | None = None,
    ) -> Job:
        """Have a script run while this program goes on, and exchange messages with it: see `Job`. Never waits for it.

        The parameters are those of `run`. `limits` are in force beside those of the runtime, the stricter of each.
        At most `jobs` run at a time, on processes that stay for others with the same rights; the rest wait in order.
        The file `audit` is opened when the job begins; where that or writing it fails, the job ends with a
        CannotWriteError, and no other does. What holds up writing it (a pipe, say) holds up all jobs.

        UsageError, CannotLoadError, NotFoundError: the call is wrong. ClosedError. HostFailedError: there is no thread.
        """
        self._refuse_if_closed()
        if self._hosts > 1:
            raise UsageError("a job has one process; for one script on several, use Runtime.run")
        wanted = self._wanted(script, arguments, source, pledges, allow, strict_globals=strict_globals)
        own = self._limits
        if limits is not None:
            limits = _checked_limits(limits)
            own = Limits(own.state.within(limits.state), own.tree.within(limits.tree))
        request = replace(self._request(wanted, None), is_job=True)
        task = Task(next(self._numbers), request, own, _checked_input(stdin))
        functions = Functions(self._functions, self._function_threads)
        log = None
        if audit is not None:
            file = os.path.abspath(audit)
            log = AuditFile(file, lambda: _open_log(file, wanted))
        job = JobCore(task, wanted.pledges, functions, self._crew.cancel, log)
        self._crew.submit(job)
        return Job(job)

    def _wanted(  # noqa: PLR0913  what a caller may say
        self,
        script: str | os.PathLike[str],
        arguments: tuple[codec.Value, ...],
        source: str | bytes | None,
        pledges: Iterable[str],
        allow: Iterable[str],
        *,
        strict_globals: bool,
    ) -> _Wanted:
        name = os.fsdecode(script)
        _utf8(f"the name {name!r}", name)
        rights = pledge_set(tuple(pledges), tuple(allow))
        text, encoded = self._read(name, source), self._encoded(name, arguments)
        return _Wanted(name, text, encoded, rights, strict_globals, len(arguments), source is None)

    def _request(self, wanted: _Wanted, audit: Audit | None) -> Request:
        request = Request.of(
            wanted.name,
            wanted.source,
            (),
            wanted.pledges,
            strict_globals=wanted.strict_globals,
            wall=self._wall,
            environment=self._environment,
            audit=audit,
        )
        return replace(request, values=wanted.arguments)

    def _read(self, name: str, source: str | bytes | None) -> bytes:
        if source is None:
            path = name if name != STANDARD_INPUT else f"./{name}"  # which only the command takes for that
            return read_script(path, nullcontext(), self._limits.state.source, "raise it by StateLimits(source=…)")
        text = _utf8(f"the source of {name}", source) if isinstance(source, str) else source
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

    def _run(
        self, start: wire.Start, name: str, stdin: bytes, functions: FunctionPool, log: AuditLog | None
    ) -> RunResult:
        limit = self._limits.tree.time
        seconds = None if limit == UNLIMITED else limit / 1e9 + DEADLINE_GRACE_SECONDS
        nothing = os.open(os.devnull, os.O_RDONLY)  # always readable, so `stdin` is asked for when it is wanted
        try:
            with (
                HostProcess.start(host_command(), host_environment()) as first,
                _Watch(seconds) as watch,
                ExitStack() as opened,
            ):
                audience = Audience(name, self._limits, stdin, watch.start, log.take if log else no_record)
                self._add(watch)
                try:
                    calls = CallRouter(functions, self._limits.tree.memory)
                    onlooker = open_onlooker(lambda: {"script": name, "program": program_name()})
                    if onlooker is not None:
                        opened.callback(onlooker.close)
                    hosts = opened.enter_context(open_hosts(first, start, audience, self._hosts, name, onlooker))
                    surroundings = Surroundings(nullcontext(), nothing, calls, watch.fd, onlooker=onlooker)
                    supervisor = Supervisor(hosts, audience, surroundings)
                    ended = supervisor.run()
                    supervisor.close()
                except HostError as error:
                    if watch.reason == "overdue":
                        return audience.overdue()
                    self._refuse_if_closed()
                    raise HostFailedError(str(error)) from error
                finally:
                    self._remove(watch)
                result = audience.result(ended)
                if log is not None:
                    log.finish(result.status)
                if result.kind == "usage":
                    raise UsageError(result.failure or "this machine can't run it as is wished")
                return result
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
    """Ends a run from outside of its loop: after `seconds` (None: never), or when `end` is called, from any thread."""

    def __init__(self, seconds: float | None) -> None:
        self.reason: str | None = None
        """Why the run was ended from here, if it was. Written once, under the lock."""
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        """Readable from then on."""
        self._lock = threading.Lock()
        self._is_open = True
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
            self._is_open = False  # the descriptor is closed next, and its number may become another's
        os.close(self.fd)
        if self._timer is not None and self._timer.ident is not None:
            self._timer.cancel()
            self._timer.join()

    def start(self) -> None:
        """The time begins."""
        if self._timer is not None:
            self._timer.start()

    def end(self, reason: str) -> None:
        """End the run, for this reason; nothing once it is over."""
        with self._lock:
            if self._is_open and self.reason is None:
                self.reason = reason
                os.eventfd_write(self.fd, 1)


def _check_variable(name: object, value: object) -> None:
    if not isinstance(name, str) or not isinstance(value, str):
        raise UsageError(f"environment variable {name!r} = {value!r}: both must be str")
    if not name or "=" in name or "\0" in name + value:
        raise UsageError(
            f"environment variable {name!r}: a name has no '=', neither has a NUL, and names are not empty"
        )
    _utf8(f"environment variable {name!r}", name + value)


# What is wrong with one job has to be found before the thread that runs all of them has it.
def _utf8(what: str, text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise UsageError(f"{what} has half a surrogate pair, which is no character") from error


def _checked_input(stdin: object) -> bytes:
    if not isinstance(stdin, bytes | bytearray | memoryview):
        raise UsageError(f"standard input is bytes, not {type(stdin).__name__}")
    return bytes(stdin)


def _checked_limits(limits: Limits) -> Limits:
    for name, value in (*asdict(limits.state).items(), *asdict(limits.tree).items()):
        if not isinstance(value, int) or not 0 <= value <= UNLIMITED:
            raise UsageError(f"a limit of {value!r} ({name}): it is a whole number from 0 to {UNLIMITED}")
    return limits


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
