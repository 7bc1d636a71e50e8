"""The pattern functions of a state against Lua's own: the same results and the same errors, byte for byte."""

from __future__ import annotations

import re
from pathlib import Path

import lupa.lua55
from hypothesis import example, given, settings
from hypothesis import strategies as st

from luspool import sandbox
from luspool.sandbox import codec

HARNESS = (Path(__file__).parents[2] / "lua/pattern_harness.lua").read_text("utf-8")
SERVE = f"""local describe = (function() {HARNESS} end)()
    while true do local case = worker.peek() worker.message(describe(table.unpack(case, 1, 5))) end"""
BARE = f"local describe = (function() {HARNESS} end)() return describe"

ATOMS = [
    *(bytes([byte]) for byte in b"aabbc1 _.()[]%^$*+-?\0\xff"),
    *(b"%" + bytes([byte]) for byte in b"acdglpsuwxzADSWZ%.b0129q"),
    *(b"[ab]", b"[^a]", b"[a-c]", b"[%w_]", b"[]]", b"[^]]", b"[a-%%]", b"[%]]", b"[a-]", b"[-a]", b"[z-a]", b"[\0-a]"),
    *(b"(a)", b"(.-)", b"()", b"(%w*)", b"%b()", b"%bab", b"%f[%w]", b"%f[^a]", b"(.)%1", b"abc"),
]
BYTES = [bytes([byte]) for byte in b"aaabbbcc().,_ \0\xff]%19Z"]
PATTERNS = st.lists(st.sampled_from(ATOMS), max_size=8).map(b"".join) | st.binary(max_size=6)
SUBJECTS = st.lists(st.sampled_from(BYTES), max_size=14).map(b"".join) | st.binary(max_size=10)
REPLACEMENTS = st.lists(st.sampled_from([b"x", b"%0", b"%1", b"%2", b"%%", b"%", b"%a", b"\0"]), max_size=3)
POSITIONS = st.none() | st.integers(-16, 16) | st.sampled_from([2**63 - 1, -(2**63)])
CASES = st.tuples(SUBJECTS, PATTERNS, REPLACEMENTS.map(b"".join), POSITIONS, POSITIONS)


def plain(description):
    """Lua names a function that its caller does not by where it finds it among the loaded modules: a state has none."""
    return re.sub(rb"to '(\?|string\.match)'", b"to 'match'", description).split(b"\n")


EXAMPLES = [
    (b"abc", b"(a)(b)(c)%3", b"%3%2%1", None, None),
    (b"a" * 300, b"a?" * 199, b"", None, None),
    (b"a" * 300, b"a?" * 200, b"", None, None),
    (b"a" * 300, b"a?" * 199 + b"()", b"", None, None),
    (b"a" * 300, b"b-" * 300 + b"a?" * 200, b"", None, None),
    (b"a" * 300, b"[ab]" * 199 + b"a", b"", None, None),
    (b"a" * 40, b"()" * 32, b"%9", None, None),
    (b"a" * 40, b"(a" * 33, b"", None, None),
    (b"a" * 40, b"(" * 32 + b"a" + b")" * 33, b"", None, None),
    (b"(()(", b"%b()", b"<%0>", -3, 1),
    (b"ab", b"(.-)(", b"%1", None, None),
    (b"THE (quick) fox", b"%f[%a]%a+%f[%A]", b"%0%%", None, None),
]


def hold(same, examples):
    """Check `same` on the examples, and on so many cases."""
    for case in EXAMPLES:
        same = example(case)(same)
    settings(max_examples=examples)(given(CASES)(same))()


def bare_describe(harness=BARE):
    return lupa.lua55.LuaRuntime(encoding=None).execute(b'return load(..., "@main.lus")()', harness.encode())


def test_every_call_gives_what_lua_gives(lus):
    script = lus(SERVE, is_worker=True)
    script.step()
    bare = bare_describe()

    def same(case):
        script.port.inbox.append(codec.encode([*case, 0]))  # the last: a list does not end with None
        script.waits_for()
        assert plain(codec.decode(script.port.outbox.pop(), text=False)[0]) == plain(bare(*case))

    hold(same, 2000)


PORTABLE = """
    local parts = { support = { raise = function(text) error("main.lus:0: " .. text, 0) end } }
    local raw = (function(...) %s end)()
    raw.max_string = math.maxinteger
    function parts.bounded(...) %s end
    function parts.matcher(...) %s end
    function parts.plain(...) %s end
    function parts.guards(...) %s end
    function parts.patterns(...) %s end
    for _, name in ipairs({ "bounded", "matcher", "plain", "guards", "patterns" }) do
      parts[name] = parts[name](raw, nil, {}, nil, parts)
    end
    local string = setmetatable({}, { __index = string })
    for _, name in ipairs({ "find", "match", "gmatch", "gsub" }) do string[name] = parts.patterns[name] end
    getmetatable("").__index = string
    return (function() %s end)()
"""


def test_the_portable_matcher_gives_what_lua_gives():
    """Where no pattern counts as harmless, so that all go to the matcher."""
    folder = Path(sandbox.__file__).parent / "lua"
    names = ("raw", "bounded", "matcher", "plain", "guards", "patterns")
    sources = [(folder / f"{name}.lua").read_text("utf-8") for name in names]
    assert "HARMLESS <const> = 100000000" in sources[-1]
    sources[-1] = sources[-1].replace("HARMLESS <const> = 100000000", "HARMLESS <const> = 0")
    portable, bare = bare_describe(PORTABLE % (*sources, HARNESS)), bare_describe()

    def same(case):
        ours, theirs = (re.sub(rb"main\.lus:\d+: ", b"", describe(*case)) for describe in (portable, bare))
        assert plain(ours) == plain(theirs)

    hold(same, 2000)
