"""The command line as click sees it: names, options, help. What the commands do is in their own modules.

Only `cli` imports this, after it has started a host process: importing click takes longer than starting one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import click

from . import __version__, errors
from .audit_commands import audit
from .batch.commands import batch
from .errors import UsageError
from .hosts import MAX_HOSTS
from .interrupts import Interrupts
from .limit_options import limits_from, parse_slice
from .options import LimitedCommand, limit_options, once, reader, strict_globals_option, verbosity_options
from .scheduler.process import HostProcess
from .scheduler.protocol import DEFAULT_SLICE_NANOSECONDS
from .scheduler.units import format_duration

MAX_THREADS = 512
"""More executors than any machine of today has processors; beyond, threads only cost memory."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `cli` has made ready before click took over: a host process that is starting, and signals in hand."""

    host: HostProcess
    interrupts: Interrupts


def invoke(arguments: Sequence[str], prepared: Prepared | None) -> int:
    """Carry out a command line; its exit status. `prepared` is needed by `run` alone. UsageError."""
    try:
        status = _luspool.main(list(arguments), prog_name="luspool", standalone_mode=False, obj=prepared)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return errors.USAGE
    except click.UsageError as error:
        help_of = error.ctx.command_path if error.ctx is not None else "luspool"
        raise UsageError(f"{error.format_message()}\n  Try '{help_of} --help'.") from error
    except click.ClickException as error:
        raise UsageError(error.format_message()) from error
    # A command gives its status; `--help` and `--version` give click's own 0.
    return status if isinstance(status, int) else errors.OK


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="luspool %(version)s")
def _luspool() -> None:
    """Run Lus scripts that nobody has to trust.

    \b
    luspool run hello.lus
    luspool run -P load -P fs:read=. main.lus one two
    luspool check *.lus
    """


@_luspool.command(cls=LimitedCommand, context_settings={"allow_interspersed_args": False}, no_args_is_help=True)
@click.option("-P", "--pledge", "held", multiple=True, metavar="PLEDGE", help="Grant a permission. Repeatable.")
@click.option("--allow", "ceiling", multiple=True, metavar="PLEDGE", help="Let the script pledge it. Repeatable.")
@click.option("--policy", metavar="FILE[:NAME]", callback=once, multiple=True, help="Pledges and limits of a file.")
@click.option(
    "--hosts",
    type=click.IntRange(1, MAX_HOSTS),
    envvar="LUSPOOL_HOSTS",
    metavar="N",
    help="Run the script and its workers in N processes. [1]",
)
@click.option(
    "--threads",
    type=click.IntRange(1, MAX_THREADS),
    envvar="LUSPOOL_THREADS",
    metavar="N",
    help="Serve states with N threads in each process; as many as there are processors for all together.",
)
@click.option(
    "--placement",
    type=click.Choice(["near", "spread"]),
    default="near",
    envvar="LUSPOOL_PLACEMENT",
    help="Where workers start: near their creators if there is room, or each in the next process. [near]",
)
@click.option(
    "--wall",
    type=click.Choice(["strict", "best-effort", "off"]),
    envvar="LUSPOOL_WALL",
    help="What the operating system adds around scripts: all of it or an error, what there is, or nothing. "
    "[strict where the system can]",
)
@click.option(
    "--slice",
    "slice_nanoseconds",
    callback=reader(parse_slice),
    metavar="TIME",
    help=f"How long a state runs while others wait; 0: to its end. [{format_duration(DEFAULT_SLICE_NANOSECONDS)}]",
)
@strict_globals_option
@verbosity_options
@limit_options
@click.argument("script", metavar="SCRIPT")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARG]...")
def run(  # noqa: PLR0913  click passes each option by its name
    *,
    script: str,
    arguments: tuple[str, ...],
    held: tuple[str, ...],
    ceiling: tuple[str, ...],
    policy: str | None,
    hosts: int | None,
    threads: int | None,
    placement: str,
    wall: str | None,
    slice_nanoseconds: int | None,
    limits: dict[str, int],
    strict_globals: bool,
    verbosity: int | None,
) -> int:
    """Run a script, with nothing permitted but what is pledged.

    Everything behind SCRIPT is the script's own: it gets these words as strings in `...`. SCRIPT may be `-` for
    standard input. Relative paths begin at the working directory.

    \b
    PLEDGE is one of
      load            load code; worker.create needs it
      fs:read=PATH    read PATH and all beneath it; fs:write, fs likewise
      env=NAME        read an environment variable
      ~PLEDGE         never, for all states
      seal            no further changes
    and without a value stands for every value.

    A state that exceeds a limit ends, with all below it, and its parent gets the error. Sizes are written as in 64M,
    times as in 1.5s.

    \b
    luspool run hello.lus
    luspool run -P load -P fs:read=. main.lus one two
    luspool run --timeout 5s --memory 16M main.lus
    luspool run --policy team.toml:report main.lus may.csv
    """
    from .run import RunOptions, run_program  # noqa: PLC0415  each command imports what it needs: people wait for it

    words = tuple(map(os.fsencode, arguments))
    applied = None
    if policy is not None:
        from .policy import open_policy  # noqa: PLC0415  as above

        applied = open_policy(policy, words)
    options = RunOptions(
        script,
        words,
        held,
        ceiling,
        hosts or 1,
        threads or max(1, len(os.sched_getaffinity(0)) // (hosts or 1)),
        DEFAULT_SLICE_NANOSECONDS if slice_nanoseconds is None else slice_nanoseconds,
        limits_from(applied.stricter(limits) if applied else limits),
        strict_globals,
        placement == "spread",
        wall or "",
        verbosity or 0,
        applied,
    )
    prepared = click.get_current_context().find_object(Prepared)
    assert prepared is not None  # noqa: S101  for the type checker: `cli` prepares for `run`
    return run_program(options, prepared.host, prepared.interrupts)


@_luspool.command(no_args_is_help=True)
@strict_globals_option
@verbosity_options
@click.argument("scripts", nargs=-1, required=True, metavar="SCRIPT...")
def check(scripts: tuple[str, ...], strict_globals: bool, verbosity: int | None) -> int:
    """Say whether scripts are well formed, without running them.

    \b
    luspool check *.lus
    """
    from .check import check_scripts  # noqa: PLC0415  as in `run`

    return check_scripts(scripts, strict_globals=strict_globals, verbosity=verbosity or 0)


@_luspool.command()
@click.option("--json", "as_json", is_flag=True, help="For programs: times in nanoseconds, sizes in bytes.")
def doctor(as_json: bool) -> int:
    """Say what luspool finds on this machine, and the limits that a run has without options.

    \b
    luspool doctor
    luspool doctor --json
    """
    from . import doctor as found  # noqa: PLC0415  as in `run`

    facts = found.examine()
    click.echo(found.as_json(facts) if as_json else found.as_text(facts))
    return errors.OK


_luspool.add_command(audit)
_luspool.add_command(batch)
