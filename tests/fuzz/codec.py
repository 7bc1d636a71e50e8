"""The codec of messages, in Lua and in Python, under arbitrary values and bytes.

Lua's side is there twice: alone, and with the native module, which writes the same bytes.

Claims: a graph of values comes back as it was, by way of either language, object for object; both write arrays as the
same bytes; any bytes are taken or refused by both alike, and mean the same to both; what was taken can be sent again,
and memory stays within a small multiple of the message; what can't be copied is named with the same words by both; and
both keep the same limits.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import cache, partial
from random import Random
from typing import Any

from luspool.sandbox.codec import CodecError, CopyError, Entries, Limits, Value, decode, encode

from ..property.codec_probes import LIBRARIES, probes, same
from ._codec_graphs import graph, mutated, numbered, scalar, shaped, tree
from ._round import claim, endless, require, trying

MEMORY = 512 << 20
"""Bytes that Lua alone may use: a message that makes it ask for more is a finding. (The native module counts anew.)"""
BYTES_PER_BYTE, SPARE = 300, 1 << 16
"""What reading may take in Python: 250 bytes for each byte of the message, says `decode`, and some for a start."""
MARK = b"\xfe the value that can't be copied"


class Uncopyable:
    """What no message carries."""


@cache
def _codecs():
    return [probes(max_memory=MEMORY if library is None else None, library=library) for library in LIBRARIES.values()]


def _check_graph(lua: Any, data: bytes) -> None:
    """A message of Python's own: both ways around."""
    values = decode(data)
    assert same([*decode(lua.again(data))], [*values]), "Python, Lua, Python: not what it was"
    sent = lua.again(data)
    every, mode = 2 + len(data) % 7, (None, b"", b"k", b"v", b"kv")[len(data) % 5]
    assert lua.alike(data, every, mode) is True, (
        f"not as Lua alone does it, without every {every}th entry, mode {mode!r}"
    )
    for text in (True, False):
        again = encode(*decode(sent, text=text))
        assert lua.same(sent, again, False) is True, f"Lua, Python, Lua with text={text}: not what it was"


def _check_arrays(lua: Any, chance: Random) -> None:
    value = [[scalar(chance) for _ in range(chance.randint(1, 5))] for _ in range(chance.randint(1, 5))]
    data = encode(value)
    trying(data)
    assert lua.again(data) == data, f"Lua writes {value!r} as other bytes than Python"


def _check_bytes(lua: Any, data: bytes) -> None:
    """Any bytes: the same fate in both languages, and the same meaning."""
    try:
        values = decode(data)
    except CodecError as error:
        claim(0 <= error.offset <= len(data), f"offset {error.offset} of {len(data)} bytes")
        claim(lua.accepts(data) is False, f"Python refuses what Lua takes: {error}")
        return
    assert lua.accepts(data) is True, "Lua refuses what Python takes"
    by_lua, by_python = lua.again(data), encode(*values)
    assert lua.same(by_lua, data, True) is True, "Lua, sent again, means something else"
    assert lua.same(by_lua, by_python, True) is True, "Lua and Python read it differently"
    if not _holds_entries(values):
        assert same([*decode(by_lua)], [*values]), "Python reads it differently once Lua has sent it again"


def _holds_entries(values: tuple[Value, ...]) -> bool:
    """Whether there is a table that no dict can hold: a key that comes twice makes one, too, and is one key in Lua."""
    seen: dict[int, object] = {}
    todo = [*values]
    while todo:
        value = todo.pop()
        if isinstance(value, Entries):
            return True
        if isinstance(value, (list, dict)) and id(value) not in seen:
            seen[id(value)] = value
            todo += value if isinstance(value, list) else value.values()
    return False


def _check_memory(data: bytes) -> None:
    tracemalloc.start()
    try:
        decode(data)
    except CodecError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak <= BYTES_PER_BYTE * len(data) + SPARE, f"{len(data)} bytes take {peak} to read"


def _check_refusal(lua: Any, chance: Random) -> None:
    """One value somewhere in a tree can't be copied, or one key of it."""
    values = [tree(chance) for _ in range(chance.randint(1, 3))]
    places: list[tuple[list | dict, int | str]] = []
    todo: list[list | dict] = [values]
    while todo:
        node = todo.pop()
        pairs = [*enumerate(node)] if isinstance(node, list) else [*node.items()]
        places += [(node, key) for key, _ in pairs]
        todo += [value for _, value in pairs if isinstance(value, (list, dict))]
    node, key = chance.choice(places)
    as_key = isinstance(node, dict) and chance.random() < 0.3
    kept = node[key]

    def put(value: object) -> None:
        if as_key:
            node[value] = kept
        else:
            node[key] = value

    put(MARK)
    data = encode(*values)
    if as_key:
        del node[MARK]
    put(Uncopyable if as_key else Uncopyable())
    trying(data)
    wanted = lua.refusal_of(data, MARK).decode("utf-8", "surrogateescape")
    try:
        encode(*values, what=1)
    except CopyError as error:
        got = str(error).replace("cannot copy a type", "cannot copy a function")
        got = got.replace("cannot copy a Uncopyable", "cannot copy a function")
    else:
        got = "nothing"
    assert got == wanted, f"Python says {got!r}, Lua {wanted!r}"


def _check_limits(_lua: Any, chance: Random) -> None:
    """What is too large or too deep for one is so for the other."""
    value: object = [scalar(chance) for _ in range(chance.randint(1, 200))]
    for _ in range(chance.randint(0, 6)):
        value = [value, scalar(chance)]
    data = encode(value)
    trying(data)
    max_bytes = max(0, len(data) + chance.choice((-20, -1, 0, 1, 20)))
    max_depth = chance.choice((1, 3, 5, 7, 1000))
    wanted, *more = [probes(max_bytes, max_depth, library=library).again(data) for library in LIBRARIES.values()]
    assert all(one == wanted for one in more), (
        f"limits {max_bytes}, {max_depth}: {more!r} with the native module, {wanted!r} without"
    )
    try:
        got: object = encode(value, what=1, limits=Limits(max_bytes, max_depth))
    except CopyError as error:
        got = (None, str(error).encode(), "larger" in str(error))
    if isinstance(wanted, tuple) and isinstance(got, tuple):
        wanted, got = wanted[1], got[1]
    assert got == wanted, f"limits {max_bytes}, {max_depth}: Python gives {got!r}, Lua {wanted!r}"


def _any_bytes(chance: Random) -> bytes:
    if chance.random() < 0.3:
        return shaped(chance)
    if chance.random() < 0.1:
        return chance.choice((b"", b"\1\0", b"\1\1")) + chance.randbytes(chance.randint(0, 30))
    values = chance.choice((graph(chance), graph(chance), [tree(chance, 2)], [tree(chance, 3)], [numbered(chance)]))
    return mutated(chance, encode(*values), encode(*graph(chance)))


def execute(chance: Random) -> None:
    """Some values and some bytes."""
    rare: list[Callable[[Any, Random], None]] = [_check_arrays, _check_refusal, _check_limits]
    for _ in range(3):
        data = _any_bytes(chance)
        for lua in _codecs():
            require(partial(_check_bytes, lua), data)
    data = encode(*graph(chance))
    trying(data)
    for lua in _codecs():
        _check_graph(lua, data)
    if chance.random() < 0.3:
        chance.choices(rare, (3, 5, 1))[0](chance.choice(_codecs()), chance)
    if chance.random() < 0.02:
        require(_check_memory, _any_bytes(chance) + chance.choice((b"", b"\x90\xff" * 50)))


rounds = endless(execute)
