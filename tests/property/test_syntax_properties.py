"""Laws of the language front end, on generated programs, broken programs and arbitrary bytes."""

import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from lupa import lua55

from luspool.sandbox.syntax import SyntaxFault, fault_from_lua, translate
from luspool.sandbox.syntax.translate import rewrite

CORPUS = Path(__file__).parents[1] / "corpus"
SEEDS = [path.read_bytes() for path in sorted(CORPUS.glob("*.lua"))]
SEEDS += [
    case.split("\n", 1)[1].split("\n---\n")[0].encode()
    for case in (CORPUS / "meaning.txt").read_text().split("### ")[1:]
]
WORDS = sorted({word for seed in SEEDS for word in re.findall(rb"[\w]+|[^\w\s]|\s", seed)})

NAMES = st.sampled_from(["a", "b", "catch_", "t", "g.x", "from"])


def _expressions(inner):
    pair = st.tuples(inner, inner)
    return st.one_of(
        inner.map("catch {}".format),
        pair.map(lambda p: f"catch[{p[0]}] {p[1]}"),
        pair.map(lambda p: f"({p[0]})?.x?[{p[1]}]"),
        pair.map(lambda p: f"t?:m({p[0]}, {p[1]}, ...)"),
        pair.map(lambda p: f"({p[0]})[,{p[1]}]"),
        inner.map("`a $t $({}) \\n`".format),
        inner.map("do local y = {} provide y, ... end".format),
        inner.map("function(...) return {} end".format),
        inner.map("{{ {}, k = 1, ... }}".format),
        inner.map("f({})".format),
        inner.map("- {}".format),
        pair.map(lambda p: f"{p[0]} .. {p[1]}"),
        pair.map(lambda p: f"{p[0]} or {p[1]}"),
    )


EXPRESSIONS = st.recursive(
    st.one_of(NAMES, st.sampled_from(["1", "'s'", "nil", "...", "enum a, b end", "``", "t[1,]", "false?.x"])),
    _expressions,
    max_leaves=6,
)


def _statements(inner):
    block = st.lists(inner, max_size=3).map("\n".join)
    pair = st.tuples(EXPRESSIONS, block)
    return st.one_of(
        pair.map(lambda p: f"if v, w = {p[0]} then {p[1]} elseif u from t then {p[1]} else {p[1]} end"),
        pair.map(lambda p: f"while v, w = {p[0]} do {p[1]} end"),
        pair.map(lambda p: f"while v, w = catch {p[0]} do {p[1]} end"),
        pair.map(lambda p: f"local function f(...)\n{p[1]} return {p[0]} end"),
        pair.map(lambda p: f"repeat {p[1]} local q <f> = {p[0]} q = q until q"),
        pair.map(lambda p: f"for _ in {p[0]} do {p[1]} end"),
    )


STATEMENTS = st.recursive(
    st.one_of(
        EXPRESSIONS.map("a = {}".format),
        EXPRESSIONS.map("local a, b from {}".format),
        EXPRESSIONS.map("a, b from {}".format),
        EXPRESSIONS.map("catch {}".format),
        EXPRESSIONS.map("g.x = {}".format),
        EXPRESSIONS.map("g = {{ x = {}, c = {{ y = 1 }} }}".format),
        EXPRESSIONS.map("local z <f>, w <f 'x'> <const> = {}".format),
        EXPRESSIONS.map("(t)({})".format),
        EXPRESSIONS.map("t?.m({})".format),
    ),
    _statements,
    max_leaves=8,
)
PROGRAMS = st.lists(STATEMENTS, min_size=1, max_size=5).map(
    lambda statements: "local g <group> = { x = 1, c <group> = { y <f> = 2 } }\n" + "\n".join(statements)
)


def _load(text: bytes) -> bytes | None:
    load = lua55.LuaRuntime(encoding=None).eval(b"function(text) return (select(2, load(text, '=t', 't'))) end")
    return load(text)


def _bytecode(text: bytes) -> bytes:
    dump = lua55.LuaRuntime(encoding=None).eval(b"function(text) return string.dump(assert(load(text, '=t', 't'))) end")
    return dump(text)


@settings(max_examples=250)
@given(PROGRAMS)
def test_what_is_emitted_loads_keeps_its_lines_and_is_stable(program):
    source = program.encode()
    translation = translate(source, "t")
    assert _load(translation.lua) is None
    assert translation.lua.count(b"\n") == source.count(b"\n") + translation.uses_runtime
    again = translate(translation.lua, "t")
    assert (again.lua, again.helpers) == (translation.lua, ())
    assert _bytecode(rewrite(translation.lua)[0]) == _bytecode(translation.lua)


@settings(max_examples=400)
@given(
    st.one_of(
        st.binary(max_size=60),
        st.lists(st.sampled_from(WORDS), max_size=40).map(b" ".join),
        st.tuples(st.sampled_from(SEEDS), st.integers(0, 2000), st.integers(0, 12), st.sampled_from(WORDS)).map(
            lambda cut: cut[0][: cut[1]] + cut[3] + cut[0][cut[1] + cut[2] :]
        ),
    ),
    st.booleans(),
)
def test_any_bytes_give_a_translation_or_a_fault_within_them(source, strict):
    lines = re.split(rb"\r\n|\n\r|\n|\r", source)
    try:
        translation = translate(source, "t", strict_globals=strict)
    except SyntaxFault as refused:
        fault = refused
    else:
        message = _load(translation.lua)
        if message is None:
            return
        fault = fault_from_lua(message.decode("latin-1"), source, "t")
    assert str(fault).count("\n") == 2
    assert 1 <= fault.line <= len(lines)
    assert 1 <= fault.column <= len(lines[fault.line - 1]) + 1


@settings(max_examples=200)
@given(st.lists(st.sampled_from(SEEDS + WORDS), max_size=12).map(b"\n".join))
def test_what_lua_accepts_is_never_refused(source):
    if _load(source) is None:
        translate(source, "t")
