"""`luspool batch run`: from options to a ledger that is complete, with a display meanwhile and a summary at the end."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO, Final

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
from .course import Course, HaltPolicy, RetryPolicy, Tries
from .display import Display, LineDisplay, LiveDisplay, ending_line, failure_line
from .engine import Engine
from .facts import Facts
from .inputs import STANDARD_INPUT, items_in, items_of, with_arguments
from .item import Item
from .ledger import Ledger
from .local import LocalEngine, LocalOptions
from .logs import make_directory
from .outcome import Outcome, Status
from .plan import Planner
from .rights import Grants
from .show import JSON_VERSION, summary
from .signals import Signals

if TYPE_CHECKING:  # only who has a cluster waits for what belongs to it
    from .cluster.engine import RayOptions

CAUSES_SHOWN: Final = 10
"""Causes of failures in a summary."""
_FAILURES_SHOWN: Final = 100
"""Failures that have a line of their own while a batch runs: the summary and the ledger have the others."""


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """A batch as the command line asks for it."""

    inputs: tuple[str, ...]
    files: tuple[str, ...]
    separator: bytes
    arguments: tuple[str, ...]
    held: tuple[str, ...]
    ceiling: tuple[str, ...]
    policy: str | None
    limits: Mapping[str, int]
    strict_globals: bool
    wall: str
    ledger: str
    resumes: bool
    retries_failed: bool
    retry: RetryPolicy
    halt: HaltPolicy
    as_json: bool
    verbosity: int
    """Below 0: only errors and the summary."""
    local: LocalOptions
    ray: RayOptions | None = None
    """Where items run on a cluster."""


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
    if not options.inputs and not options.files:
        raise UsageError("nothing to run: name scripts, directories or patterns, or items with --items")
    if [*options.inputs, *options.files].count(STANDARD_INPUT) > 1:
        raise UsageError(f"standard input ({STANDARD_INPUT}) can be read once")
    if options.ray is not None:
        from .cluster.connection import check_ray  # noqa: PLC0415  as above

        check_ray(options.ray.address)
    streams = StandardStreams(nullcontext())
    grants = Grants(options.held, options.ceiling, options.policy, options.limits)
    rights = grants.of(Item(""))  # what is wrong with the grants is said before anything else
    audits = None if options.local.audits is None else make_directory(options.local.audits)
    for warning in _warnings(options, rights.pledges, audits):
        streams.say(f"luspool: {warning}")
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger.create(options.ledger))
        items = _checked(_items(options, sys.stdin.buffer), grants)
        run = ledger.begin_run(__version__, working_directory(), items)
        course = Course(run.total, options.retry, options.halt)
        signals = stack.enter_context(Signals())
        notice = lambda text: streams.say(notice_text(text))  # noqa: E731  it is one expression
        facts = Facts(_name(options), run.total)
        onlooker = open_onlooker(facts)
        if onlooker is not None:
            stack.callback(onlooker.close)
        local = replace(options.local, audits=audits, onlooker=onlooker)
        try:
            engine = _engine(replace(options, local=local), signals.fd, notice, stack)
        except BaseException:
            ledger.end_run(run.id, "failed")
            raise
        planner = Planner(grants, strict_globals=options.strict_globals, wall=options.wall)
        resume = Resume.of(resume=options.resumes, retry_failed=options.retries_failed, audited=audits is not None)
        display = _display(options, streams, run.total)
        reporter = _Reporter(display, streams, as_json=options.as_json)
        batch = facts.batch = Batch(ledger, run, engine, course, planner, resume, reporter, signals)
        try:
            status = batch.run()
        finally:
            display.close()
            streams.say(_summary(ledger, run.id, options))
        return status


def _name(options: BatchOptions) -> str:
    return " ".join(("luspool batch", *options.inputs, *options.files))


def _warnings(options: BatchOptions, pledges: PledgeSet, audits: str | None) -> list[str]:
    """What is odd about what the command line grants, whatever arguments an item has."""
    files = [("the ledger of the batch", options.ledger)]
    if options.policy is not None:
        files.append(("the policy of the batch", open_policy(options.policy, ()).file))
    if audits:
        files.append(("the audit logs of the batch", audits))
    return warnings_about(files, pledges, "a script")


def _engine(options: BatchOptions, wake_fd: int, notice: Callable[[str], None], stack: ExitStack) -> Engine:
    """What runs the items; `stack` ends it. HostFailedError: the cluster can't be used."""
    if options.ray is None:
        return stack.enter_context(LocalEngine(options.local, wake_fd, notice))
    from .cluster.connection import Cluster  # noqa: PLC0415  as above
    from .cluster.engine import RayEngine  # noqa: PLC0415  as above

    cluster = stack.enter_context(Cluster(options.ray.address, options.local.lanes))
    cluster.open(wake_fd)
    return stack.enter_context(RayEngine(replace(options.ray, local=options.local), cluster, wake_fd, notice))


def _items(options: BatchOptions, stdin: BinaryIO) -> Iterator[Item]:
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
    if options.verbosity >= 0 and os.isatty(2) and os.environ.get("TERM") != "dumb":
        return LiveDisplay(total)
    return LineDisplay(streams, is_quiet=options.verbosity < 0)


def _summary(ledger: Ledger, run: int, options: BatchOptions) -> str:
    found = ledger.run(run)
    counts = ledger.counts(run)
    lines = summary(found, counts, ledger.causes(run, CAUSES_SHOWN)).split("\n")
    if counts.get(None) or counts.get(Status.CANCELLED):
        lines.append(f"not all is done: the same command with --resume goes on (the ledger is {options.ledger})")
    first, *more = lines
    return "\n".join([f"luspool: {first}", *(f"  {line}" for line in more)])
