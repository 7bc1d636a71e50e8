"""What the strings of a script are when it runs. Texts are as tokens have them: bytes, read as Latin-1."""

from __future__ import annotations

import re
from typing import Final

LONGEST_CONSTANT: Final = 4096
"""Bytes of a constant that is kept, as of the longest path; longer ones are unknown. Concatenation doubles."""
_ESCAPE: Final = re.compile(r"\\(?:z[ \t\n\r\v\f]*+|\r\n|\n\r|x[0-9a-fA-F]{2}|[0-9]{1,3}|u\{([0-9a-fA-F]++)\}|[\s\S])")
_NEWLINE: Final = re.compile(r"\r\n|\n\r|\r|\n")
_LONG: Final = re.compile(r"\[(=*+)\[(?:\r\n|\n\r|\r|\n)?([\s\S]*)\]\1\]")
_TEXT_ESCAPE: Final = re.compile(rf"{_ESCAPE.pattern}|\$\$|{_NEWLINE.pattern}")
_SIMPLE: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def string_value(token: str) -> bytes:
    """The value of a string token, of any of its forms."""
    if long := _LONG.fullmatch(token):
        return _NEWLINE.sub("\n", long[2]).encode("latin-1")
    return _ESCAPE.sub(_unescaped, token[1:-1]).encode("latin-1")


def text_value(token: str) -> bytes:
    """The value of a piece of text in an interpolated string."""
    return _TEXT_ESCAPE.sub(_unescaped, token).encode("latin-1")


def _unescaped(found: re.Match[str]) -> str:
    text = found[0]
    if text == "$$":
        return "$"
    if text[0] != "\\":
        return "\n"
    kind = text[1]
    if kind in "\r\n":
        return "\n"
    if kind == "z":
        return ""
    if kind == "x":
        return chr(int(text[2:], 16))
    if kind.isdigit():
        return chr(int(text[1:]))
    if found[1]:
        return _utf8(int(found[1], 16)).decode("latin-1")
    return _SIMPLE.get(kind, kind)


def _utf8(code: int) -> bytes:
    """UTF-8 as Lua writes it: of up to six bytes, for numbers up to 2³¹, whatever Unicode says of them."""
    if code < 0x80:
        return bytes((code,))
    tail: list[int] = []
    first_most = 0x3F
    while code > first_most:
        tail.insert(0, 0x80 | code & 0x3F)
        code >>= 6
        first_most >>= 1
    return bytes(((~first_most << 1) & 0xFF | code, *tail))
