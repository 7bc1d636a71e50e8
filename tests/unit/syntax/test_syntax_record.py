"""The parser that writes down what it reads: where parts are, and what names stand for."""

from pathlib import Path

import pytest

from luspool.sandbox.syntax import SyntaxFault
from luspool.sandbox.syntax.record import Kind, Part, record

ROOT = Path(__file__).parents[3]
BROKEN = "broken.lus"
"""The name of a script whose case is about its syntax error."""
FOLDERS = ("examples/**/*.lus", "tests/golden/*/*.lus", "sandbox/lua/*.lua")
SCRIPTS = sorted(path for pattern in FOLDERS for path in ROOT.glob(pattern) if path.name != BROKEN)


def walk(part: Part):
    yield part
    for inner in part.parts:
        yield from walk(inner)


def texts(source: str, kind: Kind) -> list[str]:
    found = record(source.encode(), "a.lus")
    starts, ends = found.tokens.starts, found.tokens.ends
    return [source[starts[part.first] : ends[part.last]] for part in walk(found.chunk) if part.kind is kind]


def test_parts_are_where_they_are_written():
    source = "local a = f(1, {2}).b[c] .. `x$a` return -a"
    assert texts(source, Kind.LOCAL) == ["local a = f(1, {2}).b[c] .. `x$a`"]
    assert texts(source, Kind.CHAIN) == ["f(1, {2}).b[c]", "c", "a", "a"]
    assert texts(source, Kind.ARGUMENTS) == ["(1, {2})"]
    assert texts(source, Kind.INDEX) == ["[c]"]
    assert texts(source, Kind.TABLE) == ["{2}"]
    assert texts(source, Kind.INTERPOLATED) == ["`x$a`"]
    assert texts(source, Kind.EXPRESSION) == ["f(1, {2}).b[c] .. `x$a`", "1", "{2}", "2", "c", "`x$a`", "-a", "a"]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_parts_lie_within_each_other_and_one_behind_the_other(path):
    found = record(path.read_bytes(), path.name)
    for part in walk(found.chunk):
        at = part.first
        for inner in part.parts:
            assert at <= inner.first <= inner.last <= part.last
            at = inner.last + 1


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("local a = 1 f(a)", {"a": (True, False)}),
        ("local a a = 1", {"a": (False, True)}),
        ("local a, b = 1", {"a": (True, False), "b": (False, False)}),
        ("local a = 1 function a() end", {"a": (True, True)}),
        ("local a = 1 local function f() a, b = 2, 3 end", {"a": (True, True), "f": (False, False)}),
        ("local a <check> = 1", {"a": (False, False)}),
        ("local a <const> = 1", {"a": (True, False)}),
        ("local a from b", {"a": (False, False)}),
        ("global a = 1", {"a": (False, False)}),
        ("local g <group> = { a = 1 }", {"g": (False, False)}),
        ("for a in f do end", {"a": (False, False)}),
    ],
)
def test_declarations_have_the_value_that_they_keep(source, expected):
    """By name: whether there is a value, and whether something assigns again."""
    found = record(source.encode(), "a.lus").declarations
    assert {each.name: (each.value is not None, each.is_assigned) for each in found} == expected


def test_a_name_stands_for_the_innermost_declaration_of_its_place():
    found = record(b"local a do local a f(a) end f(a) f(b)", "a.lus")
    outer, inner = found.declarations
    names = [part.names for part in walk(found.chunk) if part.kind is Kind.CHAIN and part.first == part.last]
    assert names == [inner, outer, None]


def test_what_the_parser_refuses_is_a_fault_with_its_place():
    with pytest.raises(SyntaxFault) as raised:
        record(b"#!/bin/lus\nx = = 1", "a.lus")
    assert (raised.value.line, raised.value.column) == (2, 5)
