"""Bytes to values (see codec.py). Any bytes give values or a `CodecError`.

No step recurses, and nothing is made before what its length promises was compared with the bytes that are left. All is
read first, with gaps where tables belong: what a table becomes in Python depends on its keys, and it may be mentioned
before they are read. Then the containers are made, then the gaps filled.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from .codec_types import (
    CHUNK,
    ENUM_KIND,
    LIST,
    ONE,
    UNITS,
    VECTOR_KIND,
    VERSION,
    WIDTHS,
    Code,
    CodecError,
    Entries,
    EnumValue,
    Value,
)

_HEADER: Final = struct.Struct("<BBHII")
_CODES: Final = (Code.NIL, *Code)  # by number: calling Code() would take a third of the time of a small run
_DEFINITION: Final = struct.Struct("<BI")


def decode(data: bytes | bytearray | memoryview, *, text: bool = True) -> tuple[Value, ...]:
    """The values of a message, one or more or none. `text=False` leaves every string as bytes.

    Raises `CodecError`, and nothing else, for bytes that are no message. Thread-safe. Memory stays within a small
    multiple of the message: 10 to 70 bytes per byte, and about 250 where it holds nothing but empty tables.
    """
    data = bytes(data)
    if data[:1] != bytes([VERSION]):
        raise CodecError("unknown version", 0)
    form = data[1] if len(data) > 1 else None
    reader = _Reader(data, _as_text if text else _as_is)
    if form == ONE:
        values = reader.values(1, Code.INT1, Code.BOOL)
    elif form == LIST:
        values = reader.list_form()
    else:
        raise CodecError("unknown form", 1)
    if reader.at != len(data):
        raise CodecError("data after the end", reader.at)
    return tuple(values)


def _as_text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _as_is(data: bytes) -> str | bytes:
    return data


class _Table(Struct):
    """A table as read: the values of its keys 1 to n, and its other entries."""

    sequence: list[Value]
    keys: list[Value]
    others: list[Value]

    has_hard_key: bool = False  # a table or a vector, which no dict takes
    container: list[Value] | dict[Value, Value] | Entries | None = None

    def make_container(self) -> None:
        length, keys = len(self.sequence), self.keys
        if self.has_hard_key:
            self.container = Entries([])
        elif self._is_list():
            self.container = self.sequence
        elif len({*range(1, length + 1), *keys}) == length + len(keys) if length else len(set(keys)) == len(keys):
            self.container = {}
        else:
            self.container = Entries([])

    def _is_list(self) -> bool:
        length, keys = len(self.sequence), self.keys
        if not keys:
            return length > 0
        wanted = range(length + 1, length + len(keys) + 1)
        return all(type(key) is int and key in wanted for key in keys) and len(set(keys)) == len(keys)

    def fill(self) -> None:
        """Put everything into the container, once no gap is left."""
        container, keys, others = self.container, self.keys, self.others
        if isinstance(container, dict):
            container.update(zip(range(1, len(self.sequence) + 1), self.sequence, strict=True))
            container.update(zip(keys, others, strict=True))
        elif isinstance(container, Entries):
            container.pairs.extend(enumerate(self.sequence, 1))
            container.pairs.extend(zip(keys, others, strict=True))
        elif keys:
            order = dict(zip(keys, others, strict=True))
            self.sequence.extend(
                order[key] for key in range(len(self.sequence) + 1, len(self.sequence) + len(keys) + 1)
            )


class _Reader:
    """Reads one message from its third byte on."""

    def __init__(self, data: bytes, string: Callable[[bytes], str | bytes]) -> None:
        self.data = data
        self.at = 2
        self._string = string
        self._definitions: list[tuple[str, ...] | bytearray] = []  # an enum's names, or a vector
        self._has_vectors = False
        self._enum_names: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._announced = 0
        self._mentioned = 0
        self._gaps: list[tuple[list[Value], int, int]] = []  # where the table of this number belongs

    def list_form(self) -> list[Value]:
        if len(self.data) < _HEADER.size:
            raise CodecError("end of data", len(self.data))
        _, _, count, table_count, definition_count = _HEADER.unpack_from(self.data)
        self.at = _HEADER.size
        for _ in range(definition_count):
            self._definitions.append(self._definition())
        sizes = self._sizes(table_count, count)
        self._announced = table_count
        values = self.values(count, Code.INT1, Code.NIL)
        tables = [self._table(*sizes[i : i + 2]) for i in range(0, len(sizes), 2)]
        if self._mentioned < table_count:
            raise CodecError("fewer tables than announced", self.at)
        for table in tables:
            table.make_container()
        for into, index, number in self._gaps:
            into[index] = tables[number - 1].container
        for table in tables:
            table.fill()
        return values

    def _left(self) -> int:
        return len(self.data) - self.at

    def _definition(self) -> tuple[str, ...] | bytearray:
        start = self.at
        if self._left() < _DEFINITION.size:
            raise CodecError("end of data", start)
        kind, count = _DEFINITION.unpack_from(self.data, start)
        self.at += _DEFINITION.size
        if kind not in (ENUM_KIND, VECTOR_KIND):
            raise CodecError("definition of an unknown kind", start)
        if count == 0 or count > self._left():
            raise CodecError("definition longer than the data", start)
        string, self._string = self._string, _as_is
        strings = self.values(count, Code.SHORT, Code.LONG)
        self._string = string
        if count > 1 if kind == VECTOR_KIND else len(set(strings)) != count:
            raise CodecError("definition that defines nothing", start)
        if kind == VECTOR_KIND:
            self._has_vectors = True
            return bytearray(strings[0])
        names = tuple(name.decode("utf-8", "surrogateescape") for name in strings)
        # One object for equal names: comparing values of two such enums then takes no look at the names.
        return self._enum_names.setdefault(names, names)

    def _sizes(self, table_count: int, values: int) -> list[int]:
        start = self.at
        if 2 * table_count > self._left():
            raise CodecError("more tables than data", start)
        sizes = self.values(2 * table_count, Code.INT1, Code.INT8)
        # Each value and each key takes a byte or more, but for the one mention of each table, which had two here.
        room = self._left() + table_count - values
        for length, others in zip(sizes[::2], sizes[1::2], strict=True):
            if not (0 <= length <= room and 0 <= others <= room):
                raise CodecError("bad size of a table", start)
            room -= length + 2 * others
        if room < 0:
            raise CodecError("more values than data", start)
        return sizes

    def _table(self, length: int, others: int) -> _Table:
        table = _Table(self.values(length, Code.INT1, Code.OBJECT), [], [])
        for done in range(0, others, CHUNK):
            count = min(CHUNK, others - done)
            # Into the table's own lists, as gaps are filled in the list that they were read into.
            self.values(count, Code.INT1, Code.OBJECT, table.others)
            gaps = len(self._gaps)
            self.values(count, Code.INT1, Code.OBJECT, table.keys)
            table.has_hard_key = table.has_hard_key or len(self._gaps) > gaps
        if self._has_vectors and any(type(key) is bytearray for key in table.keys):
            table.has_hard_key = True
        table.keys[:] = [self._key(key) if type(key) is float else key for key in table.keys]
        return table

    def _key(self, key: float) -> float | int:
        if key != key:  # noqa: PLR0124 - true of NaN alone
            raise CodecError("NaN as a key", self.at)
        return int(key) if key.is_integer() and -(2.0**63) <= key < 2.0**63 else key

    def values(self, count: int, least: Code, most: Code, into: list[Value] | None = None) -> list[Value]:
        """Append runs with codes from `least` to `most` that make exactly `count` values."""
        into = [] if into is None else into
        end = len(into) + count
        while len(into) < end:
            code, number, start = self._run_head(least, most, end - len(into))
            if code in (Code.SHORT, Code.LONG):
                self._strings(code, number, into)
            elif code in (Code.NEW, Code.REF):
                self._tables(code, number, into, start)
            elif code is Code.NIL:
                if number > 1:
                    raise CodecError("run of nils", start)
                into.append(None)
            else:
                packed = struct.unpack_from(f"<{number}{UNITS[code]}", self.data, self.at)
                self.at += number * WIDTHS[code]
                into.extend(packed if code <= Code.FLOAT else self._finished(code, packed, start))
        return into

    def _run_head(self, least: Code, most: Code, room: int) -> tuple[Code, int, int]:
        start = self.at
        if not self._left():
            raise CodecError("end of data", start)
        head = self.data[start]
        number, skip = head & 15, 1
        if number == 0:
            number, skip = (self.data[start + 1] if self._left() > 1 else 0), 2
            if number < 16:
                raise CodecError("bad run length", start)
        if not least <= head >> 4 <= most:
            raise CodecError("value of a type that can't be here", start)
        if number > room:
            raise CodecError("more values than announced", start)
        if number * WIDTHS[head >> 4] > self._left() - skip:
            raise CodecError("run longer than the data", start)
        self.at += skip
        return _CODES[head >> 4], number, start

    def _strings(self, code: Code, number: int, into: list[Value]) -> None:
        data, width = self.data, WIDTHS[code]
        for _ in range(number):
            begin = self.at + width
            end = begin + int.from_bytes(data[self.at : begin], "little")
            if begin > len(data) or end > len(data):
                raise CodecError("string longer than the data", self.at)
            into.append(self._string(data[begin:end]))
            self.at = end

    def _tables(self, code: Code, number: int, into: list[Value], start: int) -> None:
        if code is Code.NEW:
            numbers: tuple[int, ...] = tuple(range(self._mentioned + 1, self._mentioned + number + 1))
            self._mentioned += number
            if self._mentioned > self._announced:
                raise CodecError("more tables than announced", start)
        else:
            numbers = struct.unpack_from(f"<{number}I", self.data, self.at)
            self.at += 4 * number
            if not 1 <= min(numbers) <= max(numbers) <= self._mentioned:
                raise CodecError("reference to an unknown table", start)
        self._gaps.extend((into, len(into) + i, table) for i, table in enumerate(numbers))
        into.extend([None] * number)

    def _finished(self, code: Code, packed: tuple[int, ...], start: int) -> list[Value]:
        if code is Code.BOOL:
            if max(packed) > 1:
                raise CodecError("boolean that is neither 0 nor 1", start)
            return [flag == 1 for flag in packed]
        return [self._object(item >> 32, item & 0xFFFFFFFF, start) for item in packed]

    def _object(self, number: int, position: int, start: int) -> EnumValue | bytearray:
        definition = self._definitions[number - 1] if 1 <= number <= len(self._definitions) else ()
        if isinstance(definition, bytearray) and position == 1:
            return definition
        if isinstance(definition, bytearray) or not 1 <= position <= len(definition):
            raise CodecError("reference to an unknown object", start)
        return EnumValue(definition, position)
