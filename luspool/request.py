"""What a run is: the program, as the command line gives it to a host process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from .permissions import PledgeSet, from_wire, to_wire
from .scheduler import records

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


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
    variables: tuple[str, ...] = ()
    """Names and values of environment variables, in turn."""

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
        environment: Mapping[str, str] = _NOTHING,
    ) -> Request:
        """Of `environment` goes along only what the program might ever read."""
        named = [item for item in environment.items() if pledges.may_ever_allow("env", item[0])]
        variables = tuple(text for item in named for text in item)
        return cls(path, source, arguments, json.dumps(to_wire(pledges)), strict_globals, wall, variables=variables)

    def pack(self) -> bytes:
        """For the way to a host."""
        return records.pack(self)

    @classmethod
    def unpack(cls, data: bytes) -> Request:
        """What `pack` made. ValueError when it is not."""
        return records.unpack(cls, data)

    def environment(self) -> Mapping[str, str]:
        """ValueError for a name without a value."""
        return dict(zip(self.variables[::2], self.variables[1::2], strict=True))

    def pledge_set(self) -> PledgeSet:
        """ValueError when `pledges` does not describe one."""
        return from_wire(json.loads(self.pledges))
