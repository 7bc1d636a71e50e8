"""What a scan finds in one script: sources and their findings. `?` is for what is not known, with what it may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from luspool.audit.asks import FINDINGS_MOST
from luspool.audit.guarded import BUILT_IN_MODULES, FREE, FREE_TABLES, GUARDED, HARMLESS, MODULE_PATH, TABLES, TRACKED
from luspool.audit.script import scan_script
from luspool.sandbox.syntax.record import record

ROOT = Path(__file__).parents[3]


def scan(source: str | bytes):
    data = source if isinstance(source, bytes) else source.encode()
    return scan_script(record(data, "main.lus"), "main.lus")


def findings(source: str) -> list[str]:
    """Uses as pledges, unknowns as `line:column ?what permissions`, and targets as `> path`."""
    found = scan(source)
    uses = [use.pledge or f"{use.permission}!{use.value}" for use in found.uses]
    unknowns = [
        f"{unknown.place.line}:{unknown.place.column} ?{unknown.what} {' '.join(unknown.permissions) or '*'}"
        for unknown in found.unknowns
    ]
    return [*dict.fromkeys(uses), *unknowns, *(f"> {target.paths[0]}" for target in found.targets)]


SOURCES = {
    "nothing": ("", []),
    "nothing that asks": ("print(string.rep('x', 3), os.time(), io.read()) io.write(1) io.stdout:write('x')", []),
    "a file to read": ("io.open('a.csv')", ["fs:read=a.csv"]),
    "by a call without parentheses": ("io.open'a'", ["fs:read=a"]),
    "by an interpolated string": ("local d = 'x' io.open`$d/a`", ["fs:read=x/a"]),
    "a file to write": ("io.open('a', 'w') io.open('b', 'ab')", ["fs:write=a", "fs:write=b"]),
    "both": ("io.open('a', 'r+') io.open('b', mode)", ["fs:read=a", "fs:write=a", "fs:read=b", "fs:write=b"]),
    "a mode that may be anything": ("io.open('a', ...)", ["fs:read=a", "fs:write=a"]),
    "no mode": ("io.open('a', nil)", ["fs:read=a"]),
    "a pattern in a name": ("io.open('a*?\\\\')", ["fs:read=a\\*\\?\\\\"]),
    "a name that no pledge says": ("io.open('a\\n')", ["fs:read!a\n"]),
    "lines": ("for l in io.lines('a') do end io.lines() io.lines(nil)", ["fs:read=a"]),
    "standard files": ("io.output(io.stderr) io.input('a') io.output('b')", ["fs:read=a", "fs:write=b"]),
    "a file or a name": ("local f = g() io.output(f)", ["1:15 ?io.output fs:write"]),
    "the environment": ("os.getenv('HOME')", ["env=HOME"]),
    "fs": (
        "fs.list'a' fs.copy('b', 'c') fs.move('d', 'e') fs.remove('f', true) fs.path.name(x)",
        ["fs:read=a", "fs:read=b", "fs:write=c", "fs:read=d", "fs:write=d", "fs:write=e", "fs:write=f"],
    ),
    "directories above": (
        "fs.createdirectory('a/b/c', true) fs.createdirectory('/d/e') fs.createdirectory('/f/g', false)",
        ["fs:write=a/b/c", "fs:write=a/b", "fs:write=a", "fs:write=/d/e", "fs:write=/f/g"],
    ),
    "a file with a made-up name": ("os.tmpname()", ["1:1 ?os.tmpname fs:write"]),
    "a function of the host": (
        "host.log('x') local f = host['ask'] f() local g = host.never",
        ["host:log", "host:ask"],
    ),
    "any function of the host": ("host[name]()", ["1:1 ?host *"]),
    "code": (
        "dofile'a' loadfile('b') worker.create('c', 1)",
        ["load", "fs:read=a", "fs:read=b", "fs:read=c", "> a", "> b", "> c"],
    ),
    "a module": ("require 'a.b'", ["load", "> ./a/b.lus"]),
    "a part of the library": ("local m = require 'io' m.open('a')", ["fs:read=a"]),
    "code from text": ("load('return 1')", ["load", "1:1 ?load *"]),
    "pledges": ("pledge('fs:read=/a/*', '~env', 'seal', 'load')", ["fs:read=/a/*", "load"]),
    "pledges that are none": ("pledge('fs:raed', 'all')", ["1:1 ?pledge *", "1:1 ?pledge *"]),
    "computed pledges": ("pledge(x, 'load', ...)", ["load", "1:1 ?pledge *", "1:1 ?pledge *", "1:1 ?pledge *"]),
    "a search": ("package.searchpath('a.b', './?.x;?')", ["fs:read=./a/b.x", "fs:read=a/b"]),
    "a search for anything": (
        "package.searchpath('a', package.path)",
        ["1:25 ?package.path *", "1:1 ?package.searchpath fs:read"],
    ),
    # --- constants
    "concatenation": ("local a = 'x' local b = a .. '/' .. 1 io.open(b .. '.csv')", ["fs:read=x/1.csv"]),
    "parentheses": ("io.open((('a')))", ["fs:read=a"]),
    "joined paths": ("local j = fs.path.join io.open(j('a', 'b/', '', '/c', 'd'))", ["fs:read=/c/d"]),
    "joined with anything": ("io.open(fs.path.join('a', x))", ["1:1 ?io.open fs:read"]),
    "escapes": (r"io.open('\x61\u{62}\99\z   d')", ["fs:read=abcd"]),
    "a shadowed constant": ("local p = 'a' do local p = f() end io.open(p)", ["fs:read=a"]),
    "a shadowing one": ("local p = 'a' do local p = f() io.open(p) end", ["1:32 ?io.open fs:read"]),
    "assigned later": ("local p = 'a' io.open(p) p = 'b'", ["1:15 ?io.open fs:read"]),
    "assigned elsewhere": ("local p = 'a' local function f() p = 'b' end io.open(p)", ["1:46 ?io.open fs:read"]),
    "a function of that name": ("local p = 'a' function p() end io.open(p)", ["1:32 ?io.open fs:read"]),
    "several at once": ("local a, b, c = 'x', 'y', f() io.open(b) io.open(c)", ["fs:read=y", "1:42 ?io.open fs:read"]),
    "a runtime attribute": ("local p <trim> = 'a' io.open(p)", ["1:22 ?io.open fs:read"]),
    "other attributes": ("local p <const> = 'a' io.open(p)", ["fs:read=a"]),
    "a parameter": ("local p = 'a' local function f(p) io.open(p) end", ["1:35 ?io.open fs:read"]),
    "a loop": ("for p = 1, 2 do io.open(p) end", ["1:17 ?io.open fs:read"]),
    "a global": ("p = 'a' io.open(p)", ["1:9 ?io.open fs:read"]),
    "a choice": ("io.open(x or 'a') io.open(x and 'b')", ["1:1 ?io.open fs:read", "1:19 ?io.open fs:read"]),
    "a constant beyond measure": ("local a = ('x') io.open(a .. '" + "y" * 4096 + "')", ["1:17 ?io.open fs:read"]),
    # --- ways to a function
    "an alias": ("local open = io.open open('a')", ["fs:read=a"]),
    "an alias of a table": ("local i = io local o = i.open o('a')", ["fs:read=a"]),
    "an alias of an alias": ("local c = worker.create local d = c d('w')", ["load", "fs:read=w", "> w"]),
    "an alias that changes": ("local o = io.open o = print o('a')", ["1:11 ?io.open fs:read fs:write"]),
    "_G": ("_G.io.open('a') _G['os'].getenv('B') _G._G.load()", ["fs:read=a", "env=B", "load", "1:38 ?load *"]),
    "_G itself": ("local g = _G g.io.open('a') f(g)", ["fs:read=a", "1:31 ?g *"]),
    "anything of _G": ("_G[x]('a')", ["1:1 ?_G *"]),
    "what is not of the library": ("_G.mine = 1 print(_G.mine, _VERSION)", []),
    "an environment": ("local _ENV = { io = io }", ["1:24 ?_ENV *", "1:21 ?io *"]),
    "an environment as a parameter": ("local function f(_ENV) x() end", ["1:18 ?_ENV *"]),
    "an assigned environment": ("_ENV = {}", ["1:1 ?_ENV *"]),
    "in a table": ("local t = { open = io.open }", ["1:20 ?io.open fs:read fs:write"]),
    "as an argument": ("map(os.getenv, t)", ["1:5 ?os.getenv env"]),
    "as a result": ("return io", ["1:8 ?io *"]),
    "as a method": ("io:open('a')", ["1:1 ?io *"]),
    "as a field": ("t.open = io.open", ["1:10 ?io.open fs:read fs:write"]),
    "by its name in a variable": ("io[x]('a')", ["1:1 ?io *"]),
    "by a slice": ("f(io[1, 2])", ["1:3 ?io *"]),
    "in an optional chain": ("io?.open('a')", ["1:1 ?io *"]),
    "from": ("local open from io", ["1:17 ?io *"]),
    "in a local group": ("local g <group> = { a = io.open }", ["1:25 ?io.open fs:read fs:write"]),
    "as an attribute": ("local p <loadfile> = 'a'", ["1:10 ?loadfile *"]),
    "in an interpolated string": ("f(`$io $(os.getenv('A'))`)", ["env=A", "1:5 ?io *"]),
    "caught": ("local ok, f = catch io.open('a')", ["fs:read=a"]),
    "protected": (
        "pcall(io.open, 'a') xpcall(require, f, 'm') pcall(f, io.open)",
        [
            "fs:read=a",
            "load",
            "1:54 ?io.open fs:read fs:write",
            "> ./m.lus",
        ],
    ),
    "given by a protected call": ("local ok, m = pcall(require, 'io')", ["1:15 ?require *"]),
    "asked whether it is there": ("if not fs or io == nil then end local l = fs and fs.list l('a')", ["fs:read=a"]),
    "or something else": ("local open = io.open or error open('a')", ["fs:read=a"]),
    "in any place": (
        "goto x ::x:: while f(io.open'a') do break end repeat until io.open'b' for i in io.lines'c' do end "
        "local x = do provide io.open'd' end t = { [io.open'e'] = io.open'f', io.open'g' } return #io.open'h'",
        [f"fs:read={name}" for name in "abcdefgh"],
    ),
    "in a function that nobody calls": ("local function f() return function() io.open'a' end end", ["fs:read=a"]),
    "a variable of that name": ("local io = mine io.open('a') local function load() end load()", []),
    "only while it is one": ("do local io = mine io.open('a') end io.open('b')", ["fs:read=b"]),
    "declared global": ("global io, print io.open('a')", ["fs:read=a"]),
    "functions that are relied on": (
        "pcall = f function xpcall() end fs.path.join = f function fs.path.join() end global pcall = 1",
        ["1:1 ?pcall *", "1:33 ?fs.path.join *", "1:20 ?xpcall *", "1:59 ?fs.path.join *", "1:85 ?pcall *"],
    ),
    "by other names": (
        "local p = fs.path p.join = f function p.join() end rawset(fs.path, 'join', f) global function pcall() end",
        ["1:19 ?fs.path.join *", "1:59 ?fs.path *", "1:39 ?fs.path.join *", "1:95 ?pcall *"],
    ),
    "but not by being named": ("global pcall, print local p <const> = pcall p(io.open, 'a')", ["fs:read=a"]),
    "overwritten": (
        "io.open = f io = 1 function io.new() end io.new()",
        ["1:1 ?io.open *", "1:13 ?io *", "1:42 ?io.new *", "1:29 ?io.new *"],
    ),
    "what there is not": ("io.popen('x') network.tcp.connect('y')", ["1:1 ?io.popen *", "1:15 ?network.tcp *"]),
    "other searchers": (
        "package.path = 'x' package.searchers[3] = f",
        ["1:1 ?package.path *", "1:20 ?package.searchers *"],
    ),
    "modules by name": (
        "package.loaded.m = {} package.loaded.io.open('a') package.preload.x = f",
        ["fs:read=a", "1:51 ?package.preload *"],
    ),
    "in strings and comments": (
        "--[[ io.open('a') ]] local s = \"io.open('b')\" local t = { io = 1, load = 2 } t.io = t:open()",
        [],
    ),
}


@pytest.mark.parametrize("case", SOURCES)
def test_a_script_is_told_what_it_can_ask_for(case):
    source, expected = SOURCES[case]
    assert findings(source) == expected


@pytest.mark.parametrize(
    ("source", "line", "column"),
    [
        (b"io.open(x)", 1, 1),
        (b"\xef\xbb\xbfio.open(x)", 1, 1),
        (b"#!/usr/bin/env luspool\nio.open(x)", 2, 1),
        ("f('é', 'ü') io.open(x)".encode(), 1, 13),
        (b"f('\xe9') io.open(x)", 1, 8),
        (b"\r\n\r\n\r\tio.open(x)\r\n", 4, 2),
        ("é\n".encode().replace(b"\xc3\xa9", b"--\xc3\xa9") + b"  f(io)", 2, 5),
    ],
)
def test_places_are_those_of_syntax_errors(source, line, column):
    (unknown,) = scan(source).unknowns
    assert (unknown.place.script, unknown.place.line, unknown.place.column) == ("main.lus", line, column)


MEGABYTE = 1_000_000
LARGE = {
    "one line of calls": ('io.open("é") ', ""),
    "one chain of fields": (".open", "x = io"),
    "one chain of calls": ("()", "f"),
    "one string of values": ("$a$(b)c", "x = `"),
    "constants that double": ('do local a="' + "x" * 2000 + '" local b=a..a local c=b..b io.open(c) end ', ""),
}


@pytest.mark.parametrize("case", LARGE)
def test_a_megabyte_of_anything_takes_time_in_proportion(case):
    """By the number of findings, not by a clock: what were quadratic would not come to its end here."""
    piece, before = LARGE[case]
    count = MEGABYTE // 4 // len(piece)
    found = scan(before + piece * count + ("`" if before.endswith("`") else ""))
    assert len(found.uses) + len(found.unknowns) == {
        "one line of calls": FINDINGS_MOST + 1,
        "one chain of fields": 1,
        "constants that double": count,
    }.get(case, 0)


@pytest.mark.parametrize("depth", [10, 150])
def test_scripts_nest_as_deep_as_they_may(depth):
    assert findings("x = " + "(" * depth + "io" + ")" * depth + ".open('a')") == ["fs:read=a"]
    assert findings("f(" * depth + "io.open'a'" + ")" * depth) == ["fs:read=a"]


# --- the table of guarded functions ----------------------------------------------------------------------------------

OTHERS = frozenset(
    (
        *("_VERSION", "assert", "collectgarbage", "coroutine", "debug", "error", "fromcsv", "fromjson", "getmetatable"),
        *("ipairs", "math", "next", "pairs", "print", "rawequal", "rawget", "rawlen", "rawset", "select"),
        *("setmetatable", "string", "table", "tocsv", "tojson", "tonumber", "tostring", "type", "utf8", "vector"),
        *("warn",),
    )
)
"""Global names that neither ask for anything nor give away what does: each was looked at."""


def reachable() -> list[str]:
    lines = (ROOT / "sandbox/inventory.txt").read_text().splitlines()
    names = [line.split("\t")[0] for line in lines if not line.startswith("#")]
    return [name for name in names if name[:1].isalpha() or name == "_G"]


def test_every_global_name_is_known_to_ask_or_not_to():
    described = {"nil", "true", "enum", "function", "host", "string value", "thread", "vector value", "worker handle"}
    names = {name.split(".")[0] for name in reachable() if ":" not in name and "(" not in name} - described
    assert names <= OTHERS | TRACKED
    assert not OTHERS & TRACKED


def test_every_field_of_a_guarded_table_is_known_to_ask_or_not_to():
    for name in (each.removeprefix("package.loaded.") for each in reachable()):
        table, _, field = name.rpartition(".")
        if table in TABLES and table != "package.loaded":
            is_table = name in TABLES or name.startswith(("package.loaded", "package.searchers", "package.preload"))
            assert name in GUARDED or field in FREE.get(table, ()) or is_table or name == "package.path", name
    assert {"debug.traceback"} == {name for name in reachable() if name.startswith("debug.")}


def test_what_is_free_is_not_guarded():
    assert not {f"{table}.{name}" for table, names in FREE.items() for name in names} & GUARDED.keys()
    assert TABLES.issuperset(FREE_TABLES)
    assert GUARDED.keys() >= HARMLESS


def test_modules_are_looked_for_where_the_library_does():
    text = (ROOT / "sandbox/lua/load.lua").read_text(encoding="utf-8")
    assert f'path = "{";".join(MODULE_PATH)}"' in text
    loaded = {name.removeprefix("package.loaded.") for name in reachable() if name.startswith("package.loaded.")}
    assert {name for name in loaded if "." not in name} <= BUILT_IN_MODULES


def test_a_short_script_has_no_findings_without_measure():
    """A path of thousands of directories, and a search that multiplies its name, are as easily written."""
    deep = "a/" * 2000
    assert len(scan(f"fs.createdirectory('{'a/' * 64}', true)").unknowns) == 0
    found = scan(f"fs.createdirectory('{deep}', true)")
    assert [(one.what, one.why) for one in found.unknowns] == [
        ("fs.createdirectory", "its path has more than 64 directories")
    ]
    assert [len(use.value) for use in found.uses] == [4000, *range(3997, 3997 - 128, -2)]
    assert findings(f"package.searchpath('{'x' * 2000}', '?/a;?/?/?')") == [f"fs:read={'x' * 2000}/a"]


def test_no_script_has_more_findings_than_can_be_followed_and_shown():
    """Of all kinds together; where the rest begins is told, and that anything can be asked there."""
    kinds = "os.getenv('A') io.open(x) require 'm'\n"  # three findings, and a use of `load`
    assert len(scan(kinds * (FINDINGS_MOST // 4)).unknowns) == FINDINGS_MOST // 4
    found = scan(kinds * (FINDINGS_MOST // 4) + "\n  os.getenv('B') os.getenv('C')")
    assert (len(found.uses), len(found.targets)) == (FINDINGS_MOST // 2, FINDINGS_MOST // 4)
    *_, last = found.unknowns
    assert (last.what, last.place.line, last.place.column) == ("main.lus", FINDINGS_MOST // 4 + 2, 3)
    assert last.why == "the script asks for more than 10000 things, and is not looked into from here on"
    assert last.permissions == ()


def test_a_text_is_kept_once_however_often_it_is_used():
    found = scan("local p = 'a/b/c/d' " + "fs.createdirectory(p, true) " * 10)
    assert len({id(use.value) for use in found.uses}) == len({use.value for use in found.uses}) == 4
