"""A host goes on working behind its wall: Lua on all threads, messages, slices, files, and luspool's own errors."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

WORKER = """
local first = worker.peek()
local sum = 0
for i = 1, 2000000 do sum = sum + i % 7 end  -- longer than a slice
while true do
  local n = worker.peek()
  if n == "stop" then break end
  worker.message({ n + first, list = { n } })
end
"""
PROGRAM = """
local workers = {}
for i = 1, 6 do
  workers[i] = worker.create("worker.lus")
  worker.send(workers[i], i)
end
local sum = 0
for n = 1, 50 do
  for _, w in ipairs(workers) do worker.send(w, n) end
  for _, w in ipairs(workers) do
    local answer = worker.receive(w)
    sum = sum + answer[1] + answer.list[1]
  end
end
for _, w in ipairs(workers) do worker.send(w, "stop") end
print(sum)
for line in io.lines("data") do print(line) end
local file = io.open("data")
print(file:read("l", "l", "n"), file:seek("set"))
file:close()
print(require("module").answer, load("return 1 + 1")(), loadfile("module.lus")().answer, os.getenv("NAME"))
print(os.date("%Y %Z", 0), os.time({ year = 2000, month = 7, day = 1, hour = 0 }), os.clock() >= 0)
print(("%5.2f"):format(1.5), ("abc"):rep(2), utf8.char(228), math.type(3), select("#", table.unpack({ 1, 2 })))
print(pcall(error, "caught"), select(2, pcall(string.rep)))
print((select(2, pcall(io.open, "/etc/passwd")):match('^permission "fs:read" denied')))
print(io.open("missing"))
print(pcall(require, "missing"))
local co = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)
print(co(), co(), co())
error("the end")
"""
SET_UP = """
    import os
    import inside
    from luspool.scheduler.faults import described
    from luspool.sandbox.wall import Mode, Wall, prepare

    os.chdir({folder!r})
    rights = inside.pledges("load", "env", "fs:read=" + os.getcwd())
    lua = inside.Lua(os.getcwd())
    prepare()
    inside.become({user})
    Wall.around(rights).put_up(Mode({mode!r}))
    imports = inside.ImportRecorder()
"""
RUN = """
    output, failures = lua.run({program!r}, rights)
    print(output, end="")
    print(*failures)
    # What luspool does when it fails itself, on any thread.
    for code in ("undefined", "os.undefined", "1 / 0", "compile('a b', 'x', 'exec')"):
        try:
            eval(code)
        except Exception as error:
            described(error)
    lua.run_broken()
    lua.shutdown()
    print("imported:", imports.names)
"""


@pytest.fixture
def files(folder):
    for name, text in {
        "worker.lus": WORKER,
        "module.lus": "return { answer = 42 }",
        "data": "one\ntwo\n3.5\n",
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def code(folder, mode="strict", user=None):
    return SET_UP.format(folder=str(folder), mode=mode, user=user) + RUN.format(program=PROGRAM)


by_signal = pytest.mark.skipif(
    find_spec("luspool.sandbox._preempt") is None, reason="2026-11: the native module was not compiled here"
)


@pytest.mark.parametrize("mechanism", [pytest.param("signal", marks=by_signal), "hook"])
def test_a_program_of_seven_states_on_two_threads_does_the_same_as_without_a_wall(python, files, mechanism):
    # A zone of which nothing is known without its file.
    environment = {"LUSPOOL_PREEMPTION": mechanism, "TZ": "America/New_York"}
    with_wall = python(code(files), environment)
    assert with_wall.startswith("16350\none\ntwo\n3.5\n")
    assert "error: main.lus:30: the end" in with_wall
    assert "imported: []" in with_wall
    assert with_wall == python(code(files, mode="off"), environment)


@by_signal
def test_limits_end_states_in_their_steps(python, files):
    rest = """
    from luspool.scheduler.limits import Limits, StateLimits
    for source, limits in (
        ("while true do end", StateLimits(cpu=50_000_000)),
        ("local t = {} while true do t[#t + 1] = ('x'):rep(1000) end", StateLimits(memory=8 << 20)),
    ):
        output, failures = lua.run(source, rights, Limits(limits))
        print(failures[0].split(":")[0])
    lua.shutdown()
    """
    environment = {"LUSPOOL_PREEMPTION": "signal"}
    assert python(SET_UP.format(folder=str(files), mode="strict", user=None) + rest, environment) == "cpu\nmemory\n"


def test_an_ordinary_user_reads_by_descriptor_what_the_ceiling_names(python, files):
    output = python(code(files, user=65534))
    assert output.startswith("16350\none\ntwo\n3.5\n")
    assert "imported: []" in output


def test_what_the_ceiling_lets_be_written_can_be_changed_and_nothing_else(python, folder):
    assert (
        python(f"""
        import os
        from luspool.sandbox.wall import Mode, Wall, prepare

        os.chdir({str(folder)!r})
        for name in ("in", "out", "file"):
            os.mkdir(name) if name != "file" else open(name, "w").close()

        def outcome(action, *arguments):
            try:
                action(*arguments)
                return "done"
            except PermissionError:
                return "refused"

        def write(path):
            with open(path, "w") as file:
                file.write("text")

        prepare()
        Wall(readable=(os.getcwd(),), writable=(os.path.abspath("in"), os.path.abspath("file"))).put_up(Mode.STRICT)
        print(outcome(write, "in/new"), outcome(write, "file"), outcome(os.mkdir, "in/folder"))
        print(outcome(os.rename, "in/new", "in/folder/moved"), outcome(os.truncate, "in/folder/moved", 1))
        print(outcome(os.unlink, "in/folder/moved"), outcome(os.rmdir, "in/folder"))
        print(outcome(write, "out/new"), outcome(os.mkdir, "out/folder"), outcome(os.unlink, "file"))
        print(outcome(os.symlink, "/", "in/link"), os.listdir("in"), outcome(os.symlink, "/", "out/link"))
        print(outcome(os.mknod, "in/file"), outcome(os.mkfifo, "in/pipe"), outcome(os.chmod, "file", 0o777))
        print(outcome(os.link, "file", "in/name"), outcome(os.chown, "file", 1, 1))
        """)
        == "done done done\ndone refused\ndone done\nrefused refused refused\ndone ['link'] refused\n"
        "refused refused refused\nrefused refused\n"
    )


def test_root_opens_the_files_of_others_that_the_ceiling_names(python, folder):
    (folder / "private").write_text("text", encoding="utf-8")
    (folder / "private").chmod(0)
    assert python(f"""
        from luspool.sandbox.wall import Mode, Wall
        import os
        Wall(readable=({str(folder)!r},)).put_up(Mode.STRICT)
        try:
            print(open({str(folder / "private")!r}).read())
        except PermissionError:
            print("refused")
        """) == ("text\n" if os.geteuid() == 0 else "refused\n")
