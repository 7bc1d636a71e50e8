"""The lines of an audit log, from what hosts send of the decisions of their states. Pure, but for the time of day.

`record.schema.json` has the form of the lines, `sandbox/recorder.py` that of what hosts send. A host may have fallen to
a script, so all of that is checked: it can tell lies about states, but whatever it sends, what we write are such lines.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii as _text
from typing import Any, Final, TypeAlias

from ..permissions import PERMISSIONS, PledgeSet, Reason, held_and_ceiling
from ..scheduler import wire
from ..scheduler.letters import HOST_BITS, host_of
from ..scheduler.protocol import StateId

VERSION: Final = 1
_DECISIONS: Final = ("allowed", "denied", "observed")
_REASONS: Final = frozenset(reason.value for reason in Reason)
_ELEMENTARY: Final = frozenset(name for name, record in PERMISSIONS.items() if record.elementary)
_LONGEST_OUTCOME: Final = 100
_LONGEST_LINE: Final = 10
_MOST: Final = (1 << 63) - 1
"""Of numbers that hosts count, and of nanoseconds since 1970."""

_Json: TypeAlias = Any  # what a JSON text may hold


@dataclass(frozen=True, slots=True)
class LogHeader:
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
        self._second = -1
        self._second_text = ""

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
            verdicts, rows = json.loads(record.rows)
            batch = _Batch(_number(record.state), [self._verdict(verdict) for verdict in verdicts], self._last_id)
            lines = [self._row(batch, row) for row in rows]
        # ValueError also of a text that is no JSON, TypeError and ValueError of one with other parts than are due.
        except (ValueError, TypeError, IndexError, RecursionError) as error:
            raise wire.WireError(f"no records: {error!r:.200}") from error
        self._last_id = batch.last_id
        self.states += batch.states
        self.decisions += batch.decisions
        return "".join(lines)

    def _row(self, batch: _Batch, row: list[_Json]) -> str:
        batch.last_id += 1
        if type(row[0]) is int:
            return self._decision(batch, row)
        kind, *fields = row
        common = {"id": batch.last_id, "time": self._time(fields[0]), "state": batch.state}
        match kind, fields[1:]:
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
        raise ValueError(f"a row {kind!r:.50}")

    def _decision(self, batch: _Batch, row: list[_Json]) -> str:
        """There may be millions of them, so each is put together from pieces that were made before."""
        verdict, where, asked, resolved, first, count, last = row
        pieces = batch.pieces.get((verdict, where)) or self._add_pieces(batch, verdict, where)
        word, before, because, shadow = pieces
        batch.decisions[word] += count if type(count) is int and 0 < count <= _MOST else _integer(count, 1)
        begun = self._time(first)
        ended = begun if type(last) is int and last == first else self._time(last)
        value = "null" if asked is None else _text(asked)
        real = "null" if resolved is None else _text(resolved)
        return (
            f'{self._decided}{batch.last_id},"time":"{begun}",{before}{value},"resolved":{real},{because}{count},'
            f'"last":"{ended}"{shadow}}}\n'
        )

    @staticmethod
    def _add_pieces(batch: _Batch, verdict: int, where: str) -> tuple[str, str, str, str]:
        """What lines of the same verdict at the same place have in common."""
        if verdict < 0:
            raise ValueError(f"verdict {verdict}")
        word, permission, because, shadow = batch.verdicts[verdict]
        script, line = _place(where)
        before = f'"state":{batch.state},"script":{_text(script)},"line":{json.dumps(line)},{permission},"value":'
        pieces = batch.pieces[verdict, where] = (word, before, f'{because},"count":', shadow)
        return pieces

    def _verdict(self, fields: list[_Json]) -> tuple[str, str, str, str]:
        """What was decided, and the three pieces of a line: the permission, what decided, and the shadow's decision."""
        permission, word, reason, rule, origin, inherited, *shadow = fields
        if permission not in _ELEMENTARY or reason not in _REASONS or type(inherited) is not bool:
            raise ValueError(f"a verdict {permission!r:.50}, {reason!r:.50}, {inherited!r:.50}")
        is_possible = self._header.observes if word == "observed" else word in _DECISIONS
        if not is_possible or (word == "allowed") is not (reason == Reason.HELD.value):
            raise ValueError(f"a decision {word!r:.50}, {reason}")
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
        return word, _members({"permission": permission}), because, compared

    def _line(self, kind: str, **fields: _Json) -> str:
        return "{" + _members({"v": VERSION, "type": kind, "run": self._run, **fields}) + "}\n"

    def _now(self) -> str:
        return self._time(time.time_ns())

    def _time(self, at: int) -> str:
        second, rest = divmod(_integer(at, 0), 1_000_000_000)
        if second != self._second:  # most lines are of the second of the one before
            self._second, self._second_text = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._second_text}.{rest // 1000:06}Z"


class _Batch:
    """What is known while one batch is read."""

    __slots__ = ("decisions", "last_id", "pieces", "state", "states", "verdicts")

    def __init__(self, state: int, verdicts: list[tuple[str, str, str, str]], last_id: int) -> None:
        self.state = state
        self.verdicts = verdicts
        self.last_id = last_id
        self.pieces: dict[tuple[int, str], tuple[str, str, str, str]] = {}
        """By verdict and place; see `_add_pieces`."""
        self.decisions: Counter[str] = Counter()
        self.states = 0


def _members(fields: dict[str, _Json]) -> str:
    """As in an object, without the braces."""
    return json.dumps(fields, separators=(",", ":"))[1:-1]


def _number(state: int) -> int:
    """A state's number in the log: its id, which in the first of several hosts is counted from 1, too."""
    _integer(state, 1)
    return state - (1 << HOST_BITS) if host_of(StateId(state)) == 1 else state


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
