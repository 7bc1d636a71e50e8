"""Plain records as bytes and back, for what crosses between processes.

A record is a frozen `msgspec.Struct` whose annotations are its layout: `int`, `bool`, `str`, `bytes`, and tuples of the
last two. First comes its head, which has the same size for all of its kind: of each field in order the number itself
(eight bytes; one of a `bool`), or how many bytes its body has (four). Then come the bodies: text as UTF-8, bytes as
they are, of a tuple each item with its length before it. Numbers are big-endian. Reading checks everything and can
execute nothing, unlike pickle; and it costs no import, unlike json.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from msgspec import Struct
from msgspec.structs import astuple

Record = TypeVar("Record", bound=Struct)

_LENGTH = struct.Struct(">I")


class RecordError(ValueError):
    """These bytes are not the record that was expected."""


def pack(record: Struct) -> bytes:
    """A record's bytes. struct.error when an integer takes more than 64 bits."""
    layout = _layout(type(record))
    values = list(astuple(record))
    bodies = []
    for index, body_of, _ in layout.bodies:
        body = body_of(values[index])
        values[index] = len(body)
        bodies.append(body)
    return layout.head.pack(*values) + b"".join(bodies)


def unpack(kind: type[Record], payload: bytes) -> Record:
    """The record of this kind that fills `payload` exactly; RecordError when it does not."""
    layout = _layout(kind)
    at = layout.head.size
    if at > len(payload):
        raise RecordError(f"{kind.__name__} does not fit into {len(payload)} bytes")
    values = list(layout.head.unpack_from(payload))
    for index in layout.truths:
        if values[index] > 1:
            raise RecordError(f"{values[index]} is no truth value")
        values[index] = bool(values[index])
    for index, _, value_of in layout.bodies:
        end = at + values[index]
        if end > len(payload):
            raise RecordError(f"a field of {values[index]} bytes of {kind.__name__} does not fit into what is left")
        values[index] = value_of(payload[at:end])
        at = end
    if at != len(payload):
        raise RecordError(f"{len(payload) - at} bytes too many in {kind.__name__}")
    return kind(*values)


_BodyOf = Callable[[Any], bytes]
_ValueOf = Callable[[bytes], Any]


def _as_it_is(value: bytes) -> bytes:
    return value


# Text from a script may hold any bytes; surrogateescape carries them through `str` unchanged.
def _encoded(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")


def _decoded(body: bytes) -> str:
    return body.decode("utf-8", "surrogateescape")


def _tuple_of(body_of: _BodyOf, value_of: _ValueOf) -> tuple[_BodyOf, _ValueOf]:
    def body_of_all(items: tuple[Any, ...]) -> bytes:
        return b"".join([part for item in map(body_of, items) for part in (_LENGTH.pack(len(item)), item)])

    def all_of(body: bytes) -> tuple[Any, ...]:
        items = []
        at = 0
        while at < len(body):
            start = at + _LENGTH.size
            if start > len(body):
                raise RecordError("an item does not fit into what is left")
            at = start + _LENGTH.unpack_from(body, start - _LENGTH.size)[0]
            if at > len(body):
                raise RecordError(f"an item of {at - start} bytes does not fit into what is left")
            items.append(value_of(body[start:at]))
        return tuple(items)

    return body_of_all, all_of


# By the text of the annotation, which is all that a module with postponed annotations has without `typing`'s help.
_NUMBERS = {"int": "q", "bool": "B"}
_BODIES: dict[str, tuple[_BodyOf, _ValueOf]] = {
    "bytes": (_as_it_is, _as_it_is),
    "str": (_encoded, _decoded),
    "tuple[bytes, ...]": _tuple_of(_as_it_is, _as_it_is),
    "tuple[str, ...]": _tuple_of(_encoded, _decoded),
}


class _Layout(NamedTuple):
    """Of the records of one class. In `head` the fields with a body, which `bodies` numbers, have its length; `truths`
    numbers those that are a `bool`."""

    head: struct.Struct
    truths: tuple[int, ...]
    bodies: tuple[tuple[int, _BodyOf, _ValueOf], ...]


_LAYOUTS: dict[type[Struct], _Layout] = {}


def _layout(kind: type[Struct]) -> _Layout:
    layout = _LAYOUTS.get(kind)
    if layout is None:
        types = [kind.__annotations__[name] for name in kind.__struct_fields__]
        head = struct.Struct(">" + "".join(_NUMBERS.get(each, "I") for each in types))
        truths = tuple(index for index, each in enumerate(types) if each == "bool")
        bodies = tuple((index, *_BODIES[each]) for index, each in enumerate(types) if each not in _NUMBERS)
        # Two threads may do this at once, with the same result.
        layout = _LAYOUTS[kind] = _Layout(head, truths, bodies)
    return layout
