"""The message codec under arbitrary values, graphs and bytes, in both languages."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luspool.sandbox.codec import CodecError, CopyError, Entries, EnumValue, decode, encode

from .codec_probes import LIBRARIES, probes, same

CODECS = [probes(library=library) for library in LIBRARIES.values()]
in_lua = pytest.mark.parametrize("lua", CODECS, ids=LIBRARIES)

integers = st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-300, 300)
binary = st.binary(max_size=6).map(lambda data: b"\xff" + data)  # no UTF-8, or it would arrive as str
strings = (
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | binary | st.integers(250, 260).map("x".__mul__)
)
enums = st.sampled_from([EnumValue(("a", "b", "ü"), 1), EnumValue(("a", "b", "ü"), 3), EnumValue(("x",), 1)])
scalars = st.booleans() | integers | st.floats() | strings | enums
fractions = st.floats(allow_nan=False).filter(lambda number: not number.is_integer())
keys = integers | fractions | strings | st.booleans() | enums


@st.composite
def graphs(draw):
    """One to five top-level values with any references among up to eight tables, in the form that `decode` gives."""
    nodes = [draw(st.sampled_from(["list", "dict", "entries"])) for _ in range(draw(st.integers(1, 8)))]
    made = [{"list": list, "dict": dict, "entries": lambda: Entries([])}[node]() for node in nodes]
    values = scalars | st.integers(0, len(made) - 1).map(made.__getitem__)
    for node in made:
        if isinstance(node, list):
            node.extend(draw(st.lists(values, min_size=1, max_size=6) | runs()))
        elif isinstance(node, dict):
            node.update(draw(st.just({}) | st.dictionaries(keys, values, max_size=5).map(lambda d: d | {"no list": 1})))
        else:
            table_key = draw(st.sampled_from(made))
            more = draw(st.dictionaries(keys.filter(lambda key: key not in (0, 1)), values, max_size=3))
            node.pairs.extend([*more.items(), (1, draw(values)), (True, draw(values)), (table_key, draw(values))])
    return draw(st.lists(values | st.none(), min_size=1, max_size=5))


def runs():
    """Long sequences of one type, around the sizes of runs and chunks."""
    lengths = st.sampled_from([15, 16, 17, 119, 120, 121, 240, 241])
    kinds = st.sampled_from([1, -129, 1 << 15, 1 << 31, 1 << 62, 0.5, "s", "é" * 130, True])
    return st.tuples(kinds, lengths).map(lambda run: [run[0]] * run[1])


@in_lua
@given(graphs())
@settings(max_examples=150)
def test_values_and_graphs_come_back_from_lua_as_they_were(lua, values):
    """Python to Lua to Python gives the same graph: kinds, identity, cycles, keys, NaN, negative zero."""
    assert same(list(decode(lua.again(encode(*values)))), values)


@in_lua
@given(graphs())
@settings(max_examples=100)
def test_values_and_graphs_come_back_from_python_as_they_were(lua, values):
    """Lua to Python to Lua gives the same graph, whether strings are read as text or as bytes."""
    sent = lua.again(encode(*values))
    assert lua.same(sent, encode(*decode(sent))) is True
    assert lua.same(sent, encode(*decode(sent, text=False))) is True


@in_lua
@given(st.lists(st.lists(scalars, min_size=1), min_size=1))
@settings(max_examples=50)
def test_both_languages_write_arrays_as_the_same_bytes(lua, value):
    """What Lua writes of an array of arrays is what Python wrote, byte for byte."""
    assert lua.again(encode(value)) == encode(value)


@pytest.mark.skipif(len(CODECS) == 1, reason="2026-11-26: the native module was not compiled here")
@given(graphs(), st.integers(1, 9), st.sampled_from([None, "", "k", "v", "kv"]))
@settings(max_examples=300)
def test_the_native_codec_writes_the_same_bytes_as_lua_and_reads_them_alike(values, every, mode):
    """Whatever the tables refer to, with holes, with metatables, weak ones too."""
    assert CODECS[1].alike(encode(*values), every, mode and mode.encode()) is True


edits = st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255), st.sampled_from("=+-")), max_size=4)
small = st.recursive(
    st.none() | scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(strings, inner, max_size=3),
    max_leaves=12,
)


@st.composite
def mutated(draw):
    """A message with up to four bytes changed, added or removed, perhaps cut short."""
    data = bytearray(encode(*draw(st.lists(small, max_size=3))))
    for place, byte, edit in draw(edits):
        at = place % (len(data) or 1)
        data[at : at + (edit != "+")] = b"" if edit == "-" else bytes([byte])
    return bytes(data[: draw(st.integers(len(data) // 2, len(data)) | st.just(len(data)))])


@st.composite
def shaped(draw):
    """A header with small numbers, and then runs with heads that could be right."""
    header = struct.pack("<BBHII", 1, 1, draw(st.integers(0, 3)), draw(st.integers(0, 3)), draw(st.integers(0, 1)))
    heads = st.integers(1, 12).flatmap(lambda code: st.integers(0, 5).map(lambda count: bytes([code << 4 | count])))
    payload = st.sampled_from([b"\0", b"\1", b"\2", b"\1\0\0\0", b"\1a", b"\0\0\0\0", b"\1\0\0\0\1\0\0\0", b""])
    return header + b"".join(a + b for a, b in draw(st.lists(st.tuples(heads, payload), max_size=12)))


@in_lua
@given(st.binary() | st.binary().map(b"\1\1".__add__) | st.binary().map(b"\1\0".__add__) | shaped() | mutated())
@settings(max_examples=1500)
def test_any_bytes_are_taken_or_refused_alike_by_both_languages(lua, data):
    """Arbitrary bytes give values or the one error, on both sides the same; what was taken can be sent again."""
    try:
        values = decode(data)
    except CodecError:
        assert lua.accepts(data) is False
    else:
        assert lua.accepts(data) is True
        decode(encode(*values))
        decode(lua.again(data))


steps = st.integers(1, 130) | st.sampled_from(["a", "_x1", "name"]) | st.sampled_from(["b c", "1", "", 'q"', "é"])


@in_lua
@given(st.integers(1, 4), st.lists(steps, max_size=7))
@settings(max_examples=150)
def test_the_path_to_what_cannot_be_copied_is_exact(lua, number, path):
    """Wherever the value lies, both sides name its argument and the keys that lead to it."""
    source, value, text = "print", print, ""
    for step in reversed(path):
        if isinstance(step, int):
            source, value = "{" + "{}," * (step - 1) + source + ",5}", [[] for _ in range(step - 1)] + [value, 5]
            text = f"[{step}]{text}"
        else:
            quoted = step.replace('"', '\\"')
            source, value = f'{{["{quoted}"]={source},zz=1}}', {step: value, "zz": 1}
            text = (f".{step}" if step.isidentifier() and step.isascii() else f'["{quoted}"]') + text
    place = f"argument #{number}" + (f", field {text}" if text else "")
    assert lua.refusal(f"return {'1,' * (number - 1)}{source}".encode()).decode() == f"{place}: cannot copy a function"
    with pytest.raises(CopyError) as raised:
        encode(*[1] * (number - 1), value, what=1)
    assert str(raised.value) == f"{place}: cannot copy a builtin_function_or_method"
