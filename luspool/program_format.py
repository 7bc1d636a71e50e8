"""How a state that has not started goes to another host: its program as bytes (see `scheduler.spread.SpecFormat`)."""

from __future__ import annotations

import json
from dataclasses import dataclass

from .permissions import PledgeSet, from_wire, to_wire
from .sandbox import Program
from .scheduler import records


@dataclass(frozen=True, slots=True)
class _Moved:
    """A `Program`. `problem` is empty where there is none, and `source` where there is a problem."""

    path: str
    source: bytes
    arguments: bytes
    pledges: str
    strict_globals: bool
    has_source: bool
    problem: str
    problem_kind: str


class ProgramFormat:
    """For programs whose pledges lie within `outer`, those of the root. Thread-safe."""

    def __init__(self, outer: PledgeSet) -> None:
        self._outer = outer
        # Workers of one creator mostly have the same pledges. Whole tuples are stored and read: no lock is needed.
        self._packed: tuple[PledgeSet, str] | None = None
        self._unpacked: tuple[str, PledgeSet] | None = None

    def script(self, spec: object) -> str:
        return _program(spec).path

    def pack(self, spec: object) -> bytes:
        program = _program(spec)
        return records.pack(
            _Moved(
                program.path,
                program.source or b"",
                program.arguments,
                self._pack_pledges(program.pledges),
                program.strict_globals,
                program.source is not None,
                program.problem or "",
                program.problem_kind,
            )
        )

    def unpack(self, data: bytes) -> Program:
        moved = records.unpack(_Moved, data)
        return Program(
            moved.path,
            moved.source if moved.has_source else None,
            moved.arguments,
            self._unpack_pledges(moved.pledges),
            moved.strict_globals,
            moved.problem or None,
            moved.problem_kind,
        )

    def _pack_pledges(self, pledges: PledgeSet) -> str:
        known = self._packed
        if known is None or known[0] is not pledges:
            known = self._packed = (pledges, json.dumps(to_wire(pledges)))
        return known[1]

    def _unpack_pledges(self, text: str) -> PledgeSet:
        known = self._unpacked
        if known is None or known[0] != text:
            pledges = from_wire(json.loads(text))
            if not pledges.is_within(self._outer):
                raise ValueError("a program with more rights than the one that all programs come from")
            known = self._unpacked = (text, pledges)
        return known[1]


def _program(spec: object) -> Program:
    if not isinstance(spec, Program):
        raise TypeError(f"a Program is needed, not {type(spec).__name__}")
    return spec
