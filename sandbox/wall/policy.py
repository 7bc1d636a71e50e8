"""From pledges to what the operating system can say. Pure: nothing is looked up."""

from __future__ import annotations

from ...permissions import PledgeSet
from ...permissions.paths import literal_prefix


def paths_of(pledges: PledgeSet, permission: str) -> tuple[str, ...]:
    """The real paths, sorted, none beneath another, that hold everything a state under `pledges` may ever open.

    From the ceiling, since a script may come to hold all of it. `permission` is `fs:read` or `fs:write`.

    The operating system knows files and directories with all beneath them, so this is coarser than the pledges, and
    never finer: a pattern stands for the directory before its first wildcard, and a rejection is only seen where it
    takes away a rule of the ceiling as a whole.
    """
    grants = pledges.grants[permission]
    values = [rule.pledge.value for rule in grants.ceiling if grants.may_pledge(rule)]
    found: list[str] = []
    for path in sorted({"/" if value is None else literal_prefix(value) for value in values}):
        # Sorting puts a directory before what is beneath it, though not always right before it.
        if not any(path == known or path.startswith(f"{known.rstrip('/')}/") for known in found):
            found.append(path)
    return tuple(found)
