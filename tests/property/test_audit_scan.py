"""The law of a scan: whatever a script asks for when it runs, the scan has told, or told as unknown.

Programs are made of ways to reach a guarded function and ways to say a path. Each is scanned, and then run by a state
that grants everything and notes what is asked.
"""

from __future__ import annotations

from os.path import normpath
from unittest.mock import patch

from hypothesis import example, given, settings
from hypothesis import strategies as st
from lupa import lua55

from luspool.audit.constants import string_value, text_value
from luspool.audit.script import scan_script
from luspool.permissions import Origin, Pledge, PledgeSet, Rule
from luspool.sandbox import Program, Sandbox, codec
from luspool.sandbox.rights import Rights
from luspool.sandbox.syntax.record import record
from luspool.scheduler.limits import StateLimits
from luspool.scheduler.protocol import Slice
from luspool.scheduler.units import UNLIMITED

SANDBOX = Sandbox({"HOME": "/home"}, "/")
NO_LIMITS = StateLimits(*[UNLIMITED] * 5)


class Port:
    """What a state that asks, prints and ends needs of a scheduler."""

    def limits(self):
        return NO_LIMITS

    def write(self, stream, data):
        pass

    def create(self, spec, size, limits):
        return 1

    def has_parent(self):
        return False

    def is_running(self, child):
        return False

    def release(self, children):
        pass

    def call(self, name, payload):
        return 1

    def take_reply(self, call):
        return b""


def asked_when_run(source: str) -> set[tuple[str, str | None]]:
    asked = set()

    def decide(_rights, _path, permission, value):
        asked.add((permission, value))

    everything = Pledge.parse("all", command_line=True)
    pledges = PledgeSet.root([Rule(everything, Origin.flag("-P", "all"))])
    state = SANDBOX.new_state(Program("main.lus", source.encode(), codec.encode(), pledges), Port())
    with patch.object(Rights, "decide_about", decide):
        try:
            state.step(Slice(0, bytearray(1)))
        finally:
            state.close()
    return asked


# Each leads to `io.open`, `os.getenv` or `loadfile` in an expression, perhaps after some statements.
WAYS = [
    ("", "{table}.{field}"),
    ("", "({table}).{field}"),
    ("", "({table}.{field})"),
    ("", '{table}["{field}"]'),
    ("", "_G.{table}.{field}"),
    ("", "_ENV.{table}.{field}"),
    ("", "_G._G.{table}[ [[{field}]] ]"),
    ("", 'require("{table}").{field}'),
    ("", "package.loaded.{table}.{field}"),
    ("", 'package.loaded["{table}"].{field}'),
    ("", "require'_G'.{table}.{field}"),
    ("", 'rawget(_G, "{table}").{field}'),
    ("", 'load("return {table}.{field}")()'),
    ("", 'select(2, pcall(require, "{table}")).{field}'),
    ("", '(function() for k, v in pairs({table}) do if k == "{field}" then return v end end end)()'),
    ("", "(function() for _, v in next, {{ {table}.{field} }} do return v end end)()"),
    ("", "({table} and {table}.{field})"),
    ("", "({table}.{field} or print)"),
    ("", "(not {table} and print or {table}.{field})"),
    ("", "{table}?.{field}"),
    ("", "(do provide {table}.{field} end)"),
    ("", "setmetatable({{}}, {{ __index = {table} }}).{field}"),
    ("", "({{ f = {table}.{field} }}).f"),
    ("local l = {table}.{field}", "l"),
    ("local l = {table}", "l.{field}"),
    ("local l <const> = {table}", "l['{field}']"),
    ("local l, m = 1, _G", "m.{table}.{field}"),
    ("local l = {table} local m = l.{field}", "m"),
    ("local l = print l = {table}.{field}", "l"),
    ("local l local function f() l = {table} end f()", "l.{field}"),
    ("local ok, l = catch require('{table}')", "l.{field}"),
    ("local {field} from {table}", "{field}"),
    ("local g <group> = {{ a = {table}.{field} }}", "g.a"),
    ("local f local function check(_, v) f = v.{field} return v end local l <check> = {table}", "f"),
    ("t = {{}} t.f = {table}.{field}", "t.f"),
    ("x = {table}", "x.{field}"),
    ("local l = {table} do local l = print end", "l.{field}"),
    ("local function f(x) return x.{field} end", "f({table})"),
    ("local _ENV = {{ n = {table}.{field}, print = print }}", "n"),
    ("local l = _ENV", "l.{table}.{field}"),
    ("local s = string function s.{field}(...) return {table}.{field}(...) end", "s.{field}"),
    ("if l = {table} then m = l end", "m.{field}"),
    ("while l = {table} do m = l break end", "m.{field}"),
    ("function {table}.extra(...) return {table}.{field}(...) end", "{table}.extra"),
    ("{table}.extra = {table}.{field}", "{table}.extra"),
    ("print = {table}.{field}", "print"),
    ("global {table} local l = {table}", "l.{field}"),
    ("local l = {table}.{field} local {table} = {{}}", "l"),
    ("local {table}, l = {table}, {table}.{field}", "{table}.{field}"),
    ("local f function pcall(g) f = g end pcall({table}.{field}, '/no')", "f"),
    ("local f pcall = function(g) f = g end pcall({table}.{field}, '/no')", "f"),
    ("local f _G.xpcall = function(g) f = g end xpcall({table}.{field}, print, '/no')", "f"),
    ("local l local t = setmetatable({{}}, {{ __eq = function(_, o) l = o end }}) x = t == {table}", "l.{field}"),
    ("local l local t = setmetatable({{}}, {{ __eq = function(o) l = o end }}) x = {table} ~= t", "l.{field}"),
    ("local f local _ENV <const> = {{ pcall = function(g) f = g end, v = {table} }} pcall(v.{field})", "f"),
]
CALLS = [
    "{function}({path})",
    "pcall({function}, {path})",
    "xpcall({function}, print, {path})",
    "catch {function}({path})",
]
PATHS = [
    ("", "'/no/a'"),
    ("", "'/no/' .. 'a' .. '/b'"),
    ("", "[[/no/c]]"),
    ("", "'/no/\\x61\\z   \\u{{62}}\\065'"),
    ("", "`/no/$('x')-$$-\\x61`"),
    ("local p = '/no/d'", "p"),
    ("local p <const>, q = '/no/e', 'f'", "p .. '/' .. q"),
    ("local p = '/no/g' p = '/no/h'", "p"),
    ("local p = '/no/g' local function f() p = p .. 'h' end f()", "p"),
    ("local p = '/no/i' do local p = '/no/j' end", "p"),
    ("local p = '/no/k'", "(function() local p = p .. 'l' return p end)()"),
    ("local p = '/no/m'", "`$p/$(p)`"),
    ("p = '/no/n'", "p"),
    ("local p = 'x'", "('/no/' .. 12 .. p)"),
    ("local p = print", "(p and '/no/o')"),
    ("local function up(_, v) return v:upper() end local p <up> = '/no/p'", "p"),
    ("for _, v in ipairs{{ '/no/q', '/no/r' }} do p = v end", "p"),
    ("local p = '/no/s'", "p:rep(2)"),
    ("local fs <group> = {{ path = {{ join = function() return '/no/t' end }} }}", "fs.path.join('/no', 'u')"),
]
FUNCTIONS = [("io", "open"), ("io", "lines"), ("os", "getenv"), ("_G", "loadfile"), ("package", "searchpath")]


@st.composite
def programs(draw):
    lines = []
    for _ in range(draw(st.integers(1, 3))):
        table, field = draw(st.sampled_from(FUNCTIONS))
        before, function = (each.format(table=table, field=field) for each in draw(st.sampled_from(WAYS)))
        path_before, path = (each.format() for each in draw(st.sampled_from(PATHS)))
        if (table, field) == ("package", "searchpath"):
            path = f"'m.n', {path}"
        call = draw(st.sampled_from(CALLS)).format(function=function, path=path)
        # Whatever fails must not keep the rest from running.
        lines.append(f"pcall(function(...) {path_before} {before} local result = {call} end)")
    return "\n".join(lines)


@settings(max_examples=60)  # each is run by a state of its own
@given(programs())
@example("local p = '/no/x' pcall(function() repeat local p = '/no/y' until io.open(p) or true end)")
@example("local a <close> = nil pcall(function() goto done ::done:: io.open('/no/x') end)")
def test_what_a_program_asks_for_was_told_before(source):
    """Whatever a program asks for when it runs is among what the scan knows, or what it says it does not know."""
    found = scan_script(record(source.encode(), "main.lus"), "main.lus")
    known = {(use.permission, normpath(use.value or "")) for use in found.uses}
    targets = {normpath(path) for target in found.targets for path in target.paths}
    for permission, value in asked_when_run(source):
        is_unknown = any(not unknown.permissions or permission in unknown.permissions for unknown in found.unknowns)
        told = (permission, normpath(value or "")) in known or value in targets
        assert told or is_unknown, (permission, value, found)


def test_programs_of_this_kind_do_ask():
    """What the law is about happens: each way leads to the function when it is run, and each path gets there."""
    for way in WAYS:
        before, function = (each.format(table="io", field="open") for each in way)
        source = f"{before} local result = {function}('/no/a')"
        assert ("fs:read", "/no/a") in asked_when_run(source), source
    for before, path in PATHS:
        assert any(
            permission == "fs:read" for permission, _ in asked_when_run(f"{before.format()} io.open({path.format()})")
        )


CHARACTERS = st.sampled_from(
    [*"abz019 \\$`'\"\t\xff", "\\n", "\\x61", "\\065", "\\u{7fffffff}", "\\z \n", "\\\r\n", "$$"]
)


@given(st.lists(CHARACTERS).map("".join), st.sampled_from(["'", '"', "[[", "[=["]))
def test_strings_are_what_lua_says_they_are(text, quote):
    """The value of each string that Lua accepts is the value that it has in Lua."""
    token = f"{quote}{text}{quote if len(quote) == 1 else quote.replace('[', ']')}"
    lua = lua55.LuaRuntime(encoding=None)
    value = lua.eval(b"function(t) local f = load('return ' .. t, '=', 't', {}) return f and f() end")(
        token.encode("latin-1")
    )
    if value is not None and f"{quote}" not in text:
        assert string_value(token) == value


def test_texts_of_interpolated_strings_have_their_own_escapes():
    assert text_value("a$$b\\`\\n\\u{e9}\r\n") == b"a$b`\n\xc3\xa9\n"
