"""`luspool batch` as click sees it: names, options, help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import click

from .. import errors
from ..options import LimitedCommand
from .options import BatchOptions, batch_options, ledger_option


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


@batch.command(cls=LimitedCommand, no_args_is_help=True)
@batch_options
def run(*, options: BatchOptions) -> int:
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
    from .job import run_batch  # noqa: PLC0415  each command imports what it needs: people wait for it

    return run_batch(options)


_run_number = click.option("--run", "number", type=click.IntRange(1), metavar="N", help="Which run. [the last]")
_statuses = click.option("--status", "statuses", multiple=True, metavar="STATUS", help="Only these. Repeatable.")


@batch.command()
@ledger_option
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
@ledger_option
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
@ledger_option
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
