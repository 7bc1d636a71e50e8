"""Audit logs, read: from the lines of a file to records. docs/auditing.md describes the format.

A log is data from anywhere, and may have been made to mislead or to exhaust whoever reads it. So its size is bounded,
every field is checked, and whatever is wrong is one `LogError` with file and line. Two things are no fault: a last
line that is torn, and a missing footer, which are what a run leaves that was cut off. Lines that contradict others are
what a host can have sent that has fallen to a script: they are left out and told, since such a log is needed most.

Strings are as the log has them: to show one, pass it through `permissions.decision.visible`.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NoReturn

from msgspec import Struct
from msgspec.structs import replace

from ..errors import UsageError
from ..permissions import PERMISSIONS, Reason
from ..permissions.decision import visible

VERSION: Final = 1
SIZE_MOST: Final = 256 * 1024 * 1024
"""Bytes of a log. All of it is kept in memory, as some five times as much; guessed: more than a million decisions."""
LINE_MOST: Final = 8 * 1024 * 1024
"""Bytes of a line; bounds what reading one can take. A host sends half as much at a time, and a line comes of one."""
_NUMBER_MOST: Final = 2**63 - 1
_RUN: Final = re.compile(r"[0-9a-f]{16}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_REASONS: Final = frozenset(reason.value for reason in Reason)
_ELEMENTARY: Final = frozenset(record.name for record in PERMISSIONS.values() if record.elementary)
_SHOWN: Final = 60
"""Characters of a wrong value that a message quotes."""


class LogError(UsageError):
    """What is wrong with a log, and in which line."""


class Header(Struct, frozen=True):
    """`arguments` is how many the script got. `shadow` names a second policy that was asked, too."""

    run: str
    time: datetime
    luspool: str
    script: str
    arguments: int
    directory: str
    mode: str
    held: tuple[str, ...]
    ceiling: tuple[str, ...]
    shadow: str | None


class StateBegan(Struct, frozen=True):
    """A state begins: the root, which has no parent, or a worker."""

    time: datetime
    state: int
    parent: int | None
    script: str
    held: tuple[str, ...]
    ceiling: tuple[str, ...]


class Decided(Struct, frozen=True):
    """One decision, or `count` identical ones from `time` to `last`. `script` and `line` are where it was asked."""

    id: int
    time: datetime
    state: int
    script: str
    line: int | None
    permission: str
    value: str | None
    resolved: str | None
    decision: str
    """`allowed`, `denied`, or `observed`: allowed since the run only observes."""
    reason: str
    rule: str | None
    origin: str | None
    inherited: bool
    count: int
    last: datetime
    shadow: str | None = None
    """What a second policy says: `allowed` or `denied`."""
    shadow_rule: str | None = None


class Pledged(Struct, frozen=True):
    """One argument of a call of `pledge`, a bound pledge, and what the call gave for it."""

    time: datetime
    state: int
    script: str
    line: int | None
    pledge: str
    granted: bool


class StateEnded(Struct, frozen=True):
    time: datetime
    state: int
    outcome: str


class Footer(Struct, frozen=True):
    time: datetime
    states: int
    decisions: int
    allowed: int
    denied: int
    observed: int
    status: int


class Log(Struct, frozen=True):
    """All of one log; `name` is the file, as it was named. Records are in the order of their lines."""

    name: str
    header: Header
    states: Sequence[StateBegan]
    decisions: Sequence[Decided]
    pledges: Sequence[Pledged]
    ends: Sequence[StateEnded]
    footer: Footer | None
    """None: the run was cut off."""
    doubts: Sequence[str]
    """Where the log contradicts itself, and what then does not count."""


def read_logs(names: Sequence[str]) -> list[Log]:
    """The logs of these files. LogError, also where two of them are of one run."""
    logs: dict[str, Log] = {}
    for name in names:
        log = parse_log(_read(name), name)
        if (other := logs.setdefault(log.header.run, log)) is not log:
            raise LogError(f"{visible(name)} is the log of the same run as {visible(other.name)} (name it once)")
    return list(logs.values())


def parse_log(data: bytes, name: str) -> Log:
    """The log that a file of this content is. LogError."""
    return _Parser(name).parse(data)


def _read(name: str) -> bytes:
    try:
        # What is no file (a pipe, say) must not keep us waiting.
        with open(name, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise LogError(f"the audit log {visible(name)} is no regular file")
            data = file.read(SIZE_MOST + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise LogError(f"cannot read the audit log {visible(name) or repr(name)}: {reason}") from error
    if len(data) > SIZE_MOST:
        raise LogError(f"the audit log {visible(name)} is larger than {SIZE_MOST >> 20} MiB, which is the most")
    return data


class _LineError(Exception):
    """What is wrong with one line."""


class _Fields:
    """The fields of a line. Each is got by its type; whatever is missing or of another one is an error."""

    def __init__(self, data: dict[str, Any]) -> None:
        self._data = data

    def text(self, key: str) -> str:
        # The same few names stand in most lines: each is kept once.
        return sys.intern(self._typed(key, str, "a string"))

    def optional_text(self, key: str) -> str | None:
        return None if self._get(key) is None else self.text(key)

    def texts(self, key: str) -> tuple[str, ...]:
        values = self._typed(key, list, "an array of strings")
        if not all(isinstance(value, str) for value in values):
            self._fail(key, "an array of strings")
        return tuple(values)

    def choice(self, key: str, known: Collection[str]) -> str:
        value = self.text(key)
        if value not in known:
            self._fail(key, f"one of {', '.join(sorted(known))}")
        return value

    def number(self, key: str, least: int = 0) -> int:
        value: int = self._typed(key, int, "a number")
        if not least <= value <= _NUMBER_MOST:
            self._fail(key, f"a number from {least} to 2⁶³-1")
        return value

    def optional_number(self, key: str, least: int = 0) -> int | None:
        return None if self._get(key) is None else self.number(key, least)

    def flag(self, key: str) -> bool:
        value: bool = self._typed(key, bool, "true or false")
        return value

    def time(self, key: str) -> datetime:
        text = self.text(key)
        try:
            if _TIME.fullmatch(text):
                return datetime.fromisoformat(text)
        except ValueError:
            pass  # a month 13, say
        return self._fail(key, "a time as in 2026-01-31T12:00:00.000000Z")

    def has(self, key: str) -> bool:
        return key in self._data

    def _get(self, key: str) -> Any:  # noqa: ANN401  it is what the file says
        if key not in self._data:
            raise _LineError(f'"{key}" is missing')
        return self._data[key]

    def _typed(self, key: str, kind: type, expected: str) -> Any:  # noqa: ANN401  likewise
        value = self._get(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self._fail(key, expected)
        return value

    def _fail(self, key: str, expected: str) -> NoReturn:
        shown = repr(self._data[key])
        raise _LineError(f'"{key}" is {shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"}, not {expected}')


class _Parser:
    def __init__(self, name: str) -> None:
        self._name = name
        self._header: Header | None = None
        self._states: dict[int, StateBegan] = {}
        self._decisions: list[Decided] = []
        self._pledges: list[Pledged] = []
        self._ends: dict[int, StateEnded] = {}
        self._footer: Footer | None = None
        self._number = 0
        """Of the line that is read."""
        self._doubts: list[str] = []

    def parse(self, data: bytes) -> Log:
        at = 0
        for self._number, line in enumerate(_lines(data), 1):
            at += len(line)
            is_torn = at == len(data) and not line.endswith(b"\n")
            try:
                self._line(line)
            except _LineError as error:
                if is_torn and self._header is not None:
                    break
                raise LogError(f"{visible(self._name)}:{self._number}: {visible(str(error))}{_ADVICE}") from None
        if self._header is None:
            raise LogError(f"{visible(self._name)}: the file is empty{_ADVICE}")
        self._cut_circles()
        return Log(
            self._name,
            self._header,
            tuple(self._states.values()),
            tuple(self._decisions),
            tuple(self._pledges),
            tuple(self._ends.values()),
            self._footer,
            tuple(self._doubts),
        )

    def _line(self, line: bytes) -> None:
        fields = _Fields(_decoded(line))
        version = fields.number("v")
        if version != VERSION:
            raise _LineError(f"the log is of version {version}, and this luspool reads version {VERSION}")
        kind, run = fields.text("type"), fields.text("run")
        if (kind == "header") is not (self._header is None):
            raise _LineError("the first line of a log, and no other one, is its header")
        if self._header is None and not _RUN.fullmatch(run):
            raise _LineError(f"{run[:_SHOWN]!r} is no id of a run")
        if self._header is not None and run != self._header.run:
            raise _LineError(f"a line of another run, {run[:_SHOWN]!r}")
        if self._footer is not None:
            raise _LineError("a line behind the footer")
        match kind:
            case "header":
                self._header = _header(run, fields)
            case "state":
                self._add_state(_state(fields))
            case "decision":
                self._decisions.append(_decision(fields))
            case "pledge":
                self._pledges.append(_pledge(fields))
            case "end":
                self._add_end(StateEnded(fields.time("time"), fields.number("state", 1), fields.text("outcome")))
            case "footer":
                self._footer = _footer(fields)
            case _:
                raise _LineError(f"an unknown type of line, {kind[:_SHOWN]!r}")

    def _add_state(self, state: StateBegan) -> None:
        if self._states.setdefault(state.state, state) is not state:
            self._doubts.append(f"line {self._number}: state {state.state} begins for the second time")

    def _add_end(self, end: StateEnded) -> None:
        if self._ends.setdefault(end.state, end) is not end:
            self._doubts.append(f"line {self._number}: state {end.state} ends for the second time")

    def _cut_circles(self) -> None:
        """Nothing is above itself: whoever goes up, or down, comes to an end."""
        sound: set[int] = set()
        for number in self._states:
            way: list[int] = []
            at: int | None = number
            while at in self._states and at not in sound:
                way.append(at)
                sound.add(at)
                at = self._states[at].parent
            if way and at in way:
                self._doubts.append(f"state {at} is above itself")
                self._states[way[-1]] = replace(self._states[way[-1]], parent=None)


_ADVICE: Final = " (is this an audit log of luspool, unchanged?)"


def _lines(data: bytes) -> Iterator[bytes]:
    """With their line ends."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        yield data[start:end]
        start = end


def _decoded(line: bytes) -> dict[str, Any]:
    if len(line) > LINE_MOST:
        raise _LineError(f"a line of more than {LINE_MOST >> 20} MiB")
    try:
        data = _DECODER.decode(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "it can't be read"
        raise _LineError(f"no JSON: {reason}") from None
    if not isinstance(data, dict):
        raise _LineError("not an object of JSON")
    return data


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and the like, which are no JSON


_DECODER: Final = json.JSONDecoder(parse_constant=_no_constant)


def _header(run: str, fields: _Fields) -> Header:
    return Header(
        run,
        fields.time("time"),
        fields.text("luspool"),
        fields.text("script"),
        fields.number("arguments"),
        fields.text("directory"),
        fields.choice("mode", ("enforce", "observe")),
        fields.texts("held"),
        fields.texts("ceiling"),
        fields.optional_text("shadow"),
    )


def _state(fields: _Fields) -> StateBegan:
    return StateBegan(
        fields.time("time"),
        fields.number("state", 1),
        fields.optional_number("parent", 1),
        fields.text("script"),
        fields.texts("held"),
        fields.texts("ceiling"),
    )


def _decision(fields: _Fields) -> Decided:
    return Decided(
        fields.number("id", 1),
        fields.time("time"),
        fields.number("state", 1),
        fields.text("script"),
        fields.optional_number("line", 1),
        fields.choice("permission", _ELEMENTARY),
        fields.optional_text("value"),
        fields.optional_text("resolved"),
        fields.choice("decision", ("allowed", "denied", "observed")),
        fields.choice("reason", _REASONS),
        fields.optional_text("rule"),
        fields.optional_text("origin"),
        fields.flag("inherited"),
        fields.number("count", 1),
        fields.time("last"),
        fields.choice("shadow", ("allowed", "denied")) if fields.has("shadow") else None,
        fields.optional_text("shadow_rule") if fields.has("shadow_rule") else None,
    )


def _pledge(fields: _Fields) -> Pledged:
    return Pledged(
        fields.time("time"),
        fields.number("state", 1),
        fields.text("script"),
        fields.optional_number("line", 1),
        fields.text("pledge"),
        fields.flag("granted"),
    )


def _footer(fields: _Fields) -> Footer:
    return Footer(
        fields.time("time"),
        *(fields.number(key) for key in ("states", "decisions", "allowed", "denied", "observed", "status")),
    )
