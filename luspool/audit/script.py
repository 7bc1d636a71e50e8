"""What one script can ask for, from its text alone.

Guarded functions are reached by global names, and by nothing else: no other value leads to them, and no function of the
library gives them away but `require`, by name. So every use of such a name is looked at. A field of it and a call of
that are understood, also through locals that are never assigned again, `_G`, `package.loaded` and `require`. Any other
use passes it on, and is told as unknown; so is what is no constant. Nothing is taken for impossible: code that never
runs counts.
"""

from __future__ import annotations

import os
from typing import Final

from ..sandbox import Stop
from ..sandbox.syntax.record import Declaration, Kind, Part, Record, deep_recursion
from .asks import (
    FALSY,
    FINDINGS_MOST,
    Asked,
    Call,
    Library,
    TooMuchAskedError,
    Value,
    add_asked,
    permissions_of,
    required,
)
from .constants import LONGEST_CONSTANT, string_value, text_value
from .findings import ANYTHING, Place, ScriptFindings, Unknown
from .guarded import ENVIRONMENTS, FREE, FREE_TABLES, GUARDED, HARMLESS, TABLES, TRACKED
from .places import Places

_UNARY: Final = frozenset(("not", "-", "~", "#"))
_LONGEST_NUMBER: Final = 15
"""Digits of a whole number that is the same as text: others may become floats, or lose their zeros."""


def scan_script(record: Record, path: str, stop: Stop | None = None) -> ScriptFindings:
    """What the script asks for, by itself; `path` is how findings call it.

    `TranslationStoppedError` soon after `stop` is requested.
    """
    scan = _Scan(record, path, stop or Stop())
    asked = scan.asked
    try:
        with deep_recursion():
            scan.all()
    except TooMuchAskedError as error:
        why = f"the script asks for more than {FINDINGS_MOST} things, and is not looked into from here on"
        asked.unknowns.append(Unknown(path, why, ANYTHING, error.place))
    return ScriptFindings(tuple(asked.uses), tuple(asked.unknowns), tuple(asked.targets))


class _Scan:
    def __init__(self, record: Record, path: str, stop: Stop) -> None:
        self.asked = Asked()
        self._stop = stop
        self._record = record
        self._tokens = record.tokens
        self._kinds = record.tokens.kinds
        self._places = Places(record.source, path)
        self._known: dict[int, Value] = {}
        """By the identity of a declaration: what a local is that nobody assigns again."""
        self._single: set[int] = set()
        """By their identity: calls that give exactly one value."""

    def all(self) -> None:
        for declaration in self._record.declarations:
            if declaration.name == "_ENV":
                why = "it changes what global names mean"
                self.asked.unknown(Unknown("_ENV", why, ANYTHING, self._place(declaration.at)))
        self._look_into(self._record.chunk)
        for definition in self._record.definitions:
            value = self._meaning(definition.names, definition.path[0])
            for name in definition.path[1:]:
                value = _field(value, name)
            self._redefined(value, definition.at)

    # --- values --------------------------------------------------------------------------------------------------

    def _value(self, part: Part) -> Value:
        """What a part is. Each is asked once, by the part around it, which also says what becomes of it."""
        self._stop.check()
        match part.kind:
            case Kind.EXPRESSION:
                return self._expression(part)
            case Kind.CHAIN:
                return self._chain(part)
            case Kind.INTERPOLATED:
                return self._interpolated(part)
            case Kind.LOCAL:
                self._local(part)
            case _:
                self._look_into(part)
        return None

    def _look_into(self, part: Part) -> None:
        for inner in part.parts:
            self._pass_on(self._value(inner), inner)

    def _pass_on(self, value: Value, part: Part) -> None:
        """A value goes where it can't be followed."""
        if not isinstance(value, Library) or value.name in HARMLESS or _is_free(value.name):
            return
        if value.name.startswith("host."):
            add_asked(Call(value.name, (), False, self._place(part.first)), self.asked)
            return
        why = "it is passed on, and what becomes of it can't be known"
        if value.name.startswith("package."):
            why = "it changes what is loaded, or gives it away"
        elif value.name not in GUARDED and value.name not in TABLES and value.name:
            why = "luspool knows no such function"
        name = value.name or self._tokens.text(part.first)
        self.asked.unknown(Unknown(name, why, permissions_of(value.name), self._place(part.first)))

    def _redefined(self, value: Value, at: int) -> None:
        """A part of the library is made something else: also one that asks for nothing, but is relied on here."""
        if isinstance(value, Library):
            why = "it is made something else, and what that is can't be known"
            name = value.name or self._tokens.text(at)
            self.asked.unknown(Unknown(name, why, ANYTHING, self._place(at)))

    def _local(self, part: Part) -> None:
        owners: dict[int, Declaration] = {}
        for declaration in part.declares:
            if declaration.value is not None and not declaration.is_assigned:
                owners[id(declaration.value)] = declaration
        for inner in part.parts:
            value = self._value(inner)
            if owner := owners.get(id(inner)):
                self._known[id(owner)] = value
            else:
                self._pass_on(value, inner)

    def _expression(self, part: Part) -> Value:
        parts = part.parts
        if parts and parts[0].first == part.first:
            left, rest = parts[0], parts[1:]
            result = self._value(left)
        elif parts and self._kinds[part.first] in _UNARY:
            left, rest = parts[0], parts[1:]
            operand, result = self._value(left), None
            if self._kinds[part.first] != "not":  # which tells whether it is there, and nothing else
                self._pass_on(operand, left)
        else:
            left, rest = part, parts
            result = self._literal(part.first)
        for right in rest:
            result = self._operation(self._kinds[right.first - 1], result, left, right)
            left = right
        return result

    def _operation(self, operator: str, value: Value, left: Part, right: Part) -> Value:
        """What an operation gives. What is in the library is true; a script that changes that is told as unknown."""
        other = self._value(right)
        if operator in ("==", "~="):
            for each, part, against in ((value, left, other), (other, right, value)):
                # A metamethod of the other side would get it, if both are tables.
                if isinstance(each, Library) and each.name not in GUARDED and against is None:
                    self._pass_on(each, part)
            return None
        if operator == "and" and isinstance(value, Library):
            return other
        self._pass_on(other, right)
        if operator == "or" and isinstance(value, Library):
            return value
        self._pass_on(value, left)
        if operator == ".." and isinstance(value, bytes) and isinstance(other, bytes):
            return _kept(value + other)
        return None

    def _literal(self, token: int) -> Value:
        kind, text = self._kinds[token], self._tokens.text(token)
        if kind == "string":
            return _kept(string_value(text))
        if kind == "number" and text.isdigit() and len(text) <= _LONGEST_NUMBER:
            return str(int(text)).encode()
        return FALSY if kind in ("nil", "false") else None

    def _interpolated(self, part: Part) -> Value:
        inner = {each.first: each for each in part.parts}
        pieces: list[bytes] = []
        is_constant = True
        at = part.first + 1
        while at < part.last:
            if each := inner.get(at):
                value = self._value(each)
                self._pass_on(value, each)
                is_constant = is_constant and isinstance(value, bytes)
                if isinstance(value, bytes):
                    pieces.append(value)
                at = each.last
            elif self._kinds[at] == "text":
                pieces.append(text_value(self._tokens.text(at)))
            at += 1
        return _kept(b"".join(pieces)) if is_constant else None

    # --- chains --------------------------------------------------------------------------------------------------

    def _chain(self, part: Part) -> Value:
        value: Value
        parts, at = list(part.parts), part.first + 1
        if self._kinds[part.first] == "(":
            enclosed = parts.pop(0)
            value, at = self._value(enclosed), enclosed.last + 2
        else:
            value = self._named(part) if self._kinds[part.first] == "name" else self._literal(part.first)
        suffixes = {each.first: each for each in parts}
        value = self._suffixed(value, at, suffixes, part)
        if part.is_target:
            self._redefined(value, part.first)
            return None
        return value

    def _suffixed(self, value: Value, at: int, suffixes: dict[int, Part], part: Part) -> Value:
        """What a chain is, from its token `at` on."""
        while at <= part.last:
            suffix = suffixes.get(at)
            if suffix is None:  # a dot, a colon or a question mark
                is_field = self._kinds[at] == "."
                if is_field:
                    value = _field(value, self._tokens.text(at + 1))
                else:
                    self._pass_on(value, part)
                    value = None
                at += 1 if self._kinds[at] == "?" else 2
            else:
                value = (
                    self._call(value, suffix, part)
                    if suffix.kind is Kind.ARGUMENTS
                    else self._index(value, suffix, part)
                )
                at = suffix.last + 1
        return value

    def _named(self, chain: Part) -> Value:
        return self._meaning(chain.names, self._tokens.text(chain.first))

    def _meaning(self, declaration: Declaration | None, name: str) -> Value:
        if declaration is not None and not declaration.is_global:
            return self._known.get(id(declaration))
        return Library("" if name in ENVIRONMENTS else name) if name in TRACKED else None

    def _index(self, value: Value, brackets: Part, chain: Part) -> Value:
        keys = [self._value(each) for each in brackets.parts]
        for key, part in zip(keys, brackets.parts, strict=True):
            self._pass_on(key, part)
        key = keys[0] if len(keys) == 1 else None
        if isinstance(key, bytes) and brackets.parts[0].last + 1 == brackets.last:  # and it is no slice
            return _field(value, key.decode("latin-1"))
        self._pass_on(value, chain)
        return None

    def _call(self, value: Value, brackets: Part, chain: Part) -> Value:
        parts = brackets.parts
        arguments = [self._value(each) for each in parts]
        if not parts and brackets.first == brackets.last:  # a string alone
            arguments = [self._literal(brackets.first)]
        takes_function = isinstance(value, Library) and value.name in HARMLESS
        for position, (argument, part) in enumerate(zip(arguments, parts, strict=False)):
            if not (takes_function and position == 0):
                self._pass_on(argument, part)
        if not isinstance(value, Library):
            return None
        if value.name.startswith("fs.path.") or value.name == "os.getenv":
            self._single.add(id(chain))
        if _is_free(value.name):
            return _joined_path(arguments) if value.name == "fs.path.join" and not self._is_open(parts) else None
        call = Call(value.name, arguments, self._is_open(parts), self._place(chain.first))
        add_asked(call, self.asked)
        return required(call)

    def _is_open(self, arguments: list[Part]) -> bool:
        """Whether the last argument may stand for any number of values: `...`, or a call."""
        if not arguments or arguments[-1].kind is not Kind.EXPRESSION:
            return False
        last = arguments[-1]
        if not last.parts:
            return self._kinds[last.first] == "..." and last.first == last.last
        inner = last.parts[0]
        is_all = (inner.first, inner.last) == (last.first, last.last)
        if inner.kind is Kind.CHAIN:
            is_call = bool(inner.parts) and inner.parts[-1].kind is Kind.ARGUMENTS
            return is_all and is_call and id(inner) not in self._single
        return is_all and inner.kind is Kind.OTHER

    def _place(self, token: int) -> Place:
        return self._places.place(self._tokens.starts[token] + self._record.skipped)


def _field(value: Value, name: str) -> Value:
    if not isinstance(value, Library):
        return None
    if value.name in ("", "package.loaded"):
        return Library("" if name in ENVIRONMENTS else name) if name in TRACKED else None
    # Further fields, which a function or an unknown thing would have, change nothing.
    return Library(f"{value.name}.{name}") if value.name in TABLES else value


def _is_free(name: str) -> bool:
    table, _, field = name.rpartition(".")
    return name not in FREE_TABLES and field in FREE.get(table, ())


def _kept(value: bytes) -> bytes | None:
    return value if len(value) <= LONGEST_CONSTANT else None


def _joined_path(parts: list[Value]) -> bytes | None:
    """What `fs.path.join` makes of constants."""
    path = b""
    for part in parts:
        if not isinstance(part, bytes):
            return None
        if part:
            path = os.path.join(path, part)
    return _kept(path)
