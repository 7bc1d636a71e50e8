"""Random expressions of Lus, each beside what it means in Lua, token for token on the same line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import NamedTuple

LEAVES = ("1", "2", "0", "-1", "7", "2.0", "'s'", "nil", "true", "false", "t", "text", "nothing", "no", "t.b", "'12'")
ANY, OF_NUMBERS = ("==", "~=", "and", "or"), ("+", "-", "*", "<", "<=", "//", "%", "&", "|", "..")
CALLS = (
    "t.f({0})",
    "t.f({0})",
    "ev('v', {0})",
    "ev('v', {0})",
    "boom({0})",
    "fail({0})",
    "t:m({0})",
    "select('#', {0})",
)
TEXTS = (
    "a",
    " ",
    "$$",
    "\\n",
    "\\`",
    '"',
    "'",
    "\\\\",
    "\\65",
    "é",
    "\\\n",
    "\n",
    "--",
    "]]",
    "\\z  x",
    "\\z\n \r x",
    "\\z x",
    "$ ",
    "\\u{41}",
)


class Pair(NamedTuple):
    """The same in Lus and in Lua."""

    lus: str
    lua: str


@dataclass
class Name:
    """A variable as the script spells it and as Lua does; with its runtime attributes, if it has some."""

    lus: str
    lua: str
    checks: tuple[str, ...] = ()
    constant: bool = False


@dataclass
class Scope:
    """What may be used at a place."""

    names: list[Name] = field(default_factory=list)
    groups: dict[str, dict[str, Name]] = field(default_factory=dict)
    vararg: bool = True
    loops: bool = False
    provides: bool = False

    def inner(self, **changes: bool) -> Scope:
        """A block within: what it declares is not known outside."""
        return replace(self, names=[*self.names], groups={**self.groups}, **changes)


def same(text: str) -> Pair:
    return Pair(text, text)


def joined(separator: str, pairs: list[Pair]) -> Pair:
    return Pair(separator.join(pair.lus for pair in pairs), separator.join(pair.lua for pair in pairs))


def formed(lus: str, lua: str, *parts: Pair) -> Pair:
    """Both texts, with the parts in the places of {0}, {1} …; braces of their own are doubled."""
    return Pair(lus.format(*(part.lus for part in parts)), lua.format(*(part.lua for part in parts)))


class Expressions:
    """Makes expressions; blocks within them are the business of the subclass."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self._forms: list[Callable[[Scope, int], Pair]] = [
            *(self._binary, self._call, self._caught, self._handled, self._optional, self._optional),
            *(self._text, self._text, self._text),
            *(self._slice, self._slice, self._enum, self._do, self._function, self._table, self._index, self._unary),
        ]

    def block(self, scope: Scope, depth: int) -> Pair:
        """Statements on one line or several."""
        raise NotImplementedError

    def one(self, scope: Scope, depth: int = 3) -> Pair:
        """An expression of one value, which may stand everywhere."""
        if depth > 0 and self.chance.random() < 0.25:
            return formed("(select(2, {0}))", "(select(2, {0}))", self.catch(scope, depth - 1))
        if depth <= 0 or self.chance.random() < 0.15:
            return self._leaf(scope)
        return self.chance.choice(self._forms)(scope, depth - 1)

    def listed(self, scope: Scope, depth: int = 3) -> Pair:
        """A list of expressions, of which the last may have any number of values."""
        chosen = [self.one(scope, depth) for _ in range(self.chance.randint(0, 2))]
        return joined(", ", [*chosen, self._last(scope, depth)])

    def _leaf(self, scope: Scope) -> Pair:
        if scope.names and self.chance.random() < 0.5:
            name = self.chance.choice(scope.names)
            return Pair(name.lus, name.lua)
        return same(self.chance.choice(LEAVES))

    def _last(self, scope: Scope, depth: int) -> Pair:
        pick = self.chance.randrange(6)
        if pick == 0 and scope.vararg:
            return same("...")
        if pick == 1:
            return self.catch(scope, depth - 1)
        if pick == 2:
            return self._called(scope, depth - 1)
        if pick == 3:
            return self._chain(scope, depth - 1)[0]
        return self.one(scope, depth)

    def closed(self, scope: Scope, body: Pair, head: str = "", more: str = "") -> str:
        """In Lua: a call that evaluates the body in a function which sees the varargs."""
        dots = "..." if scope.vararg else ""
        listed = ", ".join(part for part in (more, dots) if part)
        return f"{head}function({listed}) return {body.lua} end{', ' + dots if dots else ''})"

    def catch(self, scope: Scope, depth: int) -> Pair:
        """`catch E`, with all of E's values."""
        body = self.one(scope, depth) if self.chance.random() < 0.5 else self._called(scope, depth)
        return Pair(f"catch {body.lus}", self.closed(scope, body, "R.catch("))

    def _caught(self, scope: Scope, depth: int) -> Pair:
        return formed("({0})", "({0})", self.catch(scope, depth))

    def _handled(self, scope: Scope, depth: int) -> Pair:
        handler = formed("function(e) return {0} end", "function(e) return {0} end", self._with_error(scope, depth))
        body = self.one(scope, depth)
        lua = self.closed(scope, body, f"R.catch_with({handler.lua}, ")
        return formed("say(catch[{0}] {1})", "say({2})", handler, body, Pair("", lua))

    def _with_error(self, scope: Scope, depth: int) -> Pair:
        inner = scope.inner(vararg=False)
        inner.names.append(Name("e", "e"))
        return self.one(inner, depth)

    def _called(self, scope: Scope, depth: int) -> Pair:
        """A call, with all of its values."""
        form = self.chance.choice(CALLS)
        return formed(form, form, self.listed(scope, depth))

    def _call(self, scope: Scope, depth: int) -> Pair:
        return formed("({0})", "({0})", self._called(scope, depth))

    def _binary(self, scope: Scope, depth: int) -> Pair:
        if self.chance.random() < 0.4:
            form = f"({{0}} {self.chance.choice(ANY)} {{1}})"
            return formed(form, form, self.one(scope, depth), self.one(scope, depth))
        form = f"({{0}} {self.chance.choice(OF_NUMBERS)} {{1}})"
        return formed(form, form, self._number(scope, depth), self._number(scope, depth))

    def _number(self, scope: Scope, depth: int) -> Pair:
        """Mostly a number, as what has errors says little."""
        if self.chance.random() < 0.1:
            return self.one(scope, depth)
        if depth > 0 and self.chance.random() < 0.3:
            return self._binary(scope, depth - 1)
        return same(self.chance.choice(("1", "2", "0", "-1", "7", "2.0", "#text", "#t", "t.a", "t[3]", "'12'")))

    def _unary(self, scope: Scope, depth: int) -> Pair:
        if self.chance.random() < 0.5:
            return formed("(not {0})", "(not {0})", self.one(scope, depth))
        form = self.chance.choice(("(- {0})", "(~{0})"))
        return formed(form, form, self._number(scope, depth))

    def _index(self, scope: Scope, depth: int) -> Pair:
        base = self.one(scope, depth) if self.chance.random() < 0.2 else same(self.chance.choice(("t", "t.b", "text")))
        return formed("({0})[{1}]", "({0})[{1}]", base, self.one(scope, depth))

    def _table(self, scope: Scope, depth: int) -> Pair:
        form = self.chance.choice(("{{{0}}}", "{{k = {1}, {0}}}", "{{['k'] = {1}; {0}}}", "{{{1}, {0}}}"))
        return formed(form, form, self.listed(scope, depth), self.one(scope, depth))

    def _function(self, scope: Scope, depth: int) -> Pair:
        inner = scope.inner(vararg=self.chance.random() < 0.5, loops=False, provides=False)
        inner.names.append(Name("p", "p"))
        body = self.block(inner, depth)
        parameters = "p, ..." if inner.vararg else "p"
        form = f"(function({parameters}) {{0}} return {{1}} end)({{2}})"
        return formed(f"({form})", f"({form})", body, self.listed(inner, depth), self.listed(scope, depth))

    def _do(self, scope: Scope, depth: int) -> Pair:
        inner = scope.inner(loops=False, provides=True)
        body = self.block(inner, depth)
        values = self.listed(inner, depth) if self.chance.random() < 0.8 else None
        last = formed("provide {0}", "return {0}", values) if values else Pair("", "return nil")
        dots = "..." if scope.vararg else ""
        return formed("(do {0} {1} end)", f"((function({dots}) {{0}} {{1}} end)({dots}))", body, last)

    def _enum(self, scope: Scope, depth: int) -> Pair:
        names = ["red", "green", "blue"][: self.chance.randint(1, 3)]
        quoted = ", ".join(f"'{name}'" for name in names)
        after = self.chance.choice(("", ".green", "[2]", ".red", ".none", "[9]"))
        return Pair(f"(enum {', '.join(names)} end){after}", f"(R.enum{{{quoted}}}){after}")

    def _slice(self, scope: Scope, depth: int) -> Pair:
        base = self.one(scope, depth) if self.chance.random() < 0.3 else same(self.chance.choice(("t", "text", "t.b")))
        low, high = (self._bound(scope, depth) for _ in range(2))
        lua = f"(R.slice({base.lua}, {low.lua or 'nil'}, {high.lua or 'nil'}))"  # no tail call, which has no line
        return Pair(f"({base.lus})[{low.lus}, {high.lus}]", lua)

    def _bound(self, scope: Scope, depth: int) -> Pair:
        if self.chance.random() < 0.2:
            return Pair("", "")
        return self.one(scope, depth) if self.chance.random() < 0.3 else same(str(self.chance.randint(-9, 9)))

    def _text(self, scope: Scope, depth: int) -> Pair:
        lus, lua = "", []
        for _ in range(self.chance.choice((0, 1, 2, 4, 8))):
            if self.chance.random() < 0.6:
                piece = self.chance.choice(TEXTS)
                lus += piece
                lua.append('"' + _in_quotes(piece) + '"')
                continue
            value = self.one(scope, depth)
            plain = [name for name in scope.names if "." not in name.lus]
            if plain and self.chance.random() < 0.3:
                name = self.chance.choice(plain)
                lus += f"${name.lus}"
                value = Pair("", name.lua)
                lus += self.chance.choice((" ", ".", "-"))
                lua += [f"R.text({value.lua})", f'"{lus[-1]}"']
            else:
                lus += f"$({value.lus})"
                lua.append(f"R.text({value.lua})")
        return Pair(f"(`{lus}`)", f"({' .. '.join(lua) or chr(34) * 2})")

    def _chain(self, scope: Scope, depth: int) -> tuple[Pair, bool]:
        """An optional chain; and whether it ends in a call, and so may have several values."""
        known = self.chance.choice(("t", "t", "t.b", "nothing", "no", ""))
        base = formed("({0})", "{0}", same(known) if known else self.one(scope, depth))
        if known and self.chance.random() < 0.5:
            base = Pair(known, known)
        suffixes = (".a", ".b", "[{0}]", ".f({1})", ":m({1})", "({1})", ".c", "[{0}, ]")
        parts, call = [], False
        for number in range(self.chance.choice((1, 1, 1, 2, 3))):
            of_base = (".a", ".b", "[{0}]", ".f({1})", ":m({1})", "[{0}, ]") if known == "t" else (".a", ".c", "[{0}]")
            form = self.chance.choice(suffixes if number or known not in ("t", "t.b") else of_base)
            call = form.endswith(")")
            parts.append((form, self.one(scope, depth - 1), self.listed(scope, depth - 1)))
        lus, lua = base.lus + "?", "v"
        for form, index, arguments in parts:
            lus += form.format(index.lus, arguments.lus)
            lua = f"(R.slice({lua}, {index.lua}, nil))" if "," in form else lua + form.format(index.lua, arguments.lua)
        if lus.endswith(", ]"):
            call = False
        value = self.closed(scope, Pair("", lua if call else f"({lua})"), f"R.optional({base.lua}, ", "v")
        return Pair(lus, value if call else f"({value})"), call

    def _optional(self, scope: Scope, depth: int) -> Pair:
        return formed("({0})", "({0})", self._chain(scope, depth)[0])


def _in_quotes(piece: str) -> str:
    """A piece of an interpolated string within double quotes."""
    replaced = {"$$": "$", "\\`": "`", '"': '\\"', "\n": "\\\n"}
    return replaced.get(piece, piece)
