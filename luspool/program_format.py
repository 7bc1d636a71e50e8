"""How a state that has not started goes to another host: its program as bytes (see `scheduler.spread.SpecFormat`)."""

from __future__ import annotations

import json

from msgspec import Struct

from .permissions import Audit, PledgeSet, from_wire, to_wire
from .sandbox import Program
from .scheduler import records


class _Moved(Struct, frozen=True):
    """A `Program`. `problem` is empty where there is none, and `source` where there is a problem; `shadow` is empty
    without one."""

    path: str
    source: bytes
    arguments: bytes
    pledges: str
    strict_globals: bool
    has_source: bool
    problem: str
    problem_kind: str
    is_audited: bool
    observes: bool
    shadow: str
    creator: int


class ProgramFormat:
    """For programs whose pledges lie within `outer`, those of the root. Thread-safe."""

    def __init__(self, outer: PledgeSet) -> None:
        self._pledges = _SetFormat(outer)
        self._shadows = _SetFormat(None)  # they give no right to anything

    def script(self, spec: object) -> str:
        return _program(spec).path

    def pack(self, spec: object) -> bytes:
        program = _program(spec)
        audit = program.audit or Audit()
        return records.pack(
            _Moved(
                program.path,
                program.source or b"",
                program.arguments,
                self._pledges.pack(program.pledges),
                program.strict_globals,
                program.source is not None,
                program.problem or "",
                program.problem_kind,
                program.audit is not None,
                audit.observes,
                self._shadows.pack(audit.shadow) if audit.shadow else "",
                program.creator,
            )
        )

    def unpack(self, data: bytes) -> Program:
        moved = records.unpack(_Moved, data)
        shadow = self._shadows.unpack(moved.shadow) if moved.shadow else None
        return Program(
            moved.path,
            moved.source if moved.has_source else None,
            moved.arguments,
            self._pledges.unpack(moved.pledges),
            moved.strict_globals,
            moved.problem or None,
            moved.problem_kind,
            Audit(moved.observes, shadow) if moved.is_audited else None,
            moved.creator,
        )


class _SetFormat:
    """For sets within `outer`, if there is one. Workers of one creator mostly have the same, so the last is remembered.
    Whole tuples are stored and read: no lock is needed."""

    def __init__(self, outer: PledgeSet | None) -> None:
        self._outer = outer
        self._packed: tuple[PledgeSet, str] | None = None
        self._unpacked: tuple[str, PledgeSet] | None = None

    def pack(self, pledges: PledgeSet) -> str:
        known = self._packed
        if known is None or known[0] is not pledges:
            known = self._packed = (pledges, json.dumps(to_wire(pledges)))
        return known[1]

    def unpack(self, text: str) -> PledgeSet:
        known = self._unpacked
        if known is None or known[0] != text:
            pledges = from_wire(json.loads(text))
            if self._outer and not pledges.is_within(self._outer):
                raise ValueError("a program with more rights than the one that all programs come from")
            known = self._unpacked = (text, pledges)
        return known[1]


def _program(spec: object) -> Program:
    if not isinstance(spec, Program):
        raise TypeError(f"a Program is needed, not {type(spec).__name__}")
    return spec
