"""One run: a script, its rights, a host process for it, and what its end means as an exit status."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from . import report
from .errors import UsageError, is_debugging
from .hosts import open_hosts
from .interrupts import Interrupts
from .limit_options import NO_PLACES, how_to_raise, with_flag
from .onlooker import open_onlooker
from .own_files import warnings_about
from .permissions import Audit, Origin, Pledge, PledgeError, PledgeSet, Rule
from .permissions.decision import visible
from .request import Request
from .scheduler import wire
from .scheduler.limits import Excess, Limits
from .scheduler.process import HostProcess
from .scheduler.protocol import WAITING_GRACE
from .scheduler.supervisor import Hosts, Supervisor
from .scheduler.surroundings import Surroundings
from .scheduler.units import UNLIMITED, format_duration, format_size
from .source import display_name, read_script, working_directory
from .streams import StandardStreams
from .verdict import Verdict

if TYPE_CHECKING:  # only who has a policy waits for its reader, and only who has a log for its writer
    from .audit.record import AuditLog
    from .policy import AppliedPolicy
    from .trace.file import TraceFile

ARGUMENTS_LIMIT = 65_535
"""As many values as one message holds: a script's arguments reach it in one."""

OWN_VARIABLES: Final = "LUSPOOL_"
"""How the names of our own settings begin, which are not a script's affair."""

DEADLINE_GRACE_SECONDS: Final = WAITING_GRACE / 1e9 + 1
"""How long after a program's time is over its host may take to say so, before the run is ended over its head: longer
than the host itself waits for a step that does not return, since it can say why."""


class AuditOptions(Struct, frozen=True):
    """The log that a run leaves, in `file`.

    `observes`: what lies within the ceiling is allowed, whether or not it is held. `shadow`: a policy that decisions
    are compared with.
    """

    file: str
    observes: bool = False
    shadow: AppliedPolicy | None = None

    def plan(self, pledges: PledgeSet) -> tuple[PledgeSet, Audit]:
        """The pledges that the root of such a run gets, where `pledges` were asked for, and what is compared."""
        if self.observes:
            return pledges.holding_all(), Audit(observes=True, shadow=pledges)
        shadow = self.shadow
        return pledges, Audit(shadow=PledgeSet.root(shadow.held, shadow.ceiling) if shadow else None)


class RunOptions(Struct, frozen=True):
    """A run as the command line asks for it. `held` are the `-P` pledges, `ceiling` those of `--allow`."""

    script: str
    arguments: tuple[bytes, ...]
    held: tuple[str, ...]
    ceiling: tuple[str, ...]
    hosts: int
    threads: int
    """In each host."""
    slice_nanoseconds: int
    limits: Limits
    """Those in force: of the flags and of the policy."""
    strict_globals: bool
    spreads: bool
    """Every new state goes to the next host."""
    wall: str
    """A `sandbox.wall.Mode`; "": strict where this system can."""
    verbosity: int
    """Below 0: one line for each error. Above 0: also what is run, and how."""
    policy: AppliedPolicy | None = None
    audit: AuditOptions | None = None
    trace: str | None = None
    """The file for a trace."""

    def limit_places(self) -> Mapping[str, str]:
        """Where the limits were set that the policy decides (see `with_flag`)."""
        return self.policy.places_of(self.limits) if self.policy else NO_PLACES


class _Audience:
    """Takes what a program says to the user (see `supervisor.Listener`), and keeps what decides the exit status."""

    def __init__(
        self, streams: StandardStreams, options: RunOptions, interrupts: Interrupts, log: AuditLog | None
    ) -> None:
        self.record = log.take if log else no_record
        self.write = streams.write
        self.read_input = streams.read_input
        self.streams = streams
        self.interrupts = interrupts
        self._options = options
        self._verdict = Verdict()

    def started(self) -> None:
        limit = self._options.limits.tree.time
        if limit != UNLIMITED:
            options = self._options
            text = _overdue_text(display_name(options.script), options.limits, options.limit_places())
            self.interrupts.set_deadline(limit / 1e9 + DEADLINE_GRACE_SECONDS, text)

    def notice(self, text: str) -> None:
        self.streams.say(report.notice_text(text))

    def stuck(self, stuck: wire.Stuck) -> None:
        self._verdict.stuck(stuck)
        options = self._options
        brief = options.verbosity < 0
        self.streams.say(report.stuck_text(stuck, options.limits, brief=brief, places=options.limit_places()))

    def failed(self, failure: wire.Failed) -> None:
        self._verdict.failed(failure)
        options = self._options
        brief, places = options.verbosity < 0, options.limit_places()
        self.streams.say(report.failure_text(failure, options.limits, brief=brief, debug=is_debugging(), places=places))

    def host_died(self, text: str, details: bytes) -> None:
        self.streams.say(report.host_died_text(text, details.decode("utf-8", "replace"), debug=is_debugging()))

    def deadlocked(self, deadlock: wire.Deadlocked) -> None:
        self._verdict.deadlocked()
        self.streams.say(report.deadlock_text(deadlock))

    def exit_status(self, ended: wire.TreeEnded) -> int:
        return self._verdict.exit_status(ended)


def no_record(record: wire.Record) -> None:
    """For a `supervisor.Listener` without a log."""
    raise wire.WireError(f"a {type(record).__name__}, and nothing is to be recorded")


def run_program(options: RunOptions, host: HostProcess, interrupts: Interrupts) -> int:
    """Run a program on a host that was just started; its exit status.

    LuspoolError, HostError, Interrupted. Ending the host is left to the caller.
    """
    if len(options.arguments) > ARGUMENTS_LIMIT:
        raise UsageError(f"{len(options.arguments)} arguments; a script takes {ARGUMENTS_LIMIT} at most")
    pledges = pledge_set(options.held, options.ceiling, options.policy)
    advice = how_to_raise("source", options.limit_places())
    source = read_script(options.script, interrupts.blocking, options.limits.state.source, advice)
    in_force, audit = options.audit.plan(pledges) if options.audit else (pledges, None)
    request = Request.of(
        display_name(options.script),
        source,
        options.arguments,
        in_force,
        strict_globals=options.strict_globals,
        wall=options.wall,
        environment=environment_for_scripts(),
        audit=audit,
    )
    streams = StandardStreams(interrupts.blocking)
    for warning in _warnings(options, pledges):
        streams.say(f"luspool: {warning}")
    if options.verbosity > 0:
        streams.say(f"luspool: running {request.path} on {_placed(options)}, with {_rights(options)}")
    start = wire.Start.of(
        options.threads,
        options.slice_nanoseconds,
        options.limits,
        request.pack(),
        spreads=options.spreads,
        traces=options.trace is not None,
    )
    inputs = [options.script, *([options.policy.path] if options.policy else ())]
    log = trace = None
    with ExitStack() as files:
        if options.trace is not None:
            trace = files.enter_context(_open_trace(options.trace, options, inputs, interrupts.blocking))
            inputs.append(options.trace)
        if options.audit is not None:
            file = open_log(
                options.audit,
                script=request.path,
                arguments=len(options.arguments),
                pledges=pledges,
                inputs=inputs,
                interruptible=interrupts.blocking,
            )
            log = files.enter_context(file)
        status = _run(options, start, host, _Audience(streams, options, interrupts, log), trace)
        for each in (log, trace):
            if each is not None:
                each.finish(status)
    if options.audit and log and options.audit.observes and options.verbosity >= 0:
        streams.say(f"luspool: {log.summary()}")
    return status


def _run(
    options: RunOptions, start: wire.Start, host: HostProcess, audience: _Audience, trace: TraceFile | None
) -> int:
    streams, interrupts = audience.streams, audience.interrupts
    name = display_name(options.script)
    with ExitStack() as opened:
        onlooker = open_onlooker(lambda: {"script": name})
        if onlooker is not None:
            opened.callback(onlooker.close)
        hosts = opened.enter_context(open_hosts(host, start, audience, options.hosts, name, onlooker))
        surroundings = Surroundings(interrupts.blocking, streams.input_fd, traced=trace, onlooker=onlooker)
        supervisor = Supervisor(hosts, audience, surroundings)
        try:
            ended = supervisor.run()
        finally:
            streams.flush()
        if options.verbosity > 0:
            _say_usage(streams, hosts)
        interrupts.clear_deadline()  # the program was in time; what is left takes a bounded time of its own
        supervisor.close()
    return audience.exit_status(ended)


def open_log(  # noqa: PLR0913  what its first line says
    audit: AuditOptions,
    *,
    script: str,
    arguments: int,
    pledges: PledgeSet,
    inputs: Sequence[str],
    interruptible: AbstractContextManager[object],
) -> AuditLog:
    """The log of a run of `script` with so many arguments, for which `pledges` were asked; see `AuditLog`."""
    from . import __version__  # noqa: PLC0415  only those who have a log wait for these
    from .audit.record import AuditLog  # noqa: PLC0415  likewise
    from .audit.record_lines import LogHeader  # noqa: PLC0415  likewise

    shadow = audit.shadow
    header = LogHeader(
        __version__, script, arguments, working_directory(), audit.observes, pledges, shadow.name if shadow else None
    )
    return AuditLog(audit.file, header, [*inputs, *([shadow.path] if shadow else ())], interruptible)


def _open_trace(
    name: str, options: RunOptions, inputs: Sequence[str], interruptible: AbstractContextManager[object]
) -> TraceFile:
    from . import __version__  # noqa: PLC0415  as in `open_log`
    from .trace.file import TraceFile  # noqa: PLC0415  as in `open_log`

    script = visible(display_name(options.script))
    facts = {"luspool": __version__, "script": script, "hosts": options.hosts, "threads": options.threads}
    return TraceFile(name, facts, inputs, interruptible)


def _warnings(options: RunOptions, pledges: PledgeSet) -> list[str]:
    """What is odd about running the script with these pledges."""
    found = options.policy.warnings(pledges, options.script) if options.policy else []
    if options.audit is not None:
        files = [("its own audit log", options.audit.file)]
        if options.audit.shadow:
            files.append(("the policy that it is compared with", options.audit.shadow.file))
        found += warnings_about(files, pledges, options.script)
    return found


def _say_usage(streams: StandardStreams, hosts: Hosts) -> None:
    """What each host has used, while they are still there to be asked."""
    from .scheduler.usage import usage_of  # noqa: PLC0415  only those who ask for it wait for this

    for host in hosts.connections:
        used = usage_of(host.process.pid)
        if used is not None:
            cpu, memory = format_duration(round(used.cpu * 1e9)), format_size(used.resident)
            streams.say(f"luspool: process {used.pid}: {cpu} of processor time, {memory} of memory")


def _rights(options: RunOptions) -> str:
    words = [f"--policy {options.policy.name}"] if options.policy else []
    words += [*(f"-P {text}" for text in options.held), *(f"--allow {text}" for text in options.ceiling)]
    return " ".join(words) or "no permissions"


def _placed(options: RunOptions) -> str:
    threads = "1 thread" if options.threads == 1 else f"{options.threads} threads"
    return threads if options.hosts == 1 else f"{options.hosts} processes with {threads} each"


def _overdue_text(name: str, limits: Limits, places: Mapping[str, str]) -> str:
    """What is said where the host did not end a program in time."""
    limit = limits.tree.time
    excess = f"{name}: {Excess('time', limit, limit, is_of_tree=True)}"
    return (
        f"{with_flag('time', excess, limits, places)}\n"
        f"  Nothing was heard of its end for {DEADLINE_GRACE_SECONDS:g} s more. Does anybody read its output?"
    )


def environment_for_scripts() -> dict[str, str]:
    """The variables of the command's environment that scripts can be granted."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)}


def pledge_set(held: tuple[str, ...], ceiling: tuple[str, ...], policy: AppliedPolicy | None = None) -> PledgeSet:
    """What the root may do, from the texts of `-P` and `--allow`, and a policy. UsageError, CannotLoadError."""
    directory = working_directory()
    try:
        return PledgeSet.root(
            [*(policy.held if policy else ()), *(_rule(text, "-P", directory) for text in held)],
            [*(policy.ceiling if policy else ()), *(_rule(text, "--allow", directory) for text in ceiling)],
        )
    except PledgeError as error:
        raise UsageError(str(error)) from error


def _rule(text: str, flag: str, directory: str) -> Rule:
    pledge = Pledge.parse(text, command_line=True).bind(directory)
    return Rule(pledge, Origin.flag(flag, text))
