"""Paths by which scripts try to change what lies outside of what they may write to: nothing there ever changes."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from .paths_scene import SECRET, Scene, listener

MARK = "changed"
SWAPS = 3000

WAYS = {
    "io.open w": "local f = assert(io.open(path, 'w')) f:write('changed') f:close()",
    "io.open a": "local f = assert(io.open(path, 'a')) f:write('changed') f:close()",
    "io.open r+": "local f = assert(io.open(path, 'r+')) f:write('changed') f:close()",
    "io.open w+": "local f = assert(io.open(path, 'w+')) f:write('changed') f:close()",
    "io.output": "io.output(path) io.write('changed') io.close() io.output(io.stdout)",
    "fs.copy to": "assert(fs.copy(root .. '/open/mark', path))",
    "fs.move to": "fs.copy(root .. '/open/mark', root .. '/open/moving') assert(fs.move(root .. '/open/moving', path))",
    "fs.move directory to": "fs.createdirectory(root .. '/open/m') assert(fs.move(root .. '/open/m', path))",
    "os.rename to": "fs.copy(root .. '/open/mark', root .. '/open/n') assert(os.rename(root .. '/open/n', path))",
    "fs.move from": "assert(fs.move(path, root .. '/open/got'))",
    "os.rename from": "assert(os.rename(path, root .. '/open/got'))",
    "fs.createdirectory": "assert(fs.createdirectory(path))",
    "fs.createdirectory parents": "assert(fs.createdirectory(path, true))",
    "fs.createlink at": "assert(fs.createlink(root .. '/open/mark', path))",
    "fs.createlink to": "fs.remove(root .. '/open/made') assert(fs.createlink(path, root .. '/open/made'))",
    "fs.remove": "assert(fs.remove(path))",
    "fs.remove recursive": "assert(fs.remove(path, true))",
    "os.remove": "assert(os.remove(path))",
}
"""What a script does to `path`."""

PATHS = [
    "{}/closed/file", "{}/closed", "{}/closed/new", "{}/closed/none/new", "{}/closed/sub", "{}/closed/sub/../new",
    "{}/open/../closed/file", "{}/open/../closed/new", "{}/open/sub/../../closed/new", "{}/open/../new", "{}/new",
    "{}/open/..", "{}/open/../", "{}/open/.", "{}", "/", "", ".", "..", "new", "../new",
    "{}/open/out", "{}/open/out/", "{}/open/out_absolute", "{}/open/dangling", "{}/open/dangling/",
    "{}/open/dangling_directory/new", "{}/open/directory", "{}/open/directory/", "{}/open/directory/.",
    "{}/open/directory/file", "{}/open/directory/new", "{}/open/directory/sub", "{}/open/directory/sub/new",
    "{}/open/directory/../closed/new", "{}/open/top/closed/file", "{}/open/top/new", "{}/open/root{}/closed/new",
    "{}/open/chain0", "{}/open/missing_chain0", "{}/open/loop", "{}/open/long_chain0",
    "{}/open/cwd/new", "/proc/self/cwd/new", "/proc/self/root{}/closed/new", "/proc/self/fd/{fd}",
    "/proc/self/fd/{folder}/new", "/proc/self/fd/{folder}", "/dev/fd/{fd}", "/proc/self/mem", "/proc/self/comm",
    "/proc/self/fd/0/../new", "{}/open/nul\0/../../closed/new", "{}/closed/file\0", "{}/open/" + "x" * 256,
    "{}/open/" + "x/" * 3000, "/dev/null", "/dev/full", "/dev/mem", "{}/closed/pipe", "{}/open//..//closed//new",
    "{}/open/\\..\\closed\\new", "{}/open/%2e%2e/closed", "{}/open/...", "{}/openly", "{}/openly/new", "{}/opened",
    "{}/open", "{}/open/",  # what was granted itself: last, since it may be removed
]  # fmt: skip


@pytest.fixture
def scene(tmp_path):
    made = Scene(tmp_path)
    made.write("open/mark", MARK)
    (tmp_path / "openly").mkdir()
    os.mkfifo(tmp_path / "closed/pipe")
    made.link("open/out", "../closed/file")
    made.link("open/out_absolute", "{}/closed/file")
    made.link("open/dangling", "{}/closed/new")
    made.link("open/dangling_directory", "{}/closed/none")
    made.link("open/directory", "../closed")
    made.link("open/top", "..")
    made.link("open/root", "/")
    made.link("open/cwd", "/proc/self/cwd")
    made.link("open/loop", "loop")
    made.chain("open/chain", 5, "../closed/file")
    made.chain("open/missing_chain", 39, "../closed/new")
    made.chain("open/long_chain", 41, "../closed/new")
    return made


def everything(root, but=()):
    """All that is outside of what may be written to: names, kinds, modes, content."""
    found = {}
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if os.path.join(folder, name) not in but]
        for name in [".", *files, *folders]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            content = Path(path).read_bytes() if stat.S_ISREG(status.st_mode) else None
            found[path] = (status.st_mode, content)
    return found


def attempt_all(scene, way, paths, held=None):
    """Try all paths in one state; what came of each."""
    source = f"""
        root = ...
        for _, path in ipairs{{select(2, ...)}} do
          local ok, problem = pcall(function() {WAYS[way]} end)
          print(ok and "done" or (tostring(problem):gsub("\\n", " ")))
        end"""
    held = held or (f"fs:write={scene.root}/open", f"fs:read={scene.root}", "fs:read=/proc", "fs:read=/dev")
    return scene.run(source, scene.root, *paths, held=held).output.splitlines()


@pytest.mark.parametrize("way", WAYS)
def test_nothing_outside_changes_whatever_the_path(scene, way, monkeypatch):
    monkeypatch.chdir(scene.root / "closed/sub")
    file, folder = os.open(scene.root / "closed/file", os.O_RDWR), os.open(scene.root / "closed", os.O_RDONLY)
    try:
        before = everything(scene.root, but={f"{scene.root}/open"})
        paths = [
            path.replace("{fd}", str(file)).replace("{folder}", str(folder)).replace("{}", str(scene.root))
            for path in PATHS
        ]
        outcomes = attempt_all(scene, way, paths)
    finally:
        os.close(file)
        os.close(folder)
    assert len(outcomes) == len(PATHS)
    assert not any("internal error" in one for one in outcomes)
    assert everything(scene.root, but={f"{scene.root}/open"}) == before


GOOD = ["{}/open/file", "{}/open/in", "{}/open/sub/../file", "{}/closed/back", "{}/open/top/open/file"]


@pytest.mark.parametrize("way", ["io.open w", "io.open a", "io.open r+", "fs.copy to", "io.output"])
def test_every_way_to_what_may_be_written_to_is_one(scene, way):
    scene.link("open/in", "{}/open/file")
    scene.link("closed/back", "../open/file")
    paths = [path.replace("{}", str(scene.root)) for path in GOOD]
    assert attempt_all(scene, way, paths) == ["done"] * len(GOOD)
    assert MARK in (scene.root / "open/file").read_text()


@pytest.mark.parametrize("way", ["io.open w", "io.open a", "io.open w+", "fs.copy to"])
def test_a_link_that_leads_nowhere_makes_a_file_where_it_leads(scene, way):
    scene.link("open/new_link", "sub/new")
    scene.chain("open/good_chain", 38, "new_link")
    assert attempt_all(scene, way, [f"{scene.root}/open/good_chain0"]) == ["done"]
    assert (scene.root / "open/sub/new").read_text() == MARK


@pytest.mark.parametrize("way", ["io.open w", "io.open a", "io.open r+", "io.open w+", "fs.copy to"])
def test_only_regular_files_are_written_to_and_nothing_waits(scene, way):
    os.mkfifo(scene.root / "open/pipe")
    with listener(scene.root / "open/socket"):
        paths = [f"{scene.root}/open/pipe", f"{scene.root}/open/socket", "/dev/null", "/dev/zero", "/proc/self/comm"]
        outcomes = attempt_all(scene, way, paths, ("fs",))
    assert all("Not a regular file" in one for one in outcomes)


def test_all_names_of_a_file_are_equal(scene):
    """A hard link inside of what may be written to is inside; scripts can't make one."""
    os.link(scene.root / "closed/file", scene.root / "open/hard")
    assert attempt_all(scene, "io.open w", [f"{scene.root}/open/hard"]) == ["done"]
    assert (scene.root / "closed/file").read_text() == MARK


@pytest.mark.parametrize("way", WAYS)
def test_where_a_script_may_not_write_nothing_tells_what_is_there(scene, way):
    """The same for what is there and what is not, but for what is said of the path itself."""
    held = (f"fs={scene.root}/open",)
    there = attempt_all(
        scene, way, [f"{scene.root}/closed/{name}" for name in ("file", "sub", "sub/x", "file/x")], held
    )
    missing = attempt_all(
        scene, way, [f"{scene.root}/closed/{name}" for name in ("gone", "gone", "gone/x", "gone/x")], held
    )
    assert all("denied" in one for one in there + missing)


# races ------------------------------------------------------------------------------------------------------------

SWAPPER = """
import contextlib, os, shutil, sys
os.chdir(sys.argv[1])
def link(target, name):
    os.symlink(target, "link")
    os.rename("link", name)
def swap_last(turn):
    link(("file", "../closed/file")[turn % 2], "open/x")
def swap_missing(turn):
    link(("gone", "../closed/gone")[turn % 2], "open/x")
    if turn % 4 == 1 and os.path.lexists("open/gone"):
        os.unlink("open/gone")
def swap_middle(turn):
    link(("sub", "../closed/sub")[turn % 2], "open/d")
def swap_directory(turn):
    # open/d is a directory by turns, and a link out
    if turn % 2 == 0:
        os.rename("open/d", "hold")
        link("../closed/sub", "open/d")
    else:
        os.unlink("open/d")
        os.rename("hold", "open/d")
def swap_inner(turn):
    with contextlib.suppress(OSError):  # what is swapped is removed and made again meanwhile
        if turn % 2:
            os.rename("open/t/d", "hold")
            os.symlink("../../closed/sub", "open/t/d")
        else:
            os.unlink("open/t/d")
            os.rename("hold", "open/t/d")
def move_out(turn):
    # What is there only while the directory is outside must still be there after a while.
    try:
        os.rename("open/t/d", "closed/d")
    except OSError:
        return
    name = f"closed/d/only{turn}"
    os.close(os.open(name, os.O_CREAT | os.O_EXCL))
    for _ in range(20):
        os.stat(name)
    os.unlink(name)
    try:
        os.rename("closed/d", "open/t/d")
    except OSError:
        shutil.rmtree("closed/d")
try:
    for turn in range(int(sys.argv[3])):
        globals()[sys.argv[2]](turn)
finally:
    open("done", "w").close()
"""

ACTIONS = {
    "io.open w": "local f = assert(io.open(path .. last, 'w')) f:write('changed') f:close()",
    "io.open a": "local f = assert(io.open(path .. last, 'a')) f:write('changed') f:close()",
    "io.open r+": "local f = assert(io.open(path .. last, 'r+')) f:write('changed') f:close()",
    "fs.copy to": "assert(fs.copy(root .. '/open/mark', path .. last))",
    "fs.move to": "fs.copy(root .. '/open/mark', root .. '/open/m') assert(fs.move(root .. '/open/m', path .. last))",
    "fs.createdirectory": "assert(fs.createdirectory(path .. '/n')) fs.remove(path .. '/n')",
    "fs.createlink": "assert(fs.createlink(root .. '/open/mark', path .. '/n')) fs.remove(path .. '/n')",
    "fs.remove": "assert(fs.remove(path .. last))",
}
TREE = """
    fs.createdirectory(root .. "/open/t/d/e", true)
    for i = 1, 3 do for _, place in ipairs{"/open/t/", "/open/t/d/", "/open/t/d/e/"} do
      local file = io.open(root .. place .. i, "w")
      if file then file:close() end
    end end
    assert(fs.remove(root .. "/open/t", true))"""
WRITER = """
root, path, last = ...
local seen = {{}}
repeat
  local ok, problem = pcall(function() {} end)
  seen[ok and "done" or tostring(problem)] = true
until io.open(root .. "/done")
for text in pairs(seen) do print((text:gsub("\\n", " "))) end
"""


def race(scene, how, action, path="open", last=""):
    """What came of an action that is done over and over while another process changes where the path leads."""
    command = [sys.executable, "-I", "-S", "-c", SWAPPER, str(scene.root), how, str(SWAPS)]
    held = (f"fs={scene.root}/open", f"fs:read={scene.root}/done")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as swapper:
        port = scene.run(WRITER.format(action), scene.root, f"{scene.root}/{path}", last, held=held)
        problem = swapper.stderr.read()
    assert (swapper.returncode, problem) == (0, "")
    assert "internal error" not in port.output
    return port.output.splitlines()


def unchanged(scene):
    assert (scene.root / "closed/file").read_text() == SECRET
    assert (scene.root / "closed/sub/file").read_text() == SECRET
    assert sorted(os.listdir(scene.root / "closed")) == ["file", "pipe", "sub"]
    assert os.listdir(scene.root / "closed/sub") == ["file"]


@pytest.mark.parametrize("action", ["io.open w", "io.open a", "io.open r+", "fs.copy to"])
@pytest.mark.parametrize("how", ["swap_last", "swap_missing"])
def test_a_link_that_changes_lets_nothing_be_written_outside(scene, how, action):
    scene.link("open/x", "file")
    assert "done" in race(scene, how, ACTIONS[action], "open/x")
    unchanged(scene)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("how", ["swap_middle", "swap_directory"])
def test_a_directory_that_changes_lets_nothing_be_changed_outside(scene, how, action):
    if how == "swap_middle":
        scene.link("open/d", "sub")
    else:
        (scene.root / "open/d").mkdir()
        scene.write("open/d/file")
    assert "done" in race(scene, how, ACTIONS[action], "open/d", "/file")
    unchanged(scene)


@pytest.mark.parametrize("how", ["swap_inner", "move_out"])
def test_a_tree_that_changes_while_it_is_removed_is_not_left(scene, how):
    assert "done" in race(scene, how, TREE)
    shutil.rmtree(scene.root / "closed/d", ignore_errors=True)
    unchanged(scene)
