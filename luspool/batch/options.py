"""The options of `luspool batch run`, in groups: what click is told of each, and the record that it comes to.

The fields of a record are named as click names its options. What a batch makes of them is in `job`, which takes longer
to import than people should wait for help.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

import click
from msgspec import Struct

from ..hosts import MAX_THREADS
from ..options import grouped, limit_options, once, quiet_option, reader, slice_option, strict_globals_option
from ..scheduler.units import parse_duration, parse_size
from .course import HaltPolicy, RetryPolicy

LEDGER: Final = "luspool-batch.sqlite"
LOCAL_JOBS_MOST: Final = 512

ledger_option = click.option(
    "--ledger", default=LEDGER, envvar="LUSPOOL_LEDGER", metavar="FILE", help=f"Where results are kept. [{LEDGER}]"
)


class RightsOptions(Struct, frozen=True):
    """What items may do."""

    held: tuple[str, ...]
    ceiling: tuple[str, ...]
    policy: str | None
    wall: str | None
    strict_globals: bool
    limits: Mapping[str, int]
    """Those that were given."""


_rights = grouped(
    "rights",
    RightsOptions,
    click.option("-P", "--pledge", "held", multiple=True, metavar="PLEDGE", help="Grant a permission. Repeatable."),
    click.option("--allow", "ceiling", multiple=True, metavar="PLEDGE", help="Let scripts and items pledge it."),
    click.option("--policy", metavar="FILE[:NAME]", callback=once, multiple=True, help="Pledges and limits of a file."),
    click.option(
        "--wall",
        type=click.Choice(["strict", "best-effort", "off"]),
        envvar="LUSPOOL_WALL",
        help="As of `luspool run`. [strict where the system can]",
    ),
    strict_globals_option,
    limit_options,
)


class InputOptions(Struct, frozen=True):
    """Which items there are."""

    inputs: tuple[str, ...]
    files: tuple[str, ...]
    arguments: tuple[str, ...]
    is_null: bool

    @property
    def separator(self) -> bytes:
        """Between the paths on standard input."""
        return b"\0" if self.is_null else b"\n"


_inputs = grouped(
    "inputs",
    InputOptions,
    click.option("--items", "files", multiple=True, metavar="FILE", help="Items as JSON lines; - is standard input."),
    click.option("--arg", "arguments", multiple=True, metavar="TEXT", help="An argument for all scripts. Repeatable."),
    click.option(
        "-0", "--null", "is_null", is_flag=True, help="Paths on standard input end with NUL, not with a line."
    ),
    click.argument("inputs", nargs=-1, metavar="[INPUT]..."),
)


class EngineOptions(Struct, frozen=True):
    """Where items run, and how many at a time. click.UsageError for what does not go together."""

    jobs: int | None
    threads: int
    slice_nanoseconds: int
    isolate: bool
    engine: str
    address: str | None
    ray_jobs: int | None

    def __post_init__(self) -> None:
        if self.is_ray:
            return
        if self.address or self.ray_jobs:
            raise click.UsageError("--address and --ray-jobs are for --engine ray")
        if self.lanes > LOCAL_JOBS_MOST:
            text = f"{self.jobs} is too many for one machine; {LOCAL_JOBS_MOST} at most"
            raise click.BadParameter(text, param_hint="--jobs")

    @property
    def is_ray(self) -> bool:
        return self.engine == "ray"

    @property
    def lanes(self) -> int:
        """Items at a time on this machine."""
        return self.jobs or min(LOCAL_JOBS_MOST, len(os.sched_getaffinity(0)))


_engine = grouped(
    "engine",
    EngineOptions,
    click.option(
        "-j", "--jobs", type=click.IntRange(1, 100_000), metavar="N", help="Items at a time; as many as processors."
    ),
    click.option(
        "--threads", type=click.IntRange(1, MAX_THREADS), default=1, metavar="N", help="Threads for each item. [1]"
    ),
    slice_option("As of `luspool run`."),
    click.option("--isolate", is_flag=True, help="Give each item a process of its own."),
    click.option("--engine", type=click.Choice(["local", "ray"]), default="local", help="Where items run. [local]"),
    click.option(
        "--address", metavar="HOST:PORT", help="A Ray cluster, or auto for this machine's. [one for this batch]"
    ),
    click.option("--ray-jobs", type=click.IntRange(1, 512), metavar="N", help="Items at a time in each Ray worker."),
)


class CourseOptions(Struct, frozen=True):
    """Which items begin, and which are tried again."""

    resume: bool
    retry_failed: bool
    retries: int
    retry_delay: int
    crashes: int
    halt: HaltPolicy

    @property
    def retry(self) -> RetryPolicy:
        return RetryPolicy(self.retries, self.retry_delay / 1e9, self.crashes)


_course = grouped(
    "course",
    CourseOptions,
    click.option("--resume", is_flag=True, help="Leave items as they are that are done since an earlier run."),
    click.option("--retry-failed", is_flag=True, help="As --resume, but only for those that completed."),
    click.option("--retries", type=click.IntRange(0, 1000), default=0, metavar="N", help="Try failed items again. [0]"),
    click.option(
        "--retry-delay",
        callback=reader(parse_duration),
        default="1s",
        metavar="TIME",
        help="Before the first retry; each further one waits twice as long. [1s]",
    ),
    click.option(
        "--crashes",
        type=click.IntRange(1, 1000),
        default=2,
        metavar="N",
        help="Processes that may die of one script before it is not run any more. [2]",
    ),
    click.option(
        "--halt",
        callback=reader(HaltPolicy.parse),
        default="never",
        metavar="WHEN",
        help="When to begin no more (soon,fail=N or soon,fail=N%) or end all (now,fail=…). [never]",
    ),
)


class RecordOptions(Struct, frozen=True):
    """What is left of a batch."""

    ledger: str
    results: str | None
    audits: str | None
    trace: str | None
    kept: int
    as_json: bool


_records = grouped(
    "records",
    RecordOptions,
    ledger_option,
    click.option("--results", metavar="DIR", help="Write the output of each item to DIR/NUMBER/stdout and stderr."),
    click.option(
        "--audit",
        "audits",
        metavar="DIR",
        help="Record every decision about a permission: a log for each try of an item, in DIR/NUMBER.",
    ),
    click.option("--trace", metavar="FILE", help="Record in a file what ran when, for Perfetto."),
    click.option(
        "--keep-output",
        "kept",
        callback=reader(parse_size),
        default="64K",
        metavar="SIZE",
        help="How much of each item's output the ledger keeps. [64K]",
    ),
    click.option("--json", "as_json", is_flag=True, help="A line of JSON on standard output for each item that ends."),
)


class BatchOptions(Struct, frozen=True):
    """A batch as the command line asks for it."""

    inputs: InputOptions
    rights: RightsOptions
    engine: EngineOptions
    course: CourseOptions
    records: RecordOptions
    verbosity: int | None
    """Below 0: only errors and the summary."""

    @property
    def is_quiet(self) -> bool:
        return (self.verbosity or 0) < 0


batch_options = grouped("options", BatchOptions, _rights, _inputs, _engine, _course, _records, quiet_option)
"""Gives a command all of these options. It gets what they come to as `options`."""
