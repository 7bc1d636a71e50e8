"""The options of the commands that run a script, as click sees them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import click

from .hosts import MAX_HOSTS, MAX_THREADS
from .limit_options import limits_from
from .options import grouped, limit_options, once, slice_option, strict_globals_option, verbosity_options

if TYPE_CHECKING:  # each command imports what it needs: people wait for it
    from .run import RunOptions


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
    slice_option("How long a state runs while others wait; 0: to its end."),
    click.option(
        "--trace", metavar="FILE", envvar="LUSPOOL_TRACE", help="Record in a file what ran when, for Perfetto."
    ),
    strict_globals_option,
    verbosity_options,
    limit_options,
    click.argument("script", metavar="SCRIPT"),
    click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARG]..."),
)
"""All of `run` but those of the audit, in the order in which help lists them."""


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
    slice_nanoseconds: int,
    limits: dict[str, int],
    strict_globals: bool,
    verbosity: int | None,
    trace: str | None,
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
        slice_nanoseconds,
        limits_from(applied.stricter(limits) if applied else limits),
        strict_globals,
        placement == "spread",
        wall or "",
        verbosity or 0,
        applied,
        trace=trace,
    )


run_options = grouped("options", _options, *_OPTIONS)
"""Gives a command all of these options. It gets what they come to as `options`, and its own by their names."""
