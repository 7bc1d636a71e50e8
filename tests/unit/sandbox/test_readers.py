"""Reading as Lua's io library reads: any content, any source that comes in pieces, and numerals as Lua itself finds."""

from __future__ import annotations

import lupa.lua55
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luspool.sandbox.readers import NotYetError, Reader


def pieces(*given_pieces):
    """A reader over these pieces; None is "not yet"."""
    left = list(given_pieces)
    return Reader(lambda: left.pop(0) if left else b"")


@given(st.lists(st.binary(min_size=1, max_size=5), max_size=8), st.sampled_from([b"l", b"L"]))
def test_lines_do_not_depend_on_how_the_bytes_arrive(parts, kind):
    content = b"".join(parts)
    reader, lines = pieces(*parts), []
    while (line := reader.read(kind)) is not None:
        lines.append(line)
    expected = content.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    assert [line.removesuffix(b"\n") for line in lines] == expected
    assert kind == b"l" or b"".join(lines) == content


@given(st.binary(max_size=20), st.integers(0, 25))
def test_a_count_gives_that_many_bytes_or_what_is_left(content, size):
    assert pieces(content).read(b"b", size) == (content[:size] if content else None)


def test_everything_is_never_nothing():
    reader = pieces(b"ab", b"c")
    assert [reader.read(b"a"), reader.read(b"a"), reader.read(b"l")] == [b"abc", b"", None]


@pytest.mark.parametrize(
    ("kind", "first", "second", "item"),
    [
        (b"l", b"ab", b"c\nd", b"abc"),
        (b"n", b" 1", b"2 ", b"12"),
        (b"b", b"ab", b"cd", b"abc"),
        (b"a", b"a", b"b", b"ab"),
    ],
)
def test_what_is_not_there_yet_is_read_later_as_a_whole(kind, first, second, item):
    reader = pieces(first, None, second)
    with pytest.raises(NotYetError):
        reader.read(kind, 3)
    assert reader.read(kind, 3) == item


def test_one_read_is_bounded():
    endless = Reader(lambda: b"12345678", 10)
    with pytest.raises(OSError, match="More than 10 bytes in one read"):
        endless.read(b"a")


def test_white_space_before_a_numeral_is_not_kept():
    reader = Reader(lambda left=[b" \n" * 20] * 20 + [b"1 2"]: left.pop(0) if left else b"", 50)
    assert [reader.read(b"n"), reader.read(b"n"), reader.read(b"n")] == [b"1", b"2", None]


NUMERALS = st.text(st.sampled_from("0123456789abcdefxXpPeE+-. \n_nif"), max_size=12)
BARE = lupa.lua55.LuaRuntime(encoding=None).execute(b"""
return function(path)
  local f = io.open(path)
  local number = f:read("n")
  local rest = f:read("a")
  f:close()
  return number and string.format("%s %a", math.type(number), number), rest
end""")
TO_NUMBER = lupa.lua55.LuaRuntime(encoding=None).execute(b"""
return function(text)
  local number = tonumber(text)
  return number and string.format("%s %a", math.type(number), number)
end""")


@settings(max_examples=400)
@given(content=NUMERALS | st.just("1" * 199) | st.just("1" * 200) | st.just("1" * 201 + " 2"))
def test_numerals_are_found_where_bare_lua_finds_them(content, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "numeral"
    path.write_text(content)
    reader = pieces(content.encode())
    found = reader.read(b"n")
    assert (TO_NUMBER(found) if found is not None else None, reader.read(b"a")) == BARE(bytes(path))
