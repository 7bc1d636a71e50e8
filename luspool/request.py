"""What a run is: the program, as the command line gives it to a host process."""

from __future__ import annotations

import json
from dataclasses import dataclass

from .permissions import PledgeSet, from_wire, to_wire
from .scheduler import records


@dataclass(frozen=True, slots=True)
class Request:
    """The main script, its arguments (byte strings) and what it may do. `pledges` is JSON of a pledge set's data.

    `wall` is a `sandbox.wall.Mode`, or "": strict, but go on and say so where this system has no such wall.
    """

    path: str
    source: bytes
    arguments: tuple[bytes, ...]
    pledges: str
    strict_globals: bool
    wall: str
    values: bytes = b""
    """The arguments in the message codec's form, where they are other values than byte strings; instead of these."""
    environment: tuple[str, ...] = ()
    """Variables as `NAME=VALUE`, on top of those that the process has."""

    @classmethod
    def of(  # noqa: PLR0913  what a program is
        cls,
        path: str,
        source: bytes,
        arguments: tuple[bytes, ...],
        pledges: PledgeSet,
        *,
        strict_globals: bool,
        wall: str = "",
    ) -> Request:
        return cls(path, source, arguments, json.dumps(to_wire(pledges)), strict_globals, wall)

    def pack(self) -> bytes:
        """For the way to a host."""
        return records.pack(self)

    @classmethod
    def unpack(cls, data: bytes) -> Request:
        """What `pack` made. ValueError when it is not."""
        return records.unpack(cls, data)

    def pledge_set(self) -> PledgeSet:
        """ValueError when `pledges` does not describe one."""
        return from_wire(json.loads(self.pledges))
