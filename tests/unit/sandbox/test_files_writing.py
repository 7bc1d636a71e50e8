"""Writing to files as Lua's own library does it; a file that is made is one like others; all of it is written."""

from __future__ import annotations

import os
import stat

import lupa.lua55
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luspool.sandbox.open_files import OpenFile
from luspool.scheduler.protocol import Exited, Failure, Returned

from .conftest import Script

IN_LUA = """
    local emit, body = ...
    local function print(...)
      local values = table.pack(...)
      for i = 1, values.n do values[i] = tostring(values[i]) end
      emit(table.concat(values, "\\t"))
    end
    load(body, "=main.lus", "t", setmetatable({ print = print }, { __index = _G }))()
"""

WRITES = {
    "modes": """
        for _, mode in ipairs{"w", "wb", "a", "a+", "ab", "w+", "r+", "r", "a+b"} do
          local f = assert(io.open(path, mode))
          print(mode, f:seek(), f:write("ab", 1, 2.5, 2^53), f:seek())
          print(f:seek("set"), f:read("a")) print(f:close(), io.type(f))
        end
        for line in io.lines(path) do print(line) end
    """,
    "what fails": """
        local function try(path, mode)
          print(pcall(function() local file, problem, number = io.open(path, mode) return problem, number end))
        end
        try(directory, "w") try(directory, "r+") try(directory .. "/none/x", "w") try(directory .. "/none", "r+")
        try(directory .. "/new/", "w") try(directory .. "/none/../x", "a") try(path .. "/x", "w")
        try(path, "rw") try(path, "w++") try(path, "") try(path, "wb+") try(path, "+") try(path, "W")
        try(directory .. "/" .. ("x"):rep(256), "w") try(directory .. "/.", "w") try(directory .. "/..", "a")
    """,
    "what a file was not opened for": """
        local f = io.open(path, "w") print(f:read()) print(f:read("n", "l")) print(f:read(0)) print(f:write("one\\n"))
        print(pcall(function() for line in f:lines() do end end)) print(f:close())
        f = io.open(path) print(f:write("x")) print(f:write("")) print(f:flush()) print(f:seek("end")) print(f:close())
    """,
    "default files": """
        print(io.output(path) ~= io.stdout, io.write("a", 1, "\\n") == io.output(), io.flush(), io.close())
        print(pcall(io.write, "x")) print(pcall(io.flush)) print(pcall(io.close)) print(pcall(io.output, directory))
        io.output(io.stdout) print(io.input(path) == io.input(), io.read("L", "n"), io.read(), io.input():close())
        print(pcall(io.read)) print(pcall(io.lines)) print(pcall(io.input, directory .. "/none")) io.input(io.stdin)
        print(io.stdout:close()) print(io.stdout:flush(), io.flush(), io.stdout:setvbuf("line"))
    """,
    "buffering": """
        local f = io.open(path, "w")
        print(f:setvbuf("no"), f:setvbuf("full"), f:setvbuf("full", 10), f:setvbuf("line", 0), f:flush())
        print(pcall(function() f:setvbuf("x") end)) print(pcall(function() f:setvbuf("full", {}) end))
        print(pcall(function() f:setvbuf("full", 1.5) end))
        print(f:close()) print(pcall(function() f:setvbuf("no") end)) print(pcall(function() f:flush() end))
    """,
    "wrong arguments": """
        local f = io.open(path, "w")
        print(pcall(function() f:write({}) end)) print(pcall(function() f:write("a", nil) end))
        print(pcall(function() f:write(true) end)) print(pcall(function() io.open(nil, "w") end))
        print(pcall(function() io.output({}) end)) print(pcall(function() f:seek("set", "x") end))
        f:close() print(io.open(path):read("a"))
    """,
    "far places": """
        local f = io.open(path, "w+") print(f:seek("end", 10), f:write("x"), f:seek("set"), f:read("a"))
        print(f:seek("set", -1)) print(f:seek("cur", -100)) print(f:seek("cur")) print(f:seek("set", math.mininteger))
        f:close()
    """,
}


def lua(body, directory):
    """What stock Lua prints for a body."""
    lines = []
    interpreter = lupa.lua55.LuaRuntime(encoding="latin-1")
    interpreter.execute(IN_LUA, lines.append, f"local path, directory = '{directory}/file', '{directory}' {body}")
    return "\n".join(lines).replace("/own", "/ours").split("\n")


def plain(lines):
    """Without what may differ: addresses."""
    return [line if "0x" not in line else f"{line.partition('0x')[0]}{line.partition(')')[2]}" for line in lines]


@pytest.mark.parametrize("name", WRITES)
def test_it_is_as_in_lua(name, printed, tmp_path):
    (tmp_path / "ours").mkdir()
    (tmp_path / "own").mkdir()
    body = WRITES[name]
    names = f"local path, directory = '{tmp_path}/ours/file', '{tmp_path}/ours' "
    assert plain(printed(names + body, held=(f"fs={tmp_path}",))) == plain(lua(body, tmp_path / "own"))
    assert {path.name for path in (tmp_path / "ours").iterdir()} == {path.name for path in (tmp_path / "own").iterdir()}
    if (tmp_path / "own/file").exists():
        assert (tmp_path / "ours/file").read_bytes() == (tmp_path / "own/file").read_bytes()


READS = ['f:read("l")', 'f:read("L")', "f:read(3)", 'f:read("n")', "f:read(0)", 'f:read("a")']
STEPS = st.one_of(
    st.sampled_from(READS),
    st.sampled_from(['f:write("x")', 'f:write("12 \\n")', 'f:write(("long"):rep(5000))', 'f:write("")', "f:flush()"]),
    st.sampled_from(['f:seek("set", 2)', 'f:seek("cur", -1)', 'f:seek("end")', "f:seek()", 'f:seek("end", -3)']),
    st.sampled_from(['f:setvbuf("no")', 'f:setvbuf("line")', 'f:setvbuf("full", 4)']),
)


@given(st.sampled_from(["w+", "r+", "a+", "w", "a", "r"]), st.lists(STEPS, max_size=12))
@settings(max_examples=150)
def test_any_order_of_calls_gives_what_lua_gives(sandbox, tmp_path_factory, mode, steps):
    """Where C says what happens: `seek` stands between reading and writing."""
    root = tmp_path_factory.mktemp("order")
    for name in ("ours", "own"):
        (root / name).mkdir()
        (root / name / "file").write_bytes(b"12 ab\nline\n\n0x1p4 rest")
    lines = [f"local f = io.open(path, '{mode}')"]
    for step in steps:
        shown = f"print({step})" if step in READS else f"print((type({step})))"
        lines.append(f"f:seek('cur', 0) {shown} print((f:seek('cur', 0)))")
    body = "\n".join([*lines, "print(f:close())"])
    script = Script(sandbox, f"local path = '{root}/ours/file' " + body, {"held": (f"fs={root}",)})
    outcome = script.end()
    script.state.close()
    assert not isinstance(outcome, Failure), outcome
    assert script.port.output.split("\n")[:-1] == lua(body, root / "own")
    assert (root / "ours/file").read_bytes() == (root / "own/file").read_bytes()


def test_reading_goes_on_where_writing_ended_and_the_other_way_round(printed, tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    source = 'local f = io.open(..., "r+") print(f:read(2), f:write("ab"), f:read(2), f:write("c"), f:seek())'
    assert printed(source, held=(f"fs={tmp_path}",), arguments=(os.fsencode(tmp_path / "file"),))[0].endswith("\t7")
    assert (tmp_path / "file").read_bytes() == b"01ab45c789"


def test_a_new_file_has_the_mode_that_the_umask_leaves(printed, tmp_path):
    old = os.umask(0o027)
    try:
        printed('io.open(..., "w"):close()', held=(f"fs={tmp_path}",), arguments=(os.fsencode(tmp_path / "file"),))
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


@pytest.mark.parametrize("end", ["", "os.exit(3)", "error('x')", "local t = f f = nil collectgarbage()"])
def test_what_was_written_is_in_the_file_when_the_state_has_ended(lus, tmp_path, end):
    script = lus(f'f = io.open("{tmp_path}/file", "w") f:write("text") {end}', held=(f"fs={tmp_path}",))
    outcome = script.end()
    assert (tmp_path / "file").read_bytes() == b"text"
    assert isinstance(outcome, Exited) == end.startswith("os.exit")


def test_what_was_written_is_in_the_file_while_the_state_waits(lus, tmp_path):
    source = f'local f = io.open("{tmp_path}/file", "w") f:write("text") worker.peek()'
    lus(source, held=(f"fs={tmp_path}",), is_worker=True).waits_for()
    assert (tmp_path / "file").read_bytes() == b"text"


def test_small_writes_are_held_back_and_large_ones_are_not(printed, tmp_path):
    source = """
        local f, other = io.open(..., "w"), io.open(..., "r")
        f:write("ab") print(other:read("a")) f:flush() print(other:read("a"))
        f:write(("x"):rep(100000)) print(#other:read("a"))
        f:setvbuf("no") f:write("c") print(other:read("a")) f:setvbuf("line") f:write("d") print(other:read("a"))
        f:write("e\\nf") print((other:read("a"):gsub("\\n", "/")))
        f:setvbuf("full", 3) f:write("g") print(other:read("a")) f:write("hij") print(other:read("a"))"""
    lines = printed(source, held=(f"fs={tmp_path}",), arguments=(os.fsencode(tmp_path / "file"),))
    assert lines == ["", "ab", "100000", "c", "", "de/f", "", "ghij"]


def test_an_error_of_held_back_bytes_is_told_by_the_next_call(tmp_path):
    """A device that is always full, which no script could open."""
    file = OpenFile(os.open("/dev/full", os.O_WRONLY), claim=lambda size: size)
    for later in (file.flush, lambda: file.write(b"y"), file.close):
        file.write(b"x")
        file.flush_later()
        with pytest.raises(OSError, match="No space left"):
            later()
    other = OpenFile(os.open("/dev/full", os.O_WRONLY), claim=lambda size: size)
    other.write(b"x")
    with pytest.raises(OSError, match="No space left"):
        other.close()


def test_a_state_writes_no_more_than_may_be_output(lus, tmp_path):
    script = lus(
        f'local f = io.open("{tmp_path}/file", "w") f:write(("x"):rep(10000)) f:close()', held=(f"fs={tmp_path}",)
    )
    script.port.output_left = 5000
    script.step()
    assert script.port.output_left == 0
    assert (tmp_path / "file").stat().st_size == 5000 - 1024


@pytest.mark.parametrize(("held", "mode", "allowed"), [
    ("fs:read", "r", True), ("fs:read", "w", False), ("fs:read", "r+", False), ("fs:read", "a", False),
    ("fs:write", "w", True), ("fs:write", "a", True), ("fs:write", "r", False), ("fs:write", "r+", False),
    ("fs:write", "w+", False), ("fs:write", "a+", False), ("fs", "r+", True), ("fs", "w+", True), ("fs", "a+", True),
])  # fmt: skip
def test_reading_and_writing_are_two_rights(printed, tmp_path, held, mode, allowed):
    path = tmp_path / "file"
    path.write_bytes(b"text")
    source = "print(pcall(io.open, ...))"
    (line,) = printed(source, held=(f"{held}={tmp_path}",), arguments=(os.fsencode(path), mode.encode()))
    assert line.startswith("true\tfile" if allowed else 'false\tpermission "fs:')
    if not allowed:
        assert path.read_bytes() == b"text"


def test_a_read_gives_no_more_than_the_state_may_have_and_one_that_fails_leaves_nothing_behind(lus, tmp_path):
    """What is read lies in the host's memory first; without a bound, small states with large files would fill it."""
    script = lus(
        """
        local f = io.open(..., "w+") f:seek("set", 2^30) f:write("x") f:seek("set")
        for _, what in ipairs{"a", "l", 2^30} do print(f:read(what)) end
        print(f:seek(), #f:read(1000), f:seek())""",
        held=(f"fs={tmp_path}",),
        arguments=(os.fsencode(tmp_path / "file"),),
        limits={"memory": 1 << 20},
    )
    assert script.end() == Returned()
    assert script.port.lines == [*["nil\tMore than 1048576 bytes in one read\t27"] * 3, "0\t1000\t1000"]


def test_what_a_failed_read_had_taken_is_not_held(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(300_000))
    file = OpenFile(os.open(path, os.O_RDONLY), most=100_000)
    with pytest.raises(OSError, match="More than 100000 bytes"):
        file.read(b"a")
    assert file._reader.buffered == 0
    assert [len(file.read(b"b", 90_000)), file.close()] == [90_000, None]
