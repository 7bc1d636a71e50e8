"""`luspool audit` as click sees it: names, options, help."""

from __future__ import annotations

from contextlib import nullcontext

import click

from . import errors

_PROGRAM = "luspool.program"
"""Where a command finds in its context what stood behind `--`."""


class _WithProgram(click.Command):
    """Keeps what stands behind `--`, a script with its arguments, apart from the rest."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta[_PROGRAM] = tuple(args[at + 1 :])
            args = args[:at]
        return super().parse_args(ctx, args)


@click.group()
def audit() -> None:
    """Say what scripts do with permissions.

    \b
    luspool audit scan main.lus
    luspool audit report run.jsonl
    """


@audit.command(no_args_is_help=True)
@click.option("--json", "as_json", is_flag=True, help="For programs; docs/auditing.md describes it.")
@click.option("--strict-globals", is_flag=True, help="As of `run`.")
@click.argument("scripts", nargs=-1, required=True, metavar="SCRIPT...")
def scan(scripts: tuple[str, ...], as_json: bool, strict_globals: bool) -> int:
    """Say what scripts, and all that they load and start, can ask for. Nothing is run.

    The exit status is 0 if all of that is known, and 1 if something is not.

    \b
    luspool audit scan main.lus
    luspool audit scan --json main.lus tools/*.lus
    """
    from .audit import show  # noqa: PLC0415  each command imports what it needs: people wait for it
    from .audit.scan import scan as scan_scripts  # noqa: PLC0415  likewise
    from .streams import StandardStreams  # noqa: PLC0415  likewise

    result = scan_scripts(scripts, strict_globals=strict_globals)
    streams = StandardStreams(nullcontext())
    for fault in result.faults:
        streams.say("luspool: " + fault.replace("\n", "\n  "))
    click.echo(show.as_json(result) if as_json else show.as_text(result))
    return result.fault_status or (errors.SCRIPT_ERROR if result.unknowns else errors.OK)


@audit.command(no_args_is_help=True)
@click.option("--json", "form", flag_value="json", help="For programs; docs/auditing.md describes it.")
@click.option("--html", "form", flag_value="html", help="One page that needs nothing else.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def report(files: tuple[str, ...], form: str | None) -> int:
    """Say what runs asked for and were given, from their audit logs.

    \b
    luspool audit report run.jsonl
    luspool audit report --html run.jsonl > report.html
    """
    from .audit import report as reports  # noqa: PLC0415  as in `scan`

    click.echo(reports.report(files, form or "text"))
    return errors.OK


@audit.command(cls=_WithProgram, no_args_is_help=True)
@click.option("-o", "--output", metavar="FILE", help="Write the policy there; paths beneath are then relative to it.")
@click.option("--patterns", is_flag=True, help="Grant a pattern in the place of several files of one directory.")
@click.option("--ignore-denials", is_flag=True, help="Leave out what was denied, rather than refuse.")
@click.option("--verify", is_flag=True, help="Run SCRIPT under the policy, and fail if it is denied anything.")
@click.argument("files", nargs=-1, required=True, metavar="FILE... [-- SCRIPT [ARG]...]")
@click.pass_context
def derive(  # noqa: PLR0913  click passes each option by its name
    context: click.Context,
    files: tuple[str, ...],
    output: str | None,
    *,
    patterns: bool,
    ignore_denials: bool,
    verify: bool,
) -> int:
    """Make the least policy that runs needed, from their audit logs.

    It covers these runs, and no others.

    \b
    luspool audit derive run.jsonl
    luspool audit derive -o team.toml --verify one.jsonl two.jsonl -- main.lus may.csv
    """
    program = context.meta.get(_PROGRAM, ())
    if verify is not bool(program):
        raise click.UsageError("--verify takes the program behind --, as in --verify -- main.lus may.csv")
    from .audit.derived_file import Derivation  # noqa: PLC0415  as in `scan`
    from .streams import StandardStreams  # noqa: PLC0415  likewise

    streams = StandardStreams(nullcontext())
    derivation = Derivation(files, output, ignores_denials=ignore_denials, patterns=patterns)
    if output is None:
        click.echo(derivation.text, nl=False)
    else:
        derivation.write(output)
    for left_out in derivation.left_out:
        streams.say(f"luspool: not granted, since no pledge can say it: {left_out}")
    if verify:
        streams.say(f"luspool: {derivation.verify(program)}")
    return errors.SCRIPT_ERROR if derivation.left_out else errors.OK


@audit.command(no_args_is_help=True)
@click.option("--policy", metavar="FILE[:NAME]", help="What the scripts are to stay within.")
@click.option(
    "--against", metavar="OLD", help="Say what differs: from older scripts, or without PATH, an older policy."
)
@click.option("--allow-unknown", is_flag=True, help="Succeed also where not all that can be asked for is known.")
@click.option("--json", "as_json", is_flag=True, help="For programs; docs/auditing.md describes it.")
@click.option("--strict-globals", is_flag=True, help="As of `run`.")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
def check(  # noqa: PLR0913  click passes each option by its name
    paths: tuple[str, ...],
    policy: str | None,
    against: str | None,
    *,
    allow_unknown: bool,
    as_json: bool,
    strict_globals: bool,
) -> int:
    """Compare scripts, from their text, with a policy or with older ones; or two policies. Nothing is run.

    PATH is a script, or a directory of them. The exit status is 1 if they can ask for more than the policy allows, or
    than the older ones.

    \b
    luspool audit check --policy team.toml main.lus
    luspool audit check --against ../released/main.lus main.lus
    luspool audit check --policy team.toml --against ../released/team.toml
    """
    from .audit import check_show  # noqa: PLC0415  as in `scan`
    from .audit.check_request import check as carry_out  # noqa: PLC0415  likewise
    from .streams import StandardStreams  # noqa: PLC0415  likewise

    result = carry_out(paths, policy, against, strict_globals=strict_globals)
    streams = StandardStreams(nullcontext())
    for fault in result.found.faults if result.found else ():
        streams.say("luspool: " + fault.replace("\n", "\n  "))
    click.echo(check_show.as_json(result) if as_json else check_show.as_text(result))
    return result.status(allows_unknown=allow_unknown)
