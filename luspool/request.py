"""What a run is: the program, as the command line gives it to a host process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from .permissions import Audit, PledgeSet, from_wire, to_wire
from .scheduler import records

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Request(Struct, frozen=True):
    """The main script, its arguments (byte strings) and what it may do. `pledges` is JSON of a pledge set's data.

    `wall` is a `sandbox.wall.Mode`, or "": strict, but go on and say so where this system has no such wall.
    """

    path: str
    source: bytes
    arguments: tuple[bytes, ...]
    pledges: str
    strict_globals: bool
    wall: str
    audit: str = ""
    """"": nothing is recorded. "enforce", "observe": see `Audit`."""
    shadow: str = ""
    """As `pledges`: the set that they are compared with, if there is one."""
    values: bytes = b""
    """The arguments in the message codec's form, where they are other values than byte strings; instead of these."""
    variables: tuple[str, ...] = ()
    """Names and values of environment variables, in turn."""
    is_job: bool = False
    """See `Program`."""

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
        audit: Audit | None = None,
    ) -> Request:
        """Of `environment` goes along only what the program might ever read."""
        return cls(
            path,
            source,
            arguments,
            json.dumps(to_wire(pledges)),
            strict_globals,
            wall,
            audit="" if audit is None else "observe" if audit.observes else "enforce",
            shadow=json.dumps(to_wire(audit.shadow)) if audit and audit.shadow else "",
            variables=readable(environment, pledges),
        )

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

    def audit_plan(self) -> Audit | None:
        """ValueError when `audit` and `shadow` do not describe any."""
        if not self.audit:
            return None
        if self.audit not in ("enforce", "observe"):
            raise ValueError(f"no audit {self.audit!r}")
        return Audit(self.audit == "observe", from_wire(json.loads(self.shadow)) if self.shadow else None)

    def pledge_set(self) -> PledgeSet:
        """ValueError when `pledges` does not describe one."""
        return from_wire(json.loads(self.pledges))


def readable(environment: Mapping[str, str], pledges: PledgeSet) -> tuple[str, ...]:
    """The variables that a program with these pledges might ever read, as `Request.variables`."""
    return tuple(text for item in environment.items() if pledges.may_ever_allow("env", item[0]) for text in item)
