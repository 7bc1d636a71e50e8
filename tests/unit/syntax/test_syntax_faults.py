"""Faults: where they are, what they say, how they are shown."""

import pickle
import tracemalloc

import pytest
from lupa import lua55

from luspool.sandbox.syntax import SyntaxFault, fault_from_lua, translate

FAULTS = [
    ("if x do end", 1, 6, "expected 'then' after the condition, got 'do'"),
    ("\nif x\n  do end", 3, 3, "expected 'then' after the condition, got 'do'; the 'if' began on line 2"),
    ("if t.x = 1 then end", 1, 8, "expected 'then' after the condition, got '='; '==' compares, and a condition can"),
    ("while x then end", 1, 9, "expected 'do' after the condition, got 'then'"),
    ("for i = 1 do end", 1, 11, "expected ',' and the last value of the loop, got 'do'"),
    ("for i on t do end", 1, 7, "expected '=', ',' or 'in' after the names of the loop, got 'on'"),
    ("function f()\n  x = 1\n", 3, 1, "expected 'end' to close the 'function' on line 1, got the end of the file"),
    ("repeat x()", 1, 11, "expected 'until' to close the 'repeat', got the end of the file"),
    ("x = (1", 1, 7, "expected ')' to close the '(', got the end of the file"),
    ("x = {1, 2", 1, 10, "expected '}' to close the '{', got the end of the file"),
    ("x = t[1", 1, 8, "expected ']' to close the '[', got the end of the file"),
    ("x = 1 end", 1, 7, "expected a statement, got 'end', which closes nothing"),
    ("x =", 1, 4, "expected an expression, got the end of the file"),
    ("x + 1", 1, 1, "expected a statement, got 'x': only calls and assignments can stand alone (next is '+')"),
    ("x += 1", 1, 3, "expected '=' after the variable, got '+'; Lua has no '+='"),
    ("local end = 1", 1, 7, "expected a variable name, got 'end' (a reserved word)"),
    ("t.1 = 2", 1, 1, "expected a statement, got 't'"),
    ("f() = 2", 1, 1, "cannot assign to this expression; only variables and fields can be assigned"),
    ("a, 1 = 2", 1, 4, "expected a variable after ',', got '1'"),
    ("x = 'a\nb'", 1, 5, "unfinished string: expected a closing ' on the same line"),
    ("x = [[a", 1, 5, "unfinished long string: its closing brackets are missing"),
    ("--[[a", 1, 1, "unfinished long comment: its closing brackets are missing"),
    ("x = `a", 1, 5, "unfinished interpolated string: expected a closing '`'"),
    ("x = `$(a`", 1, 9, "unfinished interpolated string: expected a closing '`'"),
    ("x = `$(a", 1, 5, "unfinished interpolated string: expected ')' and a closing '`'"),
    ("x = `$end`", 1, 7, "expected a variable after '$', got 'end' (a reserved word)"),
    ("x = 'a\\q'", 1, 7, "invalid escape '\\q'"),
    ("x = `\\$`", 1, 6, "invalid escape '\\$'; a dollar sign in an interpolated string is written '$$'"),
    ("x = '\\x1'", 1, 6, "invalid escape: expected two hexadecimal digits after '\\x'"),
    ("x = '\\300'", 1, 6, "decimal escape '\\300' is too large: a byte is at most 255"),
    ("x = '\\u{80000000}'", 1, 6, "escape '\\u{…}' is too large: a code point is at most 7FFFFFFF"),
    ("x = 3..2", 1, 5, "malformed number '3..2'"),
    ("x = 0x", 1, 5, "malformed number '0x'"),
    ("x != 1", 1, 3, "unexpected character '!'; 'not equal' is written '~='"),
    ("x = \x07", 1, 5, "unexpected character '\\x07'"),
    ("break", 1, 1, "'break' stands outside of any loop"),
    ("while 1 do x = do break end end", 1, 19, "'break' cannot leave a 'do … end' expression"),
    ("x = do return 1 end", 1, 8, "'return' cannot leave a 'do … end' expression; 'provide' gives its value"),
    ("provide 1", 1, 1, "'provide' stands outside of any 'do … end' expression"),
    ("return 1 x()", 1, 10, "expected the end of the block after 'return', got 'x'"),
    ("function f() return ... end", 1, 21, "cannot use '...' outside a vararg function"),
    ("function f(a,) end", 1, 14, "expected a parameter after ',', got ')'"),
    ("t?.x = 1", 1, 1, "cannot assign to an optional chain"),
    ("t[1,2] = 1", 1, 1, "cannot assign to this expression"),
    ("x = enum a, a end", 1, 13, "the enum has the name 'a' twice"),
    ("x = enum a b end", 1, 12, "expected 'end' to close the 'enum', got 'b'"),
    ("local x <f>= 1", 1, 11, "expected '>' to close the '<', got '>='; '>' and '=' need a space between them"),
    ("global x <f> = 1", 1, 14, "runtime attributes and groups are for local variables only"),
    ("local x <const> = 1 x = 2", 1, 21, "attempt to assign to const variable 'x'"),
    ("for i = 1, 2 do i = 3 end", 1, 17, "attempt to assign to const variable 'i'"),
    (
        "local g <group> = {a = 1} print(g)",
        1,
        33,
        "the local group 'g' is not a value; name one of its fields, such as 'g.a'",
    ),
    ("local g <group> = {a = 1} g.b = 1", 1, 29, "the local group 'g' has no field 'b'"),
    ("local g <group> = {a <const> = 1} g.a = 1", 1, 35, "attempt to assign to const variable 'g.a'"),
    ("local g <group> = {a <const> = 1} g = {a = 1}", 1, 40, "attempt to assign to const variable 'g.a'"),
    ("local g <group> = {a = 1} g = 1", 1, 31, "expected '{' with the fields of the local group, got '1'"),
    ("local g <group>", 1, 16, "expected '=' after the attribute: a local group needs its fields, got the end"),
    ("local g <group> = {a = 1, a = 2}", 1, 27, "the field 'a' is given twice"),
    ("local g <group> = {} local a from g", 1, 30, "the local group 'g' has no field 'a'"),
    ("local g <group> = {c <group> = {}} local c from g", 1, 44, "the local group 'g.c' is not a value; copy it"),
    ("local g <group> = {} print(`$g`)", 1, 30, "the local group 'g' is not a value"),
]


def _fault(source: bytes) -> SyntaxFault:
    with pytest.raises(SyntaxFault) as caught:
        translate(source, "a.lus")
    return caught.value


@pytest.mark.parametrize(("source", "line", "column", "message"), FAULTS, ids=[case[0] for case in FAULTS])
def test_a_fault_says_where_it_is_and_what_was_expected(source, line, column, message):
    fault = _fault(source.encode())
    assert (fault.line, fault.column) == (line, column)
    assert fault.message.startswith(message)


def test_a_fault_shows_its_line_with_a_caret():
    assert str(_fault(b"x = 1\n\tif x do end")) == (
        "a.lus:2:7: expected 'then' after the condition, got 'do'\n\tif x do end\n\t     ^"
    )


def test_columns_count_characters_and_the_caret_minds_their_width():
    fault = _fault("x = '日本é' !".encode())
    assert fault.column == 11
    assert str(fault).splitlines()[2] == " " * 12 + "^"


def test_bytes_that_are_not_utf8_count_one_column_each_and_are_shown():
    fault = _fault(b"x = '\xff\xfe' !")
    assert fault.column == 10
    assert str(fault).splitlines()[1] == "x = '\\xff\\xfe' !"


def test_control_characters_never_reach_the_terminal():
    shown = str(_fault("x = '\x1b[31m\u202e' !\x9b".encode()))
    assert "\\x1b" in shown
    assert "\\u{202e}" in shown
    assert not {"\x1b", "\u202e", "\x9b"} & set(shown)


def test_a_long_line_is_cut_around_the_column():
    _, shown, caret = str(_fault(b"x = '" + b"a" * 5000 + b"' ! '" + b"b" * 5000)).splitlines()
    assert shown[0] == shown[-1] == "…"
    assert shown[len(caret) - 1] == "!"
    assert len(shown) < 110


@pytest.mark.parametrize("newline", ["\n", "\r", "\r\n", "\n\r"])
def test_lines_are_counted_as_lua_counts_them(newline):
    assert _fault(f"x = 1{newline}{newline}!".encode()).line == 3


def test_a_byte_order_mark_and_a_shebang_move_nothing():
    fault = _fault(b"\xef\xbb\xbf#!lus\n!")
    assert (fault.line, fault.column, fault.source_line) == (2, 1, "!")
    assert translate(b"\xef\xbb\xbfreturn 1", "a").lua == b"return 1"


def test_a_fault_survives_pickling():
    fault = _fault(b"x =")
    assert str(pickle.loads(pickle.dumps(fault))) == str(fault)  # noqa: S301 - what was pickled in the line


def _lua_message(text: bytes, name: bytes) -> str:
    load = lua55.LuaRuntime(encoding=None).eval(b"function(text, name) return (select(2, load(text, name, 't'))) end")
    return load(text, b"=" + name).decode("latin-1")


@pytest.mark.parametrize(
    ("source", "line", "column", "message"),
    [
        (b"x = 1\n  goto away", 2, 8, "no visible label 'away' for <goto> at line 2"),
        (b"::a::\n::a::", 2, 3, "label 'a' already defined on line"),
        (b"global a\na = b1 + b", 2, 5, "variable 'b1' not declared"),
        (b"local x <close>, y <close> = 1", 1, 1, "multiple to-be-closed variables in local list"),
        (b"local xaa, _aa goto aa", 1, 21, "no visible label 'aa' for <goto> at line 1"),
        (b"local " + b",".join(b"v%d" % i for i in range(201)), 1, 901, "too many local variables (limit is 200)"),
    ],
)
def test_what_lua_finds_has_the_form_of_our_faults(source, line, column, message):
    translation = translate(source, "a:1: .lus", strict_globals=True)
    fault = fault_from_lua(_lua_message(translation.lua, b"a:1: .lus"), source, "a:1: .lus")
    assert (fault.line, fault.column) == (line, column)
    assert fault.message.startswith(message)


def test_long_words_leave_nothing_behind():
    """A script may make as many of them as it likes, of a megabyte each."""
    sources = [b"goto " + bytes([letter]) * 10_000 for letter in b"abcdefgh"]
    messages = [_lua_message(source, b"a") for source in sources]
    tracemalloc.start()
    try:
        for source, message in zip(sources, messages, strict=True):
            assert fault_from_lua(message, source, "a").column == 6
        assert tracemalloc.get_traced_memory()[0] < 50_000
    finally:
        tracemalloc.stop()


def test_a_message_of_lua_without_a_line_is_placed_on_line_one():
    fault = fault_from_lua("C stack overflow\nstack traceback:\n\t[C]: in ?", b"  x", "a.lus")
    assert str(fault) == "a.lus:1:3: C stack overflow\n  x\n  ^"
