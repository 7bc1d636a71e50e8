"""From a Lus script to Lua text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from .emit import Emitter
from .faults import UTF8_BOM, Problem, Stop, TooDeepProblem, fault_at
from .lua_compiler import CompileError, compile_lua
from .statements import OrdinaryWordError, Parser
from .tokens import read_tokens

_SHEBANG = re.compile(rb"#[^\r\n]*+")
_GLOBAL = re.compile(rb"\bglobal\b")
_AMBIGUOUS = re.compile(rb"\b(?:catch|from)\b")
"""Words that can stand in a text which Lua accepts and means something else: `x = catch(f)`, `local a from(t)`."""

AnyParser = TypeVar("AnyParser", bound=Parser)


class Translation(Struct, frozen=True):
    """A script as Lua text, each token on the line that it has in the script.

    `helpers` names the functions of `language.lua` that the text needs. Without any, the text is the chunk: loaded,
    it is the script's main function. With some, the chunk is called once with these helpers as its arguments, in
    this order, and gives the main function. Either way the loaded chunk's first and only upvalue is `_ENV`, so that
    `load(lua, name, "t", env)` works. The names by which the text calls the helpers occur nowhere in the script.
    """

    lua: bytes
    helpers: tuple[str, ...]

    @property
    def uses_runtime(self) -> bool:
        """Whether the chunk has to be called with helpers to get the main function."""
        return bool(self.helpers)


def is_lua(text: bytes, stop: Stop) -> bool:
    """Whether Lua's own compiler accepts the text: the test for "no construct of Lus" that can't be wrong.

    Every construct of Lus is an error in Lua, but for the ambiguous words.
    """
    try:
        compile_lua(text, b"=", stop)
    except CompileError:
        return False
    return True


def translate(
    source: bytes,
    name: str,
    *,
    strict_globals: bool = False,
    stop: Stop | None = None,
    is_lua: Callable[[bytes, Stop], bool] = is_lua,
) -> Translation:
    """Turn a script into Lua 5.5 text; raises SyntaxFault, and nothing else whatever the bytes are.

    But `TranslationStoppedError` soon after somebody has requested `stop`: a megabyte may take seconds.

    `name` is the script's path as faults show it. Unless `strict_globals`, an undeclared name stays legal after the
    script has declared some with `global`. Time and memory are linear in the size of the source, but for what Lua's own
    compiler takes (see `lua_compiler`). What only that finds (labels, too many variables) comes out when the text is
    loaded: see `fault_from_lua`. `is_lua` is for who wants to keep what the compiler makes of a text that it accepts.
    """
    stop = stop or Stop()
    source = source.removeprefix(UTF8_BOM)
    text, skipped = without_head(source)
    # Looking for a word costs some 10 us per KB by regular expression, and next to nothing without.
    declares = b"global" in text and _GLOBAL.search(text)
    prefix = b"global *; " if declares and not strict_globals else b""
    plain = prefix + text
    is_ambiguous = (b"catch" in text or b"from" in text) and _AMBIGUOUS.search(text)
    if not is_ambiguous and is_lua(plain, stop):
        return Translation(plain, ())
    try:
        body, helpers = rewrite(text, stop)
    except Problem as problem:
        # What means something in Lua is not refused; but a text that wasn't read to its end may be Lus as well.
        if not isinstance(problem, TooDeepProblem) and is_lua(plain, stop):
            return Translation(plain, ())
        raise fault_at(problem.offset + skipped, problem.message, source, name) from None
    return Translation(_chunk(prefix, body, helpers), tuple(helpers))


def without_head(source: bytes) -> tuple[bytes, int]:
    """A source without the line that shells read, and how many bytes that is."""
    shebang = _SHEBANG.match(source)
    skipped = shebang.end() if shebang else 0
    return source[skipped:], skipped


def rewrite(text: bytes, stop: Stop | None = None) -> tuple[bytes, dict[str, str]]:
    """The text in Lua, parsed and emitted whether it needs that or not; and the names it has for the helpers it needs.

    Raises Problem, with an offset in the text.
    """
    parser = parsed(text.decode("latin-1"), stop or Stop(), Parser)
    emitter = Emitter(parser.tokens, parser.names)
    return emitter.emit(parser.nodes).encode("latin-1"), emitter.helpers


def parsed(source: str, stop: Stop, kind: type[AnyParser]) -> AnyParser:
    """A whole text, read by a parser of this kind. Problem."""
    tokens = read_tokens(source, stop)
    ordinary: frozenset[str] = frozenset()
    while True:  # at most once more for each word of Lus
        try:
            parser = kind(tokens, ordinary)
            parser.chunk()
        except OrdinaryWordError as found:
            ordinary |= {found.word}
        except RecursionError:
            # The parser needs at most three frames a level; only a caller deep in its own recursion comes here.
            raise TooDeepProblem(0, "chunk has too many syntax levels for the stack that is left") from None
        else:
            return parser


def _chunk(prefix: bytes, body: bytes, helpers: dict[str, str]) -> bytes:
    if not helpers:
        return prefix + body
    parameters = ", ".join(helpers.values()).encode("ascii")
    # The line break before `end` is for a script that ends in a comment; it comes after the script's last line.
    return b"local " + parameters + b" = ... " + prefix + b"return function(...) " + body + b"\nend"
