"""The message codec: what arrives, what is refused and in which words, and that both sides write the same bytes."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import lupa.lua55
import pytest

from luspool.sandbox.codec import CodecError, CopyError, Entries, EnumValue, Limits, decode, encode

from ...property.codec_probes import LIBRARIES

ROOT = Path(__file__).resolve().parents[3]
NAMES = b"""
local codec, enum, handle = ...
local encode, encode_one, decode = codec.encode, codec.encode_one, codec.decode
local function arguments(_, _, _, ...) return ... end
"""


class LuaCodec:
    """The Lua side, as a state loads it; `run` gives a chunk the names encode, encode_one, decode, enum, handle.

    `library` is the path of the native module, if that is to do what it can.
    """

    def __init__(self, library, max_bytes=1 << 28, max_depth=10_000_000):
        self._runtime = lupa.lua55.LuaRuntime(encoding=None, unpack_returned_tuples=True)
        harness = (ROOT / "tests/lua/codec_harness.lua").read_bytes()
        self._given = self._runtime.execute(harness, self._read, max_bytes, max_depth, library)

    @staticmethod
    def _read(name):
        return (ROOT / "sandbox/lua" / f"{name.decode()}.lua").read_bytes()

    def run(self, source, *arguments):
        return self._runtime.execute(NAMES + source.encode(), *self._given[:3], *arguments)

    def refusal(self, call):
        """The message with which the Lua side refuses `call`, an expression."""
        payload, message, *_is_too_large = self.run(f"return {call}")
        assert payload is None
        return message.decode()


@pytest.fixture(scope="module", params=LIBRARIES.values(), ids=LIBRARIES.keys())
def library(request):
    return request.param


@pytest.fixture(scope="module")
def lua(library):
    return LuaCodec(library)


SCALARS = [
    ("nil", None),
    ("true", True),
    ("false", False),
    ("0", 0),
    ("-129", -129),
    ("math.maxinteger", (1 << 63) - 1),
    ("math.mininteger", -(1 << 63)),
    ("1.0", 1.0),
    ("-1/0", -math.inf),
    ("''", ""),
    ("'h\\u{e9}'", "hé"),
    ("'\\xff\\0'", b"\xff\0"),
    ("('x'):rep(255)", "x" * 255),
    ("('x'):rep(256)", "x" * 256),
]


@pytest.mark.parametrize(("expression", "value"), SCALARS)
def test_scalars_keep_kind_and_value_in_both_directions(lua, expression, value):
    (arrived,) = decode(lua.run(f"return encode_one(nil, {expression})"))
    assert arrived == value
    assert type(arrived) is type(value)
    same = lua.run(
        f"local v = decode((arguments(...))) return v == {expression} and math.type(v) == math.type({expression})",
        encode(value),
    )
    assert same is True


def test_negative_zero_and_nan_keep_sign_and_kind(lua):
    (zero,) = decode(lua.run("return encode_one(nil, -0.0)"))
    assert math.copysign(1, zero) == -1
    (nan,) = decode(lua.run("return encode_one(nil, {0/0})"))
    assert math.isnan(nan[0])
    assert lua.run("return 1 / decode((arguments(...)))", encode(-0.0)) == -math.inf
    assert lua.run("local v = decode((arguments(...))) return v ~= v", encode(math.nan)) is True


def test_an_argument_list_keeps_its_count_with_trailing_nils(lua):
    assert decode(lua.run("return encode(2, nil, 1, nil, nil)")) == (None, 1, None, None)
    assert decode(lua.run("return encode(2)")) == ()
    assert lua.run("return select('#', decode((arguments(...))))", encode(None, None, None)) == 3
    assert lua.run("return select('#', decode((arguments(...))))", encode()) == 0


def test_the_largest_argument_list_arrives_and_one_more_is_refused(lua):
    assert lua.run("return select('#', decode(encode(1, table.unpack(table.create(65535), 1, 65535))))") == 65535
    assert lua.refusal("encode(1, table.unpack({}, 1, 65536))") == "more than 65535 values"
    with pytest.raises(CopyError, match="more than 65535 values"):
        encode(*[None] * 65536)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("{}", {}),
        ("{1, 2, 3}", [1, 2, 3]),
        ("{n = 1}", {"n": 1}),
        ("{1, 2, n = 3}", {1: 1, 2: 2, "n": 3}),
        ("{[2] = 'b', [1] = 'a'}", ["a", "b"]),
        ("{[1] = 'a', [3] = 'c'}", {1: "a", 3: "c"}),
        ("{[0] = 'z', 'a'}", {0: "z", 1: "a"}),
        ("{[0.5] = 1, [true] = 2, [1/0] = 3}", {0.5: 1, True: 2, math.inf: 3}),
        ("{{}, {{}}}", [{}, [{}]]),
    ],
)
def test_tables_become_lists_where_their_keys_are_1_to_n_and_dicts_otherwise(lua, expression, value):
    (arrived,) = decode(lua.run(f"return encode_one(nil, {expression})"))
    assert arrived == value
    assert type(arrived) is type(value)


def test_a_long_array_whose_keys_live_in_the_hash_part_arrives_as_that_array(lua):
    (arrived,) = decode(
        lua.run("local t = table.create(0, 1000) for i = 1000, 1, -1 do t[i] = i end return encode_one(nil, t)")
    )
    assert arrived == list(range(1, 1001))


def test_python_values_arrive_in_lua_as_what_the_module_says(lua):
    payload = encode({"list": [1, None, 3], "tuple": ("a", b"\xff"), "none": None, 2.0: "two", True: "yes"})
    assert (
        lua.run(
            """
        local t = decode((arguments(...)))
        return t.list[1] == 1 and t.list[2] == nil and t.list[3] == 3 and t.tuple[2] == "\\xff" and t.none == nil
            and t[2] == "two" and t[true] == "yes" and t[1] == nil
        """,
            payload,
        )
        is True
    )


def test_keys_that_only_lua_tells_apart_and_table_keys_become_entries(lua):
    (both,) = decode(lua.run("return encode_one(nil, {[1] = 'one', [true] = 'yes'})"))
    assert isinstance(both, Entries)
    assert [(type(key), key, value) for key, value in both.pairs] == [(int, 1, "one"), (bool, True, "yes")]
    (keyed,) = decode(lua.run("local k = {7} return encode_one(nil, {[k] = k})"))
    ((key, value),) = keyed.pairs
    assert key is value
    assert key == [7]
    assert lua.run("local t = decode((arguments(...))) local k, v = next(t) return k == v and k[1] == 7", encode(keyed))


def test_an_integral_float_key_is_the_integer_key_in_python_as_in_lua():
    as_float = encode({0: "x"}).replace(b"\x11\x00", b"\x51" + struct.pack("<d", 0.0))
    ((arrived),) = decode(as_float)
    assert [type(key) for key in arrived] == [int]


def test_shared_and_cyclic_references_keep_their_identity_also_across_arguments(lua):
    first, second = decode(lua.run("local s = {1} local c = {s, s} c.self = c return encode(1, c, s)"))
    assert first["self"] is first
    assert first[1] is first[2] is second
    shared = [1]
    assert lua.run(
        "local a, b = decode((arguments(...))) return a == b[1] and b[1] == b[2]", encode(shared, [shared] * 2)
    )


def test_every_empty_tuple_becomes_a_table_of_its_own():
    (arrived,) = decode(encode([(), ()]))
    assert arrived == [{}, {}]
    assert arrived[0] is not arrived[1]


def test_values_of_one_enum_arrive_as_values_of_one_new_enum(lua):
    (arrived,) = decode(lua.run("local e = enum {'a', 'b'} return encode_one(nil, {e[2], e, [e] = e})"))
    values = [EnumValue(("a", "b"), 2), EnumValue(("a", "b"), 1)]
    assert [arrived[1], arrived[2]] == values
    assert arrived[values[1]].name == "a"
    made = lua.run(
        "local t = decode((arguments(...))) return t[1] == t[2][2] and t[2] == t[1][1] and t[3] == t[1]",
        encode([values[0], values[1], values[0]]),
    )
    assert made is True


def test_strings_stay_bytes_on_request():
    assert decode(encode({"a": "é"}), text=False) == ({b"a": "é".encode()},)


def test_metatables_are_not_carried_and_never_called(lua):
    assert lua.run(
        """
        local function trap() error("called") end
        local t = setmetatable({1, 2, x = setmetatable({}, {__eq = trap, __index = trap})}, {
          __index = trap, __newindex = trap, __pairs = trap, __len = trap, __eq = trap, __metatable = "locked",
          __name = "mine", __tostring = trap, __call = trap, __concat = trap })
        local copy = decode(encode_one(nil, t))
        return getmetatable(copy) == nil and copy[2] == 2 and getmetatable(copy.x) == nil
        """
    )


def test_a_changed_string_metatable_reaches_neither_direction(library):
    lua = LuaCodec(library)
    assert (
        lua.run(
            """
        local trap = function() error("called") end
        local strings = getmetatable("")
        for name in pairs(strings) do strings[name] = trap end
        strings.__index, strings.__concat, strings.__len = trap, trap, trap
        string.pack, table.concat, next = trap, trap, trap
        local t = decode(encode_one(nil, {a = "b", 1, "c"}))
        local refused, message = encode_one(nil, {["a b"] = {print}})
        return t.a == "b" and t[2] == "c" and message
        """
        )
        == b'field ["a b"][1]: cannot copy a function'
    )


def test_the_collector_clearing_weak_entries_meanwhile_breaks_nothing(lua):
    arrived, sent = lua.run(
        """
        local t, sent = setmetatable({}, {__mode = "kv"}), 20000
        collectgarbage() collectgarbage("stop")
        for i = 1, sent do t[i] = {i} t[{}] = i end
        collectgarbage("restart")
        local copy, arrived = decode(encode_one(nil, t)), 0
        for key, value in pairs(copy) do
          if type(key) == "table" then assert(math.type(value) == "integer") else assert(value[1] == key) end
          arrived = arrived + 1
        end
        return arrived, 2 * sent
        """
    )
    assert arrived < sent  # or nothing was collected, and the test has shown nothing


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("encode(2, 1, {callback = {1, 2, print}})", "argument #3, field .callback[3]: cannot copy a function"),
        ("encode(2, {callback = {1, 2, print}})", "argument #2, field .callback[3]: cannot copy a function"),
        ("encode(2, print)", "argument #2: cannot copy a function"),
        (
            "encode_one(nil, {a = {['b c'] = {1, coroutine.create(print)}}})",
            'field .a["b c"][2]: cannot copy a coroutine',
        ),
        ("encode_one('message', {x = {[print] = 1}})", "message, key of field .x: cannot copy a function"),
        ("encode_one('message', {[print] = 1})", "message, a key: cannot copy a function"),
        ("encode_one('message', io.stdout)", "message: cannot copy a userdata"),
        ("encode_one(nil, io.stdout)", "cannot copy a userdata"),
        ("encode_one(nil, {w = setmetatable({}, handle)})", "field .w: cannot copy a worker handle"),
        ("encode_one(nil, {{}, setmetatable({}, handle)})", "field [2]: cannot copy a worker handle"),
        ("encode_one(nil, {[1.5] = {[true] = {[-3] = print}}})", "field [1.5][true][-3]: cannot copy a function"),
        ("encode_one(nil, {[{}] = print})", "field [table]: cannot copy a function"),
        ("encode_one(nil, {x = {[{f = print}] = 1}})", "field .x<key>.f: cannot copy a function"),
        ("encode_one(nil, {[enum {'a'}] = print})", "field [enum]: cannot copy a function"),
        (
            "encode_one(nil, {['\\27[31m\"\\n\\xc2\\x85é'] = print})",
            'field ["\\x1B[31m\\"\\n\\xC2\\x85é"]: cannot copy a function',
        ),
        ("encode_one(nil, {['\\xff'] = print})", 'field ["\\xFF"]: cannot copy a function'),
        ("encode_one(nil, {[('k'):rep(41)] = print})", 'field ["' + "k" * 37 + '..."]: cannot copy a function'),
    ],
)
def test_what_cannot_be_copied_is_refused_with_its_exact_place(lua, call, message):
    assert lua.refusal(call) == message


def test_the_place_is_exact_far_into_an_array_and_among_many_keys(lua):
    assert lua.refusal(
        "(function() local t = {} for i = 1, 1000 do t[i] = i end t[777] = print return encode_one(nil, t) end)()"
    ) == ("field [777]: cannot copy a function")
    assert lua.refusal(
        "(function() local t = {} for i = 1, 999 do t['k' .. i] = i end t.k500 = print return encode_one(nil, t) end)()"
    ) == ("field .k500: cannot copy a function")


def test_a_long_path_shows_both_its_ends(lua):
    message = lua.refusal(
        "(function() local t = {f = print} for i = 1, 100 do t = {n = t} end return encode_one(nil, t) end)()"
    )
    assert message == "field " + ".n" * 8 + "…" + ".n" * 7 + ".f: cannot copy a function"


def test_a_refusal_leaves_nothing_behind_for_the_next_message(lua):
    lua.refusal("encode_one(nil, {1, {2}, enum {'a'}, print})")
    assert decode(lua.run("return encode_one(nil, {{5}})")) == ([[5]],)


@pytest.mark.parametrize("last", ["print", "1"])
@pytest.mark.parametrize("count", [3, 60, 500])
def test_no_value_of_the_script_is_kept_alive_after_a_message(lua, count, last):
    source = f"""
        local alive = setmetatable({{}}, {{__mode = "k"}})
        do
          local t = {{}}
          for i = 1, {count} do t[i], t["k" .. i] = {{}}, {{}} alive[t[i]], alive[t["k" .. i]] = true, true end
          t.last = {last}
          local bytes = encode_one(nil, t)
          if bytes then decode(bytes) end
        end
        collectgarbage() collectgarbage()
        return next(alive) == nil"""
    assert lua.run(source) is True


@pytest.mark.parametrize(
    ("value", "what", "message"),
    [
        ({"callback": [1, 2, print]}, 2, "argument #2, field .callback[3]: cannot copy a builtin_function_or_method"),
        ({"a": {"b c": [1, {3}]}}, None, 'field .a["b c"][2]: cannot copy a set'),
        ([1 << 63], "message", "message, field [1]: cannot copy an integer of more than 64 bits"),
        (-(1 << 63) - 1, None, "cannot copy an integer of more than 64 bits"),
        ({"x": {math.nan: 1}}, None, "key of field .x: NaN can't be a key"),
        ({None: 1}, "message", "message, a key: cannot copy a NoneType"),
        (["\ud800"], None, "field [1]: cannot copy a str with lone surrogates"),
        ({"x": Entries([([print], 1)])}, None, "field .x<key>[1]: cannot copy a builtin_function_or_method"),
    ],
)
def test_python_values_that_cannot_be_sent_are_refused_in_the_same_words(value, what, message):
    with pytest.raises(CopyError) as raised:
        encode(value, what=what)
    assert str(raised.value) == message


def test_a_message_of_exactly_the_limit_passes_and_one_byte_more_does_not(library):
    value = ["x" * 300, {"k": [1, 2.5, True]}]
    payload = encode(value)
    assert encode(value, limits=Limits(max_bytes=len(payload))) == payload
    with pytest.raises(CopyError, match=f"larger than the limit of {len(payload) - 1} bytes"):
        encode(value, limits=Limits(max_bytes=len(payload) - 1))
    source = "return encode_one(nil, {('x'):rep(300), {k = {1, 2.5, true}}})"
    assert LuaCodec(library, len(payload)).run(source) == payload
    assert LuaCodec(library, len(payload) - 1).run(source)[0] is None


def test_a_message_that_is_too_large_says_limit_and_place(library):
    lua = LuaCodec(library, 1024)
    large = "message is larger than the limit of 1024 bytes"
    assert lua.refusal("encode_one('message', ('x'):rep(1020))") == large + " (at message)"
    assert lua.refusal("encode_one(nil, {x = ('x'):rep(2000)})") == large + " (at field .x)"
    assert lua.refusal("encode(2, 1, {1, {y = ('x'):rep(2000)}})") == large + " (at argument #3, field [2].y)"
    with pytest.raises(CopyError) as raised:
        encode({"x": "é" * 1000}, limits=Limits(max_bytes=1024))
    assert str(raised.value) == large + " (at field .x)"


def test_a_message_that_is_nested_too_deep_says_limit_and_place(library):
    lua = LuaCodec(library, max_depth=2)
    assert decode(lua.run("return encode_one(nil, {x = {1}})")) == ({"x": [1]},)
    deep = "message is nested deeper than the limit of 2 levels (at field .x.y)"
    assert lua.refusal("encode_one(nil, {x = {y = {}}})") == deep
    with pytest.raises(CopyError) as raised:
        encode({"x": {"y": {}}}, limits=Limits(max_depth=2))
    assert str(raised.value) == deep


def test_a_chain_of_100000_tables_passes_in_both_directions(lua):
    (chain,) = decode(lua.run("local t = {} for i = 1, 99999 do t = {n = t} end return encode_one(nil, t)"))
    depth = lua.run("local t, n = decode((arguments(...))), 0 while t do t, n = t.n, n + 1 end return n", encode(chain))
    assert depth == 100_000


def test_a_string_of_64_mb_and_a_million_elements_pass(lua):
    lua.run("big = ('x'):rep(64 << 20) many = {} for i = 1, 1000000 do many[i] = i end")
    assert lua.run("return decode(encode_one(nil, big)) == big")
    assert decode(lua.run("return encode_one(nil, many)"))[0] == list(range(1, 1_000_001))
    lua.run("big, many = nil, nil")


def test_both_sides_write_the_same_bytes(lua):
    value = [[1, -200, 70000, 1 << 40], ["a", "b", "x" * 300, "c"], [True, False], [1.5], [[], [[]]], {"k": ["v"]}, "é"]
    source = """
        return encode_one(nil, {{1, -200, 70000, 1 << 40}, {'a', 'b', ('x'):rep(300), 'c'}, {true, false}, {1.5},
            {{}, {{}}}, {k = {'v'}}, 'é'})"""
    assert lua.run(source) == encode(value)
    assert lua.run("local e = enum {'a', 'b'} local t = {e[2], e} return encode(1, t, nil, t)") == encode(
        *[(table := [EnumValue(("a", "b"), 2), EnumValue(("a", "b"), 1)]), None, table]
    )


HEADER = struct.Struct("<BBHII")
MALFORMED = [
    b"",
    b"\x01",
    b"\x02\x00\x11\x05",  # another version
    b"\x01\x02\x11\x05",  # another form
    b"\x01\x00",
    b"\x01\x00\x11",
    b"\x01\x00\x11\x05\x00",  # data after the end
    b"\x01\x00\x12\x05\x05",  # two values where one belongs
    b"\x01\x00\x10\x01\x05",  # a count that belongs into the head
    b"\x01\x00\xc1",  # nil is a list's
    b"\x01\x00\xd1",  # no such code
    b"\x01\x00\x61\x05abc",
    b"\x01\x00\x71\xff\xff\xff\xff",
    b"\x01\x00\x81\x02",
    HEADER.pack(1, 1, 65535, 0, 0),
    HEADER.pack(1, 1, 1, 0xFFFFFFFF, 0),
    HEADER.pack(1, 1, 1, 0, 0xFFFFFFFF),
    HEADER.pack(1, 1, 1, 0, 1) + b"\x01\xff\xff\xff\xff",
    HEADER.pack(1, 1, 1, 0, 1) + b"\x03\x01\0\0\0\x61\x01a\xb1" + struct.pack("<II", 1, 1),  # unknown kind
    HEADER.pack(1, 1, 1, 0, 1) + b"\x01\x01\0\0\0\x61\x01a\xb1" + struct.pack("<II", 2, 1),  # no such position
    HEADER.pack(1, 1, 1, 0, 1) + b"\x01\x02\0\0\0\x62\x01a\x01a\xb1" + struct.pack("<II", 1, 1),  # equal names
    HEADER.pack(1, 1, 1, 1, 0) + b"\x32\xff\xff\xff\x7f\0\0\0\0\x91",  # a giant table
    HEADER.pack(1, 1, 1, 1, 0) + b"\x12\xff\x00\x91",  # a negative size
    HEADER.pack(1, 1, 1, 1, 0) + b"\x12\x00\x00\x11\x05",  # a table that nobody mentions
    HEADER.pack(1, 1, 1, 1, 0) + b"\x12\x00\x00\xa1\x01\0\0\0",  # mentioned before it is new
    HEADER.pack(1, 1, 2, 0, 0) + b"\xc2",  # nils in a run
    HEADER.pack(1, 1, 1, 1, 0) + b"\x12\x01\x00\x91\xc1",  # nil in a table
    HEADER.pack(1, 1, 1, 1, 0) + b"\x12\x00\x01\x91\x11\x05\x51" + struct.pack("<d", math.nan),
]


@pytest.mark.parametrize("data", MALFORMED, ids=lambda data: data.hex())
def test_malformed_bytes_are_an_error_on_both_sides(lua, data):
    with pytest.raises(CodecError) as raised:
        decode(data)
    assert 0 <= raised.value.offset <= len(data)
    assert lua.run("return (pcall(decode, (arguments(...))))", data) is False


def test_a_size_that_the_data_cannot_hold_costs_no_memory(library):
    lua = LuaCodec(library)
    data = (
        HEADER.pack(1, 1, 1, 1, 0) + b"\x32" + struct.pack("<ii", 1 << 20, 1 << 28) + b"\x91" + b"\x11\x05" * (1 << 18)
    )
    before, ok, after = lua.run(
        "collectgarbage() local before = collectgarbage('count') local ok = pcall(decode, (arguments(...))) "
        "return before, ok, collectgarbage('count')",
        data,
    )
    assert ok is False
    assert after - before < 1024
