"""Decisions: whether a state may do one thing, what decided, and how a denial reads."""

from __future__ import annotations

import shlex
from enum import Enum

from msgspec import Struct

from . import paths
from .grammar import Pledge, PledgeSyntaxError
from .rules import Origin, Rule
from .table import PERMISSIONS, ValueKind


class Reason(Enum):
    """What decided, and which rule a `Decision` then carries."""

    HELD = "held"
    """Allowed by a held rule."""
    REJECTED = "rejected"
    """Denied by a `~` rule."""
    UNPLEDGED = "unpledged"
    """Denied, but the script may pledge it: the rule is the ceiling's."""
    DROPPED = "dropped"
    """Denied since a pledge call named other values, but the script may pledge it again: the rule is that call's."""
    SEALED = "sealed"
    """Denied, within the ceiling, but sealed before it was pledged: the rule is the seal."""
    NARROWED = "narrowed"
    """Denied for good, since a pledge call (perhaps of a parent) named other values: the rule is that call's."""
    BEYOND = "beyond"
    """Denied, since nobody granted it: no rule."""
    UNGRANTABLE = "ungrantable"
    """Denied, since it can't be granted to anybody: no rule."""


class Decision(Struct, frozen=True):
    """The answer to "may this state use `permission` on `value`", as a record.

    `value` is None for permissions without values, and where all values were asked for at once.
    """

    allowed: bool
    permission: str
    value: str | None
    reason: Reason
    rule: Rule | None

    @property
    def origin(self) -> Origin | None:
        """Where the deciding rule was stated."""
        return self.rule.origin if self.rule else None

    def message(self, state: str, where: str) -> str:
        """The denial for people, on one line without control characters.

        `state` names the state that asked, `where` is its `script:line`. A flag is suggested only where it would
        have helped: not against a rejection, a narrowing or a seal, which are the script's or its parents' own.
        """
        target = "" if self.value is None else f" for {self.value!r}"
        line = f'permission "{self.permission}" denied{target} in {state} at {where}: {self._because()}'
        return visible(line)

    def flag(self) -> str | None:
        """The flag that would have allowed this, quoted for a shell; None where no flag would.

        In a path, a character that can't be typed is replaced by `?`, the pattern for one character.
        """
        if self.reason not in (Reason.BEYOND, Reason.UNPLEDGED):
            return None
        pledge = _pledge_for(self.permission, self.value)
        return f"-P {shlex.quote(str(pledge))}" if pledge else None

    def _because(self) -> str:
        rule = f'"{self.rule.pledge}" ({self.rule.origin.text})' if self.rule else ""
        flag = self.flag()
        match self.reason:
            case Reason.HELD:
                return f"granted by {rule}"
            case Reason.REJECTED:
                return f"rejected by {rule}"
            case Reason.SEALED:
                return f"sealed before it was pledged, by {rule}"
            case Reason.NARROWED:
                return f"narrowed by {rule}"
            case Reason.UNGRANTABLE:
                return "nothing can grant it here"
            case Reason.BEYOND:
                return "no pledge grants it" + (f" (grant it with {flag})" if flag else "")
            case Reason.DROPPED:
                return f"narrowed by {rule}, and not pledged since"
            case Reason.UNPLEDGED:
                advice = "pledge it in the script" + (f", or grant it with {flag}" if flag else "")
                return f"allowed by {rule}, but not pledged ({advice})"


def visible(text: str) -> str:
    """The text with every character that a terminal would act on, or not show, written as an escape."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def _pledge_for(permission: str, value: str | None) -> Pledge | None:
    """The least pledge that grants this, as far as the grammar can write it."""
    kind = PERMISSIONS[permission].value
    if kind is ValueKind.NONE or value is None:
        return Pledge(permission)
    if kind is ValueKind.PATH:
        value = "".join(char if char.isprintable() else "?" for char in paths.escape(value))
    try:
        # Parsed rather than made, since not every value can be written.
        return Pledge.parse(str(Pledge(permission, value)))
    except PledgeSyntaxError:
        return None
