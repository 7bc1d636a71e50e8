"""The host call of lua/strings.lua: text from one encoding to another.

A host that the operating system has walled in can read no module of Python's library any more, so the tables of all
encodings are loaded before that (`encodings`); it takes about 3 ms, which nobody else pays who does not need one.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from .calls import RefusedError, Scalar, decode
from .operations import Operation

if TYPE_CHECKING:
    from .door import Door

_LONGEST: Final = 40
"""Bytes of an encoding's name that are looked at and shown; guessed. To fold a name of megabytes takes seconds, in
which nobody else gets Python's lock."""


class _Encoding(Struct, frozen=True):
    """`decode` takes bytes, the kind of error handling and whether they are the last; both give how much they used."""

    name: str
    decode: Callable[[bytes, str, bool], tuple[str, int]]
    encode: Callable[[str], tuple[bytes, int]]


def _single_byte(name: str, python_name: str) -> _Encoding:
    codec = codecs.lookup(python_name)
    return _Encoding(name, lambda data, errors, _: codec.decode(data, errors), codec.encode)


def _key(name: str) -> str:
    return name.lower().translate(dict.fromkeys(map(ord, "-_ ")))


@cache
def encodings() -> Mapping[str, _Encoding]:
    """By name, without case, dashes and spaces. Made at the first call."""
    known = [
        _Encoding("utf-8", codecs.utf_8_decode, codecs.utf_8_encode),
        _Encoding("utf-16le", codecs.utf_16_le_decode, codecs.utf_16_le_encode),
        _Encoding("utf-16be", codecs.utf_16_be_decode, codecs.utf_16_be_encode),
        _Encoding("utf-32le", codecs.utf_32_le_decode, codecs.utf_32_le_encode),
        _Encoding("utf-32be", codecs.utf_32_be_decode, codecs.utf_32_be_encode),
        _single_byte("ascii", "ascii"),
        _single_byte("latin-1", "latin-1"),
        *(_single_byte(f"iso-8859-{n}", f"iso8859-{n}") for n in (2, 5, 7, 9, 15)),
        *(_single_byte(f"windows-{n}", f"cp{n}") for n in range(1250, 1259)),
        *(_single_byte(name, name) for name in ("koi8-r", "cp437", "cp850")),
    ]
    by_key = {_key(encoding.name): encoding for encoding in known}
    aliases = {"iso88591": "latin1", "usascii": "ascii"} | {f"cp{n}": f"windows{n}" for n in range(1250, 1259)}
    return by_key | {alias: by_key[key] for alias, key in aliases.items()}


def _encoding(argument: int, given: bytes) -> _Encoding:
    name = decode(given[:_LONGEST])
    found = encodings().get(_key(name)) if len(given) <= _LONGEST else None
    if found is None:
        shown = name if len(given) <= _LONGEST else name + "..."
        raise RefusedError(f"bad argument #{argument} to 'transcode' (unknown encoding '{shown}')")
    return found


def _transcode(_: Door, data: bytes, source: bytes, target: bytes, position: int, last: bool) -> bytes:
    """How many bytes of `data` were used (4 bytes, little-endian), and what they are in the other encoding.

    `position` is that of the first byte in the script's string, from 1. Unless it is the `last` one, `data` may end
    within a character.
    """
    read, write = _encoding(2, source), _encoding(3, target)
    undecodable: str | None = None
    try:
        text, used = read.decode(data, "strict", last)
    except UnicodeDecodeError as error:
        # What `write` lacks may come before it, and the first of all problems is to be told, whatever the chunks are.
        text, used = read.decode(data[: error.start], "strict", True)
        undecodable = f"byte {position + error.start} is no {read.name}: {error.reason}"
    try:
        encoded = write.encode(text)[0]
    except UnicodeEncodeError as error:
        at = position + len(read.encode(text[: error.start])[0])
        raise _unfit(f"byte {at} is U+{ord(text[error.start]):04X}, which {write.name} does not have") from None
    if undecodable is not None:
        raise _unfit(undecodable)
    return struct.pack("<I", used) + encoded


def _unfit(problem: str) -> RefusedError:
    return RefusedError(f"bad argument #1 to 'transcode' ({problem})")


TEXT_CALLS: Final[Mapping[int, Callable[..., Scalar]]] = {Operation.TRANSCODE: _transcode}
