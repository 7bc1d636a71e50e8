"""The file system changes under a script: files are swapped, directories renamed, rights given up."""

import os
import subprocess
import sys

import pytest

from luspool.sandbox import codec

from .paths_scene import DENIED, INSIDE, READ, WAYS, Scene, verdict

SWAPS = 10_000

SWAPPER = """
import os, sys
os.chdir(sys.argv[1])
def link(target, name):
    os.symlink(target, "new")
    os.rename("new", name)
def swap_last(turn):
    link(("file", "../closed/file")[turn % 2], "open/x")
def swap_middle(turn):
    link(("sub", "../closed/sub")[turn % 2], "open/d")
def move_directory(turn):
    a, b = ("open/place", "closed/place")
    os.rename(*((a, b), (b, a))[turn % 2])
def replace(turn):
    with open("new", "w") as file:
        file.write("return 'inside'")
    os.rename("new", "open/file")
for turn in range(int(sys.argv[3])):
    globals()[sys.argv[2]](turn)
open("done", "w").close()
"""

READER = """
local path, done = ...
local seen = {{}}
repeat
  package.loaded.m = nil
  local ok, got = pcall(function() {} end)
  seen[tostring(got)] = true
until io.open(done)
for text in pairs(seen) do print(text) end
"""
"""Reads over and over, until the other process is done."""


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


def race(scene, how, way, path, swaps=SWAPS):
    """What a script gets at `path` while another process changes where it leads."""
    command = [sys.executable, "-I", "-S", "-c", SWAPPER, str(scene.root), how, str(swaps)]
    held = (f"fs:read={scene.root}/open", f"fs:read={scene.root}/done", "load")
    with subprocess.Popen(command) as swapper:
        port = scene.run(READER.format(WAYS[way]), f"{scene.root}/{path}", f"{scene.root}/done", held=held)
    assert swapper.returncode == 0
    texts = port.output.splitlines()
    texts += [os.fsdecode(program.source or program.problem.encode()) for program in port.children.values()]
    return {verdict(text) for text in texts if text != "created"}


@pytest.mark.parametrize("way", ["io.open", "loadfile"])
@pytest.mark.parametrize(
    ("how", "path"), [("swap_last", "open/x"), ("swap_middle", "open/d/file"), ("move_directory", "open/place/file")]
)
def test_what_lies_outside_never_appears_however_often_the_way_there_changes(scene, how, way, path):
    scene.link("open/x", "file")
    scene.link("open/d", "sub")
    (scene.root / "open/place").mkdir()
    scene.write("open/place/file")
    got = race(scene, how, way, path)
    assert READ in got
    assert {text for text in got if not text.endswith("No such file or directory")} <= {READ, DENIED}


def test_a_file_that_is_replaced_all_the_time_is_there_all_the_time(scene):
    assert race(scene, "replace", "io.open", "open/file", 2000) == {READ}


def test_no_worker_comes_from_elsewhere(scene):
    scene.link("open/x", "file")
    race(scene, "swap_last", "worker.create", "open/x", 1000)


def test_a_relative_path_begins_where_the_working_directory_is_now(scene, monkeypatch):
    here = scene.root / "open/here"
    here.mkdir()
    scene.write("open/here/file")
    monkeypatch.chdir(here)
    assert verdict(scene.attempt("io.open", "file")) == READ
    assert verdict(scene.attempt("io.open", "../sub/../file")) == READ
    here.rename(scene.root / "open/there")
    assert verdict(scene.attempt("io.open", "file")) == READ
    (scene.root / "open/there").rename(scene.root / "closed/there")
    assert verdict(scene.attempt("io.open", "file")) == DENIED
    assert verdict(scene.attempt("io.open", "../../open/file")) == READ
    assert verdict(scene.attempt("io.open", "../file")) == DENIED


@pytest.mark.parametrize("way", WAYS)
def test_beneath_a_working_directory_that_was_removed_there_is_nothing(scene, way, monkeypatch):
    here = scene.root / "open/here"
    here.mkdir()
    monkeypatch.chdir(here)
    here.rmdir()
    for path in ("file", ".", "sub/../file", "../none"):
        assert verdict(scene.attempt(way, path)) not in (READ, DENIED)
    assert verdict(scene.attempt(way, scene.root / "open/file")) == READ
    assert verdict(scene.attempt(way, f"{scene.root}/open/sub/../file")) == READ
    assert verdict(scene.attempt(way, f"{scene.root}/closed/file")) == DENIED


def test_a_right_is_to_what_has_the_name_not_to_what_had_it(scene):
    source = """
        local path = ...
        print(io.open(path):read("a"))
        worker.peek()
        print(pcall(io.open, path))"""
    script = scene.script(source, scene.root / "open/file", is_worker=True)
    script.waits_for()
    (scene.root / "open").rename(scene.root / "moved")
    (scene.root / "closed").rename(scene.root / "open")
    scene.write("open/file", INSIDE)
    script.port.inbox.append(codec.encode(1))
    script.step()
    script.state.close()
    assert script.port.output.startswith(f"{INSIDE}\ntrue\tfile")


# What is given up, and when that counts -------------------------------------------------------------------------------


def printed(scene, source):
    return scene.run(source, f"{scene.root}/open/file").output.replace(str(scene.root), "")


def test_a_file_that_is_open_stays_open_when_its_right_is_given_up(scene):
    scene.write("open/file", "one\ntwo\nthree\n")
    source = """
        local path = ...
        local file, lines = io.open(path), io.lines(path)
        print(file:read(), lines())
        pledge("~fs:read=" .. path)
        print(file:read(), lines())
        print(file:seek("set"), file:read("a"))
        print(pcall(io.open, path))
        file:close()
        print(pcall(io.open, path))"""
    lines = printed(scene, source).splitlines()
    assert lines[:3] == ["one\tone", "two\ttwo", "0\tone"]
    assert lines[3:5] == ["two", "three"]
    assert [verdict(line) for line in lines[6:]] == [DENIED, DENIED]


@pytest.mark.parametrize("narrowing", ["~fs:read=%s", "~fs", "~fs:read"])
def test_what_was_found_or_loaded_before_is_judged_again_when_it_is_read(scene, narrowing):
    source = f"""
        local path = ...
        local found = package.searchpath("m", path)
        local loaded = loadfile(path)
        pledge(("{narrowing}"):format(path))
        print(loaded())
        print(pcall(loadfile, found))
        package.path = path
        print(pcall(require, "m"))
        print(pcall(worker.create, path))"""
    first, *others = printed(scene, source).split("false\t")
    assert first == "inside\n"
    assert len(others) == 3
    assert all(verdict(text) == DENIED for text in others)


def test_a_right_given_up_while_a_path_is_looked_for_is_gone_for_what_follows(scene):
    """A searcher of the script's own runs in the middle of `require`, and so may any metamethod."""
    source = """
        local path = ...
        package.path = path
        table.insert(package.searchers, 2, function() pledge("~fs:read=" .. path) return "narrowed" end)
        print(pcall(require, "m"))"""
    assert verdict(printed(scene, source)) == DENIED


def test_a_worker_has_what_its_creator_held_when_it_was_created(scene):
    source = """
        local path = ...
        worker.create(path)
        pledge("~fs:read=" .. path)
        pcall(worker.create, path)"""
    port = scene.run(source, f"{scene.root}/open/file")
    (program,) = port.children.values()
    assert program.source == INSIDE.encode()
    assert program.pledges.decide("fs:read", f"{scene.root}/open/file").allowed
