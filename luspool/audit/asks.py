"""What one call of a guarded function asks for, by what is known of its arguments."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

from ..permissions import Pledge, PledgeSyntaxError
from .constants import LONGEST_CONSTANT
from .findings import ANYTHING, Place, Target, Unknown, Use
from .guarded import BUILT_IN_MODULES, GUARDED, MODULE_PATH, OF_HOST, TABLES, Asks, Guarded

_MOST_PARENTS: Final = 64
"""Directories above one path that are told; a path of two thousand is as easily written. Guessed."""

FINDINGS_MOST: Final = 10_000
"""Of one script, each of which is followed, compared and shown. Guessed; two million are as easily written."""


class Library(Struct, frozen=True):
    """A function or table of the library, by its name; "" is the table of all global variables."""

    name: str


class Falsy:
    """`nil` or `false`."""


FALSY: Final = Falsy()

Value: TypeAlias = "bytes | Library | Falsy | None"
"""What an expression is known to be, a string or number as its bytes; None: it isn't."""


class Call(Struct, frozen=True):
    """A call of a guarded function, by name. `is_open`: there may be more arguments, that nobody knows."""

    name: str
    arguments: Sequence[Value]
    is_open: bool
    place: Place

    def may_have(self, index: int) -> bool:
        return self.is_open or index < len(self.arguments)

    def argument(self, index: int) -> Value:
        """None also where there is none."""
        return self.arguments[index] if index < len(self.arguments) else None

    def text(self, index: int) -> str | None:
        """An argument that is known to be a string."""
        value = self.argument(index)
        # Each text is kept once, however often it is used: a long constant takes few bytes of a script to repeat.
        return sys.intern(os.fsdecode(value)) if isinstance(value, bytes) else None


class TooMuchAskedError(Exception):
    """There is more than `FINDINGS_MOST`; `place` is where the first is that was left out."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place


class Asked(Struct):
    """What is found. The methods that add something may raise TooMuchAskedError."""

    uses: list[Use] = field(default_factory=list)
    unknowns: list[Unknown] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)

    def use(self, use: Use) -> None:
        self._check(use.place)
        self.uses.append(use)

    def unknown(self, unknown: Unknown) -> None:
        self._check(unknown.place)
        self.unknowns.append(unknown)

    def target(self, target: Target) -> None:
        self._check(target.place)
        self.targets.append(target)

    def _check(self, place: Place) -> None:
        if len(self.uses) + len(self.unknowns) + len(self.targets) >= FINDINGS_MOST:
            raise TooMuchAskedError(place)


def guarded(name: str) -> Guarded | None:
    """The function of this name; None where there is none that asks for anything."""
    return OF_HOST if name.startswith("host.") else GUARDED.get(name)


def permissions_of(name: str) -> tuple[str, ...]:
    """What a function can ask for, called with anything; ANYTHING where that includes running other code."""
    function = guarded(name)
    if function is None or function.loads or function.asks in (Asks.BY_PLEDGE, Asks.AS_CALLED):
        return ANYTHING
    return tuple(dict.fromkeys(permission for _, permission in function.permissions))


def required(call: Call) -> Library | None:
    """The table of the library that a call of `require` gives, if it does."""
    module = call.text(0) if call.name == "require" else None
    if module == "_G":
        return Library("")
    return Library(module) if module in TABLES else None


def add_asked(call: Call, asked: Asked) -> None:
    """Add what this call asks for."""
    function = guarded(call.name)
    if function is None:
        asked.unknown(Unknown(call.name, "luspool knows no such function", ANYTHING, call.place))
        return
    if function.loads and not (function.asks is Asks.FOR_MODULE and call.text(0) in BUILT_IN_MODULES):
        asked.use(Use("load", None, call.name, call.place))
    match function.asks:
        case Asks.FOR_TEXT:
            why = "what is loaded from text can do anything"
            asked.unknown(Unknown(call.name, why, ANYTHING, call.place))
        case Asks.BY_PLEDGE:
            _add_pledges(call, asked)
        case Asks.OF_HOST:
            asked.use(Use("host", call.name.removeprefix("host."), call.name, call.place))
        case Asks.SOMEWHERE:
            why = "the system chooses the name of the file"
            asked.unknown(Unknown(call.name, why, permissions_of(call.name), call.place))
        case Asks.AS_CALLED:
            _add_called(call, function, asked)
        case Asks.FOR_MODULE:
            _add_module(call, asked)
        case Asks.ALONG_PATH:
            _add_search(call, asked)
        case _:
            _add_plain(call, function, asked)


def _add_plain(call: Call, function: Guarded, asked: Asked) -> None:
    for index, permission in _asked_arguments(call, function):
        path = call.text(index)
        if path is not None:
            asked.use(Use(permission, path, call.name, call.place))
            if function.asks is Asks.WITH_PARENTS and call.may_have(1) and call.argument(1) is not FALSY:
                _add_parents(call, permission, path, asked)
        elif call.may_have(index):
            anything = ANYTHING if function.follows else (permission,)
            why = f"its argument {index + 1} is no constant"
            asked.unknown(Unknown(call.name, why, anything, call.place))
    path = call.text(0)
    if function.follows and path is not None:
        asked.target(Target((path,), call.name, call.place))


def _asked_arguments(call: Call, function: Guarded) -> Iterator[tuple[int, str]]:
    for index, permission in function.permissions:
        if function.asks is Asks.BY_MODE and permission not in _permissions_of_mode(call):
            continue
        given = call.argument(index)
        if function.asks is Asks.IF_GIVEN and (given is FALSY or isinstance(given, Library)):
            continue  # none, or one of the standard files
        yield index, permission


def _permissions_of_mode(call: Call) -> tuple[str, ...]:
    mode = call.argument(1)
    if mode is FALSY or not call.may_have(1):
        return ("fs:read",)
    if isinstance(mode, bytes) and b"+" not in mode:
        return ("fs:write",) if mode[:1] in (b"w", b"a") else ("fs:read",)
    return ("fs:read", "fs:write")


def _add_parents(call: Call, permission: str, path: str, asked: Asked) -> None:
    """The directories above a path, as far as it names them."""
    for _ in range(_MOST_PARENTS):
        path = sys.intern(os.path.dirname(path.rstrip("/")))
        if path in ("", "/"):
            return
        asked.use(Use(permission, path, call.name, call.place))
    why = f"its path has more than {_MOST_PARENTS} directories"
    asked.unknown(Unknown(call.name, why, (permission,), call.place))


def _add_pledges(call: Call, asked: Asked) -> None:
    for index, value in enumerate(call.arguments):
        text = call.text(index)
        why = f"its argument {index + 1} is no constant"
        if text is not None:
            try:
                pledge = Pledge.parse(text)
            except PledgeSyntaxError as error:
                why = error.problem
            else:
                if not pledge.rejected and pledge.permission != "seal":
                    asked.use(Use(pledge.permission, pledge.value, call.name, call.place))
                continue
        if value is not FALSY:  # which is an error
            asked.unknown(Unknown(call.name, why, ANYTHING, call.place))
    if call.is_open:
        asked.unknown(Unknown(call.name, "its arguments are no constants", ANYTHING, call.place))


def _add_called(call: Call, function: Guarded, asked: Asked) -> None:
    called = call.argument(0)
    if isinstance(called, Library):
        # What it is called with begins behind the function (of `xpcall`, behind the handler).
        inner = replace(call, name=called.name, arguments=call.arguments[function.skips :])
        add_asked(inner, asked)
        if required(inner):
            why = "it gives a part of the library, and what becomes of that can't be known"
            asked.unknown(Unknown(called.name, why, ANYTHING, call.place))


def _add_module(call: Call, asked: Asked) -> None:
    name = call.text(0)
    if name is None:
        asked.unknown(Unknown(call.name, "its argument 1 is no constant", ANYTHING, call.place))
    elif name not in BUILT_IN_MODULES:
        paths = tuple(template.replace("?", name.replace(".", "/")) for template in MODULE_PATH)
        asked.target(Target(paths, call.name, call.place))


def _add_search(call: Call, asked: Asked) -> None:
    name, path = call.text(0), call.text(1)
    if name is None or path is None or call.may_have(2):
        why = "its arguments are not two constants"
        asked.unknown(Unknown(call.name, why, permissions_of(call.name), call.place))
        return
    for template in filter(None, path.split(";")):
        found = sys.intern(template.replace("?", name.replace(".", "/")))
        if len(found) <= LONGEST_CONSTANT:  # else there is no such file, and many `?` could make it of any length
            asked.use(Use("fs:read", found, call.name, call.place))
