"""What is given out of standard input, and when."""

import pytest

from luspool.scheduler.standard_input import LINE_PIECE, InputBuffer


@pytest.fixture
def buffer():
    return InputBuffer()


def test_a_line_waits_for_its_end(buffer):
    buffer.arrived(b"on")
    assert buffer.read(None) is None
    buffer.arrived(b"e\ntwo")
    assert buffer.read(None) == b"one\n"
    assert buffer.read(None) is None


def test_the_last_line_needs_no_end_and_then_nothing_comes(buffer):
    buffer.arrived(b"one\ntwo")
    buffer.end()
    assert [buffer.read(None) for _ in range(4)] == [b"one\n", b"two", b"", b""]
    assert buffer.read(5) == b""


def test_bytes_come_as_soon_as_there_are_any(buffer):
    assert buffer.read(4) is None
    buffer.arrived(b"abcdef")
    assert [buffer.read(4), buffer.read(4), buffer.read(4)] == [b"abcd", b"ef", None]


@pytest.mark.parametrize("more", [b"", b"\n", b"x", b"x\n", b"\nx\n"])
def test_a_very_long_line_comes_in_pieces_that_make_up_the_line(buffer, more):
    line = b"x" * LINE_PIECE + more
    for start in range(0, len(line), 300_000):
        assert buffer.read(None) is None
        buffer.arrived(line[start : start + 300_000])
    buffer.end()
    pieces = []
    while piece := buffer.read(None):
        pieces.append(piece)
    assert b"".join(pieces) == line
    assert all(len(piece) <= LINE_PIECE for piece in pieces)
    assert all(piece.count(b"\n") <= 1 for piece in pieces)


def test_bytes_taken_in_between_do_not_hide_a_newline(buffer):
    buffer.arrived(b"abc")
    assert buffer.read(None) is None
    assert buffer.read(2) == b"ab"
    buffer.arrived(b"\nx")
    assert buffer.read(None) == b"c\n"
