"""The native codec: what it does without Lua, that its bytes are Lua's own, and what it leaves to Lua."""

from __future__ import annotations

import struct

import lupa.lua55
import pytest

from luspool.sandbox import codec
from luspool.scheduler.protocol import Ended, Preempted, Slice

from ...property.codec_probes import LIBRARIES, ROOT

if "native" not in LIBRARIES:
    pytest.skip("2026-11-26: the native module was not compiled here", allow_module_level=True)

MOST_TABLES, MOST_WRITTEN, MOST_KEYS = 2048, 64 << 10, 16 << 10
"""As in native/codec.c."""

SETUP = b"""
local codec, enum, handle, lua, native = ...
local function left(name) error("left to Lua: " .. name, 0) end
-- The native codec alone, and how often the other one has asked Lua.
local alone = native.codec(left, 1 << 28, 1000, { [handle] = "worker handle" }, {})
local calls = {}
local limited = native.codec(function(name, ...) calls[#calls + 1] = name return lua[name](...) end, 1000, 4, {}, {})

-- An array of so many values, or tables with so many names.
local function array(count, value)
  local t = {}
  for i = 1, count do t[i] = type(value) == "function" and value(i) or value end
  return t
end
local function named(count, value)
  local t = {}
  for i = 1, count do t["name" .. i] = value(i) end
  return t
end
local function new() return {} end
local function itself(i) return i end
"""


class Codecs:
    """A state with the codec in Lua (`lua`), the native one (`codec`), and the native one without Lua (`alone`)."""

    def __init__(self):
        self._runtime = lupa.lua55.LuaRuntime(encoding=None, unpack_returned_tuples=True)
        harness = (ROOT / "tests/lua/codec_harness.lua").read_bytes()
        self._given = self._runtime.execute(harness, self._read, 1 << 28, 1000, LIBRARIES["native"])

    @staticmethod
    def _read(name):
        return (ROOT / "sandbox/lua" / f"{name.decode()}.lua").read_bytes()

    def run(self, source, *arguments):
        return self._runtime.execute(SETUP + source.encode(), *self._given, *arguments)


@pytest.fixture(scope="module")
def codecs():
    return Codecs()


COMMON = [
    "true",
    "false",
    "0",
    "-1",
    "math.mininteger",
    "0.0",
    "-0.0",
    "0/0",
    "1/0",
    "''",
    "('x'):rep(255)",
    "('x'):rep(256)",
    "('x'):rep(10000)",
    "nil",
    "{}",
    "{1, 2, x = 'y'}",
    "{{{{}}}, {}, {{}, {}}}",
    "{1, 'a', 2.5, true, {}, false, {}, -7, 1 << 40}",
    "{[0] = 1, [-1] = 2, [1.5] = 3, [true] = 4, [false] = 5, [''] = 6, [1 << 62] = 7}",
    "{1, nil, 3, [10] = 10}",
    "(function() local t = {} t[1], t.t, t.u = t, t, {t} return t end)()",
    "(function() local s = {} return {s, s, {s, {}}, s} end)()",
    "setmetatable({1, x = setmetatable({}, {__mode = 'k'})}, {__index = error, __pairs = error, __len = error})",
    "named(100, itself)",
    "named(100, function(i) return i % 2 == 0 and {i, name = 'n' .. i} or 'v' .. i end)",
    "array(1000, function(i) return {id = i, name = 'n' .. i, score = i / 3} end)",
    f"array({MOST_TABLES - 1}, new)",
    "(function() local t = {} for i = 1, 900 do t = {t} end return t end)()",
    f"{{('x'):rep({MOST_WRITTEN - 20})}}",
    f"{{[('k'):rep({MOST_KEYS - 5})] = 1}}",
    *[
        f"array({count}, {value})"
        for count in (1, 15, 16, 17, 119, 120, 121, 240, 241)
        for value in ("1", "-129", "1 << 15", "1 << 31", "1 << 62", "0.5", "'s'", "('s'):rep(255)", "true", "new")
    ],
    *[f"named({count}, {value})" for count in (15, 16, 119, 120, 121, 240, 241) for value in ("itself", "new")],
    *[f"array({count}, new)" for count in (11, 12, 13, 31, 32, 33)],
    *[f"{{{number}, {-number}}}" for bits in (7, 8, 15, 16, 31, 32, 62) for number in ((1 << bits) - 1, 1 << bits)],
]


@pytest.mark.parametrize("expression", COMMON)
def test_what_is_common_is_written_as_lua_would_and_read_without_lua(codecs, expression):
    assert codecs.run(f"""
        local value = {expression}
        local sent = alone.encode_one(nil, value)
        assert(sent == lua.encode_one(nil, value), "other bytes")
        assert(alone.encode(1, value, nil, value) == lua.encode(1, value, nil, value), "other bytes in a list")
        assert(lua.encode_one(nil, alone.decode(sent)) == lua.encode_one(nil, lua.decode(sent)), "another value")
        return true
    """)


def test_a_string_of_any_length_alone_is_common(codecs):
    assert codecs.run("""
        local text = ("x"):rep(10 << 20)
        local sent = alone.encode_one(nil, text)
        return sent == lua.encode_one(nil, text) and alone.decode(sent) == text
    """)


LEFT = [
    "print",
    "{print}",
    "{[print] = 1}",
    "{[{}] = 1}",
    "{x = setmetatable({}, handle)}",
    "enum {'a', 'b'}",
    "{enum {'a', 'b'}}",
    f"array({MOST_TABLES}, new)",
    f"array({MOST_WRITTEN}, 1)",
    f"{{('x'):rep({MOST_WRITTEN})}}",
    f"{{[('k'):rep({MOST_KEYS})] = 1}}",
]


@pytest.mark.parametrize("expression", LEFT)
def test_what_is_rare_or_large_is_done_by_lua_with_all_that_it_says(codecs, expression):
    assert codecs.run(f"""
        local value = {expression}
        local function same(name, ...)
          local one, other = table.pack(codec[name](...)), table.pack(lua[name](...))
          assert(one.n == other.n and one.n > 0)
          for i = 1, one.n do assert(one[i] == other[i]) end
          return one[1]
        end
        local sent = same("encode_one", "it", value)
        same("encode", 3, value, nil, value)
        if sent then assert(lua.encode_one(nil, codec.decode(sent)) == lua.encode_one(nil, lua.decode(sent))) end
        return true
    """)


def test_limits_are_the_same_ones(codecs):
    """The byte and the level from which on a message is left to Lua, which refuses it."""
    assert codecs.run("""
        local function is_left(value)
          calls = {}
          limited.encode_one(nil, value)
          return calls[1] == "encode_one"
        end
        for i = 900, 1000 do
          assert(is_left(("x"):rep(i)) == (#lua.encode_one(nil, ("x"):rep(i)) > 1000))
          assert(is_left(array(i, true)) == (#lua.encode_one(nil, array(i, true)) > 1000))
        end
        local deep = {}
        for i = 1, 8 do
          assert(is_left(deep) == (i > 4))
          deep = {1, {}, deep}
        end
        return true
    """)


NO_MESSAGES = [
    b"",
    b"\1",
    b"\1\0",
    b"\1\1",
    b"\2\0\x11\5",
    b"\1\0\x11\5\0",
    struct.pack("<BBHII", 1, 1, 1, MOST_TABLES, 0),
    struct.pack("<BBHII", 1, 1, 65535, 0, 0) + b"\xc1" * 65534,
    codec.encode([1, [2]])[:-1],
]


@pytest.mark.parametrize("data", NO_MESSAGES, ids=lambda data: data[:20].hex())
def test_what_is_no_message_is_an_error_in_lua_s_words(codecs, data):
    assert codecs.run(
        """
        local data = select(6, ...)
        local ok, problem = pcall(codec.decode, data)
        local _, wanted = pcall(lua.decode, data)
        return not ok and problem == wanted and problem:find("^malformed message: ") == 1
        """,
        data,
    )


def test_no_entry_of_a_weak_table_goes_while_it_is_written(codecs):
    """Though each may go at any other time: Lua's own codec, which takes memory meanwhile, loses some."""
    arrived, by_lua, sent = codecs.run(
        """
        local function arrived_of(one)
          local t, count = setmetatable({}, { __mode = "kv" }), 0
          collectgarbage() collectgarbage("stop")
          for i = 1, 900 do t[i], t["k" .. i] = { i }, { i, ("x"):rep(20) } end
          collectgarbage("restart") collectgarbage("param", "stepsize", 1 << 20)
          for _ in next, lua.decode((one.encode_one(nil, t))) do count = count + 1 end
          return count
        end
        return arrived_of(alone), arrived_of(lua), 1800
        """
    )
    assert arrived == sent > by_lua


EVERY_SLICE = Slice(100_000, bytearray(b"\1"))
"""A tenth of a millisecond: a message of the tests below takes longer."""


def steps(script):
    """Steps a script to its good end, and says how often it was preempted."""
    count = 0
    while isinstance(result := script.state.step(EVERY_SLICE), Preempted):
        count += 1
    assert isinstance(result, Ended)
    assert not script.port.written[2], script.port.written[2]
    return count


VALUE = {i: [i, f"text {i}", {"ratio": i / 7}] for i in range(3, 600)}


def test_a_slice_may_end_anywhere_in_a_message(lus):
    """What was begun natively is then done by Lua, and nobody sees a difference."""
    source = "local t = ... for i = 1, 100 do worker.message(t) worker.message(worker.peek()) end"
    script = lus(source, is_worker=True, arguments=(VALUE,))
    script.port.inbox.extend([codec.encode(VALUE)] * 100)
    assert steps(script) > 100
    assert len(script.port.outbox) == 200
    assert all(codec.decode(payload) == (VALUE,) for payload in script.port.outbox)
