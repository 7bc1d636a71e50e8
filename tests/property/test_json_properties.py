"""fromjson and tojson against Python's json."""

from __future__ import annotations

import json
import math
import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from .library_probes import LibraryError, StateCalls
from .library_probes import call as call_bare

LONG, SMALL = 300, 100


@pytest.fixture(scope="module")
def call_in_a_state():
    """Where there is a native module, it is in use there."""
    calls = StateCalls("local calls = { fromjson = fromjson, tojson = tojson }", text=True)
    yield calls
    calls.close()


@pytest.fixture(scope="module", params=["bare", "in a state"])
def call(request, call_in_a_state):
    return call_bare if request.param == "bare" else call_in_a_state


def parse_integer(text):
    value = int(text)
    return value if -(1 << 63) <= value < 1 << 63 else float(text)


def refuse(constant):
    raise ValueError(constant)


def in_python(text):
    return json.loads(text, parse_int=parse_integer, parse_constant=refuse)


def as_lua_sees_it(value):
    """A value of json.loads as it comes out of the codec: null is nothing, an empty table a dict."""
    if isinstance(value, list):
        value = {i: item for i, item in enumerate(value, 1) if item is not None}
        if value and max(value) == len(value):
            return [as_lua_sees_it(item) for item in value.values()]
    if isinstance(value, dict):
        return {key: as_lua_sees_it(item) for key, item in value.items() if item is not None}
    return value


def is_mostly_holes(value):
    """Whether there is an array in it that is written as an object, as more than half of it is not there."""
    if not isinstance(value, dict):
        return isinstance(value, list) and any(map(is_mostly_holes, value))
    numbers = all(isinstance(key, int) for key in value)
    return bool(value) and ((numbers and max(value) > 2 * len(value)) or any(map(is_mostly_holes, value.values())))


def exactly(value):
    """Something that is equal only for equal types, too."""
    if isinstance(value, dict):
        return {key: exactly(item) for key, item in value.items()}
    if isinstance(value, list):
        return [exactly(item) for item in value]
    return type(value), math.copysign(1, value) if value == 0 else None, value


def outcome(function, text):
    try:
        return exactly(function(text))
    except (ValueError, LibraryError, RecursionError):
        return "refused"


def agree(call, text):
    expected = outcome(lambda t: as_lua_sees_it(in_python(t)), text)
    assert outcome(lambda t: call("fromjson", t), text) == expected


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.text('ab"\\\n/é€😀\x7f', max_size=60)
integers = st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-20, 20)
floats = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | integers | floats | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=40,
)

# Documents that repeat themselves, as most do: records of a few shapes, long arrays of one kind, with exceptions.
KEYS = ["id", "name", "x y", "%d[", "é"]
records = st.fixed_dictionaries(dict.fromkeys(KEYS[:3], scalars), optional=dict.fromkeys(KEYS[3:], scalars))
nested = st.fixed_dictionaries({"id": integers, "tags": st.lists(texts, max_size=3), "in": records, "last": scalars})
repetitive = (
    st.lists(records, max_size=12)
    | st.lists(nested, max_size=8)
    | st.dictionaries(texts, records, max_size=12)
    | st.lists(integers, max_size=80)
    | st.lists(st.integers(-9, 9), min_size=17, max_size=80)
    | st.lists(floats, min_size=17, max_size=60)
    | st.lists(texts, min_size=17, max_size=60)
    | st.tuples(st.lists(st.integers(0, 9), min_size=16, max_size=50), scalars, st.lists(st.integers(0, 9))).map(
        lambda parts: [*parts[0], parts[1], *parts[2]]
    )
)
layouts = st.sampled_from(
    [{}, {"indent": 2}, {"indent": "\t"}, {"separators": (",", ":")}, {"separators": (" ,  ", "\r\n:")}]
)


@st.composite
def documents(draw):
    value = draw(values | repetitive)
    return json.dumps(value, ensure_ascii=draw(st.booleans()), **draw(layouts))


@st.composite
def damaged(draw):
    text = draw(documents())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        new = draw(
            st.sampled_from([*'[]{},:"\\0123456789.eE+-tfn \n\x00\x1f', "", "null", "true", '"a":', "\\u", "1.5"])
        )
        text = text[:at] + new + text[at + draw(st.integers(0, 2)) :]
    return text


@settings(max_examples=LONG)
@given(documents())
def test_a_document_says_what_python_reads_in_it(call, text):
    agree(call, text)


@settings(max_examples=2 * LONG)
@given(damaged())
def test_a_damaged_document_is_refused_where_python_refuses_it(call, text):
    if re.search(r"\\u[dD][89a-fA-F]", text):  # Python takes surrogates that are no pair
        text = re.sub(r"\\u[dD][89a-fA-F]", r"\\u00", text)
    agree(call, text)


@settings(max_examples=LONG)
@given(st.text('[]{},:"\\0123456789.eE+- \nabflnrstu', max_size=12))
def test_short_texts_of_jsons_characters(call, text):
    agree(call, text)


@settings(max_examples=SMALL)
@given(st.binary(max_size=20) | st.binary(max_size=10).map(lambda data: b'["' + data + b'"]'))
def test_any_bytes_are_a_value_or_an_error_with_a_position(call, data):
    try:
        call("fromjson", data)
    except LibraryError as error:
        assert re.match(r"(script|main\.lus:\d+): invalid JSON at position \d+: ", str(error))  # noqa: PT017


@settings(max_examples=LONG)
@given(values | repetitive)
def test_what_is_written_is_read_back_by_both(call, value):
    plain = as_lua_sees_it(value)
    assume(not is_mostly_holes(plain))
    written = call("tojson", plain)
    assert exactly(call("fromjson", written)) == exactly(plain)
    assert exactly(as_lua_sees_it(in_python(written))) == exactly(plain)


@settings(max_examples=SMALL)
@given(values)
def test_the_same_value_is_written_the_same_whatever_the_order_of_its_keys(call, value):
    def turned(item):
        if isinstance(item, list):
            return [turned(part) for part in item]
        if isinstance(item, dict):
            return {key: turned(part) for key, part in reversed(item.items())}
        return item

    plain = as_lua_sees_it(value)
    assert call("tojson", plain) == call("tojson", turned(plain))


@settings(max_examples=SMALL)
@given(floats)
def test_a_float_is_written_so_that_it_is_the_same_again(call, number):
    written = call("tojson", number)
    assert exactly(json.loads(written)) == exactly(number)


@settings(max_examples=LONG)
@given(damaged())
def test_both_ways_of_reading_find_the_same_error(call_in_a_state, text):
    def problem(call):
        try:
            return call("fromjson", text) and "none"
        except LibraryError as error:
            return re.sub(r"^(script|main\.lus:\d+): ", "", str(error))

    assert problem(call_in_a_state) == problem(call_bare)


@settings(max_examples=LONG)
@given(values | repetitive)
def test_both_ways_of_writing_write_the_same(call_in_a_state, value):
    plain = as_lua_sees_it(value)
    assert call_in_a_state("tojson", plain) == call_bare("tojson", plain)


LARGE = {
    "elements": [None, *range(-5000, 5000), *["é\n"] * 5000, 1.5, *[True, False, None, [], {}] * 1000, 2],
    "members": {f"k{i}": [i, f"\t{i}", None, -i / 8, i % 2 == 0][i % 5] for i in range(20_000)},
    "strings": ["x" * 3_000_000, "\\" * 3000, "é" * 700_000, "last"],
    "escapes near the end of what C takes": ["a" * n + end for n in range(1015, 1030) for end in ("\n", "😀", "\x01b")],
}


@pytest.mark.parametrize("ensure_ascii", [True, False])
@pytest.mark.parametrize("value", LARGE.values(), ids=LARGE.keys())
def test_what_takes_several_runs(call, value, ensure_ascii):
    agree(call, json.dumps(value, ensure_ascii=ensure_ascii))
    plain = as_lua_sees_it(value)
    assert exactly(as_lua_sees_it(in_python(call("tojson", plain)))) == exactly(plain)
