"""The lines of an audit log, from what hosts send of the decisions of their states. Pure, but for the time of day.

`record.schema.json` has the form of the lines, `sandbox/recorder.py` that of what hosts send. A host may have fallen to
a script, so all of that is checked: it can tell lies about states, but whatever it sends, what we write are such lines.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from json.encoder import encode_basestring_ascii
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec.json
from msgspec import Struct

from ..permissions import PERMISSIONS, PledgeSet, Reason, held_and_ceiling
from ..scheduler import wire
from ..scheduler.letters import shown_number

VERSION: Final = 1
_DECISIONS: Final = ("allowed", "denied", "observed")
_REASONS: Final = frozenset(reason.value for reason in Reason)
_ELEMENTARY: Final = frozenset(name for name, record in PERMISSIONS.items() if record.elementary)
_LONGEST_OUTCOME: Final = 100
_LONGEST_LINE: Final = 10
_MOST: Final = (1 << 63) - 1
"""Of numbers that hosts count, and of nanoseconds since 1970."""
_SECOND: Final = 1_000_000_000
_CHARACTERS_MOST: Final = 32 * 1024 * 1024
"""Of the lines of one part, but for their values: a short row may be one of a long line. An honest host sends less."""
_BARE: Final = 200
"""Characters of a line that are the same in each, about."""

_Json: TypeAlias = Any  # what a JSON text may hold


class LogHeader(Struct, frozen=True):
    """What the first line says of the run."""

    luspool: str
    script: str
    arguments: int
    directory: str
    observes: bool
    pledges: PledgeSet
    """Those that were asked for, also where the run is observed and another set is in force."""
    shadow: str | None
    """The name of the policy that decisions are compared with."""


class LogLines:
    """Makes the lines of one log, and counts. What it gives are whole lines, in ASCII."""

    def __init__(self, run: str, header: LogHeader) -> None:
        """`run` names the run."""
        self.states = 0
        self.decisions: Counter[str] = Counter()
        """By what was decided."""
        self._run = run
        self._decided = f'{{"v":{VERSION},"type":"decision","run":"{run}","id":'
        self._header = header
        self._last_id = 0

    def header(self) -> str:
        """The first line."""
        header = self._header
        held, ceiling = held_and_ceiling(header.pledges)
        return self._line(
            "header",
            time=self._now(),
            luspool=header.luspool,
            script=header.script,
            arguments=header.arguments,
            directory=header.directory,
            mode="observe" if header.observes else "enforce",
            held=held,
            ceiling=ceiling,
            shadow=header.shadow,
        )

    def footer(self, status: int) -> str:
        """The last line, with the exit status of the run."""
        counts = {word: self.decisions[word] for word in _DECISIONS}
        total = self.decisions.total()
        return self._line("footer", time=self._now(), states=self.states, decisions=total, **counts, status=status)

    def of(self, record: wire.Record) -> str:
        """The lines of what a host has sent. WireError where no host sends that; then nothing has changed."""
        try:
            batch = _Batch(_number(record.state), self._last_id)
            for part in _checked(list, _parsed(record.rows)):
                if type(part[0]) is str:
                    batch.lines.append(self._event(batch, part))
                else:
                    batch.lines += self._decisions(batch, part)
        # ValueError also of a text that is no JSON, TypeError and ValueError of one with other parts than are due.
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise wire.WireError(f"no records: {error!r:.200}") from error
        self._last_id = batch.last_id
        self.states += batch.states
        self.decisions += batch.decisions
        return "".join(batch.lines)

    def _event(self, batch: _Batch, part: list[_Json]) -> str:
        batch.last_id += 1
        kind, at, *fields = part
        common = {"id": batch.last_id, "time": _time(at), "state": batch.state}
        match kind, fields:
            case "pledge", [str(where), str(pledge), bool(granted)]:
                script, line = _place(where)
                return self._line("pledge", **common, script=script, line=line, pledge=pledge, granted=granted)
            case "state", [int(creator), str(script), list(held), list(ceiling)]:
                if not all(isinstance(pledge, str) for pledge in (*held, *ceiling)):
                    raise TypeError("a pledge that is no text")
                batch.states += 1
                parent = _number(creator) if creator else None
                return self._line("state", **common, parent=parent, script=script, held=held, ceiling=ceiling)
            case "end", [str(outcome)] if 0 < len(outcome) <= _LONGEST_OUTCOME:
                return self._line("end", **common, outcome=outcome)
        raise ValueError(f"a part {kind!r:.50}")

    def _decisions(self, batch: _Batch, part: list[_Json]) -> list[str]:
        """There may be millions of them, so they are made by columns, of pieces that are made once."""
        grounds, numbers, asked, resolved, at, again = part
        if min(_checked(int, numbers)) < 0:
            raise ValueError("a ground from the end")
        pieces = [self._ground(batch.state, ground) for ground in grounds]
        found: Counter[int] = Counter(numbers)
        if sum(rows * (_BARE + sum(map(len, pieces[number]))) for number, rows in found.items()) > _CHARACTERS_MOST:
            raise ValueError(f"more than {_CHARACTERS_MOST} characters of lines")
        for number, rows in found.items():
            batch.decisions[pieces[number].word] += rows
        seconds, microseconds = _times(at)
        ends = [f'1,"last":"{second}{rest}Z' for second, rest in zip(seconds, microseconds, strict=True)]
        for row, count, last in again:
            ends[_integer(row, 0)] = f'{_integer(count, 1)},"last":"{_time(last)}'
            batch.decisions[pieces[numbers[row]].word] += count - 1
        first = batch.last_id + 1
        batch.last_id += len(microseconds)
        of_rows = [pieces[number] for number in numbers]
        columns = zip(of_rows, seconds, microseconds, _texts(asked), _texts(resolved), ends, strict=True)
        return [
            f'{self._decided}{number},"time":"{second}{rest}{before}{value},"resolved":{real}{because}{end}{after}'
            for number, ((_, before, because, after), second, rest, value, real, end) in enumerate(columns, first)
        ]

    def _ground(self, state: int, fields: list[_Json]) -> _Ground:
        where, permission, word, reason, rule, origin, inherited, *shadow = fields
        if permission not in _ELEMENTARY or reason not in _REASONS or type(inherited) is not bool:
            raise ValueError(f"a verdict {permission!r:.50}, {reason!r:.50}, {inherited!r:.50}")
        is_possible = self._header.observes if word == "observed" else word in _DECISIONS
        if not is_possible or (word == "allowed") is not (reason == Reason.HELD.value):
            raise ValueError(f"a decision {word!r:.50}, {reason}")
        script, line = _place(where)
        before = _members({"state": state, "script": script, "line": line, "permission": permission})
        texts = {"decision": word, "reason": reason, "rule": _optional(rule), "origin": _optional(origin)}
        because = _members({**texts, "inherited": inherited})
        compared = ""
        if self._header.shadow is not None:
            decision, shadow_rule = shadow
            if decision not in ("allowed", "denied"):
                raise ValueError(f"a decision {decision!r:.50}")
            compared = "," + _members({"shadow": decision, "shadow_rule": _optional(shadow_rule)})
        elif shadow:
            raise ValueError("a shadow's decision, and there is none")
        return _Ground(word, f'Z",{before},"value":', f',{because},"count":', f'"{compared}}}\n')

    def _line(self, kind: str, **fields: _Json) -> str:
        return "{" + _members({"v": VERSION, "type": kind, "run": self._run, **fields}) + "}\n"

    def _now(self) -> str:
        return _time(time.time_ns())


class _Ground(NamedTuple):
    """What was decided, and three pieces of a line: between the first time and the value, between what that
    leads to and the count, and after the last time."""

    word: str
    before: str
    because: str
    after: str


class _Batch:
    """What is known while one batch is read."""

    __slots__ = ("decisions", "last_id", "lines", "state", "states")

    def __init__(self, state: int, last_id: int) -> None:
        self.state = state
        self.last_id = last_id
        self.lines: list[str] = []
        self.decisions: Counter[str] = Counter()
        self.states = 0


def _checked(kind: type, column: list[_Json]) -> list[_Json]:
    """TypeError unless it is a list of nothing else."""
    if type(column) is not list or not set(map(type, column)) <= {kind}:
        raise TypeError(f"no list of {kind.__name__}")
    return column


def _times(at: list[_Json]) -> tuple[list[str], list[str]]:
    """In the form of RFC 3339, in two pieces: up to the second, and the microseconds. What is left to write is a Z.

    All but the first second of 1970 have their microseconds among their digits.
    """
    first, last = min(_checked(int, at)), max(at)
    if first < _SECOND or last > _MOST:
        raise ValueError("times that are none")
    if first // _SECOND == last // _SECOND:  # as of most parts
        seconds = [_second(first // _SECOND)] * len(at)
    else:
        texts = {second: _second(second) for second in {moment // _SECOND for moment in at}}
        seconds = [texts[moment // _SECOND] for moment in at]
    return seconds, [str(moment)[-9:-3] for moment in at]


def _time(at: _Json) -> str:
    (second,), (microseconds,) = _times([at])
    return f"{second}{microseconds}Z"


def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))


def _parsed(rows: bytes) -> _Json:
    """ValueError, RecursionError. What has halves of surrogate pairs, as paths that are no UTF-8 have, is for json."""
    try:
        return msgspec.json.decode(rows)
    except msgspec.DecodeError:
        return json.loads(rows)


def _texts(column: list[_Json]) -> list[str]:
    """Each as a JSON text."""
    kinds = set(map(type, column))
    if type(column) is not list or not kinds <= {str, type(None)}:
        raise TypeError("no list of texts")
    if kinds == {str}:
        return list(map(encode_basestring_ascii, column))
    return ["null" if text is None else encode_basestring_ascii(text) for text in column]


def _members(fields: dict[str, _Json]) -> str:
    """As in an object, without the braces."""
    return json.dumps(fields, separators=(",", ":"))[1:-1]


def _number(state: int) -> int:
    """A state's number in the log."""
    return shown_number(_integer(state, 1))


def _place(where: str) -> tuple[str, int | None]:
    """Script and line of a position."""
    if type(where) is not str:
        raise TypeError(f"{type(where).__name__} and no position")
    script, _, line = where.rpartition(":")
    is_line = line.isascii() and line.isdigit() and len(line) <= _LONGEST_LINE and line[0] != "0"
    return (script, int(line)) if is_line else (where, None)


def _integer(value: _Json, least: int) -> int:
    if type(value) is not int or not least <= value <= _MOST:
        raise ValueError(f"a number {value!r:.50}")
    return value


def _optional(text: _Json) -> str | None:
    if text is not None and type(text) is not str:
        raise TypeError(f"{type(text).__name__} and no text")
    return text
