"""Values to bytes (see codec.py), in the same order and the same form as lua/codec_encode.lua.

Tables wait in a queue and are written nearest first, so that nothing recurses however deep the tables lie.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

from msgspec import Struct

from .codec_types import (
    CHUNK,
    DEFAULT_LIMITS,
    ENUM_KIND,
    LIST,
    MAX_VALUES,
    ONE,
    UNITS,
    VECTOR_KIND,
    VERSION,
    Code,
    CopyError,
    Entries,
    EnumValue,
    Limits,
    Value,
)

_KINDS: Final[dict[type, str]] = {
    type(None): "nil",
    bool: "boolean",
    int: "integer",
    float: "float",
    str: "string",
    bytes: "string",
    bytearray: "vector",
    list: "table",
    tuple: "table",
    dict: "table",
    Entries: "table",
    EnumValue: "enum",
}
_HEADER: Final = -1
_KEY_LENGTH: Final = 40  # longer keys are cut
_PATH_ENDS: Final = 8  # parts shown at each end of a longer path
_INTEGERS: Final = ((Code.INT1, 7), (Code.INT2, 15), (Code.INT4, 31), (Code.INT8, 63))


def encode(*values: Value, what: str | int | None = None, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """The message that carries these values: one for a message, any number for a worker's arguments.

    Raises `CopyError` for what can't be sent: a value of another type, an int beyond 64 bits, a str with lone
    surrogates, a NaN or None as a key, a message beyond `limits`. Its text begins with `what`, or with "argument #N"
    where `what` is the number of the first value. The values must not change meanwhile.
    """
    if len(values) > MAX_VALUES:
        raise CopyError(f"more than {MAX_VALUES} values")
    writer = _Writer(values, limits)
    try:
        return writer.message()
    except _Misfit as misfit:
        raise CopyError(writer.explain(misfit, what)) from None


class _Misfit(Exception):  # noqa: N818 - a jump to the place that knows the path; never leaves this module
    """The value at `index` of the sequence being written can't be sent; `limit` where its own nature is not why."""

    def __init__(self, index: int, reason: str, *, limit: bool = False) -> None:
        super().__init__(reason)
        self.index = index
        self.reason = reason
        self.limit = limit


class _Section(Struct):
    """What is being written, so that a misfit can be named: a table's values or keys, or the message's own values."""

    table: int = 0  # its number; 0 for the message's own values, _HEADER for what no place can be given for
    keys: Sequence[Value] = ()  # of the values; for the message's own their numbers
    is_keys: bool = False


def _kind(value: Value) -> str:
    known = _KINDS.get(type(value))
    if known:
        return known
    # Subclasses (IntEnum, defaultdict, …) are sent as what they derive from.
    return next((name for base, name in _KINDS.items() if isinstance(value, base)), "")


class _Writer:
    """Writes one message."""

    def __init__(self, values: tuple[Value, ...], limits: Limits) -> None:
        self._values = values
        self._limits = limits
        self._pieces: list[bytes] = []
        self._size = 0
        self._numbers: dict[int, int] = {}  # id of a table -> its number; the queue keeps the table, and so its id
        self._queue: list[Value] = []
        self._mentions: list[tuple[_Section, int]] = []  # by number: where the table is mentioned first
        self._depth = 0
        self._definitions: list[tuple[int, list[bytes]]] = []  # kind and strings
        self._definition_numbers: dict[tuple[str, ...] | int, int] = {}  # by an enum's names, or a vector's id
        self._section = _Section(keys=(1,))

    def message(self) -> bytes:
        values = self._values
        if len(values) == 1 and _kind(values[0]) in ("boolean", "integer", "float", "string"):
            self._count(2)
            self._put(values)
            return b"".join([bytes([VERSION, ONE]), *self._pieces])
        for first in range(0, len(values), CHUNK):
            self._section = _Section(keys=range(first + 1, len(values) + 1))
            self._put(values[first : first + CHUNK])
        sizes = self._tables()
        body, self._pieces = self._pieces, []
        self._section = _Section(_HEADER)
        self._header(sizes)
        return b"".join(self._pieces + body)

    def _header(self, sizes: list[int]) -> None:
        self._add(struct.pack("<BBHII", VERSION, LIST, len(self._values), len(self._queue), len(self._definitions)))
        for kind, strings in self._definitions:
            self._add(struct.pack("<BI", kind, len(strings)))
            for first in range(0, len(strings), CHUNK):
                self._put(strings[first : first + CHUNK])
        for first in range(0, len(sizes), CHUNK):
            self._put(sizes[first : first + CHUNK])

    def _tables(self) -> list[int]:
        sizes: list[int] = []
        number, level_end = 0, len(self._queue)
        self._depth = 1
        while number < len(self._queue):
            if number == level_end:
                self._depth, level_end = self._depth + 1, len(self._queue)
            sequence, keys, others = _entries(self._queue[number])
            number += 1
            for first in range(0, len(sequence), CHUNK):
                self._section = _Section(number, range(first + 1, len(sequence) + 1))
                self._put(sequence[first : first + CHUNK])
            for first in range(0, len(keys), CHUNK):
                some = keys[first : first + CHUNK]
                self._section = _Section(number, some)
                self._put(others[first : first + CHUNK])
                self._section = _Section(number, some, is_keys=True)
                self._put(some)
            sizes += [len(sequence), len(keys)]
        return sizes

    def _count(self, size: int, index: int = 0) -> None:
        self._size += size
        if self._size > self._limits.max_bytes:
            reason = f"message is larger than the limit of {self._limits.max_bytes} bytes"
            raise _Misfit(index, reason, limit=True)

    def _add(self, piece: bytes, index: int = 0) -> None:
        self._count(len(piece), index)
        self._pieces.append(piece)

    def _run(self, code: Code, values: Sequence[int] | Sequence[float], first: int) -> None:
        packed = struct.pack(f"<{len(values)}{UNITS[code]}", *values)
        self._add(_head(code, len(values)) + packed, first)

    def _put(self, values: Sequence[Value]) -> None:
        """Write up to CHUNK values as runs."""
        first = 0
        for kind, group in groupby(values, _kind):
            run = list(group)
            if kind == "integer":
                self._integers(run, first)
            elif kind == "string":
                self._strings(run, first)
            elif kind == "float":
                if self._section.is_keys and any(v != v for v in run):  # noqa: PLR0124 - true of NaN alone
                    raise _Misfit(first, "NaN can't be a key")
                self._run(Code.FLOAT, run, first)
            elif kind == "boolean":
                self._run(Code.BOOL, run, first)
            elif kind == "table":
                self._table_run(run, first)
            elif kind in ("enum", "vector"):
                for i, value in enumerate(run, first):
                    self._run(Code.OBJECT, [self._object(value, i)], i)
            elif kind == "nil" and self._section.table == 0:
                for i in range(first, first + len(run)):
                    self._add(_head(Code.NIL, 1), i)
            else:
                raise _Misfit(first, "cannot copy a " + type(run[0]).__name__)
            first += len(run)

    def _integers(self, run: list[int], first: int) -> None:
        low, high = min(run), max(run)
        for code, bits in _INTEGERS:
            if low >= -(1 << bits) and high < 1 << bits:
                return self._run(code, run, first)
        index = next(i for i, value in enumerate(run) if not -(1 << 63) <= value < 1 << 63)
        raise _Misfit(first + index, "cannot copy an integer of more than 64 bits")

    def _strings(self, run: list[str | bytes], first: int) -> None:
        encoded: list[bytes] = []
        for i, value in enumerate(run, first):
            # Every character takes a byte or more: an oversized one is refused before it is copied.
            if self._size + len(value) > self._limits.max_bytes:
                self._count(len(value), i)
            try:
                encoded.append(value.encode() if isinstance(value, str) else value)
            except UnicodeEncodeError:
                raise _Misfit(i, "cannot copy a str with lone surrogates") from None
        for short, group in groupby(encoded, lambda string: len(string) < 256):
            strings = list(group)
            if short:
                payload = b"".join(part for string in strings for part in (bytes([len(string)]), string))
                self._add(_head(Code.SHORT, len(strings)) + payload, first)
            else:
                for i, string in enumerate(strings, first):
                    self._add(_head(Code.LONG, 1) + struct.pack("<I", len(string)), i)
                    self._add(string, i)
            first += len(strings)

    def _table_run(self, run: list[Value], first: int) -> None:
        """Runs of tables that come for the first time and of others, in turn."""
        numbers: list[int] = []
        is_new: list[bool] = []
        for i, table in enumerate(run, first):
            number = self._numbers.get(id(table))
            is_new.append(number is None or (isinstance(table, tuple) and not table))
            numbers.append(self._new_table(table, i) if is_new[-1] else number or 0)
        done = 0
        for new, group in groupby(is_new):
            count = len(list(group))
            if new:
                self._add(_head(Code.NEW, count), first + done)
            else:
                self._run(Code.REF, numbers[done : done + count], first + done)
            done += count

    def _new_table(self, table: Value, index: int) -> int:
        if self._depth == self._limits.max_depth:
            reason = f"message is nested deeper than the limit of {self._limits.max_depth} levels"
            raise _Misfit(index, reason, limit=True)
        self._queue.append(table)
        self._mentions.append((self._section, index))
        self._numbers[id(table)] = len(self._queue)
        return len(self._queue)

    def _object(self, value: EnumValue | bytearray, index: int) -> int:
        """What stands for a value of a definition: the definition's number, and the position in it."""
        if isinstance(value, bytearray):
            if id(value) not in self._definition_numbers:
                self._define(id(value), VECTOR_KIND, self._vector_strings(value, index))
            return self._definition_numbers[id(value)] << 32 | 1
        if value.names not in self._definition_numbers:
            self._define(value.names, ENUM_KIND, self._enum_strings(value, index))
        return self._definition_numbers[value.names] << 32 | value.position

    def _define(self, identity: tuple[str, ...] | int, kind: int, strings: list[bytes]) -> None:
        self._definitions.append((kind, strings))
        self._definition_numbers[identity] = len(self._definitions)

    def _enum_strings(self, value: EnumValue, index: int) -> list[bytes]:
        if len(set(value.names)) != len(value.names):
            raise _Misfit(index, "cannot copy an EnumValue whose names are not all different")
        return [name.encode("utf-8", "surrogateescape") for name in value.names]

    def _vector_strings(self, value: bytearray, index: int) -> list[bytes]:
        if self._size + len(value) > self._limits.max_bytes:
            self._count(len(value), index)  # which refuses it, before it is copied
        return [bytes(value)]

    def explain(self, misfit: _Misfit, what: str | int | None) -> str:
        """The misfit in the words that the Lua side uses."""
        place = self._place(misfit.index, what)
        if misfit.limit:
            return misfit.reason + (f" (at {place})" if place else "")
        return (f"{place}: " if place else "") + misfit.reason

    def _place(self, index: int, what: str | int | None) -> str:
        section, is_key, parts = self._section, self._section.is_keys, []
        if section.table == _HEADER:
            return ""
        while section.table:
            parts.append("<key>" if section.is_keys else _key_text(section.keys[index]))
            section, index = self._mentions[section.table - 1]
        parts.reverse()
        if is_key:
            parts.pop()  # the failing key has no name but the table's
        path = "".join(parts if len(parts) <= 2 * _PATH_ENDS else [*parts[:_PATH_ENDS], "…", *parts[-_PATH_ENDS:]])
        name = f"argument #{what + section.keys[index] - 1}" if isinstance(what, int) else what or ""
        field = f"field {path}" if path else ""
        if is_key:
            field = f"key of {field}" if field else "a key"
        return ", ".join(part for part in (name, field) if part)


def _head(code: Code, count: int) -> bytes:
    return bytes([code << 4 | count]) if count < 16 else bytes([code << 4, count])


def _entries(table: Value) -> tuple[Sequence[Value], list[Value], list[Value]]:
    """A table's values under 1 to n, and the keys and values of its other entries; without those that are None."""
    pairs: Iterable[tuple[Value, Value]]
    if isinstance(table, (list, tuple)):
        if all(value is not None for value in table):
            return table, [], []
        pairs = enumerate(table, 1)
    else:
        pairs = table.items() if isinstance(table, dict) else table.pairs
    sequence: list[Value] = []
    keys: list[Value] = []
    others: list[Value] = []
    for key, value in pairs:
        if value is None:
            continue
        if not keys and type(key) is int and key == len(sequence) + 1:
            sequence.append(value)
        else:
            keys.append(key)
            others.append(value)
    return sequence, keys, others


def _key_text(key: Value) -> str:
    """A key as Lua would write it, cut short; the same text as lua/codec_failure.lua gives."""
    kind = _kind(key)
    if kind == "string":
        text = key.decode("utf-8", "backslashreplace") if isinstance(key, bytes) else key
        if len(text) <= _KEY_LENGTH and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
            return "." + text
        text, dots = (text[: _KEY_LENGTH - 3], "...") if len(text) > _KEY_LENGTH else (text, "")
        return '["' + "".join(map(_escape, text)) + dots + '"]'
    if kind in ("integer", "float"):
        return f"[{key:d}]" if kind == "integer" else f"[{key:.14g}]"
    return f"[{str(key).lower()}]" if kind == "boolean" else f"[{kind or type(key).__name__}]"


def _escape(character: str) -> str:
    escapes = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
    if character in escapes:
        return escapes[character]
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
