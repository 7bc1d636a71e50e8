"""fromjson and tojson against Python's json."""

from __future__ import annotations

import json
import math
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from .library_probes import LibraryError, call

LONG, SMALL = 300, 100


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


def agree(text):
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
def test_a_document_says_what_python_reads_in_it(text):
    agree(text)


@settings(max_examples=2 * LONG)
@given(damaged())
def test_a_damaged_document_is_refused_where_python_refuses_it(text):
    if re.search(r"\\u[dD][89a-fA-F]", text):  # Python takes surrogates that are no pair
        text = re.sub(r"\\u[dD][89a-fA-F]", r"\\u00", text)
    agree(text)


@settings(max_examples=LONG)
@given(st.text('[]{},:"\\0123456789.eE+- \nabflnrstu', max_size=12))
def test_short_texts_of_jsons_characters(text):
    agree(text)


@settings(max_examples=SMALL)
@given(st.binary(max_size=20) | st.binary(max_size=10).map(lambda data: b'["' + data + b'"]'))
def test_any_bytes_are_a_value_or_an_error_with_a_position(data):
    try:
        call("fromjson", data)
    except LibraryError as error:
        assert re.match(r"script: invalid JSON at position \d+: ", str(error))  # noqa: PT017


@settings(max_examples=LONG)
@given(values | repetitive)
def test_what_is_written_is_read_back_by_both(value):
    plain = as_lua_sees_it(value)
    written = call("tojson", plain)
    assert exactly(call("fromjson", written)) == exactly(plain)
    assert exactly(as_lua_sees_it(in_python(written))) == exactly(plain)


@settings(max_examples=SMALL)
@given(values)
def test_the_same_value_is_written_the_same_whatever_the_order_of_its_keys(value):
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
def test_a_float_is_written_so_that_it_is_the_same_again(number):
    written = call("tojson", number)
    assert exactly(json.loads(written)) == exactly(number)
