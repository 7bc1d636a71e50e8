"""What was seen of programs, for people. Pure. All that comes from scripts is made visible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from ..permissions.decision import visible
from ..report import WAITED_FOR
from ..scheduler.units import format_duration, format_size
from .client import Answer

COLUMNS: Final = ("state", "host", "cpu %", "cpu", "memory", "in", "out", "script", "what it does")
LEFT: Final = ("script", "what it does")
"""Those of the columns that are no numbers."""
_LINES_MOST: Final = 8
"""About processes."""
_WORK: Final = {
    "items": "items",
    "done": "done",
    "failed": "failed",
    "running": "running",
    "waiting": "waiting",
    "again": "to be tried again",
    "skipped": "done before",
}
"""What is counted of a batch, or of jobs, in words."""

_OVERVIEW: Final = ("pid", "for", "hosts", "states", "running", "waiting", "cpu", "memory", "script")


class Rates(Struct, frozen=True):
    """How fast states used processor time between two answers of one program."""

    used: Mapping[tuple[int, int], int]
    """By host process and state: nanoseconds."""
    took: int

    @classmethod
    def between(cls, before: Answer | None, after: Answer) -> Rates:
        """Without an answer before, since the beginning of the program."""
        if before is None:
            return cls(_used(after), after["running_for"])
        earlier = _used(before)
        used = {key: _since(earlier.get(key, 0), cpu) for key, cpu in _used(after).items()}
        return cls(used, after["running_for"] - before["running_for"])

    def percent(self, host: int, state: int) -> float:
        """Of one processor."""
        return 100 * self.used[host, state] / self.took if self.took > 0 else 0.0


def _since(before: int, now: int) -> int:
    """A state that has used less than before is another one: its process stays, and runs one program after another."""
    return now - before if now >= before else now


def _used(answer: Answer) -> dict[tuple[int, int], int]:
    return {(host["pid"], state["state"]): state["cpu"] for host in answer["hosts"] for state in host["shown"]}


def heading(answer: Answer, usage: Mapping[int, tuple[float, int]]) -> Iterator[str]:
    """Some lines about a program as a whole. `usage` of its processes: seconds of processor time, bytes of memory."""
    hosts = answer["hosts"]
    total = {name: sum(host[name] for host in hosts) for name in ("states", "running", "ready", "waiting", "memory")}
    words = ", ".join(f"{total[name]} {name}" for name in ("running", "ready", "waiting"))
    running_for = format_duration(answer["running_for"])
    yield f"{_name(answer)}, process {answer['pid']}, for {running_for}"
    yield from _work(answer)
    if hosts:
        yield f"{_states(total['states'])}: {words}; {format_size(total['memory'])} of memory"
    tasks = {task["process"]: task for task in answer.get("running", ())}
    for host in hosts[:_LINES_MOST]:
        parts = [f"host {host['host']}, process {host['pid']}"]
        if host["pid"] in tasks:
            parts[0] += f", {_task(tasks[host['pid']])}"
        if host["pid"] in usage:
            cpu, resident = usage[host["pid"]]
            parts.append(f"{format_duration(round(cpu * 1e9))} of processor time, {format_size(resident)} resident")
        yield f"{': '.join(parts)}; {_states(host['states'])}"
    if len(hosts) > _LINES_MOST:
        yield f"and {len(hosts) - _LINES_MOST} more"
    if answer["silent"]:
        silent = answer["silent"]
        yield "1 process does not answer" if silent == 1 else f"{silent} processes do not answer"
    elsewhere = [task for task in answer.get("running", ()) if task["process"] is None]
    yield from (f"elsewhere, {_task(task)}" for task in elsewhere[:_LINES_MOST])
    if len(elsewhere) > _LINES_MOST:
        yield f"and {len(elsewhere) - _LINES_MOST} more"


def _states(count: int) -> str:
    return "1 state" if count == 1 else f"{count} states"


def _name(answer: Answer) -> str:
    name = visible(answer["script"])
    return f"{name} in {visible(answer['program'])}" if "program" in answer else name


def _work(answer: Answer) -> Iterator[str]:
    """How far a batch is, or what runs beside a program."""
    for what in ("batch", "jobs"):
        if what in answer:
            counts = [f"{count} {_WORK[name]}" for name, count in answer[what].items() if count]
            yield f"{what}: {', '.join(counts)}"


def _task(task: Mapping[str, Any]) -> str:
    return f"{task['number']} ({visible(task['script'])}) for {format_duration(task['running_for'])}"


def rows(answer: Answer, rates: Rates, sort: str, most: int) -> list[tuple[str, ...]]:
    """The first of the states that are shown, as `COLUMNS`."""
    pairs = [(host, state) for host in answer["hosts"] for state in host["shown"]]

    def key(pair: tuple[Any, Any]) -> tuple[float, ...]:
        host, state = pair
        by = {
            "cpu": (rates.percent(host["pid"], state["state"]), state["cpu"]),
            "memory": (state["memory"],),
            "mail": (state["inbox"] + state["outbox"],),
        }
        return (*(-number for number in by[sort]), state["state"])

    return [_row(host, state, rates) for host, state in sorted(pairs, key=key)[:most]]


def _row(host: Mapping[str, Any], state: Mapping[str, Any], rates: Rates) -> tuple[str, ...]:
    return (
        str(state["state"]),
        str(host["host"]),
        f"{rates.percent(host['pid'], state['state']):.1f}",
        format_duration(state["cpu"]),
        format_size(state["memory"]),
        format_size(state["inbox"]),
        format_size(state["outbox"]),
        visible(state["script"]) or "(not begun)",
        _doing(state),
    )


def _doing(state: Mapping[str, Any]) -> str:
    if state["phase"] != "waiting":
        return "runs" if state["phase"] == "running" else "could run"
    what = WAITED_FOR.get(state["waits_for"], "something")
    whom = f" ({', '.join(map(str, state['awaited']))})" if state["awaited"] else ""
    where = f", {visible(state['location'])}" if state["location"] else ""
    return f"waits for {what}{whom}{where}"


def overview(answers: Sequence[Answer]) -> Iterator[str]:
    """A line for each program, under a line of names."""
    yield _line(_OVERVIEW)
    for answer in answers:
        hosts = answer["hosts"]
        total = {name: sum(host[name] for host in hosts) for name in ("states", "running", "waiting", "cpu", "memory")}
        yield _line(
            (
                str(answer["pid"]),
                format_duration(answer["running_for"]),
                str(len(hosts) + answer["silent"]),
                *(str(total[name]) for name in ("states", "running", "waiting")),
                format_duration(total["cpu"]),
                format_size(total["memory"]),
                visible(answer["script"]),
            )
        )


def plain(answer: Answer, rates: Rates, sort: str, most: int, usage: Mapping[int, tuple[float, int]]) -> Iterator[str]:
    """All of it as lines."""
    yield from heading(answer, usage)
    if not answer["hosts"]:
        return
    yield ""
    table = [COLUMNS, *rows(answer, rates, sort, most)]
    widths = [max(len(row[column]) for row in table) for column in range(len(COLUMNS) - 1)]
    for row in table:
        cells = [
            cell.ljust(width) if name in LEFT else cell.rjust(width)
            for name, cell, width in zip(COLUMNS, row, widths, strict=False)
        ]
        yield "  ".join([*cells, row[-1]])


def _line(cells: Sequence[str]) -> str:
    return "  ".join([cells[0].rjust(10), *(cell.rjust(9) for cell in cells[1:-1]), cells[-1]])
