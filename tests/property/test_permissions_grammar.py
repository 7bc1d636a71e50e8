"""Laws of pledges as text."""

import os

from hypothesis import given
from hypothesis import strategies as st

from luspool.permissions import PERMISSIONS, Pledge, PledgeSyntaxError, ValueKind
from luspool.permissions.paths import escape

file_names = st.binary(min_size=1, max_size=20).map(os.fsdecode).map(escape)
plain = file_names.filter(lambda text: not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text))


@st.composite
def pledges(draw):
    """Every pledge that the grammar can write."""
    record = draw(st.sampled_from(list(PERMISSIONS.values())))
    value = None
    if record.value is ValueKind.PATH:
        tail = draw(st.lists(st.one_of(plain, st.sampled_from(["*", "?", "/"]))))
        value = draw(st.none() | st.just(f"./{''.join(tail)}"))
        if value and any(part == ".." for part in value.split("/")):
            value = "/"
    elif record.value is ValueKind.FUNCTION:
        value = draw(st.none() | st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True))
    elif record.value is not ValueKind.NONE:
        value = draw(st.none() | st.text("abc_:/\u00fc", min_size=1))
    return Pledge(record.name, value, bool(record.covers) and draw(st.booleans()))


@given(pledges())
def test_printing_and_parsing_round_trip(pledge):
    """Parsing what a pledge prints gives the same pledge."""
    assert Pledge.parse(str(pledge), command_line=True) == pledge


@given(st.text() | st.text("~fs:read=/*?\\.\0\n\udcffloadhst", max_size=30) | st.text().map("host:".__add__))
def test_any_text_is_a_pledge_or_a_clear_error(text):
    """Whatever a script passes either parses and prints back unchanged, or is a printable error within the text."""
    try:
        pledge = Pledge.parse(text)
    except PledgeSyntaxError as raised:
        error = raised
    else:
        assert str(pledge) == text
        return
    assert 1 <= error.column <= len(text) + 1
    assert str(error).isprintable()


@given(pledges())
def test_binding_is_idempotent(pledge):
    """A bound pledge binds to itself, whatever the working directory."""
    try:
        bound = pledge.bind("/nowhere")
    except PledgeSyntaxError:
        return  # longer than a path may be
    assert bound.bind("/elsewhere") == bound
    assert Pledge.parse(str(bound), command_line=True) == bound
