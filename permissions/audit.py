"""What the audit of a run wants to know of a state, beyond its pledges."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from .pledges import PledgeSet


class Audit(Struct, frozen=True):
    """That all decisions about a state are recorded, and what they are compared with.

    `shadow` is a second set, which lives through the same pledge calls and has no say. Where the state `observes`, that
    is the set that was asked for, and the state lives under one that holds the whole ceiling of it: what the two
    disagree about is *observed*.
    """

    observes: bool = False
    shadow: PledgeSet | None = None

    def inherit(self) -> Audit:
        """For a state that is created now by one that is audited so."""
        return replace(self, shadow=self.shadow and self.shadow.inherit())


def held_and_ceiling(pledges: PledgeSet) -> tuple[list[str], list[str]]:
    """Both as texts of pledges, rejections and a seal among those that are held, as with `-P`."""
    own = pledges.grants.values()
    held = [rule for each in own for rule in (*each.held, *each.rejected)]
    if pledges.sealed_by:
        held.append(pledges.sealed_by)
    # A rule about several permissions is in the lists of each.
    return (
        list(dict.fromkeys(str(rule.pledge) for rule in held)),
        list(dict.fromkeys(str(rule.pledge) for each in own for rule in each.ceiling)),
    )
