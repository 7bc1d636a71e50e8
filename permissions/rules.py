"""A rule: a pledge together with where it came from, ready to decide."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct
from msgspec.structs import force_setattr

from .grammar import Pledge
from .paths import PathPattern
from .table import PERMISSIONS, ValueKind


class OriginKind(Enum):
    """Who stated a rule."""

    FLAG = "flag"
    POLICY = "policy"
    CALL = "pledge"


class Origin(Struct, frozen=True):
    """Where a rule was stated, for people: `-P fs:read=/x`, `pledge at main.lus:3`.

    A state inherits rules as they are, so that after any number of generations a rule still names its source.
    """

    kind: OriginKind
    text: str

    @classmethod
    def flag(cls, flag: str, value: str) -> Origin:
        """A command-line flag with its value as given: `flag("-P", "fs:read=.")`."""
        return cls(OriginKind.FLAG, f"{flag} {value}")

    @classmethod
    def policy(cls, where: str) -> Origin:
        """A policy file, at `file:line`."""
        return cls(OriginKind.POLICY, where)

    @classmethod
    def call(cls, where: str) -> Origin:
        """A call of `pledge`, at `script:line`."""
        return cls(OriginKind.CALL, f"pledge at {where}")


class Rule(Struct, frozen=True):
    """A bound pledge (`Pledge.bind`) and its origin. ValueError when a path in it is not canonical."""

    pledge: Pledge
    origin: Origin
    _scope: PathPattern | str | None = None
    """Which values it is about; None is every value. Made of the pledge, and not to be given."""

    def __post_init__(self) -> None:
        value = self.pledge.value
        scope: PathPattern | str | None = value
        if PERMISSIONS[self.pledge.permission].value is ValueKind.PATH and value is not None:
            # Every path lies beneath the root: said as None, `fs:read` and `fs:read=/` are within each other.
            scope = PathPattern(value) if value != "/" else None
        force_setattr(self, "_scope", scope)

    def matches(self, value: str | None) -> bool:
        """Whether it is about this value; None asks for all values at once."""
        scope = self._scope
        if scope is None:
            return True
        if value is None:
            return False
        return scope.matches(value) if isinstance(scope, PathPattern) else scope == value

    def contains(self, other: Rule) -> bool:
        """Whether every value of `other` (a rule about the same permission) is one of this. Never wrongly True."""
        mine, theirs = self._scope, other._scope
        if mine is None or theirs is None:
            return mine is None
        if isinstance(mine, PathPattern) and isinstance(theirs, PathPattern):
            return mine.contains(theirs)
        return mine == theirs

    def contains_tree(self, tree: PathPattern) -> bool:
        """Whether every path of a tree (`PathPattern.tree`) is a value of this rule. Never wrongly True."""
        scope = self._scope
        return scope is None or (isinstance(scope, PathPattern) and scope.contains(tree))

    def may_touch_tree(self, path: str) -> bool:
        """Whether this real path or anything beneath it may be a value of this rule. Never wrongly False."""
        scope = self._scope
        return scope is None or (isinstance(scope, PathPattern) and scope.may_touch_tree(path))
