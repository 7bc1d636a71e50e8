"""What was measured, as text, as data, and as pictures."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import Goal, Result, Work, exponents

import luspool

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OURS_COLOUR, _PEER_COLOUR = "#2458a6", "#b8bec8"


def versions() -> dict[str, str]:
    """Of everything that takes part, and the processor."""
    found = {
        "luspool": luspool.__version__,
        "Python": platform.python_version(),
        "lupa": _version_of_lupa(),
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} of them",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
    }
    for name, command in (("Node", ("node", "--version")), ("Erlang", _ERLANG), ("lua5.4", ("lua5.4", "-v"))):
        if shutil.which(command[0]) is not None:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            found[name] = done.stdout.partition("  Copyright")[0].strip()
    return found


_ERLANG = ("erl", "-noshell", "-eval", "io:put_chars(erlang:system_info(otp_release)), init:stop().")


def _version_of_lupa() -> str:
    import lupa  # noqa: PLC0415  only for this

    return str(lupa.__version__)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def table(result: Result) -> list[str]:
    """Lines for people: what it costs each, and what was reached."""
    work = result.work
    lines = [f"{work.name}"]
    for name, samples in result.samples.items():
        lines.append(f"  {name:26} {spread(samples, work.unit):>38}")
    for goal in work.goals:
        if (line := _reached(result, goal)) is not None:
            lines.append(f"  {line}")
    return lines


def page(groups: Mapping[str, Sequence[Result]]) -> str:
    """For docs/performance.md: a picture and a list of what was reached for each group, in Markdown."""
    lines = [
        ", ".join(f"{name} {version}" for name, version in versions().items())
        + f"; medians of {_rounds(groups)} rounds."
    ]
    for name, results in groups.items():
        lines += ["", f"### {name}", "", f"![{name}](bench-{name}.svg)", ""]
        lines += ["| work | who | median (least to greatest) | to reach |", "|---|---|---|---|"]
        for result in results:
            for who, samples in result.samples.items():
                lines.append(
                    f"| {result.work.name} | {who} | {spread(samples, result.work.unit)} | {_marks(result, who)} |"
                )
        lines += ["", *(f"- {line}" for line in growth(results))]
    return "\n".join(lines) + "\n"


def front_page(groups: Mapping[str, Sequence[Result]], picture: Path) -> str:
    """For README.md: draws the picture of how many times as good as its peers luspool is, and shows it."""
    compared = [
        (
            f"{result.work.name}{goal.ours.removeprefix('luspool')}: {goal.peer}",
            result.times_as_good(goal.ours, goal.peer),
        )
        for results in groups.values()
        for result in results
        for goal in result.work.goals
        if goal.ours.startswith("luspool") and goal.peer is not None and result.figure(goal) is not None
    ]
    if not compared:
        return ""
    _draw_comparison(compared, picture)
    text = f"How many times as fast luspool is: the median of {_rounds(groups)} rounds, with the least and the greatest"
    return f"![{text}](docs/{picture.name})\n\n{text}.\n"


def _rounds(groups: Mapping[str, Sequence[Result]]) -> str:
    """How many there were, where not all had as many: the least and the most."""
    numbers = {len(samples) for results in groups.values() for one in results for samples in one.samples.values()}
    return " to ".join(map(str, sorted({min(numbers), max(numbers)}))) if numbers else "no"


def _marks(result: Result, ours: str) -> str:
    """What `ours` is to reach in this work, and what it did."""
    marks = []
    for goal in result.work.goals:
        figure = result.figure(goal)
        if goal.ours != ours or figure is None:
            continue
        word = "" if result.is_reached(goal) else " **not**"
        if goal.peer is None:
            marks.append(f"{amount(goal.most, result.work.unit)} at most:{word} reached")
        else:
            marks.append(f"{goal.factor:.3g} times {goal.peer}:{word} reached, {figure:.2f}")
    return "; ".join(marks)


def growth(results: Sequence[Result]) -> list[str]:
    """For people: how the costs of series grow."""
    lines = []
    for series in dict.fromkeys(result.work.series for result in results if result.work.series):
        of_series = [result for result in results if result.work.series == series]
        for name, exponent in exponents(of_series).items():
            lines.append(f"{series}: the cost for {name} grows with its power of {exponent:.2f}")
    return lines


def _reached(result: Result, goal: Goal) -> str | None:
    figure = result.figure(goal)
    if figure is None:
        return None
    word = "reached" if result.is_reached(goal) else "NOT reached"
    if goal.peer is None:
        shown, most = amount(figure, result.work.unit), amount(goal.most, result.work.unit)
        return f"-> {goal.ours}: {shown}, to reach {most}: {word}"
    times = result.times_as_good(goal.ours, goal.peer)
    return (
        f"-> {goal.ours} is {figure:.2f} times ({min(times):.2f} to {max(times):.2f}) as good as {goal.peer}, "
        f"to reach {goal.factor:g}: {word}"
    )


def spread(samples: Sequence[float], unit: str) -> str:
    """The median, the least and the greatest."""
    median, least, most = (amount(value, unit) for value in (statistics.median(samples), min(samples), max(samples)))
    return f"{median} ({least} to {most})"


_STEPS = {
    "s": (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)),
    "B": (("MB", 1e6), ("KB", 1e3), ("B", 1.0)),
}


def amount(value: float, unit: str) -> str:
    """With a unit that makes it a number that can be read."""
    steps = _STEPS[unit]
    name, step = next((one for one in steps if abs(value) >= one[1]), steps[-1])
    return f"{value / step:.3g} {name}"


def as_data(groups: Mapping[str, Sequence[Result]]) -> dict[str, Any]:
    """For `--json`: all samples, in seconds or bytes, and what was reached."""
    return {
        "versions": versions(),
        "groups": {name: [_result(one) for one in results] for name, results in groups.items()},
    }


def _result(result: Result) -> dict[str, Any]:
    return {
        "work": result.work.name,
        "unit": result.work.unit,
        "samples": result.samples,
        "failures": result.failures,
        "goals": [
            {
                "ours": goal.ours,
                "peer": goal.peer,
                "to_reach": goal.most if goal.peer is None else goal.factor,
                "figure": result.figure(goal),
                "reached": result.is_reached(goal),
            }
            for goal in result.work.goals
        ],
    }


def draw(name: str, results: Sequence[Result], folder: Path) -> None:
    """A picture of a group, as PNG and SVG: a chart for each work, with a bar for each contender and a line from the
    least to the greatest."""
    pyplot = _pyplot()
    shown = [result for result in results if result.samples]
    heights = [0.6 + 0.32 * len(result.samples) for result in shown]
    figure, axes = pyplot.subplots(
        len(shown), 1, figsize=(8, sum(heights)), height_ratios=heights, squeeze=False, layout="constrained"
    )
    for result, chart in zip(shown, axes[:, 0], strict=True):
        _chart(chart, result)
    for kind in ("png", "svg"):
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(folder / f"bench-{name}.{kind}", dpi=110, metadata=metadata)
    pyplot.close(figure)


def _draw_comparison(compared: Sequence[tuple[str, Sequence[float]]], picture: Path) -> None:
    pyplot = _pyplot()
    figure, chart = pyplot.subplots(figsize=(8, 0.6 + 0.3 * len(compared)), layout="constrained")
    names = [name for name, _ in compared]
    medians = [statistics.median(times) for _, times in compared]
    _bars(chart, names, [times for _, times in compared], [_OURS_COLOUR] * len(names), left=1)
    chart.set_xscale("log")
    chart.axvline(1, color="#555", linewidth=0.8)
    chart.set_title("how many times as fast as …: more is better", fontsize=9, loc="left")
    chart.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    chart.xaxis.set_minor_formatter(lambda *_: "")
    _finish(chart, [f"{median:.3g}" for median in medians], [max(1.0, median) for median in medians])
    figure.savefig(picture, dpi=110)
    pyplot.close(figure)


def _pyplot() -> Any:  # noqa: ANN401  a module
    import matplotlib as mpl  # noqa: PLC0415  takes a second, and is not there for who draws nothing

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "luspool"  # the same picture has the same bytes
    from matplotlib import pyplot  # noqa: PLC0415

    return pyplot


def _chart(chart: Axes, result: Result) -> None:
    work: Work = result.work
    names = list(result.samples)
    medians = [statistics.median(result.samples[name]) for name in names]
    colours = [_OURS_COLOUR if name.startswith("luspool") else _PEER_COLOUR for name in names]
    _bars(chart, names, [result.samples[name] for name in names], colours)
    chart.set_title(f"{work.name}: less is better", fontsize=9, loc="left")
    is_wide = max(medians) > 20 * min(medians) > 0
    if is_wide:
        chart.set_xscale("log")
    chart.xaxis.set_major_formatter(lambda value, _: amount(value, work.unit))
    _finish(chart, [amount(median, work.unit) for median in medians], medians)


def _bars(
    chart: Axes, names: Sequence[str], samples: Sequence[Sequence[float]], colours: Sequence[str], left: float = 0
) -> None:
    """A bar for each, from `left` to the median of its samples, and a line from the least to the greatest."""
    medians = [statistics.median(one) for one in samples]
    below = [median - min(one) for median, one in zip(medians, samples, strict=True)]
    above = [max(one) - median for median, one in zip(medians, samples, strict=True)]
    widths = [median - left for median in medians]
    chart.barh(range(len(names)), widths, left=left, xerr=(below, above), color=colours, ecolor="#555", height=0.65)
    chart.set_yticks(range(len(names)), names)
    chart.invert_yaxis()


def _finish(chart: Axes, labels: Sequence[str], places: Sequence[float]) -> None:
    """The labels of the bars, which end at these places, and less ink."""
    chart.tick_params(labelsize=8)
    chart.spines[["top", "right"]].set_visible(False)
    for number, (label, place) in enumerate(zip(labels, places, strict=True)):
        chart.annotate(label, (place, number), (4, 0), textcoords="offset points", va="bottom", fontsize=7)
