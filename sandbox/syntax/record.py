"""What stands where in a script, for who wants to know what it does without running it.

The parser itself builds no tree of plain Lua, since a translation needs none. So this is the same parser, which notes
on its way where expressions begin and end, and what names stand for. A translation pays nothing for it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum, auto

from msgspec import Struct, field

from .expressions import Chain, Form
from .faults import UTF8_BOM, Problem, Stop, fault_at
from .scope import Binding, Group, Scopes, Variable
from .statements import Parser
from .tokens import Tokens
from .translate import parsed, without_head

_FRAMES = 6000
"""Of Python's, for the parser with its notes and for who walks over them: six to ten for each level of nesting."""


class Kind(Enum):
    """What a `Part` is."""

    CHUNK = auto()
    LOCAL = auto()
    """A `local` statement: `declares` are its variables, in order."""
    EXPRESSION = auto()
    """An operand, and any number of operators with an expression behind each, as they are applied."""
    CHAIN = auto()
    """A name or a value in parentheses, with what is called and indexed upon it."""
    ARGUMENTS = auto()
    """Those of a call: expressions in parentheses, a table, an interpolated string, or a string as its only token."""
    INDEX = auto()
    """From bracket to bracket: of an index or a slice."""
    TABLE = auto()
    INTERPOLATED = auto()
    OTHER = auto()
    """A function, a `do` expression, or a `catch`."""


class Declaration(Struct, eq=False):
    """A variable of a script. `value` is the expression that it is declared with, unless that is changed on its way."""

    name: str
    at: int
    """The token that was read last when it was declared: it, or one behind it."""
    depth: int
    is_global: bool
    is_group: bool
    """A local group, which is no value."""
    value: Part | None = None
    is_assigned: bool = False
    """Also elsewhere than where it is declared."""


class Part(Struct, eq=False):
    """A piece of the script, from the token `first` to the token `last`, with the parts in it, from left to right."""

    kind: Kind
    first: int
    last: int = -1
    parts: list[Part] = field(default_factory=list)
    names: Declaration | None = None
    """Of a chain that begins with a name: its declaration, None for what nobody declared."""
    declares: list[Declaration] = field(default_factory=list)
    is_target: bool = False
    """Of a chain that is assigned to."""


class Definition(Struct, frozen=True):
    """A name or a field that gets a value without a chain: `function a.b()`, `global a = 1`."""

    at: int
    """The token of the name."""
    path: tuple[str, ...]
    names: Declaration | None
    """What the first name stands for."""


class Record(Struct, frozen=True):
    """A whole script; of its `source`, less a byte order mark, `skipped` bytes stand before the text of the tokens."""

    source: bytes
    tokens: Tokens
    chunk: Part
    declarations: list[Declaration]
    definitions: list[Definition]
    skipped: int


class _RecordingScopes(Scopes):
    """Keeps the declaration that each name means, beside what the parser needs to know of it."""

    def __init__(self, parser: Parser) -> None:
        super().__init__()
        self.all: list[Declaration] = []
        self._parser = parser
        self._current: dict[str, Declaration] = {}
        self._outer: list[list[tuple[str, Declaration | None]]] = [[]]

    @property
    def depth(self) -> int:
        return len(self._outer)

    def open(self) -> None:
        super().open()
        self._outer.append([])

    def close(self) -> None:
        super().close()
        for name, declaration in reversed(self._outer.pop()):
            if declaration is None:
                del self._current[name]
            else:
                self._current[name] = declaration

    def declare(self, name: str, binding: Binding | None = None) -> None:
        super().declare(name, binding)
        is_global = isinstance(binding, Variable) and binding.is_global
        declaration = Declaration(
            name, max(0, self._parser.i - 1), self.depth, is_global, is_group=isinstance(binding, Group)
        )
        self.all.append(declaration)
        self._outer[-1].append((name, self._current.get(name)))
        self._current[name] = declaration

    def declaration(self, name: str) -> Declaration | None:
        return self._current.get(name)


class _RecordingParser(Parser):
    def __init__(self, tokens: Tokens, ordinary: frozenset[str]) -> None:
        super().__init__(tokens, ordinary)
        self.scopes = self.declared = _RecordingScopes(self)
        self.part = Part(Kind.CHUNK, 0)
        self.definitions: list[Definition] = []

    def _open(self, kind: Kind) -> Part:
        """Begin a part within the one that is open, and give that for `_close`. What fails leaves all of them open."""
        outer, part = self.part, Part(kind, self.i)
        outer.parts.append(part)
        self.part = part
        return outer

    def _close(self, outer: Part) -> None:
        self.part.last = self.i - 1
        self.part = outer

    def chunk(self) -> None:
        super().chunk()
        self.part.last = self.i

    def expression(self, limit: int = 0) -> None:
        outer = self._open(Kind.EXPRESSION)
        super().expression(limit)
        self._close(outer)

    def chain(self, *, statement: bool = False) -> Chain:
        outer = self._open(Kind.CHAIN)
        self.part.names = self._named()
        chain = super().chain(statement=statement)
        self._close(outer)
        return chain

    def _interpolated_name(self) -> None:
        outer = self._open(Kind.CHAIN)
        self.part.names = self._named()
        super()._interpolated_name()
        self._close(outer)

    def _interpolated(self, *, argument: bool) -> None:
        outer = self._open(Kind.INTERPOLATED)
        super()._interpolated(argument=argument)
        self._close(outer)

    def _table(self) -> None:
        outer = self._open(Kind.TABLE)
        super()._table()
        self._close(outer)

    def _arguments(self, where: str) -> None:
        outer = self._open(Kind.ARGUMENTS)
        super()._arguments(where)
        self._close(outer)

    def _index(self, base: int, *, statement: bool) -> Form:
        outer = self._open(Kind.INDEX)
        form = super()._index(base, statement=statement)
        self._close(outer)
        return form

    def function_body(self, word: int, *, method: bool = False) -> None:
        outer = self._open(Kind.OTHER)
        super().function_body(word, method=method)
        self._close(outer)

    def _do_expression(self) -> None:
        outer = self._open(Kind.OTHER)
        super()._do_expression()
        self._close(outer)

    def catch(self) -> tuple[int, int]:
        outer = self._open(Kind.OTHER)
        place = super().catch()
        self._close(outer)
        return place

    def local(self) -> None:
        known, depth = len(self.declared.all), self.declared.depth
        outer = self._open(Kind.LOCAL)
        super().local()
        part = self.part
        self._close(outer)
        part.declares = [found for found in self.declared.all[known:] if found.depth == depth]
        values = [value for value in part.parts if value.kind is Kind.EXPRESSION]
        # Runtime attributes (chains) may change a value on its way, and `from` takes fields of it.
        if values and len(values) == len(part.parts) and self.kinds[values[0].first - 1] == "=":
            for declaration, value in zip(part.declares, values, strict=False):
                declaration.value = None if declaration.is_group else value

    def global_(self) -> None:
        if self.kinds[self.i + 1] == "function":
            self._define(self.i + 2)
        super().global_()

    def values(self, targets: Sequence[Variable | None], names: list[str] | None = None) -> bool:
        before = self.i
        is_given = super().values(targets, names)
        if is_given and names:  # of a `global` statement
            self.definitions.extend(Definition(before - 1, (name,), None) for name in names)
        return is_given

    def _function(self) -> None:
        self._define(self.i + 1)
        super()._function()

    def _define(self, at: int) -> None:
        path = [self.text(at)]
        names = self.declared.declaration(path[0])
        last = at
        while self.kinds[last + 1] in (".", ":") and self.kinds[last + 2] == "name":
            last += 2
            path.append(self.text(last))
        self.definitions.append(Definition(at, tuple(path), names))

    def _target(self, chain: Chain, first: int) -> Variable | None:
        self.part.parts[-1].is_target = True  # which has just been read
        return super()._target(chain, first)

    def _mind_assignment(self, chain: Chain, at: int) -> Variable | None:
        if declaration := self.declared.declaration(self.text(at)):
            declaration.is_assigned = True
        return super()._mind_assignment(chain, at)

    def _named(self) -> Declaration | None:
        return self.declared.declaration(self.text(self.i)) if self.kinds[self.i] == "name" else None


def record(source: bytes, name: str, stop: Stop | None = None) -> Record:
    """Read a script. SyntaxFault where the parser can't: also for what Lua's own compiler takes, and nobody writes.
    `TranslationStoppedError` soon after `stop` is requested.

    Who walks over the parts by recursion does that within `deep_recursion`.
    """
    source = source.removeprefix(UTF8_BOM)
    text, skipped = without_head(source)
    try:
        with deep_recursion():
            parser = parsed(text.decode("latin-1"), stop or Stop(), _RecordingParser)
    except Problem as problem:
        raise fault_at(problem.offset + skipped, problem.message, source, name) from None
    return Record(source, parser.tokens, parser.part, parser.declared.all, parser.definitions, skipped)


@contextmanager
def deep_recursion() -> Iterator[None]:
    """Let Python recurse as deep as a script may nest. For the whole interpreter: not for hosts."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _FRAMES))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
