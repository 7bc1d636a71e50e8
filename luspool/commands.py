"""The command line as click sees it: names, options, help. What the commands do is in their own modules.

Only `cli` imports this, after it has started a host process: importing click takes longer than starting one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from typing import TYPE_CHECKING, Final

import click
from msgspec import Struct
from msgspec.structs import replace

from . import __version__, errors
from .audit_commands import audit as audit_group
from .batch.commands import batch
from .errors import UsageError
from .interrupts import Interrupts
from .options import LimitedCommand, once, reader, strict_globals_option, verbosity_options
from .run_options import run_options
from .scheduler.process import HostProcess
from .scheduler.units import parse_duration
from .streams import StandardStreams, own_output

if TYPE_CHECKING:
    from .run import RunOptions

_FASTEST: Final = 100_000_000
"""Nanoseconds between two looks of `top` at least: each takes some of the program's time."""


class Prepared(Struct, frozen=True):
    """What `cli` has made ready before click took over: a host process that is starting, and signals in hand."""

    host: HostProcess
    interrupts: Interrupts


def invoke(arguments: Sequence[str], prepared: Prepared | None) -> int:
    """Carry out a command line; its exit status. `prepared` is for those that run a script. UsageError."""
    streams = StandardStreams(nullcontext())
    try:
        with redirect_stdout(own_output(streams)):  # for all that click.echo writes, help included
            status = _luspool.main(list(arguments), prog_name="luspool", standalone_mode=False, obj=prepared)
    except click.Abort:
        raise KeyboardInterrupt from None  # which click made it of
    except click.exceptions.NoArgsIsHelpError as error:
        streams.say(error.format_message())
        return errors.USAGE
    except click.UsageError as error:
        help_of = error.ctx.command_path if error.ctx is not None else "luspool"
        raise UsageError(f"{error.format_message()}\n  Try '{help_of} --help'.") from error
    except click.ClickException as error:
        raise UsageError(error.format_message()) from error
    # A command gives its status; `--help` and `--version` give click's own 0.
    return status if isinstance(status, int) else errors.OK


_audit_option = click.option(
    "--audit", metavar="FILE", envvar="LUSPOOL_AUDIT", help="Record every decision about a permission in a file."
)


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
@run_options
@_audit_option
@click.option(
    "--shadow",
    metavar="FILE[:NAME]",
    callback=once,
    multiple=True,
    help="Record also what this policy would have decided.",
)
def run(*, options: RunOptions, audit: str | None, shadow: str | None) -> int:
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
    from .run import AuditOptions  # noqa: PLC0415  each command imports what it needs: people wait for it

    compared = None
    if shadow is not None:
        if audit is None:
            raise UsageError("--shadow needs --audit FILE, where what it would have decided is recorded")
        from .policy import open_policy  # noqa: PLC0415  as above

        compared = open_policy(shadow, options.arguments)
    return _run(replace(options, audit=None if audit is None else AuditOptions(audit, shadow=compared)))


@audit_group.command(cls=LimitedCommand, context_settings={"allow_interspersed_args": False}, no_args_is_help=True)
@run_options
@_audit_option
def observe(*, options: RunOptions, audit: str | None) -> int:
    """Run a script and record what it asks for, allowing all of it that may be allowed.

    What `-P` grants and what `--allow` would let the script pledge are allowed alike; the log tells them apart.
    Without `--allow`, that is `load` and `fs:read` of the working directory. What lies beyond is denied, and
    recorded too. Nothing else is different from `run`. The log is `audit.jsonl`, if no other file is named.

    \b
    luspool audit observe main.lus
    luspool audit observe --allow all --audit may.jsonl main.lus may.csv
    """
    from .run import AuditOptions  # noqa: PLC0415  as in `run`

    if not options.ceiling and not (options.policy and options.policy.ceiling):
        options = replace(options, ceiling=("load", "fs:read=."))
    return _run(replace(options, audit=AuditOptions(audit or "audit.jsonl", observes=True)))


def _run(options: RunOptions) -> int:
    from .run import run_program  # noqa: PLC0415  as in `run`

    prepared = click.get_current_context().find_object(Prepared)
    assert prepared is not None  # noqa: S101  for the type checker: `cli` prepares for the commands that need it
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
@click.argument("pid", type=click.IntRange(min=1), required=False)
@click.option("--once", "is_once", is_flag=True, help="Show it once, as where output is no terminal.")
@click.option("--json", "as_json", is_flag=True, help="For programs: a line for each program, once.")
@click.option("--sort", type=click.Choice(["cpu", "memory", "mail"]), default="cpu", help="What comes first. [cpu]")
@click.option("-n", "--states", "most", type=click.IntRange(min=1), default=30, help="Show so many at most. [30]")
@click.option("--every", metavar="TIME", default="1s", callback=reader(parse_duration), help="Between two looks. [1s]")
def top(  # noqa: PLR0913  click passes each option by its name
    *, pid: int | None, is_once: bool, as_json: bool, sort: str, most: int, every: int
) -> int:
    """Show what running programs do: their states, what each waits for, and what they use.

    PID is the process of a `luspool run`, of a batch, or of a program that uses `luspool.Runtime`; without it the only
    one is shown, or all are listed. Ctrl-C ends it.

    \b
    luspool top
    luspool top --once --sort memory 1234
    """
    from .top.top import TopOptions  # noqa: PLC0415  as in `run`
    from .top.top import top as show  # noqa: PLC0415  as in `run`

    return show(pid, TopOptions(is_once, as_json, sort, most, max(every, _FASTEST) / 1e9))


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


_luspool.add_command(audit_group)
_luspool.add_command(batch)
