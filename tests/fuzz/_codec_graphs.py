"""Random values for messages, and random bytes that look like messages."""

from __future__ import annotations

import math
import struct
from random import Random

from luspool.sandbox.codec import Entries, EnumValue, Value

ENUMS = [EnumValue(("a", "b", "ü"), 1), EnumValue(("a", "b", "ü"), 3), EnumValue(("x",), 1)]
LENGTHS = (0, 1, 2, 3, 5, 14, 15, 16, 17, 119, 120, 121, 240, 241)
FLOATS = (0.0, -0.0, math.inf, -math.inf, math.nan, 0.5, 5e-324, 2.0**53, 2.0**63, -(2.0**63), 1e308, 3.0)
EDGES = [
    sign * (1 << bits) + more for bits in (7, 8, 15, 16, 31, 32, 53, 62) for sign in (1, -1) for more in (-1, 0, 1)
]


def integer(chance: Random) -> int:
    return chance.choice((chance.randint(-5, 300), chance.choice(EDGES), chance.randint(-(1 << 63), (1 << 63) - 1)))


def string(chance: Random) -> str | bytes:
    """In the form that `decode` gives: text where it is UTF-8."""
    if chance.random() < 0.2:
        return b"\xff" + chance.randbytes(chance.randint(0, 5))
    if chance.random() < 0.1:
        return "x" * chance.randint(250, 260)
    return "".join(chance.choices('ab\0\nü€\U0001f600"\\_1', k=chance.randint(0, 8)))


def scalar(chance: Random) -> Value:
    kind = chance.randrange(6)
    if kind == 0:
        return chance.random() < 0.5
    if kind == 1:
        return chance.choice(FLOATS) if chance.random() < 0.7 else struct.unpack("d", chance.randbytes(8))[0]
    if kind == 2:
        return chance.choice(ENUMS)
    return integer(chance) if kind < 5 else string(chance)


def key(chance: Random) -> Value:
    """No table, no vector, and nothing that Lua takes for another key."""
    while True:
        value = scalar(chance)
        if not isinstance(value, float) or not (math.isnan(value) or value.is_integer()):
            return value


def graph(chance: Random) -> list[Value]:
    """Some values, of tables that refer to each other in any way, in the form that `decode` gives."""
    made: list[Value] = [chance.choice((list, dict, lambda: Entries([])))() for _ in range(chance.randint(1, 9))]
    vectors = [bytearray(chance.randbytes(chance.choice((0, 1, 3, 256)))) for _ in range(chance.randint(0, 2))]

    def value() -> Value:
        return scalar(chance) if chance.random() < 0.5 else chance.choice(made + vectors)

    for node in made:
        if isinstance(node, list):
            node.extend(_run(chance) if chance.random() < 0.2 else [value() for _ in range(chance.randint(1, 6))])
        elif isinstance(node, dict):
            if chance.random() < 0.8:
                count = chance.choice(LENGTHS) if chance.random() < 0.1 else chance.randint(0, 5)
                node.update((key(chance), value()) for _ in range(count))
                node["no list"] = value()
        else:
            more = {each: value() for each in (key(chance) for _ in range(3)) if each not in (0, 1)}
            node.pairs.extend([*more.items(), (1, value()), (True, value()), (chance.choice(made + vectors), value())])
    return [None if chance.random() < 0.1 else value() for _ in range(chance.randint(1, 5))]


def _run(chance: Random) -> list[Value]:
    """Values of one type, around the sizes of runs and chunks."""
    one = chance.choice((1, -129, 1 << 15, 1 << 31, 1 << 62, 0.5, "s", "é" * 130, True, ENUMS[0]))
    return [one] * (chance.choice(LENGTHS) or 1)


def tree(chance: Random, depth: int = 4) -> Value:
    """Lists and tables with names, nothing shared: there is one way to each value."""
    if depth == 0 or chance.random() < 0.3:
        return scalar(chance)
    if chance.random() < 0.5:
        return [tree(chance, depth - 1) for _ in range(chance.randint(1, 4))]
    keys = {each if isinstance(each, (str, int)) else "k" for each in (key(chance) for _ in range(3))}
    return {**{each: tree(chance, depth - 1) for each in keys if each is not True and each is not False}, "k": 1}


def numbered(chance: Random) -> Value:
    """A table with numbers as keys of which Lua makes integers, so far as they are whole."""
    return {chance.choice((float(chance.randint(-3, 5)), *FLOATS[:4], *FLOATS[5:])): scalar(chance) for _ in range(4)}


def mutated(chance: Random, data: bytes, other: bytes) -> bytes:
    """Some bytes changed, put in, taken out or copied from elsewhere; perhaps cut short."""
    edited = bytearray(data)
    heads = [at for at, byte in enumerate(edited) if byte in (0xA1, 0xB1)]  # runs of one table or object
    if heads and chance.random() < 0.3:
        at = chance.choice(heads) + chance.randint(1, 8)
        edited[at : at + 1] = bytes([chance.choice((0, 1, 2, 3, 255))])
    for _ in range(chance.choice((0, 1, 1, 2, 4))):
        at = chance.randrange(len(edited) + 1)
        size = chance.choice((1, 1, 1, 2, 4, 8))
        source = chance.choice((data, other))
        start = chance.randrange(len(source) or 1)
        piece = chance.choice(
            (b"", chance.randbytes(size), source[start : start + size], bytes([chance.randrange(13)]))
        )
        edited[at : at + chance.choice((0, len(piece), size))] = piece
    return bytes(edited[: chance.randrange(len(edited) + 1)] if chance.random() < 0.1 else edited)


def shaped(chance: Random) -> bytes:
    """A header with small or lying numbers, definitions, and then runs with heads that could be right."""
    counts = [chance.choice((0, 0, 1, 2, 3, 15, 0xFFFF, 0xFFFFFFFF)) for _ in range(3)]
    data = struct.pack("<BBHII", 1, 1, counts[0] & 0xFFFF, counts[1], counts[2])
    for _ in range(chance.randint(0, 2)):
        data += struct.pack("<BI", chance.choice((1, 2, 3)), chance.choice((0, 1, 2, 1 << 31)))
    payloads = (b"", b"\0", b"\1", b"\2", b"\1a", b"\1\0\0\0", b"\0" * 4, b"\1\0\0\0\1\0\0\0", b"\xff\xff\xff\x7f")
    for _ in range(chance.randint(0, 14)):
        head = bytes([chance.randint(0, 13) << 4 | chance.randint(0, 5)])
        data += (
            head + (bytes([chance.choice((1, 15, 16, 255))]) if head[0] & 15 == 0 else b"") + chance.choice(payloads)
        )
    return data
