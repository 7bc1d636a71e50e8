"""What a state is made from."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from ..permissions import Audit, PledgeSet
from . import codec

NO_ARGUMENTS: Final = codec.encode()
"""`Program.arguments` of a program that gets none."""


class Program(Struct, frozen=True):
    """A script with its arguments and rights: all that is needed to start a state, as plain data.

    `path` is the script's name as its creator gave it; it names the script in messages. `source` is None where the
    file could not be read: then `problem` says why, and the state ends with that error (`problem_kind`) before it
    starts. `arguments` is the message codec's form of the list that the script gets as `...`.
    """

    path: str
    source: bytes | None
    arguments: bytes
    pledges: PledgeSet
    strict_globals: bool = False
    problem: str | None = None
    problem_kind: str = "load"
    audit: Audit | None = None
    """With what the state's decisions are compared, if they are recorded."""
    creator: int = 0
    """The number of the state that has created this one; 0 for the root, and where nothing is recorded."""
    is_job: bool = False
    """It is a root which exchanges messages with the program that has submitted it (see lua/job.lua)."""

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return len(self.source or b"") + len(self.arguments)
