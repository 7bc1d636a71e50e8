"""The options of the commands that run a script, as click sees them."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import click

from .hosts import MAX_HOSTS
from .limit_options import LIMIT_OPTIONS, limits_from, parse_slice
from .scheduler.limits import Limits
from .scheduler.protocol import DEFAULT_SLICE_NANOSECONDS
from .scheduler.units import format_duration

if TYPE_CHECKING:  # each command imports what it needs: people wait for it
    from .run import RunOptions

MAX_THREADS = 512
"""More executors than any machine of today has processors; beyond, threads only cost memory."""


def verbosity_options(command: Callable[..., int]) -> Callable[..., int]:
    quiet = click.option("-q", "--quiet", "verbosity", flag_value=-1, type=int, help="One line for each error.")
    verbose = click.option("-v", "--verbose", "verbosity", flag_value=1, type=int, help="Say also what is done.")
    return quiet(verbose(command))


def strict_globals_option(command: Callable[..., int]) -> Callable[..., int]:
    text = "After a `global` declaration undeclared names are errors, as in Lua 5.5."
    return click.option("--strict-globals", is_flag=True, help=text)(command)


def _read(parse: Callable[[str], int]) -> Callable[[click.Context, click.Parameter, str | None], int | None]:
    """For an option whose value `parse` reads; its ValueError says what can be written."""

    def read(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
        try:
            return None if text is None else parse(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return read


def once(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> str | None:
    """For an option that means something else than its last value if it is repeated."""
    if len(values) > 1:
        raise click.BadParameter("given more than once; a set of a policy may extend others")
    return values[0] if values else None


class _LimitOption(click.Option):
    """An option that help lists among the limits (see `RunCommand`)."""


class RunCommand(click.Command):
    """Shows the limits in a section of their own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        limits = [param for param in options if isinstance(param, _LimitOption)]
        others = [param for param in options if param not in limits]
        for title, group in (("Options", others), ("Limits, or `unlimited`", limits)):
            with formatter.section(title):
                formatter.write_dl([record for param in group if (record := param.get_help_record(ctx)) is not None])


def _limits(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command all limits as options. It gets those that were given as `limits`, a number by each name."""
    defaults = Limits()
    names = {option.name.replace("-", "_"): option.name for option in LIMIT_OPTIONS}

    @wraps(command)
    def collected(**arguments: Any) -> int:  # noqa: ANN401  whatever click passes
        given = {name: arguments.pop(parameter) for parameter, name in names.items()}
        return command(limits={name: value for name, value in given.items() if value is not None}, **arguments)

    decorated: Callable[..., int] = collected
    for option in reversed(LIMIT_OPTIONS):
        text = f"{option.help} [{option.unit.format(option.get(defaults))}]"
        flag = click.option(
            f"--{option.name}",
            cls=_LimitOption,
            callback=_read(option.parse),
            metavar=option.unit.metavar,
            help=text,
        )
        decorated = flag(decorated)
    return decorated


_OPTIONS: Final[tuple[Callable[[Callable[..., int]], Callable[..., int]], ...]] = (
    click.option("-P", "--pledge", "held", multiple=True, metavar="PLEDGE", help="Grant a permission. Repeatable."),
    click.option("--allow", "ceiling", multiple=True, metavar="PLEDGE", help="Let the script pledge it. Repeatable."),
    click.option("--policy", metavar="FILE[:NAME]", callback=once, multiple=True, help="Pledges and limits of a file."),
    click.option(
        "--hosts",
        type=click.IntRange(1, MAX_HOSTS),
        envvar="LUSPOOL_HOSTS",
        metavar="N",
        help="Run the script and its workers in N processes. [1]",
    ),
    click.option(
        "--threads",
        type=click.IntRange(1, MAX_THREADS),
        envvar="LUSPOOL_THREADS",
        metavar="N",
        help="Serve states with N threads in each process; as many as there are processors for all together.",
    ),
    click.option(
        "--placement",
        type=click.Choice(["near", "spread"]),
        default="near",
        envvar="LUSPOOL_PLACEMENT",
        help="Where workers start: near their creators if there is room, or each in the next process. [near]",
    ),
    click.option(
        "--wall",
        type=click.Choice(["strict", "best-effort", "off"]),
        envvar="LUSPOOL_WALL",
        help="What the operating system adds around scripts: all of it or an error, what there is, or nothing. "
        "[strict where the system can]",
    ),
    click.option(
        "--slice",
        "slice_nanoseconds",
        callback=_read(parse_slice),
        metavar="TIME",
        help=f"How long a state runs while others wait; 0: to its end. [{format_duration(DEFAULT_SLICE_NANOSECONDS)}]",
    ),
    strict_globals_option,
    verbosity_options,
    _limits,
    click.argument("script", metavar="SCRIPT"),
    click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARG]..."),
)
"""All of `run` but those of the audit, in the order in which help lists them."""


def run_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command all of these options. It gets what they come to as `options`, and its own by their names."""

    @wraps(command)
    def collected(**given: Any) -> int:  # noqa: ANN401  whatever click passes
        options = _options(**{name: given.pop(name) for name in _OWN})
        return command(options=options, **given)

    decorated: Callable[..., int] = collected
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def _options(  # noqa: PLR0913  click passes each option by its name
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
) -> RunOptions:
    from .run import RunOptions  # noqa: PLC0415  see above

    words = tuple(map(os.fsencode, arguments))
    applied = None
    if policy is not None:
        from .policy import open_policy  # noqa: PLC0415  see above

        applied = open_policy(policy, words)
    return RunOptions(
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


_OWN: Final = frozenset(inspect.signature(_options).parameters)
