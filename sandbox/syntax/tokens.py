"""The words of a source text.

The text is the script's bytes read as Latin-1, so that any byte is allowed in strings and comments, and an offset in
the text is an offset in the file. Every pattern is possessive or has disjoint alternatives: time is linear in the
size of the text, whatever it holds.
"""

from __future__ import annotations

import re

from msgspec import Struct

from .faults import Problem, Stop, excerpt

RESERVED = frozenset(
    (
        *("and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in"),
        *("local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while"),
    )
)

_SHORT_STRING = r"""{0}[^{0}\\\r\n]*+(?:\\(?:z[ \t\n\r\v\f]*+|\r\n|\n\r|[\s\S])[^{0}\\\r\n]*+)*+{0}"""
_WORDS = re.compile(
    rf"""
      (?P<space> [ \t\n\r\v\f]++)
    | (?P<name> [A-Za-z_][A-Za-z0-9_]*+)
    | (?P<string> {_SHORT_STRING.format('"')} | {_SHORT_STRING.format("'")}
                | \[(?P<string_level>=*+)\[ [\s\S]*? \](?P=string_level)\])
    | (?P<number> (?: 0[xX](?:[pP][+-]?|[0-9a-fA-F.])*+ | \.?[0-9](?:[eE][+-]?|[0-9a-fA-F.])*+ ) [A-Za-z0-9_]*+)
    | (?P<comment> --\[(?P<comment_level>=*+)\[ [\s\S]*? \](?P=comment_level)\] | --(?!\[=*+\[)[^\r\n]*+)
    | (?P<mark> \.\.\.|\.\.|==|~=|<=|>=|<<|>>|//|::|\[(?!=*+\[)|(?!--)[-+*/%^\#&~|<>=(){{}}\];:,.?`])
    | (?P<wrong> [\s\S])
    """,
    re.VERBOSE,
)
_TEXT = re.compile(r"(?:[^`$\\]|\\(?:z[ \t\n\r\v\f]*+|\r\n|\n\r|[\s\S])|\$\$|\$(?![A-Za-z_(]))++")
_VALUE_NAME = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*+)")
_NUMERAL = re.compile(
    r"0[xX](?=\.?[0-9a-fA-F])[0-9a-fA-F]*+(?:\.[0-9a-fA-F]*+)?(?:[pP][+-]?[0-9]++)?"
    r"|(?=\.?[0-9])[0-9]*+(?:\.[0-9]*+)?(?:[eE][+-]?[0-9]++)?"
)
_ESCAPE = re.compile(
    r"\\(?:([abfnrtvz\\\"'`\r\n]|x[0-9a-fA-F]{2})|([0-9]{1,3})|u\{([0-9a-fA-F]++)\}|(x.{0,2}|u[^}\"]{0,12}|[\s\S]))"
)


class Tokens(Struct, frozen=True):
    """The tokens of a text, comments and white space left out; three lists in step.

    A kind is the token's own text for a reserved word or a mark, else "name", "number", "string" or "eof". An
    interpolated string is "`", then "text" pieces and values, then "`end"; a value is "$" and a name, or "$", "("
    and the tokens up to its ")".
    """

    source: str
    kinds: list[str]
    starts: list[int]
    ends: list[int]
    stop: Stop
    """Whoever reads on looks at it."""

    def text(self, index: int) -> str:
        return self.source[self.starts[index] : self.ends[index]]


class _Reader:
    def __init__(self, source: str, stop: Stop) -> None:
        self.source = source
        self.tokens = Tokens(source, [], [], [], stop)
        self._open_values: list[tuple[int, int]] = []
        """For each `$(` that is open: where its string began, and how many parentheses are open within it."""

    def read(self) -> Tokens:
        position: int | None = 0
        while position is not None:
            position = self._read_words(position)
        if self._open_values:
            raise Problem(self._open_values[-1][0], "unfinished interpolated string: expected ')' and a closing '`'")
        self._add("eof", len(self.source), len(self.source))
        return self.tokens

    def _add(self, kind: str, start: int, end: int) -> None:
        self.tokens.kinds.append(kind)
        self.tokens.starts.append(start)
        self.tokens.ends.append(end)

    def _read_words(self, position: int) -> int | None:
        """Read up to the end, or to where the text of an interpolated string has been read: gives where to go on."""
        add, check = self._add, self.tokens.stop.check
        for word in _WORDS.finditer(self.source, position):
            check()
            kind = word.lastgroup
            if kind in ("space", "comment"):
                position = word.end()
                continue
            start, position = word.span()
            if kind == "mark":
                mark = word[0]
                if mark == "`":
                    add(mark, start, position)
                    return self._read_text(start, position)
                add(mark, start, position)
                if self._open_values and mark in "()":
                    began, depth = self._open_values.pop()
                    if mark == ")" and depth == 1:
                        return self._read_text(began, position)
                    self._open_values.append((began, depth + (1 if mark == "(" else -1)))
            elif kind == "name":
                name = word[0]
                add(name if name in RESERVED else "name", start, position)
            elif kind in ("string", "number"):
                _check(kind, word[0], start)
                add(kind, start, position)
            else:
                raise _unreadable(self.source, start)
        return None

    def _read_text(self, began: int, position: int) -> int:
        """Read the text of an interpolated string up to its end or to the first `$(`; gives where words go on."""
        while True:
            if piece := _TEXT.match(self.source, position):
                _check_escapes(piece[0], position, is_interpolated=True)
                self._add("text", position, piece.end())
                position = piece.end()
            following = self.source[position : position + 1]
            if following == "`":
                self._add("`end", position, position + 1)
                return position + 1
            if following != "$":
                raise Problem(began, "unfinished interpolated string: expected a closing '`'")
            self._add("$", position, position + 1)
            if not (name := _VALUE_NAME.match(self.source, position)):
                self._add("(", position + 1, position + 2)
                self._open_values.append((began, 1))
                return position + 2
            self._add(name[1] if name[1] in RESERVED else "name", *name.span(1))
            position = name.end()


def read_tokens(source: str, stop: Stop) -> Tokens:
    """Read the whole text; raises Problem where something is no token."""
    return _Reader(source, stop).read()


def _check(kind: str, text: str, start: int) -> None:
    if kind == "string":
        if "\\" in text and text[0] != "[":
            _check_escapes(text, start, is_interpolated=False)
    elif not _NUMERAL.fullmatch(text):
        raise Problem(start, f"malformed number '{excerpt(text)}'")


def _check_escapes(text: str, start: int, *, is_interpolated: bool) -> None:
    for escape in _ESCAPE.finditer(text):
        simple, decimal, code, wrong = escape.groups()
        at = start + escape.start()
        if wrong:
            raise Problem(at, _escape_problem(escape[0]))
        if simple == "`" and not is_interpolated:
            raise Problem(at, _escape_problem(escape[0]))
        if decimal and int(decimal) > 255:
            raise Problem(at, f"decimal escape '\\{decimal}' is too large: a byte is at most 255")
        if code and (len(code.lstrip("0")) > 8 or int(code, 16) > 0x7FFFFFFF):
            raise Problem(at, "escape '\\u{…}' is too large: a code point is at most 7FFFFFFF")


def _escape_problem(escape: str) -> str:
    if escape[1] == "x":
        return "invalid escape: expected two hexadecimal digits after '\\x'"
    if escape[1] == "u":
        return "invalid escape: expected '{', hexadecimal digits and '}' after '\\u'"
    hint = "; a dollar sign in an interpolated string is written '$$'" if escape[1] == "$" else ""
    return f"invalid escape '{excerpt(escape)}'{hint}"


def _unreadable(source: str, position: int) -> Problem:
    character = source[position]
    if character in "\"'":
        return Problem(position, f"unfinished string: expected a closing {character} on the same line")
    if source.startswith("--", position):
        return Problem(position, "unfinished long comment: its closing brackets are missing")
    if character == "[":
        return Problem(position, "unfinished long string: its closing brackets are missing")
    shown = character if character.isascii() and character.isprintable() else f"\\x{ord(character):02x}"
    hint = "; 'not equal' is written '~='" if source.startswith("!=", position) else ""
    return Problem(position, f"unexpected character '{shown}'{hint}")
