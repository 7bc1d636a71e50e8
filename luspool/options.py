"""Options that several commands have, as decorators and callbacks for click."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from .limit_options import LIMIT_OPTIONS, parse_slice
from .scheduler.limits import Limits
from .scheduler.protocol import DEFAULT_SLICE_NANOSECONDS
from .scheduler.units import format_duration

Read = TypeVar("Read")


def quiet_option(command: Callable[..., int]) -> Callable[..., int]:
    option = click.option("-q", "--quiet", "verbosity", flag_value=-1, type=int, help="One line for each error.")
    return option(command)


def verbosity_options(command: Callable[..., int]) -> Callable[..., int]:
    verbose = click.option("-v", "--verbose", "verbosity", flag_value=1, type=int, help="Say also what is done.")
    return quiet_option(verbose(command))


def strict_globals_option(command: Callable[..., int]) -> Callable[..., int]:
    text = "After a `global` declaration undeclared names are errors, as in Lua 5.5."
    return click.option("--strict-globals", is_flag=True, help=text)(command)


def reader(parse: Callable[[str], Read]) -> Callable[[click.Context, click.Parameter, str | None], Read | None]:
    """For an option whose value `parse` reads; its ValueError says what can be written."""

    def read(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Read | None:
        try:
            return None if text is None else parse(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return read


def slice_option(text: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """`--slice`, given as `slice_nanoseconds`. `text` is its help, to which the default is added."""
    default = format_duration(DEFAULT_SLICE_NANOSECONDS)
    return click.option(
        "--slice",
        "slice_nanoseconds",
        default=default,
        callback=reader(parse_slice),
        metavar="TIME",
        help=f"{text} [{default}]",
    )


def once(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> str | None:
    """For an option that means something else than its last value if it is repeated."""
    if len(values) > 1:
        raise click.BadParameter("given more than once; a set of a policy may extend others")
    return values[0] if values else None


def grouped(
    name: str, make: Callable[..., object], *options: Callable[[Callable[..., int]], Callable[..., int]]
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """A decorator that gives a command `options`, in the order in which help lists them. Of what they come to it gets,
    as `name`, what `make` makes of those that are its parameters, and all others by their names."""
    own = frozenset(inspect.signature(make).parameters)

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        @wraps(command)
        def collected(**given: Any) -> int:  # noqa: ANN401  whatever click passes
            made = make(**{one: given.pop(one) for one in own})
            return command(**{name: made}, **given)

        decorated: Callable[..., int] = collected
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


class _LimitOption(click.Option):
    """An option that help lists among the limits (see `LimitedCommand`)."""


class LimitedCommand(click.Command):
    """Shows the limits in a section of their own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        limits = [param for param in options if isinstance(param, _LimitOption)]
        others = [param for param in options if param not in limits]
        for title, group in (("Options", others), ("Limits, or `unlimited`", limits)):
            with formatter.section(title):
                formatter.write_dl([record for param in group if (record := param.get_help_record(ctx)) is not None])


def limit_options(command: Callable[..., int]) -> Callable[..., int]:
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
            callback=reader(option.parse),
            metavar=option.unit.metavar,
            help=text,
        )
        decorated = flag(decorated)
    return decorated
