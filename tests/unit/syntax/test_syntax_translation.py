"""What the translation leaves alone, and the shape of what it emits."""

import re
import sys
import threading
from pathlib import Path

import pytest
from lupa import lua55

from luspool.sandbox.syntax import Stop, SyntaxFault, TranslationStoppedError, translate
from luspool.sandbox.syntax.cursor import LEVEL_LIMIT
from luspool.sandbox.syntax.translate import rewrite

CORPUS = sorted((Path(__file__).parents[2] / "corpus").glob("*.lua"))


def _load(text: bytes) -> object:
    """Lua's message, or None where it accepts the text."""
    load = lua55.LuaRuntime(encoding=None).eval(b"function(text) return (select(2, load(text, '=t', 't'))) end")
    return load(text)


def _bytecode(text: bytes) -> bytes:
    dump = lua55.LuaRuntime(encoding=None).eval(b"function(text) return string.dump(assert(load(text, '=t', 't'))) end")
    return dump(text)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_lua_stays_byte_for_byte_what_it_was(path):
    text = path.read_bytes()
    translation = translate(text, "t")
    assert translation.lua.removeprefix(b"global *; ") == text
    assert not translation.uses_runtime


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_lua_parsed_and_emitted_compiles_to_the_same_bytecode(path):
    """Also after a construct of Lus, from which on the ends of statements are marked."""
    text = path.read_bytes()
    assert _bytecode(rewrite(text)[0]) == _bytecode(text)
    with_lus, helpers = rewrite(b"local _ = nil?; " + text)
    assert not helpers
    assert _bytecode(with_lus) == _bytecode(b"local _ = nil; " + text)


@pytest.mark.parametrize(
    "source",
    [
        "catch = {} catch[1] = 2 x = catch[1] catch.y = 3",
        "local catch = print local x = catch\nprint(catch)",
        "local a from = 1",
        "local from = print local a\nfrom(1) from{2} from'3'",
        "x = enum\na, b = 1, 2",
        "enum, provide, group = 1, 2, 3",
        "t.catch, t.from = t:catch(), {catch = 1, from = 2, enum = 3}",
        "goto catch ::catch::",
        "global = 1 local x = global",
    ],
)
def test_words_of_lus_that_are_the_scripts_own_names_stay_names(source):
    assert translate(source.encode(), "t").lua.removeprefix(b"global *; ") == source.encode()


def test_names_of_helpers_occur_nowhere_in_the_script():
    source = b"local x = catch f() -- lus_catch lus_catch_2\nx = 'lus_value lus_optional' return x?.y()"
    emitted = set(re.findall(rb"lus_\w+", translate(source, "t").lua))
    assert emitted - set(re.findall(rb"lus_\w+", source)) == {b"lus_catch_3", b"lus_value_2", b"lus_optional_2"}


def test_undeclared_names_stay_legal_unless_globals_are_strict():
    assert _load(translate(b"global a; b = 1", "t").lua) is None
    assert b"not declared" in _load(translate(b"global a; b = 1", "t", strict_globals=True).lua)
    assert b"not declared" in _load(translate(b"global a; b = catch 1", "t", strict_globals=True).lua)


def test_199_locals_are_allowed_beside_helpers():
    names = b",".join(b"v%d" % i for i in range(199))
    assert _load(translate(b"global a; local " + names + b" = catch 1", "t").lua) is None


NESTS = {
    "parentheses": ("x = catch 1 y = ", "(", "1", ")"),
    "calls": ("x = catch 1 y = ", "f(", "", ")"),
    "tables": ("x = catch 1 y = ", "{", "", "}"),
    "functions": ("x = catch 1 y = ", "function() return ", "1", " end"),
    "blocks": ("x = catch 1 ", "do ", "", " end"),
    "catch": ("x = ", "catch ", "1", ""),
    "catch with handlers": ("x = ", "catch[h] ", "1", ""),
    "chains": ("x = y", "?.z", "", ""),
    "optional calls": ("x = ", "y?.z(", "", ")"),
    "slices": ("x = y", "[1,2]", "", ""),
    "slices in slices": ("x = ", "y[", "1", ",]"),
    "strings": ("x = ", "`a $(", "1", ")`"),
    "do expressions": ("x = ", "do provide ", "1", " end"),
    "if": ("", "if a = b then ", "", " end"),
    "elseif": ("if a then ", "elseif a = b then ", "", " end"),
    "while": ("", "while a = catch c do ", "", " end"),
    "groups": ("local g <group> = {", "a <group> = {", "b = catch 1", "}"),
    "attributes": ("", "local x <f(function() ", "", " end)>"),
    "concatenation": ("x = catch 1 y = a", " .. a", "", ""),
}


@pytest.mark.parametrize(("before", "opening", "middle", "closing"), NESTS.values(), ids=NESTS)
def test_the_deepest_nesting_that_is_accepted_loads_in_lua(before, opening, middle, closing):
    def nested(depth: int) -> bytes:
        tail = " end" if before.startswith("if") else "}" if "<group>" in before else ""
        close = closing if not before.startswith("if") else ""
        return f"{before}{opening * depth}{middle}{close * depth}{tail}".encode()

    def emitted(depth: int) -> bytes | None:
        try:
            return translate(nested(depth), "t").lua
        except SyntaxFault as fault:
            assert "too many syntax levels" in fault.message  # noqa: PT017 - the other depths give text
            return None

    accepted = [depth for depth in range(1, LEVEL_LIMIT + 5) if emitted(depth)]
    assert accepted[0] == 1
    assert accepted[-1] < LEVEL_LIMIT + 4
    text = emitted(accepted[-1])
    assert text is not None
    assert _load(text) is None


def test_a_caller_deep_in_its_own_recursion_gets_a_fault_too():
    def descend(depth: int) -> str:
        if depth:
            return descend(depth - 1)
        with pytest.raises(SyntaxFault) as caught:
            translate(b"x = catch " + b"(" * 170 + b"1" + b")" * 170, "t")
        return caught.value.message

    messages: list[str] = []
    thread = threading.Thread(target=lambda: messages.append(descend(sys.getrecursionlimit() - 300)))
    thread.start()
    thread.join()
    assert messages == ["chunk has too many syntax levels for the stack that is left"]


def test_a_text_too_deep_to_be_read_is_refused_even_where_lua_would_take_its_words_for_names():
    with pytest.raises(SyntaxFault, match="too many syntax levels"):
        translate(b"x = catch " + b"(" * 185 + b"1" + b")" * 185, "t")


@pytest.mark.parametrize(
    "text", [b"x = {" + b"1," * 100 + b"catch 1}", b"catch f()\n" * 100, b"x = (`$a`)", b"x = y" + b" and y" * 100]
)
def test_a_translation_ends_when_it_is_asked_to(text):
    stop = Stop()
    assert translate(text, "s.lus", stop=stop)
    stop.requested = True
    with pytest.raises(TranslationStoppedError):
        translate(text, "s.lus", stop=stop)
