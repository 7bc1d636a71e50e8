"""Errors in a source text: where they are and how they are shown."""

from __future__ import annotations

import re
import unicodedata

_SHOWN_WIDTH = 100
"""Characters of a long source line that are quoted around the column: what fits a terminal; a guess."""

UTF8_BOM = b"\xef\xbb\xbf"
_NEWLINE = re.compile(rb"\r\n|\n\r|\n|\r")
_LUA_POSITION = re.compile(r":(\d+): ")
_QUOTED = re.compile(r"near '(.*)'\Z|variable '(\w+)'|label '(\w+)'|<goto (\w+)>|near (<eof>)", re.DOTALL)
_WORD = re.compile(rb"\w")
_BETWEEN_WORDS = re.compile(rb"\W")


class Problem(Exception):  # noqa: N818 - never leaves this package: `translate` makes a SyntaxFault of it
    """A syntax error at a byte offset of the text that is being read."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset
        self.message = message


class TranslationStoppedError(Exception):
    """Whoever needed the translation does not need it any more."""


class Stop:
    """Asks a translation to end. Any thread may set `requested`."""

    __slots__ = ("requested",)

    def __init__(self) -> None:
        self.requested = False

    def check(self) -> None:
        """Raise `TranslationStoppedError` if the translation is to end. Called at every token and at every node."""
        if self.requested:
            raise TranslationStoppedError


class TooDeepProblem(Problem):
    """The text nests deeper than it can be read: nothing is known of what follows."""


class SyntaxFault(Exception):  # noqa: N818 - the public name; it is a fault of the script, not of luspool
    """A script that cannot be compiled.

    `line` and `column` count from 1; the column counts characters where the line is UTF-8, and bytes where it is
    not. `source_line` is the whole line, undecodable bytes as surrogate escapes. `str()` is three lines:
    `path:line:column: message`, the source line (control characters made visible, cut around the column where it is
    long), and a caret below the column.
    """

    def __init__(self, path: str, line: int, column: int, message: str, source_line: str) -> None:
        super().__init__(path, line, column, message, source_line)
        self.path = path
        self.line = line
        self.column = column
        self.message = message
        self.source_line = source_line

    def __str__(self) -> str:
        shown, caret = _quote(self.source_line, self.column - 1)
        return f"{visible(self.path)}:{self.line}:{self.column}: {visible(self.message)}\n{shown}\n{caret}"


def visible(text: str) -> str:
    """The text with everything that could act on a terminal or hide (controls, marks of direction) written out."""
    return text if text.isascii() and text.isprintable() else "".join(map(_visible_character, text))


def excerpt(text: str, limit: int = 30) -> str:
    """A piece of source for use in a message: on one line and short."""
    line = re.split(r"[\r\n]", text, maxsplit=1)[0]
    return text if len(text) <= limit and line == text else line[: limit - 1] + "…"


def fault_at(offset: int, message: str, source: bytes, name: str) -> SyntaxFault:
    """The fault at a byte offset of `source`."""
    line, start, end = _line_at(source, offset)
    column = len(_decode(source[start:offset])) + 1
    return SyntaxFault(name, line, column, message, _decode(source[start:end]))


def fault_from_lua(message: str, source: bytes, name: str) -> SyntaxFault:
    """What Lua's own compiler said of the translated text, in the form of our own faults.

    `message` is Lua's (`name:12: … near 'x'`), `source` the script as it was written. Lua gives no column: it is that
    of the word which the message quotes, where that stands on the line, else of the line's first visible character.
    A message without a line (such as a stack overflow in the compiler) is placed on line 1.
    """
    message = message.split("\nstack traceback:", 1)[0]
    position = _LUA_POSITION.search(message, len(name) if message.startswith(name + ":") else 0)
    line, text = (int(position[1]), message[position.end() :]) if position else (1, message)
    source = source.removeprefix(UTF8_BOM)
    start, end = _bounds(source, line)
    return fault_at(_guess_offset(text, source, start, end), text, source, name)


def _guess_offset(text: str, source: bytes, start: int, end: int) -> int:
    quoted = _QUOTED.search(text)
    word = next((group for group in quoted.groups() if group), "") if quoted else ""
    if word == "<eof>":
        return end
    found = _offset_of(word.encode("latin-1", "replace"), source, start, end) if word else -1
    visible_start = re.compile(rb"\s*").match(source, start, end)
    return found if found >= 0 else visible_start.end() if visible_start else start


def _offset_of(word: bytes, source: bytes, start: int, end: int) -> int:
    """Where it stands first between these offsets, not within a longer word; -1 if nowhere.

    No regular expression: a script may have words of a megabyte, and Python would keep what it compiles them to.
    """
    found = source.find(word, start, end)
    while found > start and _WORD.match(word) and _WORD.match(source, found - 1):
        behind = _BETWEEN_WORDS.search(source, found, end)
        found = source.find(word, behind.start(), end) if behind else -1
    return found


def _bounds(source: bytes, line: int) -> tuple[int, int]:
    start = 0
    for _, newline in zip(range(line - 1), _NEWLINE.finditer(source), strict=False):
        start = newline.end()
    newline_after = _NEWLINE.search(source, start)
    return start, newline_after.start() if newline_after else len(source)


def _line_at(source: bytes, offset: int) -> tuple[int, int, int]:
    line, start = 1, 0
    for newline in _NEWLINE.finditer(source, 0, offset):
        if newline.end() <= offset:
            line, start = line + 1, newline.end()
    newline_after = _NEWLINE.search(source, max(start, offset))
    return line, start, newline_after.start() if newline_after else len(source)


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def _visible_character(character: str) -> str:
    if character == "\t" or unicodedata.category(character)[0] not in "CZ" or character == " ":
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{{{code:x}}}"


def _quote(line: str, column: int) -> tuple[str, str]:
    """The line as it is shown, and the caret line below it."""
    first = max(0, column - _SHOWN_WIDTH * 2 // 3) if len(line) > _SHOWN_WIDTH else 0
    before, after = line[first:column], line[column : first + _SHOWN_WIDTH]
    head = "…" * (first > 0) + visible(before)
    tail = visible(after) + "…" * (first + _SHOWN_WIDTH < len(line))
    return head + tail, "".join(map(_blank, head)) + "^"


def _blank(character: str) -> str:
    """White space as wide as the character, so that the caret stands below its column on any tab width."""
    if character == "\t" or unicodedata.combining(character):
        return "\t" if character == "\t" else ""
    return "  " if unicodedata.east_asian_width(character) in "WF" else " "
