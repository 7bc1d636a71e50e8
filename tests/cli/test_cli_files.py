"""Files are written behind the whole wall, by hosts of a real program; what is not granted stays as it is."""

from __future__ import annotations

import os

import pytest

MAIN = """
local out = "out/"
assert(fs.createdirectory(out .. "a/b", true))
local file = assert(io.open(out .. "a/file", "w+"))
file:setvbuf("full")
for i = 1, 1000 do file:write(i, "\\n") end
file:seek("set")
print(#file:read("a"), file:close())
for _, mode in ipairs{"a", "r+", "w"} do local f = assert(io.open(out .. "a/file", mode)) f:write(mode) f:close() end
assert(fs.copy(out .. "a/file", out .. "copy"))
assert(fs.move(out .. "copy", out .. "a/b/moved"))
assert(fs.createlink(out .. "a/b/moved", out .. "link"))
print(fs.follow(out .. "link"):match("[^/]*$"), fs.type(out .. "link"))
print(io.open(out .. "link"):read("a"), table.concat(fs.list(out), " "))
local p = worker.create("worker.lus", out)
print(worker.receive(p), io.open(out .. "worker"):read("a"))
assert(fs.remove(out .. "a", true))
print(table.concat(fs.list(out), " "), catch io.open("closed", "w"))
local left = io.open(out .. "left", "w")
left:write("to the end")
"""
WORKER = "local f = io.open(... .. 'worker', 'w') f:write('by a worker') f:close() worker.message('done')"


@pytest.mark.parametrize("hosts", ["1", "2"])
@pytest.mark.parametrize("wall", ["strict", "off"])
def test_a_program_changes_what_it_may(luspool, wall, hosts):
    luspool.write(main=MAIN, worker=WORKER)
    (luspool.directory / "out").mkdir()
    (luspool.directory / "closed").write_text("closed")
    pledges = ("-P", "fs=out", "-P", "load", "-P", "fs:read=worker.lus")
    done = luspool("run", "--wall", wall, "--hosts", hosts, "--placement", "spread", *pledges, "main.lus")
    place = luspool.directory
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "3893\ttrue",
        "moved\tfile\ttrue",
        "w\ta link",
        "done\tby a worker",
        f"link worker\tfalse\tpermission \"fs:write\" denied for '{place}/closed' in main.lus at main.lus:18: "
        f"no pledge grants it (grant it with -P fs:write={place}/closed)",
    ]
    assert (place / "out/left").read_text() == "to the end"
    assert (place / "out/worker").read_text() == "by a worker"
    assert (place / "closed").read_text() == "closed"


def test_the_wall_needs_no_reading_right_to_remove_a_tree(luspool):
    luspool.write(main="print(fs.createdirectory('out/a/b', true), fs.remove('out/a', true), catch fs.list('out'))")
    (luspool.directory / "out").mkdir()
    done = luspool("run", "--wall", "strict", "-P", "fs:write=out", "main.lus")
    assert done.stdout.startswith('true\ttrue\tfalse\tpermission "fs:read" denied')
    assert os.listdir(luspool.directory / "out") == []


@pytest.mark.parametrize("wall", ["strict", "off"])
def test_what_is_granted_need_not_be_there_yet(luspool, wall):
    luspool.write(
        main="""
        local function write(path)
          local f, problem = io.open(path, "w")
          return f and f:write("x") and f:close() or problem
        end
        print(write("file"), write("new/x"), fs.createdirectory("new"), write("new/x"), io.open("new/x"):read("a"))
        print(fs.remove("new", true), fs.remove("file"), fs.createdirectory("new"), catch write("other"))"""
    )
    done = luspool("run", "--wall", wall, "-P", "fs:write=file", "-P", "fs=new", "main.lus")
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    assert first == "true\tnew/x: No such file or directory\ttrue\ttrue\tx"
    assert second.startswith('true\ttrue\ttrue\tfalse\tpermission "fs:write" denied')


@pytest.mark.parametrize("hosts", ["1", "2"])
def test_what_is_written_to_files_counts_as_output(luspool, hosts):
    luspool.write(main="local f = io.open('out', 'w') for i = 1, 100 do f:write(('x'):rep(1000)) end print('never')")
    (luspool.directory / "out").touch()
    done = luspool("run", "--output", "50000", "--hosts", hosts, "-P", "fs:write=out", "main.lus")
    assert (done.stdout, done.returncode) == ("", 123)
    assert "output limit exceeded: more than 48.83 KiB of output" in done.stderr
    assert (luspool.directory / "out").stat().st_size <= 50_000


def test_a_cancelled_worker_leaves_what_it_had_written_when_it_waited(luspool):
    luspool.write(main="local p = worker.create('w.lus') print(worker.receive(p)) worker.cancel(p)",
                  w="local f = io.open('out', 'w') f:write('text') worker.message(1) worker.peek()")  # fmt: skip
    (luspool.directory / "out").touch()
    done = luspool("run", "-P", "load", "-P", "fs:read=w.lus", "-P", "fs:write=out", "main.lus")
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr
    assert (luspool.directory / "out").read_text() == "text"
