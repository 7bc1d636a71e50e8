"""fs that removes and makes; and which pledge each function of fs asks for."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from unittest.mock import patch

import pytest

from luspool.sandbox.rights import Rights

from . import fs_scene

run, tree = fs_scene.run, fs_scene.tree  # fixtures

# remove -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("remove", ["fs.remove", "os.remove"])
def test_files_links_and_empty_directories_are_removed(run, tree, remove):
    (tree / "empty").mkdir()
    lines = run(f"""
        for _, name in ipairs{{"a.txt", "folder", "dangling", "empty/"}} do assert({remove}(root .. "/" .. name)) end
        print(list(root)) print({remove}(root .. "/sub")) print({remove}(root .. "/none"))
        print({remove}(root .. "/b.txt/"))
        print({remove}(root .. "/sub/.")) print({remove}("/")) print({remove}("")) print({remove}(root .. "/link/"))""")
    assert lines == [
        ".hidden b.txt link sub",
        "nil\t/sub: Directory not empty\t39",
        "nil\t/none: No such file or directory\t2",
        "nil\t/b.txt/: Not a directory\t20",
        "nil\t/sub/.: Invalid argument\t22",
        "nil\t/: Invalid argument\t22",
        "nil\t: No such file or directory\t2",
        "nil\t/link/: Not a directory\t20",
    ]
    assert (tree / "sub/c.txt").exists()


def test_a_tree_is_removed_with_its_links_and_not_with_what_they_lead_to(run, tree):
    (tree / "sub/deep/file").symlink_to(tree / "a.txt")
    (tree / "sub/deep/directory").symlink_to(tree / "other")
    (tree / "sub/self").symlink_to(".")
    (tree / "sub/above").symlink_to("..")
    (tree / "other").mkdir()
    (tree / "other/file").touch()
    assert run("print(fs.remove(root .. '/sub', true), list(root))") == [
        "true\t.hidden a.txt b.txt dangling folder link other"
    ]
    assert (tree / "other/file").exists()


def test_a_link_to_a_tree_is_removed_alone(run, tree):
    assert run("print(fs.remove(root .. '/folder', true), fs.remove(root .. '/a.txt', true))") == ["true\ttrue"]
    assert (tree / "sub/c.txt").exists()


def test_deep_and_wide_trees_take_few_descriptors(run, tmp_path):
    place = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=place)
        os.close(os.open("file", os.O_CREAT, dir_fd=place))
        below = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    os.close(place)
    for index in range(2500):
        (tmp_path / f"d/{index}").touch()
    before = len(os.listdir("/proc/self/fd"))
    assert run("print(fs.remove(root .. '/d', true))") == ["true"]
    assert not (tmp_path / "d").exists()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_state_that_is_to_end_removes_no_further(lus, tree):
    script = lus(f"fs.remove('{tree}/sub', true)", held=(f"fs={tree}",))
    decide = Rights.decide_about

    def stop_then(self, *arguments):  # the state is stopped once it has removed something
        decide(self, *arguments)
        script.state._door.stop.requested = True

    with patch.object(Rights, "decide_about", stop_then):
        script.step()
    assert (tree / "sub").exists()


# directories and links --------------------------------------------------------------------------------------------


def test_directories_are_made_with_those_above_them_if_asked_for(run, tree):
    lines = run("""
        local make = fs.createdirectory
        print(make(root .. "/x"), make(root .. "/x/y/")) print(make(root .. "/x")) print(make(root .. "/n/o"))
        print(make(root .. "/n//o/./p/", true), make(root .. "/n/o/p", true), make(root .. "/folder/in", true))
        print(make(root .. "/m/../l", true)) print(make(root .. "/a.txt", true)) print(make(root .. "/a.txt/x", true))
        print(make(root .. "/dangling", true), make("", true))
        print(make(root .. "/.", true), make(root .. "/.")) print(make(""))""")
    assert lines == [
        "true\ttrue",
        "nil\t/x: File exists\t17",
        "nil\t/n/o: No such file or directory\t2",
        "true\ttrue\ttrue",
        "true",
        "nil\t/a.txt: Not a directory\t20",
        "nil\t/a.txt/x: Not a directory\t20",
        "true\tnil\t: No such file or directory\t2",
        "true\tnil\t/.: Invalid argument\t22",
        "nil\t: No such file or directory\t2",
    ]
    assert (tree / "n/o/p").is_dir()
    assert (tree / "sub/in").is_dir()
    assert (tree / "none").is_dir()


def test_directories_above_the_grant_are_not_made(run, tmp_path):
    lines = run("print(pcall(fs.createdirectory, root .. '/a/b/c', true))", "fs={}/a/b")
    assert "permission \"fs:write\" denied for '/a'" in lines[0]
    assert not (tmp_path / "a").exists()


def test_a_link_holds_the_real_path_of_its_target(run, tree):
    lines = run(
        """
        print(fs.createlink(root .. "/folder/../a.txt", root .. "/new"), fs.follow(root .. "/new"))
        print(fs.createlink(root .. "/folder/none", root .. "/far"), fs.follow(root .. "/far"))
        print(fs.createlink(root, root .. "/a.txt")) print(fs.createlink("", root .. "/x"))
        print(fs.createlink(root .. "/a.txt", root .. "/none/x"))""",
        "fs={}",
        "fs=/",
    )
    assert lines[:3] == ["true\t/a.txt", "true\t/sub/none", "nil\t/a.txt: File exists\t17"]
    assert lines[4] == "nil\t/none/x: No such file or directory\t2"


@pytest.mark.parametrize(
    "target", ["/etc/passwd", "{}/closed/x", "{}/open/../closed", "{}/open/out", "..", "/proc/self/fd/0"]
)
def test_a_link_leads_only_where_the_script_may_write(run, tmp_path, target):
    (tmp_path / "open").mkdir()
    (tmp_path / "open/out").symlink_to(tmp_path / "closed")
    lines = run(
        f"print(pcall(fs.createlink, '{target.format(tmp_path)}', root .. '/open/link'))", "fs={}/open", "fs:read"
    )
    assert 'permission "fs:write" denied' in lines[0]
    assert not (tmp_path / "open/link").is_symlink()


def test_everything_that_is_made_counts_as_output(lus, tmp_path):
    source = f"""
        local root = '{tmp_path}'
        io.open(root .. "/a", "w") fs.createdirectory(root .. "/b") fs.createdirectory(root .. "/c/d", true)
        fs.createlink(root, root .. "/l") fs.copy(root .. "/a", root .. "/e") io.open(root .. "/a", "w")
        io.open(root .. "/a", "a") fs.createdirectory(root .. "/c/d", true) fs.createdirectory(root .. "/b")"""
    script = lus(source, held=(f"fs={tmp_path}",))
    before = script.port.output_left
    script.end()
    assert before - script.port.output_left == 6 * 1024


def test_temporary_names_are_files_of_their_own(printed):
    names = printed("print(os.tmpname()) print(os.tmpname()) print(pcall(os.rename, 'x'))", held=("fs:write=/tmp",))[:2]
    try:
        assert names[0] != names[1]
        assert all(Path(name).name.startswith("lua_") and os.stat(name).st_size == 0 for name in names)
        assert all(stat.S_IMODE(os.stat(name).st_mode) == 0o600 for name in names)
    finally:
        for name in names:
            os.unlink(name)


# pledges ----------------------------------------------------------------------------------------------------------

ASKS = {
    "fs.list(root)": "read", "fs.type(root .. '/a.txt')": "read", "fs.follow(root .. '/link')": "read",
    "fs.copy(root .. '/a.txt', root .. '/new')": "both", "fs.move(root .. '/a.txt', root .. '/new')": "both",
    "fs.remove(root .. '/a.txt')": "write", "fs.remove(root .. '/sub', true)": "write",
    "fs.createdirectory(root .. '/new')": "write", "fs.createdirectory(root .. '/x/y', true)": "write",
    "fs.createlink(root .. '/a.txt', root .. '/new')": "write", "os.remove(root .. '/a.txt')": "write",
    "os.rename(root .. '/a.txt', root .. '/new')": "both",
}  # fmt: skip


@pytest.mark.parametrize("call", ASKS)
@pytest.mark.parametrize("held", ["read", "write", "both", "env"])
def test_each_function_asks_for_its_pledge(run, tree, call, held):
    asks = ASKS[call]
    before = sorted(os.walk(tree))
    pledge = {"both": "fs={}", "env": "env"}.get(held, f"fs:{held}={{}}")
    (line,) = run(f"print(pcall(function() return {call} end))", pledge)
    if held in (asks, "both"):
        assert line.startswith("true\t"), line
        assert "nil" not in line
    else:
        assert f'false\tpermission "fs:{"read" if asks != "write" and held != "read" else "write"}" denied' in line
        assert sorted(os.walk(tree)) == before


@pytest.mark.parametrize("call", ["list", "type", "follow", "copy", "move", "remove", "createdirectory", "createlink"])
def test_wrong_arguments_are_said_as_lua_says_them(run, tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)  # where 1 is a name like any other
    source = (
        f"for _, v in ipairs{{{{}}, true, print}} do print(pcall(function() fs.{call}(v, v) end)) end fs.{call}(1, 1)"
    )
    lines = run(f"print(pcall(function() fs.{call}() end)) " + source, "fs={}", "fs")
    what = f"main.lus:1: bad argument #1 to '{call}' (string expected, got"
    assert lines == [f"false\t{what} {kind})" for kind in ("nil", "table", "boolean", "function")]


@pytest.mark.parametrize("call", ["list", "type", "follow", "copy", "move", "remove", "createdirectory", "createlink"])
def test_odd_paths_are_errors(run, call):
    lines = run(
        f"for _, p in ipairs{{'a\\0b', ('x'):rep(5000), ('x/'):rep(1e6)}} do print(select(3, fs.{call}(p, p))) end",
        "fs",
    )
    assert lines == ["22", "36", "36"]
