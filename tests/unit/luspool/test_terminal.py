"""What becomes of control characters on their way to a terminal."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luspool.terminal import VisibleText


def shown(data: bytes) -> str:
    text = VisibleText()
    return (text.feed(data) + text.feed(b"", final=True)).decode()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"plain\ttext\n", "plain\ttext\n"),
        ("Grüße, 世界 👩\u200d🔧".encode(), "Grüße, 世界 👩\u200d🔧"),
        (b"\x1b[31mred\x1b]0;title\x07", "^[[31mred^[]0;title^G"),
        (b"over\rwritten\x08\x7f\x00", "over^Mwritten^H^?^@"),
        ("\u0085\u009b31m".encode(), "<U+0085><U+009B>31m"),
        (b"\x9b31m\xff\xc3", "<9B>31m<FF><C3>"),
        (b"\xed\xb2\x80\xc0\x9b", "<ED><B2><80><C0><9B>"),
        ("user\u202egnp.exe\u2066".encode(), "user<U+202E>gnp.exe<U+2066>"),
    ],
)
def test_only_text_line_feeds_and_tabs_reach_the_terminal_as_they_are(data, expected):
    assert shown(data) == expected


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_a_character_may_be_cut_anywhere_between_pieces(data, cuts):
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    text = VisibleText()
    pieces = [text.feed(data[start:end]) for start, end in itertools.pairwise(edges)]
    assert b"".join(pieces).decode() + text.feed(b"", final=True).decode() == shown(data)


@given(st.binary(max_size=60))
def test_nothing_that_is_left_can_act_on_a_terminal(data):
    assert not [char for char in shown(data) if char not in "\n\t" and (char < " " or "\x7f" <= char <= "\x9f")]
