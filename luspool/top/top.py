"""`luspool top`: shows programs once, or one of them over and over until it ends or somebody has seen enough."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from contextlib import nullcontext

from msgspec import Struct

from .. import errors
from ..scheduler.usage import usage_of
from ..streams import StandardStreams
from . import view
from .client import Answer, NothingSeenError, ask, programs
from .meeting import Place


class TopOptions(Struct, frozen=True):
    """`seconds` between two looks, `most` states of a program are shown."""

    is_once: bool
    as_json: bool
    sort: str
    most: int
    seconds: float


def top(pid: int | None, options: TopOptions) -> int:
    """Show the program of this process, or all; the exit status."""
    places = programs(pid)
    if options.is_once or options.as_json or len(places) != 1 or not sys.stdout.isatty():
        return _show_once(places, options, is_one=pid is not None)
    try:
        return _show_live(places[0], options)
    except KeyboardInterrupt:
        return errors.OK  # that is how one leaves


def _show_once(places: list[Place], options: TopOptions, *, is_one: bool) -> int:
    """`is_one`: all of them are those of one process."""
    answers = [answer for place in places if (answer := ask(place)) is not None]
    if options.as_json:
        _print(json.dumps(answer) for answer in answers)
    elif not answers:
        raise NothingSeenError("no program of yours that can be looked at runs now")
    elif len(answers) > 1 and not is_one:
        _print([*view.overview(answers), "", "'luspool top PID' shows one of them."])
    else:
        for answer in answers:
            rates = view.Rates.between(None, answer)
            _print(view.plain(answer, rates, options.sort, options.most, _usage(answer)))
    return errors.OK


def _show_live(place: Place, options: TopOptions) -> int:
    from rich.console import Console, Group  # noqa: PLC0415  only where there is a terminal to draw on
    from rich.live import Live  # noqa: PLC0415  likewise
    from rich.table import Table  # noqa: PLC0415  likewise
    from rich.text import Text  # noqa: PLC0415  likewise

    console = Console(highlight=False)

    def drawn(answer: Answer, before: Answer | None) -> Group:
        lines = [Text(line, no_wrap=True) for line in view.heading(answer, _usage(answer))]
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in view.COLUMNS:
            table.add_column(name, justify="left" if name in view.LEFT else "right", no_wrap=True)
        room = min(options.most, max(1, console.height - len(lines) - 3))
        for row in view.rows(answer, view.Rates.between(before, answer), options.sort, room):
            table.add_row(*map(Text, row))
        return Group(*lines, Text(""), table)

    before: Answer | None = None
    with Live(console=console, auto_refresh=False, screen=True) as live:
        while (answer := ask(place)) is not None:
            live.update(drawn(answer, before), refresh=True)
            before = answer
            time.sleep(options.seconds)
    _print([f"process {place.pid} has ended" if before else f"process {place.pid} can't be looked at"])
    return errors.OK


def _usage(answer: Answer) -> dict[int, tuple[float, int]]:
    """Of its processes, while they are there."""
    usages = [usage_of(host["pid"]) for host in answer["hosts"]]
    return {usage.pid: (usage.cpu, usage.resident) for usage in usages if usage is not None}


def _print(lines: Iterable[str]) -> None:
    streams = StandardStreams(nullcontext())
    streams.write(1, "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))
    streams.flush()
