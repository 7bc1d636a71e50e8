"""`luspool batch` as click sees it: names, options, help."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext

import click

from .. import errors
from ..limit_options import parse_slice
from ..options import (
    LimitedCommand,
    limit_options,
    once,
    reader,
    strict_globals_option,
    verbosity_options,
)
from ..scheduler.protocol import DEFAULT_SLICE_NANOSECONDS
from ..scheduler.units import format_duration, parse_duration, parse_size
from .course import HaltPolicy

LEDGER = "luspool-batch.sqlite"
LOCAL_JOBS_MOST = 512


class _BatchGroup(click.Group):
    """`luspool batch a.lus` is `luspool batch run a.lus`: only a word that is a command is one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_BatchGroup, no_args_is_help=True)
def batch() -> None:
    """Run many scripts in parallel, and keep what became of each in a ledger.

    \b
    luspool batch scripts/                       # the same as: luspool batch run scripts/
    luspool batch --items jobs.jsonl --resume
    luspool batch status
    luspool batch results --status failed
    luspool batch export --format csv >results.csv
    """


def _parallelism() -> int:
    return len(os.sched_getaffinity(0))


_ledger = click.option(
    "--ledger", default=LEDGER, envvar="LUSPOOL_LEDGER", metavar="FILE", help=f"Where results are kept. [{LEDGER}]"
)


@batch.command(cls=LimitedCommand, no_args_is_help=True)
@click.option("-P", "--pledge", "held", multiple=True, metavar="PLEDGE", help="Grant a permission. Repeatable.")
@click.option("--allow", "ceiling", multiple=True, metavar="PLEDGE", help="Let scripts and items pledge it.")
@click.option("--policy", metavar="FILE[:NAME]", callback=once, multiple=True, help="Pledges and limits of a file.")
@click.option("--items", "files", multiple=True, metavar="FILE", help="Items as JSON lines; - is standard input.")
@click.option("--arg", "arguments", multiple=True, metavar="TEXT", help="An argument for all scripts. Repeatable.")
@click.option("-0", "--null", "is_null", is_flag=True, help="Paths on standard input end with NUL, not with a line.")
@click.option(
    "-j", "--jobs", type=click.IntRange(1, 100_000), metavar="N", help="Items at a time; as many as processors."
)
@click.option("--threads", type=click.IntRange(1, 512), default=1, metavar="N", help="Threads for each item. [1]")
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", help="Where items run. [local]")
@click.option("--address", metavar="HOST:PORT", help="A Ray cluster, or auto for this machine's. [one for this batch]")
@click.option("--ray-jobs", type=click.IntRange(1, 512), metavar="N", help="Items at a time in each Ray worker.")
@click.option("--isolate", is_flag=True, help="Give each item a process of its own.")
@_ledger
@click.option("--resume", is_flag=True, help="Leave items as they are that are done since an earlier run.")
@click.option("--retry-failed", is_flag=True, help="As --resume, but only for those that completed.")
@click.option("--retries", type=click.IntRange(0, 1000), default=0, metavar="N", help="Try failed items again. [0]")
@click.option(
    "--retry-delay",
    "retry_delay",
    callback=reader(parse_duration),
    default="1s",
    metavar="TIME",
    help="Before the first retry; each further one waits twice as long. [1s]",
)
@click.option(
    "--crashes",
    type=click.IntRange(1, 1000),
    default=2,
    metavar="N",
    help="Processes that may die of one script before it is not run any more. [2]",
)
@click.option(
    "--halt",
    callback=reader(HaltPolicy.parse),
    default="never",
    metavar="WHEN",
    help="When to begin no more (soon,fail=N or soon,fail=N%) or end all (now,fail=…). [never]",
)
@click.option("--results", metavar="DIR", help="Write the output of each item to DIR/NUMBER/stdout and stderr.")
@click.option(
    "--audit",
    "audits",
    metavar="DIR",
    help="Record every decision about a permission: a log for each try of an item, in DIR/NUMBER.",
)
@click.option(
    "--keep-output",
    "kept",
    callback=reader(parse_size),
    default="64K",
    metavar="SIZE",
    help="How much of each item's output the ledger keeps. [64K]",
)
@click.option("--json", "as_json", is_flag=True, help="A line of JSON on standard output for each item that ends.")
@click.option(
    "--wall",
    type=click.Choice(["strict", "best-effort", "off"]),
    envvar="LUSPOOL_WALL",
    help="As of `luspool run`. [strict where the system can]",
)
@click.option(
    "--slice",
    "slice_nanoseconds",
    callback=reader(parse_slice),
    metavar="TIME",
    help=f"As of `luspool run`. [{format_duration(DEFAULT_SLICE_NANOSECONDS)}]",
)
@strict_globals_option
@verbosity_options
@limit_options
@click.argument("inputs", nargs=-1, metavar="[INPUT]...")
def run(  # noqa: PLR0913  click passes each option by its name
    *,
    inputs: tuple[str, ...],
    held: tuple[str, ...],
    ceiling: tuple[str, ...],
    policy: str | None,
    files: tuple[str, ...],
    arguments: tuple[str, ...],
    is_null: bool,
    jobs: int | None,
    threads: int,
    engine: str,
    address: str | None,
    ray_jobs: int | None,
    isolate: bool,
    ledger: str,
    resume: bool,
    retry_failed: bool,
    retries: int,
    retry_delay: int,
    crashes: int,
    halt: HaltPolicy,
    results: str | None,
    audits: str | None,
    kept: int,
    as_json: bool,
    wall: str | None,
    slice_nanoseconds: int | None,
    limits: dict[str, int],
    strict_globals: bool,
    verbosity: int | None,
) -> int:
    """Run scripts in parallel, each with nothing permitted but what is pledged.

    INPUT is the path of a script; a directory, for all scripts beneath it; a pattern like 'a/**/*.lus'; or -, for paths
    on standard input. Pledges and limits are those of `luspool run`, for each item.

    The exit status is 0 if all items completed, and 1 if not. The first Ctrl-C lets what runs come to its end, the
    second one ends it; --resume goes on.

    \b
    luspool batch run scripts/
    luspool batch run -P fs:read=data --timeout 5s --halt soon,fail=10% 'scripts/**/*.lus'
    find . -name '*.lus' | luspool batch run -
    """
    from .course import RetryPolicy  # noqa: PLC0415  each command imports what it needs: people wait for it
    from .job import BatchOptions, run_batch  # noqa: PLC0415  likewise
    from .local import TASKS_PER_HOST, LocalOptions  # noqa: PLC0415  likewise

    local = LocalOptions(
        lanes=jobs or _parallelism(),
        threads=threads,
        slice_nanoseconds=DEFAULT_SLICE_NANOSECONDS if slice_nanoseconds is None else slice_nanoseconds,
        tasks_per_host=1 if isolate else TASKS_PER_HOST,
        output_kept=kept,
        results=results,
        audits=audits,
    )
    ray = None
    if engine == "ray":
        from .cluster.engine import RayOptions  # noqa: PLC0415  likewise

        ray = RayOptions(local, address or os.environ.get("RAY_ADDRESS"), jobs, ray_jobs)
    elif address or ray_jobs:
        raise click.UsageError("--address and --ray-jobs are for --engine ray")
    elif (jobs or 1) > LOCAL_JOBS_MOST:
        raise click.BadParameter(f"{jobs} is too many for one machine; {LOCAL_JOBS_MOST} at most", param_hint="--jobs")
    options = BatchOptions(
        inputs=inputs,
        files=files,
        separator=b"\0" if is_null else b"\n",
        arguments=arguments,
        held=held,
        ceiling=ceiling,
        policy=policy,
        limits=limits,
        strict_globals=strict_globals,
        wall=wall or "",
        ledger=ledger,
        resumes=resume,
        retries_failed=retry_failed,
        retry=RetryPolicy(retries, retry_delay / 1e9, crashes),
        halt=halt,
        as_json=as_json,
        verbosity=verbosity or 0,
        local=local,
        ray=ray,
    )
    return run_batch(options)


_run_number = click.option("--run", "number", type=click.IntRange(1), metavar="N", help="Which run. [the last]")
_statuses = click.option("--status", "statuses", multiple=True, metavar="STATUS", help="Only these. Repeatable.")


@batch.command()
@_ledger
@_run_number
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(ledger: str, number: int | None, as_json: bool) -> int:
    """Say how far a run is, and how its items have ended.

    \b
    luspool batch status
    luspool batch status --json --run 2
    """
    import json  # noqa: PLC0415  as in `run`

    from . import show  # noqa: PLC0415  as in `run`
    from .job import CAUSES_SHOWN  # noqa: PLC0415  as in `run`
    from .ledger import Ledger  # noqa: PLC0415  as in `run`

    with Ledger.existing(ledger) as opened:
        found = opened.run(number)
        counts = opened.counts(found.id)
        if as_json:
            words = {word or "pending": count for word, count in counts.items()}
            record = {"v": show.JSON_VERSION, "run": found.id, "state": found.state, "total": found.total}
            click.echo(json.dumps({**record, "items": words}))
        else:
            click.echo(show.summary(found, counts, opened.causes(found.id, CAUSES_SHOWN)))
    return errors.OK


@batch.command()
@_ledger
@_run_number
@_statuses
@click.option("--output", "wants_output", is_flag=True, help="What the items wrote to standard output instead.")
def results(ledger: str, number: int | None, statuses: tuple[str, ...], wants_output: bool) -> int:
    """Show the items of a run, a line each.

    \b
    luspool batch results --status failed --status timeout
    luspool batch results --output
    """
    from . import show  # noqa: PLC0415  as in `run`
    from .ledger import Ledger  # noqa: PLC0415  as in `run`

    _check_statuses(statuses)
    with Ledger.existing(ledger) as opened:
        entries = opened.entries(opened.run(number).id, statuses)
        _write(show.output(entries) if wants_output else (line.encode() for line in show.table(entries)))
    return errors.OK


@batch.command()
@_ledger
@_run_number
@_statuses
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv", "joblog"]),
    default="jsonl",
    help="JSON lines, CSV, or what GNU parallel's --joblog has. [jsonl]",
)
def export(ledger: str, number: int | None, statuses: tuple[str, ...], form: str) -> int:
    """Write the items of a run to standard output, for other programs. docs/batch.md describes the fields.

    \b
    luspool batch export --format csv >results.csv
    """
    from . import show  # noqa: PLC0415  as in `run`
    from .ledger import Ledger  # noqa: PLC0415  as in `run`

    _check_statuses(statuses)
    with Ledger.existing(ledger) as opened:
        entries = opened.entries(opened.run(number).id, statuses)
        if form == "csv":
            lines = show.as_csv(entries)
        elif form == "joblog":
            lines = show.as_joblog(entries)
        else:
            lines = (f"{show.as_json_line(entry)}\n" for entry in entries)
        _write(line.encode() for line in lines)
    return errors.OK


def _check_statuses(statuses: tuple[str, ...]) -> None:
    from .outcome import Status  # noqa: PLC0415  as in `run`

    for word in statuses:
        if word not in list(Status):
            raise click.BadParameter(f"{word!r} is no status; there are {', '.join(Status)}", param_hint="--status")


def _write(pieces: Iterator[bytes]) -> None:
    """To standard output, made visible where that is a terminal."""
    from ..streams import StandardStreams  # noqa: PLC0415  as in `run`

    streams = StandardStreams(nullcontext())
    held = bytearray()
    for piece in pieces:
        held += piece
        if len(held) >= 1 << 16:
            streams.write(1, bytes(held))
            held.clear()
    streams.write(1, bytes(held))
    streams.flush()
