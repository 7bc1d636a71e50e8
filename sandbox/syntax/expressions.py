"""Parsing expressions."""

from __future__ import annotations

from enum import Enum as Kinds
from enum import auto
from typing import NamedTuple

from .cursor import Cursor, Frame
from .scope import Binding, Group, Variable
from .tree import Catch, DoExpression, Enum, GroupField, Interpolated, Optional, Slice

_BINARY = {
    "or": (1, 1),
    "and": (2, 2),
    **dict.fromkeys(("<", ">", "<=", ">=", "~=", "=="), (3, 3)),
    "|": (4, 4),
    "~": (5, 5),
    "&": (6, 6),
    "<<": (7, 7),
    ">>": (7, 7),
    "..": (9, 8),
    "+": (10, 10),
    "-": (10, 10),
    **dict.fromkeys(("*", "/", "//", "%"), (11, 11)),
    "^": (14, 13),
}
"""Left and right priority of the binary operators, as in the Lua 5.5 manual, section 3.4.8."""
_UNARY = frozenset(("not", "-", "~", "#"))
_UNARY_PRIORITY = 12
_LITERALS = frozenset(("number", "string", "nil", "true", "false"))
_ARGUMENTS = frozenset(("(", "string", "{", "`"))
_STARTS = _UNARY | _LITERALS | {"name", "(", "{", "function", "...", "`", "do"}
"""The kinds of token that an expression can begin with."""


class Form(Kinds):
    """What a chain of suffixes is in the end."""

    NAME = auto()
    FIELD = auto()
    CALL = auto()
    VALUE = auto()
    OPTIONAL = auto()


class Chain(NamedTuple):
    """A parsed primary expression with its suffixes; `binding` is that of a mere name, where it is declared."""

    form: Form
    binding: Binding | None


class ExpressionParser(Cursor):
    """Parses expressions; blocks within them are the business of the subclass."""

    def block(self) -> None:
        """Parse statements up to a token that ends a block."""
        raise NotImplementedError

    def expression(self, limit: int = 0) -> None:
        self.descend()
        kind = self.kinds[self.i]
        if kind in _LITERALS and self.kinds[self.i + 1] != "?":
            self.i += 1
        elif kind == "name":
            word = self.text(self.i)
            if word == "catch" and self.is_catch():
                self.catch()
            elif word == "enum" and self._is_enum():
                self._enum()
            else:
                self.chain()
        elif kind in _UNARY:
            self.i += 1
            self.expression(_UNARY_PRIORITY)
        elif kind == "(" or kind in _LITERALS:
            self.chain()
        else:
            self._other_operand(kind)
        while (priority := _BINARY.get(self.kinds[self.i])) and priority[0] > limit:
            self.i += 1
            self.expression(priority[1])
        self.level -= 1

    def expression_list(self) -> None:
        self.expression()
        while self.accept(","):
            self.expression()

    def _other_operand(self, kind: str) -> None:
        if kind == "{":
            self._table()
        elif kind == "function":
            self.i += 1
            self.function_body(self.i - 1)
        elif kind == "`":
            self._interpolated(argument=False)
        elif kind == "do":
            self._do_expression()
        elif kind == "...":
            if not self.frame.vararg:
                self.fail("cannot use '...' outside a vararg function")
            self.frame.uses += 1
            self.i += 1
        else:
            self.fail(f"expected an expression, got {self.shown(self.i)}")

    # --- chains of suffixes --------------------------------------------------------------------------------------

    def chain(self, *, statement: bool = False) -> Chain:
        """Parse `name` or `(…)` and what is called and indexed upon it; `statement` where it begins a statement."""
        first = base = self.i
        level = self.level
        form, binding = self._primary()
        local = binding.lua if isinstance(binding, Variable) and not binding.is_global else None
        local_end = self.i
        question = uses = -1
        while True:
            kind = self.kinds[self.i]
            if kind == ".":
                self.i += 1
                self.expect_name("a field name after '.'")
                form = Form.FIELD
            elif kind == "[":
                form = self._index(base, statement=statement and base == first)
            elif kind == ":":
                self.i += 1
                self.expect_name("a method name after ':'")
                self._arguments("after the method name")
                form = Form.CALL
            elif kind in _ARGUMENTS:
                self._arguments("")
                form = Form.CALL
            elif kind == "?":
                if question >= 0:
                    self._optional(first, question, uses, form, None if statement else local)
                    local = None
                elif local_end != self.i:
                    local = None
                self.descend(3)
                question, uses, base, form = self.i, self.frame.uses, self.i, Form.VALUE
                self.i += 1
            else:
                break
        self.level = level
        if question < 0:
            return Chain(form, binding if form is Form.NAME else None)
        self._optional(first, question, uses, form, None if statement else local)
        return Chain(Form.CALL if form is Form.CALL else Form.OPTIONAL, None)

    def _primary(self) -> Chain:
        if self.kinds[self.i] == "name":
            binding = self.scopes.find(self.text(self.i))
            if isinstance(binding, Group):
                return Chain(Form.NAME, self._field_of(binding))
            self.i += 1
            return Chain(Form.NAME, binding)
        opening = self.i
        if self.kinds[opening] in _LITERALS and self.kinds[opening + 1] == "?":
            self.i += 1
            return Chain(Form.VALUE, None)
        if not self.accept("("):
            self.fail(f"expected a statement, got {self.shown(self.i)}")
        self.expression()
        self.expect_closing(")", opening)
        return Chain(Form.VALUE, None)

    def _optional(self, first: int, question: int, uses: int, form: Form, local: str | None) -> None:
        inline = local if form is not Form.CALL else None
        self.nodes.append(Optional(first, question, self.i - 1, self.frame.uses > uses, inline))

    def _index(self, base: int, *, statement: bool) -> Form:
        opening = self.i
        self.i += 1
        self.descend(2)  # as for a slice, which shows only after its first bound
        if self.kinds[self.i] != ",":
            self.expression()
        if self.kinds[self.i] != ",":
            self.expect_closing("]", opening)
            self.level -= 2
            return Form.FIELD
        comma = self.i
        self.i += 1
        if self.kinds[self.i] != "]":
            self.expression()
        self.nodes.append(Slice(base, opening, comma, self.expect_closing("]", opening), statement))
        return Form.VALUE

    def _arguments(self, where: str) -> None:
        kind, opening = self.kinds[self.i], self.i
        if kind == "string":
            self.i += 1
        elif kind == "{":
            self._table()
        elif kind == "`":
            self._interpolated(argument=True)
        else:
            self.expect("(", where)
            if self.kinds[self.i] != ")":
                self.expression()
                while self.accept(","):
                    self.expression()
            self.expect_closing(")", opening)

    # --- local groups --------------------------------------------------------------------------------------------

    def group_path(self, group: Group) -> tuple[Variable | Group, str]:
        """Take `g.a.b` as far as it leads through groups; gives what it leads to, and its spelling."""
        spelling = group.spelling
        found: Variable | Group = group
        self.i += 1
        while isinstance(found, Group) and self.kinds[self.i] == ".":
            self.i += 1
            name = self.text(self.expect_name("a field name after '.'"))
            if name not in found.fields:
                self.fail(f"the local group '{found.spelling}' has no field '{name}'", self.i - 1)
            found = found.fields[name]
            spelling = found.spelling
        return found, spelling

    def _field_of(self, group: Group) -> Variable:
        first = self.i
        found, spelling = self.group_path(group)
        if isinstance(found, Group):
            example = next(iter(found.fields), None)
            hint = f"; name one of its fields, such as '{spelling}.{example}'" if example else ""
            self.fail(f"the local group '{spelling}' is not a value{hint}", first)
        self.nodes.append(GroupField(first, self.i - 1, found.lua))
        return found

    # --- operands ------------------------------------------------------------------------------------------------

    def _table(self) -> None:
        opening = self.i
        self.i += 1
        while self.kinds[self.i] != "}":
            if self.kinds[self.i] == "[":
                bracket = self.i
                self.i += 1
                self.expression()
                self.expect_closing("]", bracket)
                self.expect("=", "after the key")
            elif self.kinds[self.i] == "name" and self.kinds[self.i + 1] == "=":
                self.i += 2
            self.expression()
            if not (self.accept(",") or self.accept(";")):
                break
        self.expect_closing("}", opening)

    def function_body(self, word: int, *, method: bool = False) -> None:
        """Parse from the parameters to the `end` of the function that began at `word`."""
        outer = self.frame
        self.scopes.open()
        if method:
            self.scopes.declare("self")
        self.frame = Frame(vararg=self._parameters())
        self.block()
        self.expect_closing("end", word)
        self.scopes.close()
        self.frame = outer

    def _parameters(self) -> bool:
        """Declare the parameters; gives whether the function is vararg."""
        opening = self.expect("(", "before the parameters")
        vararg = False
        while self.kinds[self.i] != ")":
            vararg = self.accept("...")
            if not vararg or self.kinds[self.i] == "name":
                self.scopes.declare(self.text(self.expect_name("a parameter")))
            if vararg or not self.accept(","):
                break
            if self.kinds[self.i] == ")":
                self.fail("expected a parameter after ',', got ')'")
        self.expect_closing(")", opening)
        return vararg

    def is_catch(self) -> bool:
        """Whether the word `catch` here is Lus's: the script has no variable of that name, and a value follows."""
        following = self.kinds[self.i + 1]
        return (following in _STARTS or following == "[") and self.is_free("catch")

    def catch(self) -> tuple[int, int]:
        """Parse a `catch`; gives its first and last token."""
        word, level, handler = self.i, self.level, None
        self.descend(2)
        self.i += 1
        if self.accept("["):
            opening = self.i - 1
            self.expression()
            handler = (opening, self.expect_closing("]", opening))
        uses = self.frame.uses
        self.expression()
        self.nodes.append(Catch(word, self.i - 1, handler, self.frame.uses > uses))
        self.level = level
        return word, self.i - 1

    def _is_enum(self) -> bool:
        """Whether `enum` begins an enumeration: `enum a, b end` means nothing in Lua, `enum a` on one line hardly."""
        at = self.i + 1
        if self.kinds[at] != "name":
            return False
        if self.is_free("enum") and self.on_one_line(self.i, at):
            return True
        while self.kinds[at] == "name" and self.kinds[at + 1] == ",":
            at += 2
        return self.kinds[at] == "name" and self.kinds[at + 1] == "end"

    def _enum(self) -> None:
        word = self.i
        self.i += 1
        names: dict[str, int] = {}
        while True:
            name = self.expect_name("a name for the enum's next value")
            if self.text(name) in names:
                self.fail(f"the enum has the name '{self.text(name)}' twice", name)
            names[self.text(name)] = name
            if not self.accept(","):
                break
        self.nodes.append(Enum(word, tuple(names.values()), self.expect_closing("end", word)))

    def _interpolated(self, *, argument: bool) -> None:
        opening, level = self.i, self.level
        self.descend(3)
        self.i += 1
        texts: list[int] = []
        values: list[tuple[int, int]] = []
        while not self.accept("`end"):
            if self.accept("text"):
                texts.append(self.i - 1)
                continue
            self.i += 1  # the dollar sign
            first = self.i
            if self.accept("("):
                self.expression()
                self.expect_closing(")", first)
            else:
                self._interpolated_name()
            values.append((first, self.i - 1))
        self.nodes.append(Interpolated(opening, tuple(texts), tuple(values), self.i - 1, argument))
        self.level = level

    def _interpolated_name(self) -> None:
        name = self.expect_name("a variable after '$'")
        binding = self.scopes.find(self.text(name))
        if isinstance(binding, Group):
            self.fail(f"the local group '{binding.spelling}' is not a value; write a field as '$(group.field)'", name)

    def _do_expression(self) -> None:
        word, outer = self.i, self.frame
        self.descend()
        self.i += 1
        self.frame = Frame(vararg=outer.vararg, provides=True)
        self.scopes.open()
        self.block()
        self.scopes.close()
        end = self.expect_closing("end", word)
        self.nodes.append(DoExpression(word, end, self.frame.uses > 0))
        outer.uses += self.frame.uses
        self.frame = outer
        self.level -= 1
