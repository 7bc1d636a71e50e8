"""`math.random` begins with the operating system's random bytes, in every state anew."""

from __future__ import annotations

import lupa.lua55

FIRST = "print(math.random(0), math.random(0), math.random(1 << 40))"


def test_states_born_one_after_another_draw_other_numbers(printed):
    """Lua's own seed is the time in seconds and an address: states of one thread would often have the same."""
    drawn = [printed(FIRST)[0] for _ in range(20)]
    assert len(set(drawn)) == 20


def test_lua_alone_would_give_them_the_same_numbers():
    """The reason for all this; should it ever fail, Lua has a better seed."""
    drawn = set()
    for _ in range(8):
        lua = lupa.lua55.LuaRuntime(encoding=None)
        drawn.add(lua.execute(b"return math.random(0)"))
        del lua
    assert len(drawn) < 8


def test_randomseed_without_arguments_gives_its_two_seeds_and_never_the_same(printed):
    source = """
        local seen, count = {}, 0
        for i = 1, 20 do
          local a, b = math.randomseed()
          local drawn = math.random(0)
          local c, d = math.randomseed(a, b)
          if c ~= a or d ~= b or math.random(0) ~= drawn then print("not reproducible") end
          if math.type(a) ~= "integer" or math.type(b) ~= "integer" then print("no seeds") end
          for _, seed in ipairs{a, b} do if not seen[seed] then count = count + 1 end seen[seed] = true end
        end
        print(count, select("#", math.randomseed()))"""
    assert printed(source) == ["40\t2"]


def test_a_seed_gives_the_numbers_of_lua(printed):
    source = b"""
        local shown = {}
        for _, seeds in ipairs{{42}, {42, 7}, {-1}, {2^53}, {"12"}} do
          local a, b = math.randomseed(table.unpack(seeds))
          shown[#shown + 1] = table.concat({a, b, math.random(0), math.random(100), math.random()}, " ")
        end
        return table.concat(shown, "|")"""
    expected = lupa.lua55.LuaRuntime(encoding=None).execute(source).decode()
    assert printed(f"print((function(...) {source.decode()} end)())") == [expected]


def test_wrong_seeds_are_lua_s_errors_at_the_script_s_position(printed):
    lines = printed("print(pcall(function() local x = math.randomseed(nil) end)) print(pcall(math.randomseed, 1, {}))")
    assert lines[0] == "false\tmain.lus:1: bad argument #1 to 'randomseed' (number expected, got nil)"
    assert lines[1].endswith("bad argument #2 to 'randomseed' (number expected, got table)")
