"""`luspool batch run`: from options to a ledger that is complete, with a display meanwhile and a summary at the end."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, BinaryIO, Final

from msgspec.structs import replace

from .. import __version__
from ..errors import UsageError
from ..onlooker import open_onlooker
from ..own_files import warnings_about
from ..permissions import PledgeSet
from ..policy import open_policy
from ..report import notice_text
from ..source import working_directory
from ..streams import StandardStreams
from .batch import Batch, Resume
from .course import Course, Tries
from .display import Display, LineDisplay, LiveDisplay, ending_line, failure_line
from .engine import Engine
from .facts import Facts
from .inputs import STANDARD_INPUT, items_in, items_of, with_arguments
from .item import Item
from .ledger import Ledger
from .local import TASKS_PER_HOST, LocalEngine, LocalOptions
from .logs import make_directory
from .options import BatchOptions, EngineOptions, InputOptions
from .outcome import Outcome, Status
from .plan import Planner
from .rights import Grants
from .show import JSON_VERSION, summary
from .signals import Signals

if TYPE_CHECKING:
    from .trace import BatchTrace

CAUSES_SHOWN: Final = 10
"""Causes of failures in a summary."""
_FAILURES_SHOWN: Final = 100
"""Failures that have a line of their own while a batch runs: the summary and the ledger have the others."""


class _Reporter:
    """Hands what happens to the display, and to standard output where that is asked for."""

    def __init__(self, display: Display, streams: StandardStreams, *, as_json: bool) -> None:
        self._display = display
        self._streams = streams
        self._as_json = as_json
        self._shown = 0

    def ended(self, number: int, item: Item, outcome: Outcome, tries: Tries, *, again: bool) -> None:
        if self._as_json and not again:
            record = {
                "v": JSON_VERSION,
                "number": number,
                "script": item.script,
                "args": item.arguments,
                "status": outcome.status,
                "exit_status": outcome.exit_status,
                "wall": outcome.wall / 1e9,
                "cpu": outcome.cpu / 1e9,
                "memory": outcome.memory,
                "tries": tries.count,
                "failure": outcome.failure,
                "audit": outcome.audit or None,
            }
            self._streams.write(1, json.dumps(record).encode() + b"\n")
        if outcome.status is Status.COMPLETED:
            return
        self._shown += 1
        if self._shown <= _FAILURES_SHOWN:
            self._display.say(failure_line(number, item, outcome, again=again))
        elif self._shown == _FAILURES_SHOWN + 1:
            self._display.say("luspool: further failures are in the summary and in the ledger")

    def ending(self, batch: Batch) -> None:
        self._display.say(ending_line(batch))

    def progress(self, batch: Batch) -> None:
        self._display.progress(batch)


def run_batch(options: BatchOptions) -> int:
    """Run it; the exit status. LuspoolError: it can't be run, or can't go on; the ledger can be resumed."""
    _check(options)
    streams = StandardStreams(nullcontext())
    rights, records, course = options.rights, options.records, options.course
    grants = Grants(rights.held, rights.ceiling, rights.policy, rights.limits)
    pledges = grants.of(Item("")).pledges  # what is wrong with the grants is said before anything else
    audits = None if records.audits is None else make_directory(records.audits)
    for warning in _warnings(options, pledges, audits):
        streams.say(f"luspool: {warning}")
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger.create(records.ledger))
        items = _checked(_items(options.inputs, sys.stdin.buffer), grants)
        run = ledger.begin_run(__version__, working_directory(), items)
        signals = stack.enter_context(Signals())
        notice = lambda text: streams.say(notice_text(text))  # noqa: E731  it is one expression
        facts = Facts(_name(options.inputs), run.total)
        onlooker = open_onlooker(facts)
        if onlooker is not None:
            stack.callback(onlooker.close)
        try:
            trace = _open_trace(options, run.total, stack)
            local = replace(_local_options(options, audits), onlooker=onlooker, traced=trace)
            engine = _engine(options.engine, local, signals.fd, notice, stack)
        except BaseException:
            ledger.end_run(run.id, "failed")
            raise
        display = _display(options, streams, run.total)
        batch = facts.batch = Batch(
            ledger,
            run,
            engine,
            Course(run.total, course.retry, course.halt),
            Planner(grants, strict_globals=rights.strict_globals, wall=rights.wall or ""),
            Resume.of(resume=course.resume, retry_failed=course.retry_failed, audited=audits is not None),
            _Reporter(display, streams, as_json=records.as_json),
            signals,
        )
        try:
            status = batch.run()
            if trace is not None:
                trace.finish(status)
            return status
        finally:
            display.close()
            streams.say(_summary(ledger, run.id, records.ledger))


def _check(options: BatchOptions) -> None:
    """UsageError for what can be known to be wrong before anything is looked at."""
    inputs = [*options.inputs.inputs, *options.inputs.files]
    if not inputs:
        raise UsageError("nothing to run: name scripts, directories or patterns, or items with --items")
    if inputs.count(STANDARD_INPUT) > 1:
        raise UsageError(f"standard input ({STANDARD_INPUT}) can be read once")
    if options.engine.is_ray:
        if options.records.trace is not None:
            raise UsageError("--trace is for --engine local: a cluster is not traced")
        from .cluster.connection import check_ray  # noqa: PLC0415  only who has a cluster waits for it

        check_ray(_address(options.engine))


def _address(options: EngineOptions) -> str | None:
    return options.address or os.environ.get("RAY_ADDRESS")


def _name(options: InputOptions) -> str:
    return " ".join(("luspool batch", *options.inputs, *options.files))


def _warnings(options: BatchOptions, pledges: PledgeSet, audits: str | None) -> list[str]:
    """What is odd about what the command line grants, whatever arguments an item has."""
    files = [("the ledger of the batch", options.records.ledger)]
    if options.rights.policy is not None:
        files.append(("the policy of the batch", open_policy(options.rights.policy, ()).file))
    if audits:
        files.append(("the audit logs of the batch", audits))
    return warnings_about(files, pledges, "a script")


def _local_options(options: BatchOptions, audits: str | None) -> LocalOptions:
    engine, records = options.engine, options.records
    return LocalOptions(
        lanes=engine.lanes,
        threads=engine.threads,
        slice_nanoseconds=engine.slice_nanoseconds,
        tasks_per_host=1 if engine.isolate else TASKS_PER_HOST,
        output_kept=records.kept,
        results=records.results,
        audits=audits,
        gives_ahead=not options.course.halt.is_possible,
    )


def _open_trace(options: BatchOptions, items: int, stack: ExitStack) -> BatchTrace | None:
    """The trace of a batch of so many items, if there is to be one; `stack` closes it. UsageError."""
    if options.records.trace is None:
        return None
    from .trace import BatchTrace  # noqa: PLC0415  only who wants one waits for it

    facts = {"luspool": __version__, "script": _name(options.inputs), "items": items, "jobs": options.engine.lanes}
    inputs = [options.records.ledger, *(file for file in options.inputs.files if file != STANDARD_INPUT)]
    return stack.enter_context(BatchTrace(options.records.trace, facts, inputs, nullcontext(), are_apart=True))


def _engine(
    options: EngineOptions, local: LocalOptions, wake_fd: int, notice: Callable[[str], None], stack: ExitStack
) -> Engine:
    """What runs the items; `stack` ends it. HostFailedError: the cluster can't be used."""
    if not options.is_ray:
        return stack.enter_context(LocalEngine(local, wake_fd, notice))
    from .cluster.connection import Cluster  # noqa: PLC0415  as above
    from .cluster.engine import RayEngine, RayOptions  # noqa: PLC0415  as above

    address = _address(options)
    cluster = stack.enter_context(Cluster(address, local.lanes))
    cluster.open(wake_fd)
    ray = RayOptions(local, address, options.jobs, options.ray_jobs)
    return stack.enter_context(RayEngine(ray, cluster, wake_fd, notice))


def _items(options: InputOptions, stdin: BinaryIO) -> Iterator[Item]:
    def found() -> Iterator[Item]:
        yield from items_of(options.inputs, stdin, separator=options.separator)
        for file in options.files:
            yield from items_in(file, stdin)

    return with_arguments(found(), options.arguments)


def _checked(items: Iterator[Item], grants: Grants) -> Iterator[Item]:
    """The items, of which those with pledges of their own may have them; there is one at least."""
    count = 0
    for count, item in enumerate(items, 1):  # noqa: B007  it is needed after the loop
        if item.pledges is not None:
            grants.of(item)
        yield item
    if not count:
        raise UsageError("nothing to run: there are no items")


def _display(options: BatchOptions, streams: StandardStreams, total: int) -> Display:
    if not options.is_quiet and os.isatty(2) and os.environ.get("TERM") != "dumb":
        return LiveDisplay(total)
    return LineDisplay(streams, is_quiet=options.is_quiet)


def _summary(ledger: Ledger, run: int, file: str) -> str:
    found = ledger.run(run)
    counts = ledger.counts(run)
    lines = summary(found, counts, ledger.causes(run, CAUSES_SHOWN)).split("\n")
    if counts.get(None) or counts.get(Status.CANCELLED):
        lines.append(f"not all is done: the same command with --resume goes on (the ledger is {file})")
    first, *more = lines
    return "\n".join([f"luspool: {first}", *(f"  {line}" for line in more)])
