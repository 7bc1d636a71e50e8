"""What a ledger says, for people and for programs: a summary, tables, JSON lines, CSV, GNU parallel's joblog. Pure."""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from ..permissions.decision import visible
from ..scheduler.units import format_duration, format_size
from .ledger import Cause, Entry, RunRecord
from .outcome import Status

JSON_VERSION: Final = 1

COLUMNS: Final = (
    "number",
    "script",
    "args",
    "status",
    "exit_status",
    "began",
    "wall",
    "cpu",
    "memory",
    "tries",
    "crashes",
    "stdout",
    "stdout_size",
    "stderr",
    "stderr_size",
    "cause",
    "failure",
    "audit",
)
"""Of what is exported, after `v`. Times are seconds, `began` in RFC 3339; sizes bytes."""


def record_of(entry: Entry) -> dict[str, Any]:
    """An entry as plain data, for JSON lines."""
    spec = json.loads(entry.spec)
    return {
        "v": JSON_VERSION,
        "number": entry.number,
        "script": spec["script"],
        "args": spec.get("arguments", []),
        "status": status_of(entry),
        "exit_status": entry.exit_status,
        "began": _time(entry.began),
        "wall": entry.wall / 1e9,
        "cpu": entry.cpu / 1e9,
        "memory": entry.memory,
        "tries": entry.tries,
        "crashes": entry.crashes,
        "stdout": _text(entry.stdout),
        "stdout_size": entry.stdout_size,
        "stderr": _text(entry.stderr),
        "stderr_size": entry.stderr_size,
        "cause": entry.cause,
        "failure": entry.failure,
        "audit": entry.audit or None,
    }


def status_of(entry: Entry) -> str:
    """Its status, or where it has none yet: `pending`; also while it is to be tried again."""
    return "pending" if entry.status is None or entry.again else entry.status


def as_json_line(entry: Entry) -> str:
    """One entry as a line of JSON. What is no UTF-8 in it is surrogate-escaped."""
    return json.dumps(record_of(entry))


def as_csv(entries: Iterable[Entry]) -> Iterator[str]:
    """RFC 4180, with a line of names; arguments are one field, quoted as for a shell. What is no UTF-8 is spelt out."""
    yield _csv_line(COLUMNS)
    for entry in entries:
        record = record_of(entry)
        record["args"] = shlex.join(record["args"])
        yield _csv_line([record[name] for name in COLUMNS])


def as_joblog(entries: Iterable[Entry]) -> Iterator[str]:
    """The columns of GNU parallel's --joblog. Items without a result have no line, as there."""
    yield "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"
    for entry in entries:
        if status_of(entry) == "pending":
            continue
        spec = json.loads(entry.spec)
        command = visible(shlex.join(["luspool", "run", spec["script"], *spec.get("arguments", [])]))
        size = entry.stdout_size + entry.stderr_size
        times = f"{entry.began:.3f}\t{entry.wall / 1e9:9.3f}"
        yield f"{entry.number}\t:\t{times}\t0\t{size}\t{entry.exit_status}\t0\t{command}\n"


def summary(run: RunRecord, counts: Mapping[str | None, int], causes: Iterable[Cause]) -> str:
    """A run in some lines: how many items came to which end, and why."""
    lines = [f"run {run.id}: {_count(run.total, 'item')}, {run.state}{_duration(run)}"]
    lines += [f"  {counts[word]:>8}  {word}" for word in Status if counts.get(word)]
    if counts.get(None):
        lines.append(f"  {counts[None]:>8}  pending")
    shown = list(causes)
    if shown:
        lines.append("failures by cause:")
    for cause in shown:
        lines.append(f"  {cause.count:>8}  {cause.status}: {visible(cause.cause)} ({visible(cause.script)})")
    return "\n".join(lines)


def table(entries: Iterable[Entry]) -> Iterator[str]:
    """A line for each entry; behind it the file of its audit log, where there is one."""
    yield f"{'item':>8}  {'status':<11}  {'exit':>4}  {'wall':>9}  {'cpu':>9}  {'memory':>9}  {'tries':>5}  script\n"
    for entry in entries:
        spec = json.loads(entry.spec)
        command = visible(shlex.join([spec["script"], *spec.get("arguments", [])]))
        used = f"{format_duration(entry.wall):>9}  {format_duration(entry.cpu):>9}  {format_size(entry.memory):>9}"
        cause = f"  ({visible(entry.cause)})" if entry.cause else ""
        audit = f"  {visible(entry.audit)}" if entry.audit else ""
        status = status_of(entry)
        numbers = f"{entry.number:>8}  {status:<11}  {entry.exit_status:>4}  {used}  {entry.tries:>5}"
        yield f"{numbers}  {command}{cause}{audit}\n"


def output(entries: Iterable[Entry]) -> Iterator[bytes]:
    """What items wrote to standard output, one after the other."""
    return (entry.stdout for entry in entries)


def _duration(run: RunRecord) -> str:
    return "" if run.ended is None else f" after {format_duration(round((run.ended - run.began) * 1000) * 10**6)}"


def _count(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"


def _time(seconds: float) -> str | None:
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _csv_line(values: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(["" if value is None else value for value in values])
    text = line.getvalue()
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text
