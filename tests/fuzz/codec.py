"""The codec of messages, in Lua and in Python, under arbitrary values and bytes.

Claims: a graph of values comes back as it was, by way of either language, object for object; both write arrays as the
same bytes; any bytes are taken or refused by both alike, and mean the same to both; what was taken can be sent again,
and memory stays within a small multiple of the message; what can't be copied is named with the same words by both; and
both keep the same limits.
"""

from __future__ import annotations

import functools
import tracemalloc
from collections.abc import Callable
from random import Random

from luspool.sandbox.codec import CodecError, CopyError, Entries, Limits, Value, decode, encode

from ..property.codec_probes import probes, same
from ._codec_graphs import graph, mutated, numbered, scalar, shaped, tree
from ._round import claim, endless, require, trying

MEMORY = 512 << 20
"""Bytes that the Lua side may use: a message that makes it ask for more is a finding."""
BYTES_PER_BYTE, SPARE = 300, 1 << 16
"""What reading may take in Python: 250 bytes for each byte of the message, says `decode`, and some for a start."""
MARK = b"\xfe the value that can't be copied"


class Uncopyable:
    """What no message carries."""


@functools.cache
def _lua():
    return probes(max_memory=MEMORY)


def _check_graph(data: bytes) -> None:
    """A message of Python's own: both ways around."""
    values = decode(data)
    assert same([*decode(_lua().again(data))], [*values]), "Python, Lua, Python: not what it was"
    sent = _lua().again(data)
    for text in (True, False):
        again = encode(*decode(sent, text=text))
        assert _lua().same(sent, again, False) is True, f"Lua, Python, Lua with text={text}: not what it was"


def _check_arrays(chance: Random) -> None:
    value = [[scalar(chance) for _ in range(chance.randint(1, 5))] for _ in range(chance.randint(1, 5))]
    data = encode(value)
    trying(data)
    assert _lua().again(data) == data, f"Lua writes {value!r} as other bytes than Python"


def _check_bytes(data: bytes) -> None:
    """Any bytes: the same fate in both languages, and the same meaning."""
    try:
        values = decode(data)
    except CodecError as error:
        claim(0 <= error.offset <= len(data), f"offset {error.offset} of {len(data)} bytes")
        claim(_lua().accepts(data) is False, f"Python refuses what Lua takes: {error}")
        return
    assert _lua().accepts(data) is True, "Lua refuses what Python takes"
    by_lua, by_python = _lua().again(data), encode(*values)
    assert _lua().same(by_lua, data, True) is True, "Lua, sent again, means something else"
    assert _lua().same(by_lua, by_python, True) is True, "Lua and Python read it differently"
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


def _check_refusal(chance: Random) -> None:
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
    wanted = _lua().refusal_of(data, MARK).decode("utf-8", "surrogateescape")
    try:
        encode(*values, what=1)
    except CopyError as error:
        got = str(error).replace("cannot copy a type", "cannot copy a function")
        got = got.replace("cannot copy a Uncopyable", "cannot copy a function")
    else:
        got = "nothing"
    assert got == wanted, f"Python says {got!r}, Lua {wanted!r}"


def _check_limits(chance: Random) -> None:
    """What is too large or too deep for one is so for the other."""
    value: object = [scalar(chance) for _ in range(chance.randint(1, 200))]
    for _ in range(chance.randint(0, 6)):
        value = [value, scalar(chance)]
    data = encode(value)
    trying(data)
    max_bytes = max(0, len(data) + chance.choice((-20, -1, 0, 1, 20)))
    max_depth = chance.choice((1, 3, 5, 7, 1000))
    wanted = probes(max_bytes, max_depth).again(data)
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
    rare: list[Callable[[Random], None]] = [_check_arrays, _check_refusal, _check_limits]
    for _ in range(3):
        require(_check_bytes, _any_bytes(chance))
    data = encode(*graph(chance))
    trying(data)
    _check_graph(data)
    if chance.random() < 0.3:
        chance.choices(rare, (3, 5, 1))[0](chance)
    if chance.random() < 0.02:
        require(_check_memory, _any_bytes(chance) + chance.choice((b"", b"\x90\xff" * 50)))


rounds = endless(execute)
