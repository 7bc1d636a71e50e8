"""Reading tokens one after the other, and saying what was expected instead."""

from __future__ import annotations

import re
from typing import NoReturn

from msgspec import Struct

from .faults import Problem, TooDeepProblem, excerpt
from .scope import FreshNames, Scopes
from .tokens import Tokens
from .tree import Node

_NEWLINE = re.compile(r"\r\n|\n\r|\n|\r")

LEVEL_LIMIT = 180
"""How deep syntax may nest, counted as Lua counts in the emitted text.

Lua's own limit is 200 C levels, some of which the running state has used already. The parser takes at most three
Python frames a level, so that it stays within Python's own default limit of 1,000.
"""


class Frame(Struct):
    """What `...`, `break`, `return` and `provide` refer to: a function, or a `do` expression within one."""

    vararg: bool
    provides: bool = False
    loops: int = 0
    uses: int = 0
    """How often `...` was read."""


class Cursor:
    """The state that all parts of the parser share."""

    def __init__(self, tokens: Tokens, ordinary: frozenset[str]) -> None:
        self.tokens = tokens
        self.kinds = tokens.kinds
        self.i = 0
        self.level = 0
        self.nodes: list[Node] = []
        self.scopes = Scopes()
        self.names = FreshNames(tokens.source)
        self.frame = Frame(vararg=True)
        self.ordinary = ordinary
        """Words of Lus that this script uses as global variables."""

    # --- looking -----------------------------------------------------------------------------------------------

    def text(self, index: int) -> str:
        return self.tokens.text(index)

    def line(self, index: int) -> int:
        return 1 + len(_NEWLINE.findall(self.tokens.source, 0, self.tokens.starts[index]))

    def on_one_line(self, first: int, last: int) -> bool:
        between = self.tokens.source[self.tokens.ends[first] : self.tokens.starts[last]]
        return "\n" not in between and "\r" not in between

    def is_free(self, word: str) -> bool:
        """Whether the script has not taken this word of Lus as a variable of its own."""
        return word not in self.ordinary and self.scopes.find(word) is None

    # --- taking ------------------------------------------------------------------------------------------------

    def accept(self, kind: str) -> bool:
        if self.kinds[self.i] != kind:
            return False
        self.i += 1
        return True

    def expect(self, kind: str, where: str) -> int:
        """Take a token of that kind; `where` ends the sentence "expected 'kind' …"."""
        if self.kinds[self.i] != kind:
            self.fail(f"expected '{kind}' {where}, got {self.shown(self.i)}")
        self.i += 1
        return self.i - 1

    def expect_name(self, what: str) -> int:
        if self.kinds[self.i] != "name":
            reserved = " (a reserved word)" if self.kinds[self.i].isalpha() and self.kinds[self.i] != "eof" else ""
            reserved = "" if self.kinds[self.i] in ("number", "string", "text") else reserved
            self.fail(f"expected {what}, got {self.shown(self.i)}{reserved}")
        self.i += 1
        return self.i - 1

    def expect_closing(self, kind: str, opening: int) -> int:
        """Take the token that closes what began at the token `opening`."""
        if self.kinds[self.i] != kind:
            what = f"'{self.text(opening)}'"
            place = "" if self.on_one_line(opening, self.i) else f" on line {self.line(opening)}"
            hint = "; '>' and '=' need a space between them" if kind == ">" and self.kinds[self.i] == ">=" else ""
            self.fail(f"expected '{kind}' to close the {what}{place}, got {self.shown(self.i)}{hint}")
        self.i += 1
        return self.i - 1

    # --- refusing ----------------------------------------------------------------------------------------------

    def shown(self, index: int) -> str:
        kind = self.kinds[index]
        return "the end of the file" if kind == "eof" else f"'{excerpt(self.text(index))}'"

    def fail(self, message: str, at: int | None = None) -> NoReturn:
        raise Problem(self.tokens.starts[self.i if at is None else at], message)

    def descend(self, levels: int = 1) -> None:
        """Enter a construct that nests that many levels deeper in the emitted text."""
        self.tokens.stop.check()
        self.level += levels
        if self.level > LEVEL_LIMIT:
            message = f"chunk has too many syntax levels (the limit is {LEVEL_LIMIT})"
            raise TooDeepProblem(self.tokens.starts[self.i], message)
