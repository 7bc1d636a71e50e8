"""Plain records as bytes and back, for what crosses between processes.

A record is a frozen `msgspec.Struct` whose annotations are its layout: its fields in their order, an `int` or `bool`
as eight bytes, `str` and `bytes` as a length and the bytes, a tuple of these as a count and its items. Numbers are
big-endian. Reading checks everything and can execute nothing, unlike pickle; and it costs no import, unlike json.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import Struct

Record = TypeVar("Record", bound=Struct)

_INT = struct.Struct(">q")
_LENGTH = struct.Struct(">I")


class RecordError(ValueError):
    """These bytes are not the record that was expected."""


def pack(record: Struct) -> bytes:
    """A record's bytes. struct.error when an integer takes more than 64 bits."""
    return b"".join([put(getattr(record, name)) for name, put, _ in _layout(type(record))])


def unpack(kind: type[Record], payload: bytes) -> Record:
    """The record of this kind that fills `payload` exactly; RecordError when it does not."""
    values = []
    at = 0
    try:
        for _, _, get in _layout(kind):
            value, at = get(payload, at)
            values.append(value)
    except struct.error:
        raise RecordError(f"a field of {kind.__name__} does not fit into what is left") from None
    if at != len(payload):
        raise RecordError(f"{len(payload) - at} bytes too many in {kind.__name__}")
    return kind(*values)


# What reads a field raises struct.error where the payload is too short for a number.


def _get_int(payload: bytes, at: int) -> tuple[int, int]:
    return _INT.unpack_from(payload, at)[0], at + 8


def _get_bool(payload: bytes, at: int) -> tuple[bool, int]:
    (value,) = _INT.unpack_from(payload, at)
    if value not in (0, 1):
        raise RecordError(f"{value} is no truth value")
    return bool(value), at + 8


def _put_bytes(value: bytes) -> bytes:
    return _LENGTH.pack(len(value)) + value


def _get_bytes(payload: bytes, at: int) -> tuple[bytes, int]:
    (size,) = _LENGTH.unpack_from(payload, at)
    at += 4
    end = at + size
    if end > len(payload):
        raise RecordError(f"a field of {size} bytes does not fit into what is left")
    return payload[at:end], end


# Text from a script may hold any bytes; surrogateescape carries them through `str` unchanged.
def _put_str(value: str) -> bytes:
    data = value.encode("utf-8", "surrogateescape")
    return _LENGTH.pack(len(data)) + data


def _get_str(payload: bytes, at: int) -> tuple[str, int]:
    raw, at = _get_bytes(payload, at)
    return raw.decode("utf-8", "surrogateescape"), at


_Put = Callable[[Any], bytes]
_Get = Callable[[bytes, int], tuple[Any, int]]


def _tuple_of(put: _Put, get: _Get) -> tuple[_Put, _Get]:
    def put_all(items: tuple[Any, ...]) -> bytes:
        return _LENGTH.pack(len(items)) + b"".join(map(put, items))

    def get_all(payload: bytes, at: int) -> tuple[tuple[Any, ...], int]:
        (count,) = _LENGTH.unpack_from(payload, at)
        at += _LENGTH.size
        # Each item takes a length at least: a count beyond that is a lie, refused before it is looped over.
        if count > (len(payload) - at) // _LENGTH.size:
            raise RecordError(f"a list of {count} items does not fit into what is left")
        items = []
        for _ in range(count):
            item, at = get(payload, at)
            items.append(item)
        return tuple(items), at

    return put_all, get_all


# By the text of the annotation, which is all that a module with postponed annotations has without `typing`'s help.
_FIELDS: dict[str, tuple[_Put, _Get]] = {
    "int": (_INT.pack, _get_int),
    "bool": (_INT.pack, _get_bool),
    "bytes": (_put_bytes, _get_bytes),
    "str": (_put_str, _get_str),
    "tuple[bytes, ...]": _tuple_of(_put_bytes, _get_bytes),
    "tuple[str, ...]": _tuple_of(_put_str, _get_str),
}


_Layout = tuple[tuple[str, _Put, _Get], ...]
_LAYOUTS: dict[type[Struct], _Layout] = {}


def _layout(kind: type[Struct]) -> _Layout:
    layout = _LAYOUTS.get(kind)
    if layout is None:
        # Two threads may do this at once, with the same result.
        layout = _LAYOUTS[kind] = tuple((name, *_FIELDS[kind.__annotations__[name]]) for name in kind.__struct_fields__)
    return layout
