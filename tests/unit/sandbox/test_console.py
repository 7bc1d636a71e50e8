"""Standard streams: whole lines out, at once; input by the line."""

from __future__ import annotations

from luspool.sandbox.console import Console
from luspool.scheduler.protocol import InputArrived, Returned


class Pieces(list):
    """Takes the place of a port: what was written, piece by piece."""

    def write(self, stream, data):
        self.append((stream, data))


def test_a_line_goes_out_whole_and_the_rest_is_held():
    pieces = Pieces()
    console = Console(pieces)
    console.write(1, b"a")
    console.write(2, b"error")
    console.write(1, b"b\nc\nd")
    assert pieces == [(1, b"ab\nc\n")]
    console.flush()
    assert pieces[1:] == [(2, b"error"), (1, b"d")]
    console.flush()
    assert len(pieces) == 3


def test_a_line_too_long_to_hold_goes_out_in_pieces():
    pieces = Pieces()
    console = Console(pieces)
    for _ in range(3):
        console.write(1, b"x" * 30_000)
    assert len(pieces) == 1
    console.flush()
    assert b"".join(data for _, data in pieces) == b"x" * 90_000


def test_print_is_one_line_and_one_write(lus):
    script = lus("print('a', nil, 1.5, true) print() print(('x'):rep(3))")
    assert script.end() == Returned()
    assert script.port.written[1] == b"a\tnil\t1.5\ttrue\n\nxxx\n"


def test_half_a_line_is_out_when_the_state_waits(lus):
    script = lus("io.write('name? ') print(io.read())")
    assert script.waits_for() == InputArrived(0)
    assert script.port.written[1] == b"name? "
    script.port.input.append(b"somebody\n")
    assert script.end() == Returned()
    assert script.port.lines == ["name? somebody"]


def test_warnings_are_off_until_the_script_wants_them(lus):
    script = lus("warn('one') warn('@on') warn('t', 'wo') warn('@off') warn('three')")
    script.end()
    assert script.port.written[2] == b"Lua warning: two\n"


def test_input_ends_with_nil(lus):
    script = lus("for line in io.lines() do print(line) end print(io.read(), io.read('a'), io.read(0))")
    script.port.input.extend([b"one\n", b"two", b""])
    assert script.end() == Returned()
    assert script.port.lines == ["one", "two", "nil\t\tnil"]


def test_input_may_come_in_the_middle_of_several_items(lus):
    script = lus("print(io.read('n', 'l', 'L'))")
    script.port.input.append(b"12 rest\n")
    assert script.waits_for() == InputArrived(0)
    script.port.input.append(b"next\n")
    assert script.end() == Returned()
    assert script.port.output == "12\t rest\tnext\n\n"


def test_standard_streams_cannot_be_closed_or_moved(printed):
    source = """
        print(io.stdout:close()) print(io.stdin:seek())
        print(io.stdin:write('x')) print(io.stdout:read())"""
    lines = printed(source)
    assert [line.split("\t")[0] for line in lines] == ["nil"] * 4


def test_any_bytes_are_written_as_they_are(lus):
    script = lus("io.stderr:write((...), '\\n')", arguments=(b"\xff\0\x1b",))
    script.end()
    assert script.port.written[2] == b"\xff\0\x1b\n"
