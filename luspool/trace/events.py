"""The events of a trace, from what hosts tell of their scheduling. Pure.

They are those of the Trace Event Format, as Chrome and Perfetto read it; docs/tracing.md says which there are. A host
may have fallen to a script, so all that it sends is checked: it can tell lies about its states, but whatever it sends,
what we write are events that belong together. Of what has a beginning and an end, either both are there, or the end is
still to come and is written at the latest when the trace ends; an arrow has both its ends. And it can have us remember
so much and no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from json.encoder import encode_basestring_ascii
from typing import Any, Final, TypeAlias

from ..permissions.decision import visible
from ..report import WAITED_FOR
from ..scheduler import wire
from ..scheduler.letters import shown_number
from ..scheduler.protocol import Preempted
from ..scheduler.trace_rows import Kind, Row, RowError, unpack_rows

_THREADS_MOST: Final = 4096
"""Of one host. The command line allows 512, and those that take the place of others come on top."""
_STATES_MOST: Final = 1 << 20
"""Living states of one host: more than there is memory for."""
_ARROWS_MOST: Final = 1 << 16
"""Messages and births of which one end was told. Beyond, the oldest ones get no arrow."""
_COUNTS: Final = {"states": "states", "ready": "states", "memory": "bytes"}
"""What hosts count, and the unit."""

_ITEMS: Final = _THREADS_MOST + 1
"""The thread of a host, as it were, on which items are drawn."""
_ROOT: Final = 1
"""The root of each program, in a host that runs one after the other."""

_Arrow: TypeAlias = tuple[str, int, int, tuple[int, int]]
"""What leads from one state to another: "birth", "up" (to a parent) or "down", the child, and the number; and which
program of which host this is about, where each has its own."""
_UP, _DOWN, _BIRTH = "up", "down", "birth"
_BEGINNINGS: Final = {Kind.TOLD_PARENT: _UP, Kind.TOLD_CHILD: _DOWN, Kind.CREATED: _BIRTH}
_ENDS: Final = {Kind.HEARD_CHILD: _UP, Kind.HEARD_PARENT: _DOWN, Kind.BEGAN: _BIRTH}


class TraceEvents:
    """Makes the events of one trace: objects of JSON, as text in ASCII, without line ends."""

    def __init__(self, began_at: int, *, are_apart: bool = False) -> None:
        """`began_at` is the time 0 of the trace, by the monotonic clock in nanoseconds. `are_apart`: each host runs
        programs of its own, one after the other, and not a part of one."""
        self._began_at = began_at
        self._are_apart = are_apart
        self._hosts: dict[int, _Host] = {}
        """By process."""
        self._arrows: dict[_Arrow, _Tip] = {}
        """Those of which one end was told, oldest first."""
        self._last_life = self._last_arrow = 0
        """Each has a number of its own: what hosts call their states is their word alone."""

    def header(self, process: int, facts: Mapping[str, Any]) -> Iterator[str]:
        """The first events: `process` supervises a run, of which these are the facts."""
        yield _named("process_name", process, 0, "luspool")
        yield _named("thread_name", process, process, "supervisor")
        yield self._instant("run", "run", (process, process), self._began_at, facts)

    def footer(self, process: int, facts: Mapping[str, Any], now: int) -> Iterator[str]:
        """The last events."""
        for host in self._hosts.values():
            yield from self._end_of(host, now if host.died_at is None else host.died_at)
        yield self._instant("end", "run", (process, process), now, facts)

    def of(self, number: int, process: int, trace: wire.Trace, now: int) -> Iterator[str]:
        """The events of what the host of this number, a process, has sent, read by now.

        WireError where no host sends that; what came before it counts.
        """
        yield from self._know(number, process)
        host = self._hosts[process]
        try:
            for row in unpack_rows(trace.texts, trace.rows):
                self._check_time(row, now)
                yield from self._row(host, Kind(row.kind), row)
        except RowError as error:
            raise wire.WireError(str(error)) from error

    def item(
        self, number: int, process: int, name: str, span: tuple[int, int], facts: Mapping[str, Any]
    ) -> Iterator[str]:
        """The host of this number, a process, has run an item, from one time to another, and nothing beside it."""
        yield from self._know(number, process)
        host = self._hosts[process]
        if not host.has_items:
            host.has_items = True
            yield _named("thread_name", process, _ITEMS, "items")
        began_at, ended_at = span
        at, took = self._ts(began_at), _us(ended_at - began_at)
        yield _event("X", process, _ITEMS, at, dur=took, cat="item", name=visible(name), args=facts)

    def died(self, process: int, now: int) -> Iterator[str]:
        """The host is dead: what it had begun has ended now, unless it says more. That can't be where hosts are apart:
        it is forgotten, and another process may have its number."""
        host = self._hosts.get(process)
        if host is None:
            return
        if not self._are_apart:
            host.died_at = now
            return
        yield from self._end_of(host, now)
        del self._hosts[process]

    def _know(self, number: int, process: int) -> Iterator[str]:
        """The names of a host that is new."""
        if process not in self._hosts:
            self._hosts[process] = _Host(process)
            yield _named("process_name", process, 0, f"host {number}")
            yield _event("M", process, 0, name="process_sort_index", args={"sort_index": number})

    def _check_time(self, row: Row, now: int) -> None:
        until = row.at + row.number if row.kind == Kind.RAN else row.at
        if not self._began_at <= row.at <= until <= now:
            raise RowError(f"a time {row.at} in a trace, read at {now}")

    # --- rows ----------------------------------------------------------------------------------------------------

    def _row(self, host: _Host, kind: Kind, row: Row) -> Iterator[str]:
        if kind is Kind.COUNTED:
            if row.text not in _COUNTS:
                raise RowError(f"a trace that counts {row.text!r:.50}")
            yield _event("C", host.process, 0, self._ts(row.at), name=row.text, args={_COUNTS[row.text]: row.number})
            return
        if row.state < 1:
            raise RowError(f"a state {row.state} in a trace")
        if kind in (Kind.WAITS, Kind.READY, Kind.ENDED):
            yield from self._of_life(host, kind, row)
            return
        thread = host.threads.get(row.thread)
        if thread is None:
            if not 1 <= row.thread <= _THREADS_MOST:
                raise RowError(f"a thread {row.thread} in a trace")
            thread = host.threads[row.thread] = _Thread()
            yield _named("thread_name", host.process, row.thread, f"executor {row.thread}")
        if kind in (Kind.RAN, Kind.RUNS, Kind.STOPPED):
            yield self._step(host, thread, kind, row)
            return
        place = (host.process, row.thread)
        number = shown_number(row.state)
        if kind is Kind.BEGAN:
            yield self._birth(host, row)
        elif kind is Kind.CREATED:
            yield self._instant("create", "birth", place, row.at, {"state": number, "worker": shown_number(row.child)})
        elif kind is Kind.FAILED:
            name = f"failed: {visible(row.text)}"
            yield self._instant(name, "error", place, row.at, {"state": number, "error": visible(row.detail)})
        program = (host.process, host.programs) if self._are_apart else (0, 0)
        if kind in _BEGINNINGS:
            arrow = _BEGINNINGS[kind], row.child, row.number, program
            yield from self._arrow(arrow, _Tip(*place, row.at, is_start=True))
        elif kind in _ENDS:
            arrow = _ENDS[kind], row.state if kind is Kind.BEGAN else row.child, row.number, program
            yield from self._arrow(arrow, _Tip(*place, row.at, is_start=False))

    def _step(self, host: _Host, thread: _Thread, kind: Kind, row: Row) -> str:
        """A step, its beginning or its end. One thread makes them one after the other."""
        if row.at < thread.at or (kind is Kind.STOPPED) is not thread.is_inside:
            raise RowError(f"a thread that steps out of turn, in a trace: {row!r:.200}")
        thread.at = row.at + row.number * (kind is Kind.RAN)
        thread.is_inside = kind is Kind.RUNS
        facts: dict[str, Any] = {"state": shown_number(row.state)}
        if kind is not Kind.RUNS:
            facts["end"] = _end_text(row.detail)
        name, at = visible(row.text), self._ts(row.at)
        if kind is Kind.RAN:
            return _event("X", host.process, row.thread, at, dur=_us(row.number), cat="step", name=name, args=facts)
        if kind is Kind.RUNS:
            return _event("B", host.process, row.thread, at, cat="step", name=name, args=facts)
        return _event("E", host.process, row.thread, at, args=facts)

    def _birth(self, host: _Host, row: Row) -> str:
        if row.state in host.lives or len(host.lives) >= _STATES_MOST:
            raise RowError(f"a state {row.state} that begins out of turn, in a trace")
        self._last_life += 1
        host.programs += row.state == _ROOT
        life = host.lives[row.state] = _Life(self._last_life, row, host.process)
        return self._async("b", life, life.name)

    def _of_life(self, host: _Host, kind: Kind, row: Row) -> Iterator[str]:
        """A wait, the end of one, or the end of a state."""
        life = host.lives.get(row.state)
        if life is None or row.at < life.at:
            raise RowError(f"a state that goes on out of turn, in a trace: {row!r:.200}")
        life.at = row.at
        if kind is Kind.WAITS:
            if life.waits is not None or row.text not in WAITED_FOR:
                raise RowError(f"a state {row.state} that waits for {row.text!r:.50}, in a trace")
            life.waits = f"waits for {WAITED_FOR[row.text]}"
            yield self._async("b", life, life.waits)
        elif kind is Kind.READY:
            # A wait that is over at once is noted all the same, one that has ended with its state is not.
            if life.waits is not None:
                yield self._async("e", life, life.waits)
            life.waits = None
        else:
            del host.lives[row.state]
            yield from self._end_of_life(life, _end_text(row.text))

    def _end_of_life(self, life: _Life, how: str) -> Iterator[str]:
        if life.waits is not None:
            yield self._async("e", life, life.waits)
        yield self._async("e", life, life.name, {"end": how})

    def _end_of(self, host: _Host, at: int) -> Iterator[str]:
        """Of a host nothing more is heard: all that it had begun ends."""
        for number, thread in host.threads.items():
            if thread.is_inside:
                yield _event("E", host.process, number, self._ts(max(at, thread.at)), args={"end": "unknown"})
        for life in host.lives.values():
            life.at = max(at, life.at)
            yield from self._end_of_life(life, "unknown")
        host.threads.clear()
        host.lives.clear()

    def _arrow(self, arrow: _Arrow, tip: _Tip) -> Iterator[str]:
        """One end of an arrow is told; both are written once the other is, too."""
        other = self._arrows.pop(arrow, None)
        if other is None or other.is_start is tip.is_start:
            if len(self._arrows) >= _ARROWS_MOST:
                del self._arrows[next(iter(self._arrows))]
            self._arrows[arrow] = tip
            return
        start, end = (tip, other) if tip.is_start else (other, tip)
        if start.at > end.at:  # somebody lies
            return
        self._last_arrow += 1
        what = "birth" if arrow[0] == _BIRTH else "message"
        for phase, one, more in (("s", start, {}), ("f", end, {"bp": "e"})):
            at = self._ts(one.at)
            yield _event(phase, one.process, one.thread, at, id=self._last_arrow, cat=what, name=what, **more)

    # --- events --------------------------------------------------------------------------------------------------

    def _instant(self, name: str, what: str, place: tuple[int, int], at: int, facts: Mapping[str, Any]) -> str:
        return _event("i", *place, self._ts(at), s="t", cat=what, name=name, args=facts)

    def _async(self, phase: str, life: _Life, name: str, facts: Mapping[str, Any] | None = None) -> str:
        """About a state, at its present time."""
        fields: dict[str, Any] = {"id": life.number, "cat": "state", "name": name}
        if facts is not None:
            fields["args"] = facts
        return _event(phase, life.process, life.thread, self._ts(life.at), **fields)

    def _ts(self, at: int) -> str:
        return _us(at - self._began_at)


class _Host:
    """What is known of a host while it goes on."""

    __slots__ = ("died_at", "has_items", "lives", "process", "programs", "threads")

    def __init__(self, process: int) -> None:
        self.process = process
        self.threads: dict[int, _Thread] = {}
        self.lives: dict[int, _Life] = {}
        """By the states' ids."""
        self.died_at: int | None = None
        self.programs = 0
        """How many have begun, where it runs one after the other."""
        self.has_items = False
        """Some were told of."""


class _Thread:
    __slots__ = ("at", "is_inside")

    def __init__(self) -> None:
        self.at = 0
        """When its last step began or ended."""
        self.is_inside = False
        """Of a step that goes on, the beginning was told."""


class _Life:
    """A state that has begun and not ended."""

    __slots__ = ("at", "name", "number", "process", "thread", "waits")

    def __init__(self, number: int, row: Row, process: int) -> None:
        """`row` tells of its beginning."""
        self.number = number
        self.name = f"{visible(row.text)} ({shown_number(row.state)})"
        self.process = process
        self.thread = row.thread
        """Where it began."""
        self.at = row.at
        """The last that was heard of it."""
        self.waits: str | None = None
        """The name of its wait."""


class _Tip:
    """An end of an arrow."""

    __slots__ = ("at", "is_start", "process", "thread")

    def __init__(self, process: int, thread: int, at: int, *, is_start: bool) -> None:
        self.process = process
        self.thread = thread
        self.at = at
        self.is_start = is_start


def _end_text(how: str) -> str:
    """How a step has ended, or a state."""
    if how in WAITED_FOR:
        return f"waits for {WAITED_FOR[how]}"
    return "preempted" if how == Preempted.__name__ else visible(how)


def _us(nanoseconds: int) -> str:
    return f"{nanoseconds // 1000}.{nanoseconds % 1000:03}"


def _named(what: str, process: int, thread: int, name: str) -> str:
    return _event("M", process, thread, name=what, args={"name": name})


def _event(phase: str, process: int, thread: int, at: str = "0", dur: str | None = None, **fields: Any) -> str:  # noqa: ANN401  what JSON can say
    """`at` and `dur` in microseconds. They are no floats, which would lose nanoseconds of a run that takes long."""
    took = "" if dur is None else f',"dur":{dur}'
    more = "".join([f',"{name}":{_encoded(value)}' for name, value in fields.items()])
    return f'{{"ph":"{phase}","pid":{process},"tid":{thread},"ts":{at}{took}{more}}}'


def _encoded(value: Any) -> str:  # noqa: ANN401  what JSON can say, of which we say this much
    """As `json` does it, whose encoder takes more time to be set up than for what is in one event."""
    if type(value) is str:
        return encode_basestring_ascii(value)
    if type(value) is int:
        return str(value)
    if value is None:
        return "null"
    return "{" + ",".join([f'"{name}":{_encoded(each)}' for name, each in value.items()]) + "}"
