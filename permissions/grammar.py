"""Pledges as text: `[~]name[:sub][=value]`, one grammar for the command line and for scripts.

In `host:log` the sub is any name, that of a function: `Pledge.value` has it, and decisions treat it like one.

Errors:

    PledgeError(ValueError)
    ├── PledgeSyntaxError    the text is no pledge, or not one that is legal here
    └── PledgeLimitError     (module `pledges`) more pledges than a set may hold
"""

from __future__ import annotations

import difflib
import os
import re
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from . import paths
from .table import PERMISSIONS, Permission, ValueKind

_NOT_IN_NAMES = re.compile(r"[=*?]")
_FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_FUNCTION: Final = 100
"""Characters of a function's name: more than anybody would write. Guessed."""
_GUESSABLE: Final = 32
"""Names longer than this get no suggestion: comparing is quadratic, and nobody mistypes that much."""
_SHOWN: Final = 80
"""Characters of the text that a message quotes."""


class PledgeError(ValueError):
    """Base of everything that a pledge can be wrong about."""


class PledgeSyntaxError(PledgeError):
    """What is wrong with the text of a pledge, where (`column`, from 1), and the next step (`advice`)."""

    def __init__(self, text: str, column: int, problem: str, advice: str) -> None:
        shown = repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
        super().__init__(f"pledge {shown}, column {column}: {problem} ({advice})")
        self.text = text
        self.column = column
        self.problem = problem
        self.advice = advice


class Pledge(Struct, frozen=True):
    """One pledge: `fs:read=/tmp`, `~env`, `seal`. Made by `parse`; `str` gives back the text, and they round-trip.

    `value` is None where no value was given, which stands for every value.
    """

    permission: str
    value: str | None = None
    rejected: bool = False

    def __str__(self) -> str:
        between = ":" if self.record.value is ValueKind.FUNCTION else "="
        value = "" if self.value is None else f"{between}{self.value}"
        return f"{'~' if self.rejected else ''}{self.permission}{value}"

    @property
    def record(self) -> Permission:
        """What the table says of this permission."""
        return PERMISSIONS[self.permission]

    @classmethod
    def parse(cls, text: str, *, command_line: bool = False) -> Pledge:
        """Read one pledge. Raises `PledgeSyntaxError`. Words that only the command line may use need `command_line`.

        Words that are known and cannot be granted (`exec`, `network`) parse: whether asking for one is an error or
        merely refused is for the set to say.
        """
        rejected = text.startswith("~")
        start = int(rejected)
        name, equals, value = text[start:].partition("=")
        family, colon, function = text[start:].partition(":")
        if colon and family in PERMISSIONS and PERMISSIONS[family].value is ValueKind.FUNCTION:
            _check_function(text, family, function)
            return cls(family, function, rejected)
        record = _find(text, start, name, command_line)
        if rejected and not record.covers:
            raise PledgeSyntaxError(
                text, 1, f'"{name}" cannot be rejected', f'leave the "~" away, or leave "{name}" out'
            )
        if not equals:
            return cls(name, None, rejected)
        _check_value(text, record, value)
        return cls(name, value, rejected)

    def bind(self, cwd: str) -> Pledge:
        """This pledge with its path made canonical: absolute by `cwd`, symbolic links and `..` resolved.

        Reads the file system; other kinds of pledge are returned as they are. Raises `PledgeSyntaxError` where a
        link leads to a name that no pledge can write. ValueError when `cwd` is relative.
        """
        if self.value is None or self.record.value is not ValueKind.PATH:
            return self
        try:
            return replace(self, value=paths.resolve(self.value, cwd))
        except paths.PatternError as error:
            raise _at_value(str(self), error) from None


def _find(text: str, start: int, name: str, command_line: bool) -> Permission:
    record = PERMISSIONS.get(name)
    column = start + 1
    if record is None:
        usable = [known.name for known in PERMISSIONS.values() if command_line or known.in_scripts]
        if not name:
            raise PledgeSyntaxError(text, column, "a name is missing", f"known are {', '.join(usable)}")
        problem = f"unknown permission {name[:_SHOWN]!r}"
        guesses = difflib.get_close_matches(name.strip().lower(), usable, 1) if len(name) <= _GUESSABLE else []
        advice = f'did you mean "{guesses[0]}"?' if guesses else f"known are {', '.join(usable)}"
        raise PledgeSyntaxError(text, column, problem, advice)
    if not (record.in_scripts or command_line):
        raise PledgeSyntaxError(text, column, f'"{name}" is for the command line only', "name what the script needs")
    return record


def _check_value(text: str, record: Permission, value: str) -> None:
    column = len(text) - len(value) + 1
    if record.value is ValueKind.NONE:
        raise PledgeSyntaxError(text, column - 1, f'"{record.name}" takes no value', f'write "{record.name}" alone')
    if record.value is ValueKind.FUNCTION:
        advice = f'write "{record.name}:" and the name of the function'
        raise PledgeSyntaxError(text, column - 1, f'"{record.name}" takes no "="', advice)
    if not value:
        raise PledgeSyntaxError(text, column, 'nothing behind the "="', 'leave the "=" away to mean every value')
    if len(value) > paths.MAX_VALUE:
        raise PledgeSyntaxError(text, column, f"a value of more than {paths.MAX_VALUE} characters", "shorten it")
    if control := paths.CONTROL.search(value):
        problem = f"the control character {control.group()!r}"
        raise PledgeSyntaxError(text, column + control.start(), problem, "name what is meant without it")
    try:
        os.fsencode(value)
    except UnicodeEncodeError as error:
        problem = f"the character {value[error.start]!r}, which is in no file name"
        raise PledgeSyntaxError(
            text, column + error.start, problem, "write the value in the locale's encoding"
        ) from None
    if record.value is ValueKind.PATH:
        try:
            paths.check(value)
        except paths.PatternError as error:
            raise _at_value(text, error) from None
    elif record.value is ValueKind.NAME and (stray := _NOT_IN_NAMES.search(value)):
        problem = f'{stray.group()!r} in the name of one "{record.name}" value'
        raise PledgeSyntaxError(text, column + stray.start(), problem, "names are exact; give one pledge for each")


def _check_function(text: str, family: str, name: str) -> None:
    column = len(text) - len(name) + 1
    if not name:
        advice = f'write "{family}" alone to mean every function'
        raise PledgeSyntaxError(text, column, 'nothing behind the ":"', advice)
    fits = _FUNCTION.match(name)
    end = fits.end() if fits else 0
    if end < len(name):
        problem = f"{name[end]!r} in the name of a function"
        raise PledgeSyntaxError(
            text, column + end, problem, 'names are of letters, digits and "_"; give one pledge each'
        )
    if end > _LONGEST_FUNCTION:
        problem = f"a name of more than {_LONGEST_FUNCTION} characters"
        raise PledgeSyntaxError(text, column, problem, "shorten it")


def _at_value(text: str, error: paths.PatternError) -> PledgeSyntaxError:
    return PledgeSyntaxError(text, text.index("=") + 2 + error.offset, error.problem, error.advice)
