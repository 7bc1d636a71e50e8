"""What a policy file says, as immutable values. They are equal where the files say the same, wherever it stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ..permissions import Pledge

SET_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
"""What can be written behind the `:` of `--policy FILE:NAME`, and as a bare key of TOML."""

ARGUMENT_WORD: Final = "arg:"
_ARGUMENT: Final = re.compile(r"arg:([1-9][0-9]{0,5})")


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a policy file; both from 1, the column in characters."""

    line: int
    column: int


NOWHERE: Final = Place(1, 1)
"""Of what was made rather than read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One pledge as a set states it: not bound, and perhaps about an argument of the script."""

    pledge: Pledge
    place: Place = field(default=NOWHERE, compare=False)
    comment: tuple[str, ...] = field(default=(), compare=False)
    """For people, of what is made: the first line stands behind the entry (none if it is empty), the others below."""

    @property
    def argument(self) -> int | None:
        """N, from 1, where the value is `arg:N`: the path that the script's N-th argument is."""
        found = _ARGUMENT.fullmatch(self.pledge.value or "")
        return int(found[1]) if found else None


@dataclass(frozen=True, slots=True)
class LimitEntry:
    """A limit as a set states it, and what that is in bytes, nanoseconds or a number."""

    text: str
    value: int
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class PolicySet:
    """A named set. `pledges` are what `-P` gives, `allowed` what `--allow` gives; `limits` by their options' names."""

    extends: tuple[str, ...] = ()
    pledges: tuple[Entry, ...] = ()
    allowed: tuple[Entry, ...] = ()
    limits: Mapping[str, LimitEntry] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """All sets of a file by their names. Every name in `extends` is one of them, and no set extends itself.

    `default` names the set that is meant where none is named; None: nothing says so.
    """

    sets: Mapping[str, PolicySet]
    default: str | None = None
    comment: tuple[str, ...] = field(default=(), compare=False)
    """For people, of what is made: lines at the top."""

    def with_extended(self, name: str) -> tuple[PolicySet, ...]:
        """A set and all that it extends, each once. KeyError where there is none of this name."""
        names, found = [name], dict.fromkeys((name,))
        while names:
            for extended in self.sets[names.pop()].extends:
                if extended not in found:
                    found[extended] = None
                    names.append(extended)
        return tuple(self.sets[each] for each in found)
