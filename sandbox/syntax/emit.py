"""Emitting Lua: the script's own text, with the constructs that Lua lacks rewritten in place.

Nothing is moved: text is put before, after or instead of tokens, and white space and comments stay, so that every
token keeps its line. Since nodes come inner before outer, what an outer node puts before a token goes in front of
what inner ones have put there, and what it puts after a token goes behind.
"""

from __future__ import annotations

import re
from functools import singledispatchmethod

from .scope import FreshNames, Variable
from .tokens import Tokens
from .tree import (
    AssigningWhile,
    Boundary,
    Branch,
    BranchesEnd,
    Catch,
    CheckedFunction,
    CheckedLocal,
    CheckedValues,
    DoExpression,
    Enum,
    From,
    GroupCopy,
    GroupField,
    GroupStatement,
    Interpolated,
    Node,
    Optional,
    Provide,
    Slice,
)

_TEXT_PARTS = re.compile(r"\\(?:z[ \t\n\r\v\f]*+|`|\r\n|\n\r|[\s\S])|\$\$|\"|\r\n|\n\r|[\r\n]")


class Emitter:
    """Rewrites one script."""

    def __init__(self, tokens: Tokens, names: FreshNames) -> None:
        self._tokens = tokens
        self._names = names
        self._before: dict[int, str] = {}
        self._after: dict[int, str] = {}
        self._instead: dict[int, str] = {}
        self._value: str | None = None
        self.helpers: dict[str, str] = {}
        """By helper, the Lua name of the local variable that holds it."""

    def emit(self, nodes: list[Node]) -> str:
        """The body of the script."""
        for node in nodes:
            self._tokens.stop.check()
            self._rewrite(node)
        tokens, source = self._tokens, self._tokens.source
        pieces: list[str] = []
        done = 0
        for index in sorted({*self._before, *self._after, *self._instead}):
            start, end = tokens.starts[index], tokens.ends[index]
            pieces += (
                source[done:start],
                self._before.get(index, ""),
                self._instead.get(index, source[start:end]),
                self._after.get(index, ""),
            )
            done = end
        return "".join(pieces) + source[done:]

    # --- putting text --------------------------------------------------------------------------------------------

    def _open(self, index: int, text: str) -> None:
        self._before[index] = text + self._before.get(index, "")

    def _close(self, index: int, text: str) -> None:
        self._after[index] = self._after.get(index, "") + text

    def _drop(self, first: int, last: int) -> None:
        """Take these tokens out; a space is left, since they may have kept two words apart."""
        for index in range(first, last + 1):
            self._instead[index] = " "

    def _helper(self, name: str) -> str:
        if name not in self.helpers:
            self.helpers[name] = self._names.fresh(f"lus_{name}")
        return self.helpers[name]

    def _parameter(self) -> str:
        """The name of the parameter that holds the base of an optional chain; one serves for all, nested or not."""
        if self._value is None:
            self._value = self._names.fresh("lus_value")
        return self._value

    # --- nodes ---------------------------------------------------------------------------------------------------

    @singledispatchmethod
    def _rewrite(self, node: Node) -> None:
        raise AssertionError(node)

    @_rewrite.register
    def _(self, node: Catch) -> None:
        function = f"function({'...' * node.varargs}) return "
        if node.handler:
            self._instead[node.word] = self._helper("catch_with")
            self._instead[node.handler[0]] = "("
            self._instead[node.handler[1]] = f", {function}"
        else:
            self._instead[node.word] = f"{self._helper('catch')}({function}"
        self._close(node.last, " end, ...)" if node.varargs else " end)")

    @_rewrite.register
    def _(self, node: Optional) -> None:
        if node.question == node.last:  # parentheses: one value, as with any other optional chain
            self._instead[node.question] = ""
            self._open(node.first, "(")
            self._close(node.last, ")")
        elif node.inline:
            self._instead[node.question] = node.inline
            self._open(node.question, " and ")
            self._open(node.first, "(")
            self._close(node.last, ")")
        else:
            value = self._parameter()
            self._instead[node.question] = value
            self._open(node.question, f", function({value}{', ...' * node.varargs}) return ")
            self._open(node.first, f"{self._helper('optional')}(")
            self._close(node.last, " end, ...)" if node.varargs else " end)")

    @_rewrite.register
    def _(self, node: Slice) -> None:
        # The parentheses keep `return t[a,b]` from being a tail call, which would cost an error its line. A statement
        # can't begin with them: they would call what stands before.
        begin, end = ("", ")") if node.statement else ("(", "))")
        self._open(node.first, f"{begin}{self._helper('slice')}(")
        self._instead[node.opening] = ", " if node.comma > node.opening + 1 else ", nil"
        self._instead[node.closing] = end if node.closing > node.comma + 1 else f" nil{end}"

    @_rewrite.register
    def _(self, node: Enum) -> None:
        self._instead[node.word] = f"{self._helper('enum')}({{"
        for name in node.names:
            self._instead[name] = f'"{self._tokens.text(name)}"'
        self._instead[node.end] = "})"

    @_rewrite.register
    def _(self, node: Interpolated) -> None:
        text = self._helper("text")
        self._instead[node.opening] = f"{'(' * node.argument}{self._helper('join')}({{"
        for piece in node.texts:
            self._instead[piece] = f"{_quoted(self._tokens.text(piece))}, "
        for first, last in node.values:
            self._instead[first - 1] = ""
            self._open(first, f"{text}(" if first == last else text)
            self._close(last, "), " if first == last else ", ")
        self._instead[node.closing] = f"}}){')' * node.argument}"

    @_rewrite.register
    def _(self, node: DoExpression) -> None:
        self._instead[node.word] = f"(function({'...' * node.varargs}) "
        self._instead[node.end] = f" end)({'...' * node.varargs})"

    @_rewrite.register
    def _(self, node: Provide) -> None:
        self._instead[node.word] = "do return "
        self._close(node.last, " end ")

    @_rewrite.register
    def _(self, node: From) -> None:
        self._instead[node.word] = "="
        first = node.word + 1
        if node.group:
            self._drop(first, node.last)
            self._instead[first] = f" {', '.join(node.fields)}"
        elif len(node.fields) == 1:
            self._open(first, " (")
            self._close(node.last, f").{node.fields[0]} ")
        else:
            # The parameter is called as the script calls the table, so that Lua's errors name it.
            subject = node.subject or "value"
            values = ", ".join(f"{subject}.{field}" for field in node.fields)
            self._open(first, f" (function({subject}) return {values} end)(")
            self._close(node.last, ")")

    @_rewrite.register
    def _(self, node: Branch) -> None:
        self._instead[node.word] = "else local" if node.nested else "do local"
        self._instead[node.then] = f" if {' and '.join(node.names)} then"

    @_rewrite.register
    def _(self, node: BranchesEnd) -> None:
        self._close(node.end, " end" * node.count)

    @_rewrite.register
    def _(self, node: AssigningWhile) -> None:
        self._instead[node.word] = "while true do local"
        if node.error_first:
            self._open(node.error_first[0], f"{self._helper('error_first')}(")
            self._close(node.error_first[1], ")")
        test = (" or " if node.error_first else " and ").join(node.names)
        self._instead[node.do] = f" if not ({test}) then break end "

    @_rewrite.register
    def _(self, node: GroupField) -> None:
        self._drop(node.first, node.last)
        self._instead[node.first] = node.lua

    @_rewrite.register
    def _(self, node: GroupStatement) -> None:
        for index in node.dropped:
            self._drop(index, index)
        for value in node.values[1:]:
            self._open(value, ", ")
        self._drop(node.head, node.equals - 1)
        self._instead[node.head] = ", ".join(node.targets)
        if not node.targets:
            self._drop(node.equals, node.equals)
            if node.declares:
                self._drop(node.head - 1, node.head - 1)

    @_rewrite.register
    def _(self, node: GroupCopy) -> None:
        self._drop(node.head, node.equals - 1)
        self._drop(node.first, node.last)
        self._instead[node.head] = _list(node.targets)
        self._instead[node.first] = _list(node.sources)
        if not node.targets:
            self._drop(node.head - 1, node.head - 1)
            self._drop(node.equals, node.equals)

    @_rewrite.register
    def _(self, node: CheckedLocal) -> None:
        kept = {index for first, last in node.checks for index in range(first, last + 1)}
        for index in range(node.word + 1, node.last + 1):
            if index not in kept:
                self._drop(index, index)
        self._instead[node.word] = f"local {', '.join(node.holders)} = "
        for first, _ in node.checks[1:]:
            self._open(first, ", ")
        self._close(node.last, f"; local {node.declared} ")

    @_rewrite.register
    def _(self, node: CheckedValues) -> None:
        self._open(node.first, f" {_checking(node.targets)}(")
        self._close(node.last, ")")

    @_rewrite.register
    def _(self, node: CheckedFunction) -> None:
        self._drop(node.name, node.name_last)
        self._instead[node.word] = f"{node.target.lua} = {_checking((node.target,))}(function"
        self._close(node.end, ")")

    @_rewrite.register
    def _(self, node: Boundary) -> None:
        self._close(node.last, ";")


def _list(variables: tuple[Variable, ...]) -> str:
    return ", ".join(variable.lua for variable in variables)


def _checking(targets: tuple[Variable | None, ...]) -> str:
    """A function that runs the runtime attributes of the targets on its arguments, and gives the values to assign.

    A function of the script's own chunk and not a helper: the callers' frames are then the script's, so that
    `error(message, 2)` in an attribute names the line of the assignment. An attribute that is itself among the
    values (in a local group) is a parameter under its own name. No other name of the script is in the function.
    """
    holders = {holder for target in targets if target for holder in target.checks}
    names = [
        target.lua if target and target.lua in holders else f"_{position}" for position, target in enumerate(targets)
    ]
    steps = [
        f'if {name} ~= nil then local _r = {holder}("{target.spelling}", {name}) if _r ~= nil then {name} = _r end end '
        for name, target in zip(names, targets, strict=True)
        if target
        for holder in target.checks
    ]
    listed = ", ".join(names)
    return f"(function({listed}) {''.join(steps)}return {listed} end)"


def _quoted(text: str) -> str:
    """A piece of an interpolated string as a string of Lua, with as many line breaks."""
    return '"' + _TEXT_PARTS.sub(_quoted_part, text) + '"'


def _quoted_part(part: re.Match[str]) -> str:
    text = part[0]
    if text in ("\\`", "$$"):
        return text[1]
    return "\\" + text if text[0] in '"\r\n' else text
