"""The command `scripts/bench`: luspool beside others, in one run and in turns."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import click
import figures
import kept
from measure import FailedError, Result, Slope, Work, measure
from works import GROUPS, Peers

ROOT = Path(__file__).resolve().parents[2]
PAGE, FRONT_PAGE, KEPT = ROOT / "docs/performance.md", ROOT / "README.md", ROOT / "docs/bench.json"
BEGIN, END = "<!-- bench: written by scripts/bench --write -->\n", "<!-- end of bench -->\n"


def _peer(text: str) -> tuple[str, tuple[str, ...]]:
    name, equals, command = text.partition("=")
    words = tuple(shlex.split(command))
    if not (name and equals and words):
        raise click.BadParameter(f"{text!r}: it has the form NAME=COMMAND, as in lus=/usr/local/bin/lus")
    return name, words


def _shorten(work: Work) -> None:
    for contender in work.contenders:
        if isinstance(contender.sample, Slope):
            contender.sample.shorten()


def _write(page: Path, text: str) -> None:
    """Put it where the page has it."""
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    page.write_text(f"{before}{BEGIN}{text}{END}{rest.split(END)[1]}", encoding="utf-8")


def _write_pages(results: dict[str, list[Result]], taking_part: Peers) -> None:
    """Keep these, and show all that is kept."""
    for name, of_group in results.items():
        kept.keep(KEPT, name, of_group)
    shown = kept.results(KEPT, {name: make(taking_part) for name, make in GROUPS.items()})
    _write(PAGE, figures.page(shown))
    for name in results:  # the others have their pictures
        figures.draw(name, shown[name], PAGE.parent)
    _write(FRONT_PAGE, figures.front_page(shown, PAGE.parent / "bench.png"))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("groups", metavar="[GROUP]...", nargs=-1, type=click.Choice(list(GROUPS)))
@click.option("--rounds", metavar="N", default=7, show_default=True, type=click.IntRange(1), help="Samples of each.")
@click.option("--json", "as_json", is_flag=True, help="Print every sample as JSON.")
@click.option("--peer", "peers", metavar="NAME=COMMAND", multiple=True, help="One more that runs the Lus programs.")
@click.option("--smoke", is_flag=True, help="Only see whether everything runs: the figures are worth nothing.")
@click.option("--only", metavar="TEXT", default="", help="Only works whose name has this in it.")
@click.option(
    "--write", is_flag=True, help="Write tables into docs/performance.md, and pictures, also of what other groups had."
)
def main(  # noqa: PLR0913, PLR0917  the options of a command
    groups: tuple[str, ...],
    rounds: int,
    as_json: bool,
    peers: tuple[str, ...],
    smoke: bool,
    only: str,
    write: bool,
) -> None:
    """Measure luspool beside others that do the same: all groups, or those named.

    \b
    cpu         one state that computes
    create      from a worker's creation to its end
    one-way     messages from a worker to its parent
    round-trip  a number to a worker and back
    many        1,000 workers that pass a token, 100,000 that wait
    scaling     work for one processor, and for two
    fairness    messages beside endless loops
    start       a program that prints a line
    batch       many small scripts
    costs       what the audit log, walls and slices cost
    growth      costs that grow with sizes and numbers

    What is shown is what one operation costs: the median, the least and the greatest. In each round everybody has a
    turn, and is compared with the others of that round. Who is not installed is left out.
    """
    taking_part = Peers(dict(map(_peer, peers)), is_smoke=smoke)
    works = {name: make(taking_part) for name, make in GROUPS.items() if not groups or name in groups}
    for executable, install in taking_part.missing.items():
        click.echo(f"left out: {executable} is not installed ({install})", err=True)
    results: dict[str, list[Result]] = {}
    for name, of_group in works.items():
        results[name] = []
        for work in of_group:
            if only not in work.name:
                continue
            if smoke:
                _shorten(work)
            result = measure(work, rounds, lambda text: click.echo(text, err=True))
            results[name].append(result)
            if not as_json:
                click.echo("\n".join(figures.table(result)))
        if not as_json and (lines := figures.growth(results[name])):
            click.echo("\n".join(lines))
    if as_json:
        click.echo(json.dumps(figures.as_data(results), indent=1))
    else:
        click.echo(", ".join(f"{name} {version}" for name, version in figures.versions().items()))
    if write:
        _write_pages(results, taking_part)
    if any(result.failures for of_group in results.values() for result in of_group):
        raise click.ClickException("not everybody could be measured; see above")


if __name__ == "__main__":
    try:
        main()
    except FailedError as error:
        sys.exit(str(error))
