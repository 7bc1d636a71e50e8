"""Parsing statements and blocks."""

from __future__ import annotations

from collections.abc import Callable

from .declarations import DeclarationParser
from .expressions import _STARTS, Chain, Form
from .scope import Group, Variable
from .tokens import Tokens
from .tree import AssigningWhile, Boundary, Branch, BranchesEnd, Catch, CheckedFunction, Provide

_BLOCK_ENDS = frozenset(("end", "else", "elseif", "until", "eof"))
_GLOBAL_FOLLOWS = frozenset(("name", "*", "<", "function"))


class OrdinaryWordError(Exception):
    """The script assigns to a global variable that has the name of a word of Lus: there, the word is the script's."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class Parser(DeclarationParser):
    """Parses a script; the outcome of `chunk` is its `nodes` and `names`. Problem, OrdinaryWordError."""

    def __init__(self, tokens: Tokens, ordinary: frozenset[str]) -> None:
        super().__init__(tokens, ordinary)
        self._statements: dict[str, Callable[[], None]] = {
            ";": self._empty,
            "if": self._if,
            "while": self._while,
            "do": self._do,
            "for": self._for,
            "repeat": self._repeat,
            "function": self._function,
            "local": self.local,
            "::": self._label,
            "return": self._return,
            "break": self._break,
            "goto": self._goto,
        }

    def chunk(self) -> None:
        self.block()
        if self.kinds[self.i] != "eof":
            self.fail(f"expected a statement, got {self.shown(self.i)}, which closes nothing")

    def block(self) -> None:
        while self.kinds[self.i] not in _BLOCK_ENDS:
            kind = self.kinds[self.i]
            self.descend()
            (self._statements.get(kind) or self._other_statement)()
            self.level -= 1
            if kind == "return":
                break
            if self.kinds[self.i] == "(" and self.nodes:  # without a node before it, nothing there is rewritten
                self.nodes.append(Boundary(self.i - 1))
        if self.kinds[self.i] not in _BLOCK_ENDS:
            self.fail(f"expected the end of the block after 'return', got {self.shown(self.i)}")

    # --- choices and loops ---------------------------------------------------------------------------------------

    def _if(self) -> None:
        opening = word = self.i
        level, assigning = self.level, 0
        self.scopes.open()
        while True:
            self.i += 1
            if self._assigns_here():
                names = self._condition_names()
                then = self._expect_after("then", opening)
                self.nodes.append(Branch(word, names, then, nested=word != opening))
                assigning += 1
                self.descend(2)
            else:
                self.expression()
                self._expect_after("then", opening)
            self.scopes.open()
            self.block()
            self.scopes.close()
            word = self.i
            if self.kinds[word] != "elseif":
                break
        if self.accept("else"):
            self.scopes.open()
            self.block()
            self.scopes.close()
        end = self.expect_closing("end", opening)
        self.scopes.close()
        self.level = level
        if assigning:
            self.nodes.append(BranchesEnd(end, assigning))

    def _while(self) -> None:
        word = self.i
        self.i += 1
        self.scopes.open()
        if self._assigns_here():
            names = self._condition_names()
            do = self._expect_after("do", word)
            value = word + 2 * len(names) + 1
            self.nodes.append(AssigningWhile(word, names, do, self._error_first(names, value, do - 1)))
        else:
            self.expression()
            self._expect_after("do", word)
        self._loop_body()
        self.expect_closing("end", word)
        self.scopes.close()

    def _assigns_here(self) -> bool:
        if self.kinds[self.i] != "name":
            return False
        following = self.kinds[self.i + 1]
        return following in ("=", ",") or (following == "name" and self.text(self.i + 1) == "from")

    def _condition_names(self) -> tuple[str, ...]:
        """Parse `a, b = E` or `a, b from E`, and declare the names."""
        names = [self.text(self.expect_name("a variable name"))]
        while self.accept(","):
            names.append(self.text(self.expect_name("a variable name")))
        if not self.values([Variable(name, name) for name in names]):
            self.fail(f"expected '=' or 'from' after the names of the condition, got {self.shown(self.i)}")
        for name in names:
            self.scopes.declare(name)
        return tuple(names)

    def _error_first(self, names: tuple[str, ...], first: int, last: int) -> tuple[int, int] | None:
        """The place of the value, where it is one `catch` for two names or more."""
        catch = self.nodes[-1] if self.nodes else None
        alone = isinstance(catch, Catch) and (catch.word, catch.last) == (first, last)
        return (first, last) if alone and len(names) > 1 else None

    def _expect_after(self, kind: str, opening: int) -> int:
        """Take the `then` or `do` after the condition of what began at `opening`."""
        if self.kinds[self.i] != kind:
            hint = ""
            if self.kinds[self.i] == "=":
                hint = "; '==' compares, and a condition can assign to plain names only"
            elif not self.on_one_line(opening, self.i):
                hint = f"; the '{self.text(opening)}' began on line {self.line(opening)}"
            self.fail(f"expected '{kind}' after the condition, got {self.shown(self.i)}{hint}")
        self.i += 1
        return self.i - 1

    def _loop_body(self) -> None:
        self.frame.loops += 1
        self.scopes.open()
        self.block()
        self.scopes.close()
        self.frame.loops -= 1

    def _for(self) -> None:
        word = self.i
        self.i += 1
        names = [self.text(self.expect_name("a variable name after 'for'"))]
        if self.accept("="):
            self.expression()
            self.expect(",", "and the last value of the loop")
            self.expression()
            if self.accept(","):
                self.expression()
        else:
            while self.accept(","):
                names.append(self.text(self.expect_name("a variable name")))
            if self.kinds[self.i] != "in":
                self.fail(f"expected '=', ',' or 'in' after the names of the loop, got {self.shown(self.i)}")
            self.i += 1
            self.expression_list()
        if self.kinds[self.i] != "do":
            self.fail(f"expected 'do' after the values of the loop, got {self.shown(self.i)}")
        self.i += 1
        self.scopes.open()
        for position, name in enumerate(names):
            self.scopes.declare(name, Variable(name, name, constant=position == 0))
        self._loop_body()
        self.scopes.close()
        self.expect_closing("end", word)

    def _repeat(self) -> None:
        word = self.i
        self.i += 1
        self.frame.loops += 1
        self.scopes.open()
        self.block()
        self.expect_closing("until", word)
        self.expression()
        self.scopes.close()
        self.frame.loops -= 1

    def _do(self) -> None:
        word = self.i
        self.i += 1
        self.scopes.open()
        self.block()
        self.scopes.close()
        self.expect_closing("end", word)

    # --- simple statements ---------------------------------------------------------------------------------------

    def _empty(self) -> None:
        self.i += 1

    def _label(self) -> None:
        self.i += 1
        self.expect_name("the name of a label")
        self.expect("::", "after the name of the label")

    def _goto(self) -> None:
        self.i += 1
        self.expect_name("the name of a label after 'goto'")

    def _break(self) -> None:
        if not self.frame.loops:
            where = "cannot leave a 'do … end' expression" if self.frame.provides else "stands outside of any loop"
            self.fail(f"'break' {where}")
        self.i += 1

    def _return(self) -> None:
        if self.frame.provides:
            self.fail("'return' cannot leave a 'do … end' expression; 'provide' gives its value")
        self._given_values()
        self.accept(";")

    def _provide(self) -> None:
        word = self.i
        self.descend()
        self._given_values()
        self.level -= 1
        self.nodes.append(Provide(word, self.i - 1))

    def _given_values(self) -> None:
        self.i += 1
        if self.kinds[self.i] not in _BLOCK_ENDS and self.kinds[self.i] != ";":
            self.expression_list()

    def _function(self) -> None:
        word = self.i
        self.i += 1
        name = self.i
        self.expect_name("a function name after 'function'")
        target = self.scopes.find(self.text(name))
        if isinstance(target, Group):
            self.i = name
            target = self._field_of(target)
        name_last = self.i - 1
        method = plain = False
        while self.kinds[self.i] in (".", ":") and not method:
            method, plain = self.kinds[self.i] == ":", True
            self.i += 1
            self.expect_name("a name after the " + ("colon" if method else "dot"))
        if not plain:
            self._mind_assignment(Chain(Form.NAME, target), name)
        self.function_body(word, method=method)
        if not plain and isinstance(target, Variable) and target.checks:
            self.nodes.append(CheckedFunction(word, name, name_last, self.i - 1, target))

    # --- statements that begin with an expression ----------------------------------------------------------------

    def _other_statement(self) -> None:
        if self.kinds[self.i] == "name":
            word, following = self.text(self.i), self.kinds[self.i + 1]
            if word == "global" and following in _GLOBAL_FOLLOWS:
                self.global_()
                return
            if word == "catch" and self.is_catch():
                self.catch()
                return
            if word == "provide" and self._is_provide():
                self._provide()
                return
            group = self.scopes.find(word)
            if isinstance(group, Group) and self._assigns_group(group):
                return
        self._assignment_or_call()

    def _is_provide(self) -> bool:
        following = self.kinds[self.i + 1]
        if self.frame.provides:
            return self.scopes.find("provide") is None and following not in ("=", ",", ".", ":")
        if following in ("name", "number", "nil", "true", "false", "function") and self.on_one_line(self.i, self.i + 1):
            self.fail("'provide' stands outside of any 'do … end' expression")
        return False

    def _assigns_group(self, group: Group) -> bool:
        first = self.i
        found, _ = self.group_path(group)
        if isinstance(found, Group) and self.kinds[self.i] == "=":
            self.group_assignment(found, first)
            return True
        self.i = first
        return False

    def _assignment_or_call(self) -> None:
        first = self.i
        chain = self.chain(statement=True)
        if self.kinds[self.i] not in ("=", ",") and not self._is_bare_from(chain):
            if chain.form is not Form.CALL:
                self._refuse_statement(first)
            return
        targets = [self._target(chain, first)]
        names = [self.text(self.i - 1)]
        plain = chain.form is Form.NAME
        while self.accept(","):
            at = self.i
            if self.kinds[at] not in ("name", "("):
                self.fail(f"expected a variable after ',', got {self.shown(at)}")
            chain = self.chain()
            plain = plain and chain.form is Form.NAME
            targets.append(self._target(chain, at))
            names.append(self.text(self.i - 1))
        if self._is_bare_from(chain) and plain:
            value = self.i + 1
            self.from_(names)
        else:
            self.expect("=", "after the variables of the assignment")
            value = self.i
            self.expression_list()
        self.check_values(value, targets)

    def _is_bare_from(self, chain: Chain) -> bool:
        return (
            chain.form is Form.NAME
            and self.kinds[self.i] == "name"
            and self.text(self.i) == "from"
            and self.kinds[self.i + 1] in _STARTS
        )

    def _target(self, chain: Chain, first: int) -> Variable | None:
        if chain.form is Form.NAME:
            return self._mind_assignment(chain, first)
        if chain.form is not Form.FIELD:
            what = "an optional chain" if chain.form is Form.OPTIONAL else "this expression"
            self.fail(f"cannot assign to {what}; only variables and fields can be assigned", first)
        return None

    def _mind_assignment(self, chain: Chain, at: int) -> Variable | None:
        """The variable that is about to be assigned, if it is declared."""
        self.refuse_constant(chain.binding, at)
        word = self.text(at)
        if chain.binding is None and word in ("catch", "from", "enum") and word not in self.ordinary:
            raise OrdinaryWordError(word)
        return chain.binding if isinstance(chain.binding, Variable) else None

    def _refuse_statement(self, first: int) -> None:
        got = self.shown(self.i)
        if self.kinds[self.i] in ("+", "-", "*", "/") and self.kinds[self.i + 1] == "=":
            self.fail(f"expected '=' after the variable, got {got}; Lua has no '{self.text(self.i)}='")
        what = f"'{self.text(first)}'" if self.i == first + 1 else "an expression"
        self.fail(
            f"expected a statement, got {what}: only calls and assignments can stand alone (next is {got})", first
        )
