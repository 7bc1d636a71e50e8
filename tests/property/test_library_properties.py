"""Library functions against Python twins: split and join, transcoding, sorting, statistics, shapes, vectors."""

from __future__ import annotations

import math
import re
import statistics
from itertools import groupby

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from .library_probes import LibraryError, StateCalls

CALLEE = r"""
local calls = {}
for _, library in ipairs{string, table} do
  for name, func in pairs(library) do calls[name] = func end
end
function calls.sort_pairs(t) return table.sortby(t, function(pair) return pair[1] end) end
function calls.group(t) return table.groupby(t, function(n) return n % 5 end) end
function calls.odd(t) return table.filter(t, function(n, i) assert(t[i] == n) return n % 2 == 1 end) end
function calls.running_sum(t, start) return table.reduce(t, function(a, n) return a + n end, start) end
function calls.doubled(t) return table.map(t, function(n) return 2 * n end) end
function calls.deep_clone(t)
  local copy = table.clone(t, true)
  assert(copy ~= t)
  return copy
end

-- Runs operations on a vector; gives their results and the vector.
function calls.vector(start, operations)
  local v, results = vector.create(start), {}
  local does = {
    write = function(offset, text) return (v:pack(offset, "c" .. #text, text)) end,
    read = function(offset, length) return (v:unpack(offset, "c" .. length)) end,
    set = function(offset, byte) v[offset] = byte return true end,
    get = function(offset) return v[offset] or false end,
    resize = function(size) v:resize(size) return #v end,
    clone = function() local old = v v = v:clone() if #old > 0 then old[0] = 255 - old[0] end return #v end,
    slice = function(a, b) return v[a, b] end,
  }
  for i, operation in ipairs(operations) do results[i] = does[operation[1]](operation[2], operation[3]) end
  return {results, v}
end

-- What vector.pack and unpack do at an offset, and what string.pack and unpack do with the same bytes.
function calls.formats(size, offset, format, values)
  local lead, v = offset % 16, vector.create(("\xaa"):rep(size))
  local text = string.pack("c" .. lead .. format, "", table.unpack(values)):sub(lead + 1)
  local after = v:pack(offset, format, table.unpack(values))
  local bytes = v:unpack(0, "c" .. size)
  assert(after == offset + #text)
  assert(bytes == ("\xaa"):rep(offset) .. text .. ("\xaa"):rep(size - after))
  local got, wanted = {v:unpack(offset, format)}, {string.unpack(format, bytes, offset + 1)}
  assert(#got == #wanted and got[#got] == wanted[#wanted] - 1)
  for i = 1, #got - 1 do assert(got[i] == wanted[i]) end
  return true
end
"""


@pytest.fixture(scope="module")
def call():
    callee = StateCalls(CALLEE)
    yield callee
    callee.close()


def as_list(value):
    """An empty list arrives as a dict, as in every message."""
    return value or []


few = st.binary(max_size=30).map(lambda data: bytes(b"ab,- \t\n\0\xff"[byte % 9] for byte in data))
separators = few.filter(len) | st.sampled_from([b"-" * 64 + b",", b"a" * 70])
limits = st.none() | st.integers(1, 5)


@given(few, separators, limits)
def test_split_is_pythons_split_and_join_undoes_it(call, text, separator, limit):
    pieces = call("split", text, separator, limit)
    assert pieces == text.split(separator, -1 if limit is None else limit - 1)
    assert call("join", pieces, separator) == text


@given(st.lists(st.sampled_from([b"a" * 69, b"a" * 70, b"a", b"b"])), limits)
def test_split_by_a_long_separator_that_nearly_occurs_everywhere(call, pieces, limit):
    text = b"".join(pieces)
    assert call("split", text, b"a" * 70, limit) == text.split(b"a" * 70, -1 if limit is None else limit - 1)


@given(few, limits)
def test_split_at_white_space_is_pythons(call, text, limit):
    assert as_list(call("split", text, None, limit)) == text.split(None, -1 if limit is None else limit - 1)


@given(few, st.none() | few)
def test_trimming_is_pythons_strip(call, text, characters):
    assert call("trim", text, characters) == text.strip(characters)
    assert call("ltrim", text, characters) == text.lstrip(characters)
    assert call("rtrim", text, characters) == text.rstrip(characters)


ENCODINGS = {
    "utf-8": "utf-8",
    "UTF-16LE": "utf-16-le",
    "utf_16be": "utf-16-be",
    "utf-32le": "utf-32-le",
    "Utf32BE": "utf-32-be",
    "ascii": "ascii",
    "latin-1": "latin-1",
    "iso-8859-15": "iso8859-15",
    "windows-1251": "cp1251",
    "koi8-r": "koi8-r",
    "cp437": "cp437",
}
encodings = st.sampled_from(sorted(ENCODINGS))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.text("aé€яΩ😀\u00a0", max_size=20)
repetitions = st.sampled_from([1, 1, 1, 1, 1 << 13, 1 << 14])  # the latter more than one host call takes


@given(texts.flatmap(lambda text: repetitions.map(text.__mul__)), encodings, encodings, st.integers(0, 3))
def test_transcoding_goes_there_and_back(call, text, one, other, offset):
    text = "x" * offset + text
    text = text.encode(ENCODINGS[one], "ignore").decode(ENCODINGS[one])
    text = text.encode(ENCODINGS[other], "ignore").decode(ENCODINGS[other])
    data = text.encode(ENCODINGS[one])
    there = call("transcode", data, one, other)
    assert there == text.encode(ENCODINGS[other])
    assert call("transcode", there, other, one) == data


@given(st.binary(max_size=20), encodings, encodings, repetitions)
def test_what_cannot_be_transcoded_is_named_with_its_place(call, data, one, other, times):
    data = b"\x20\0\0\0" * (times - 1) * 2 + data if one.lower().endswith("le") else b" " * (times - 1) * 16 + data
    wanted = None
    try:
        text = data.decode(ENCODINGS[one])
    except UnicodeDecodeError as error:
        text = data[: error.start].decode(ENCODINGS[one])
        wanted = f"(byte {error.start + 1} is no "
    try:
        encoded = text.encode(ENCODINGS[other])
    except UnicodeEncodeError as error:
        place = len(text[: error.start].encode(ENCODINGS[one])) + 1
        wanted = f"(byte {place} is U+{ord(text[error.start]):04X}, which "
    if wanted is None:
        assert call("transcode", data, one, other) == encoded
    else:
        with pytest.raises(LibraryError, match=re.escape(f"bad argument #1 to 'transcode' {wanted}")):
            call("transcode", data, one, other)


integers = st.integers(-(1 << 40), 1 << 40)
floats = st.floats(-1e12, 1e12, allow_nan=False)
numbers = st.lists(integers) | st.lists(floats) | st.lists(integers | floats)


@given(st.lists(st.tuples(st.integers(-3, 3) | st.sampled_from([0.5, -0.5]), st.integers()).map(list)))
def test_sortby_is_stable(call, pairs):
    pairs = [[key, position] for position, (key, _) in enumerate(pairs)]
    assert as_list(call("sort_pairs", pairs)) == sorted(pairs, key=lambda pair: pair[0])


@given(st.lists(st.text("abc\0", max_size=3)))
def test_sortby_orders_strings(call, words):
    pairs = [[word, position] for position, word in enumerate(words)]
    wanted = [[word.encode(), position] for word, position in sorted(pairs, key=lambda pair: pair[0])]
    assert as_list(call("sort_pairs", pairs)) == wanted


@given(numbers)
def test_statistics_are_pythons(call, values):
    scale = sum(map(abs, values)) or 1.0
    assert call("sum", values) == pytest.approx(sum(values), abs=1e-12 * scale)
    if not values:
        assert call("mean", values) is call("median", values) is call("stdev", values) is None
        return
    assert call("mean", values) == pytest.approx(statistics.fmean(values), abs=1e-12 * scale)
    assert call("median", values) == pytest.approx(statistics.median(values), rel=1e-15)
    assert call("stdev", values, True) == pytest.approx(statistics.pstdev(values), rel=1e-6, abs=1e-12 * scale)
    if len(values) > 1:
        assert call("stdev", values) == pytest.approx(statistics.stdev(values), rel=1e-6, abs=1e-12 * scale)
    else:
        assert call("stdev", values) is None


@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1), min_size=1))
def test_of_integers_the_sum_wraps_and_the_mean_does_not(call, values):
    assert call("sum", values) == (sum(values) + (1 << 63)) % (1 << 64) - (1 << 63)
    assert call("mean", values) == pytest.approx(statistics.fmean(values), abs=1e-10 * max(map(abs, values)))
    middle = call("median", values)
    assert middle == pytest.approx(statistics.median(values), rel=1e-15, abs=1e-10 * max(map(abs, values)))


@given(st.lists(st.floats(allow_infinity=True, allow_nan=False), min_size=1))
@example([8.9e307, 8.9e307, -math.inf])
@example([1.7e308, 1.7e308, -math.inf])
@example([-1.7e308, -1.7e308, math.inf, 0.0])
def test_a_mean_is_between_the_least_and_the_greatest(call, values):
    mean, median = call("mean", values), call("median", values)
    infinities = {value for value in values if math.isinf(value)}
    if len(infinities) == 2:
        assert math.isnan(mean)
    elif infinities:
        assert {mean} == infinities  # also where the sum of the others is beyond the range of floats
    else:
        slack = 1e-10 * max(abs(value) for value in values)
        assert min(values) - slack <= mean <= max(values) + slack
    assert min(values) <= median <= max(values) or math.isnan(median)


@given(st.lists(st.integers(-100, 100)), st.none() | st.integers())
def test_map_filter_reduce_and_groupby_are_pythons(call, values, start):
    assert as_list(call("doubled", values)) == [2 * value for value in values]
    assert as_list(call("odd", values)) == [value for value in values if value % 2 == 1]
    if values or start is not None:
        assert call("running_sum", values, start and start % 1000) == sum(values, (start and start % 1000) or 0)
    groups = call("group", values)
    wanted = {key: list(group) for key, group in groupby(sorted(values, key=lambda n: n % 5), key=lambda n: n % 5)}
    if isinstance(groups, list):  # the keys 1 to n
        groups = dict(enumerate(groups, 1))
    assert groups == wanted


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3))
def test_shapes_are_those_of_rows_and_columns(call, height, width, depth):
    flat = list(range(height * width * depth))
    box = [
        [flat[(i * width + j) * depth :][:depth] for j in range(width)]
        for i in range(height)
    ]  # fmt: skip
    assert call("reshape", flat, height, width, depth) == box
    assert call("reshape", flat, height, -1, depth) == box
    assert call("reshape", box, -1) == flat
    columns = [list(column) for column in zip(*box, strict=True)]
    assert call("transpose", box) == columns
    assert call("zip", *box) == columns
    assert call("transpose", columns) == box


@given(st.lists(st.lists(integers, min_size=1), min_size=1, max_size=4))
def test_zip_ends_with_the_shortest(call, lists):
    assert call("zip", *lists) == [list(row) for row in zip(*lists, strict=False)]


values = st.recursive(
    st.booleans()
    | st.integers(-9, 9)
    | st.binary(max_size=3).map(lambda data: b"\xff" + data)
    | st.just(bytearray(b"v")),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=4) | st.dictionaries(st.just(b"\xffk") | st.just(-1), inner, min_size=1)
    ),
)


@given(st.lists(values, min_size=1))
def test_a_deep_clone_is_the_same_value(call, value):
    shared = [value, value]
    shared.append(shared)
    copy = call("deep_clone", shared)
    assert copy[0] is copy[1]
    assert copy[2] is copy
    assert copy[0] == value


places = st.integers(0, 1100) | st.sampled_from([0, 1, 254, 255, 256, 257, 511, 512, 513, 768, 1024])
operations = st.lists(
    st.tuples(st.just("write"), places, st.integers(0, 600).map(lambda n: bytes(i % 251 for i in range(n))))
    | st.tuples(st.just("read"), places, places)
    | st.tuples(st.just("set"), places, st.integers(0, 255))
    | st.tuples(st.just("get"), places, st.none())
    | st.tuples(st.just("resize"), places, st.none())
    | st.tuples(st.just("clone"), st.none(), st.none())
    | st.tuples(st.just("slice"), places, places),
    max_size=12,
)


def twin(model, operation, one, other):
    """What an operation gives, done on a bytearray; None where it would be an error."""
    if operation == "write" and one + len(other) <= len(model):
        model[one : one + len(other)] = other
        return one + len(other)
    if operation == "read" and one + other <= len(model):
        return bytes(model[one : one + other])
    if operation == "set" and one < len(model):
        model[one] = other
        return True
    if operation == "get":
        return model[one] if one < len(model) else False
    if operation == "resize":
        model[:] = model[:one] + bytes(max(0, one - len(model)))
        return one
    if operation == "clone":
        return len(model)
    if operation == "slice":
        low, high = sorted((one, other))
        part = model[low : high + 1]
        return part[::-1] if one > other else part
    return None


@given(places | st.binary(max_size=700).map(lambda data: b"\xff" + data), operations)
def test_a_vector_is_a_bytearray(call, start, operations):
    model, wanted, possible = bytearray(start), [], []
    for operation in operations:
        result = twin(model, *operation)
        if result is not None:
            wanted.append(result)
            possible.append(list(operation))
    results, vector = call("vector", start, possible)
    assert as_list(results) == wanted
    assert vector == model


FORMATS = [
    ("<I4", [7]),
    (">i2 d", [-2, 1.5]),
    ("!4 i1 i4", [1, -2]),
    ("<!8 b Xd d", [1, 0.5]),
    ("!16 i8 x j", [5, 6]),
    ("z s1 B", [b"\xfez", b"\xfes", 255]),
    ("<s4", [b"\xfe" * 900]),
    ("s2 !2 h", [b"\xfe" * 250, 9]),
    ("z", [b"\xfe" * 600]),
    ("", []),
]


@given(places, st.sampled_from(FORMATS))
def test_formats_at_an_offset_are_those_of_string_pack(call, offset, case):
    assert call("formats", 2300, offset, *case) is True
