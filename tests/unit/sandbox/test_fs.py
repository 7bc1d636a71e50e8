"""fs that looks, copies and moves: what each function does to real files, and what it says where it can't."""

from __future__ import annotations

import os
import socket
import stat
from unittest.mock import patch

import pytest

from luspool.sandbox.rights import Rights

from . import fs_scene

run, tree = fs_scene.run, fs_scene.tree  # fixtures

# list -------------------------------------------------------------------------------------------------------------


def test_names_are_listed_in_order_of_their_bytes(run, tmp_path):
    for name in ("b", "a", "B", "10", "9", "é", ".x"):
        (tmp_path / name).touch()
    assert run("print(list(root))") == [".x 10 9 B a b é"]
    assert run("fs.createdirectory(root .. '/empty') print(#fs.list(root .. '/empty'))") == ["0"]


def test_a_state_that_is_to_end_looks_at_no_more_names(lus, tree):
    script = lus(f"fs.list('{tree}')", held=(f"fs:read={tree}", f"~fs={tree}/none"))
    allows, asked = Rights.allows, []

    def stop_then(self, *arguments):
        asked.append(arguments)
        script.state._door.stop.requested = True
        return allows(self, *arguments)

    with patch.object(Rights, "allows", stop_then):
        script.step()
    assert len(asked) == 1


GLOBS = {
    "*": True, "**": True, "a*": True, "*.txt": True, "?.txt": True, "a.txt": True, "*a*x*": True, "a.*t": True,
    "?????": True, "*?": True, r"a\.txt": True, "": False, "a": False, "?": False, "??????": False, "b*": False,
    "*.tx": False, "a.txt?": False, "A.TXT": False, "[a].txt": False, r"\*": False, "a.txt\\": False, "%w*": False,
}  # fmt: skip


@pytest.mark.parametrize("glob", GLOBS)
def test_a_glob_matches_whole_names(run, tmp_path, glob):
    (tmp_path / "a.txt").touch()
    assert run(f"print(#fs.list(root, [=[{glob}]=]))") == [str(int(GLOBS[glob]))]


def test_stars_and_backslashes_in_names_are_found_by_escapes(run, tmp_path):
    for name in ("*", "?", "\\", "x"):
        (tmp_path / name).touch()
    assert run(r"print(list(root, [[\*]]), list(root, [[\?]]), list(root, [[\\]]), list(root, [[\]]))") == [
        "*\t?\t\\\t\\"
    ]


def test_a_glob_of_many_stars_takes_no_time(run, tmp_path):
    (tmp_path / ("a" * 255)).touch()
    assert run("print(#fs.list(root, ('*a'):rep(200) .. 'b'), #fs.list(root, ('*'):rep(1e5)))") == ["0\t1"]


def test_names_may_be_any_bytes(run, tmp_path):
    (tmp_path / os.fsdecode(b"\xff\n")).touch()
    assert run(r"print(fs.list(root)[1] == '\xff\n', fs.type(root .. '/\xff\n'))") == ["true\tfile\tfalse"]


def test_only_directories_are_listed(run, tree):
    assert run("print(fs.list(root .. '/a.txt')) print(fs.list(root .. '/none'))") == [
        "nil\t/a.txt: Not a directory\t20",
        "nil\t/none: No such file or directory\t2",
    ]
    assert run("print(list(root .. '/folder'))") == ["c.txt deep"]


def test_what_is_rejected_is_not_listed(run, tree):
    source = "print(list(root)) print(list(root, 'a*'), list(root .. '/sub'))"
    assert run(source, "fs={}", "~fs:read={}/a.txt", "~fs:read={}/sub/deep") == [
        ".hidden b.txt dangling folder link sub",
        "\tc.txt",
    ]


def test_the_kernels_own_directories_are_not_listed(run):
    assert run("print(fs.list('/proc/self/fd'), fs.list('/proc'))", "fs") == [
        "nil\tnil\t/proc: Not a directory of files\t22"
    ]


# type and follow --------------------------------------------------------------------------------------------------


def test_every_kind_of_file_has_a_name(run, tree):
    os.mkfifo(tree / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree / "socket"))
        names = ("a.txt", "sub", "sub/", "sub/..", "pipe", "socket", "link", "folder", "folder/", "dangling", "none")
        lines = run("".join(f"print(fs.type(root .. '/{name}'))" for name in (*names, "a.txt/", "a.txt/x")))
    assert lines == [
        "file\tfalse",
        "directory\tfalse",
        "directory\tfalse",
        "directory\tfalse",
        "pipe\tfalse",
        "socket\tfalse",
        "file\ttrue",
        "directory\ttrue",
        "directory\tfalse",
        "link\ttrue",
        "nil\t/none: No such file or directory\t2",
        "nil\t/a.txt/: Not a directory\t20",
        "nil\t/a.txt/x: Not a directory\t20",
    ]
    assert run("print(fs.type('/dev/null'), fs.type('/'))", "fs") == ["device\tdirectory\tfalse"]


def test_of_a_link_to_where_nobody_may_look_it_is_told_that_it_is_a_link(run, tree):
    (tree / "sub/out").symlink_to(tree / "a.txt")
    (tree / "sub/nowhere").symlink_to(tree / "none")
    source = "print(fs.type(root .. '/sub/out')) print(fs.type(root .. '/sub/nowhere')) print(pcall(fs.type, root))"
    lines = run(source, "fs={}/sub")
    assert lines[:2] == ["link\ttrue"] * 2
    assert 'permission "fs:read" denied' in lines[2]


def test_a_link_says_what_it_holds(run, tree):
    assert run(
        "print(fs.follow(root .. '/link'), fs.follow(root .. '/dangling')) print(fs.follow(root .. '/a.txt'))"
    ) == [
        "a.txt\tnone",
        "nil\t/a.txt: Invalid argument\t22",
    ]


@pytest.mark.parametrize("link", ["self", "self/cwd", "self/fd/0", "thread-self", "{}/exe"])
def test_links_that_the_kernel_makes_up_say_nothing(run, link):
    """They would tell what processes have open, and where."""
    path = f"/proc/{link.format(os.getpid())}"
    assert run(f"print(fs.follow('{path}'))", "fs") == [f"nil\t{path}: Invalid argument\t22"]


# copy -------------------------------------------------------------------------------------------------------------


def test_a_copy_has_the_content_and_the_mode(run, tree):
    (tree / "a.txt").chmod(0o4754)
    (tree / "large").write_bytes(os.urandom(3_000_001))
    old = os.umask(0o022)
    try:
        assert run("print(fs.copy(root .. '/a.txt', root .. '/new'), fs.copy(root .. '/large', root .. '/b.txt'))") == [
            "true\ttrue"
        ]
    finally:
        os.umask(old)
    assert (tree / "new").read_text() == "a.txt"
    assert stat.S_IMODE((tree / "new").stat().st_mode) == 0o754
    assert (tree / "b.txt").read_bytes() == (tree / "large").read_bytes()


def test_a_copy_follows_links_on_both_sides(run, tree):
    assert run("print(fs.copy(root .. '/link', root .. '/dangling'))") == ["true"]
    assert (tree / "none").read_text() == "a.txt"
    assert (tree / "dangling").is_symlink()


@pytest.mark.parametrize(("source", "target", "problem"), [
    ("none", "new", "/none: No such file or directory\t2"),
    ("sub", "new", "/sub: Is a directory\t21"),
    ("a.txt", "sub", "/sub: Is a directory\t21"),
    ("a.txt", "none/new", "/none/new: No such file or directory\t2"),
    ("a.txt", "link", "/link: Is the same file\t22"),
    ("hard", "a.txt", "/a.txt: Is the same file\t22"),
    ("pipe", "new", "/pipe: Not a regular file\t22"),
    ("a.txt", "pipe", "/pipe: Not a regular file\t22"),
])  # fmt: skip
def test_what_can_not_be_copied_stays_as_it_is(run, tree, source, target, problem):
    os.mkfifo(tree / "pipe")
    os.link(tree / "a.txt", tree / "hard")
    assert run(f"print(fs.copy(root .. '/{source}', root .. '/{target}'))") == [f"nil\t{problem}"]
    assert (tree / "a.txt").read_text() == "a.txt"
    assert not (tree / "new").exists()


def test_a_copy_ends_where_output_ends(lus, tree):
    (tree / "large").write_bytes(bytes(5_000_000))
    script = lus(f"fs.copy('{tree}/large', '{tree}/new')", held=(f"fs={tree}",))
    script.port.output_left = 2_000_000
    script.step()
    assert (tree / "new").stat().st_size == 2_000_000 - 1024


# move -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("move", ["fs.move", "os.rename"])
def test_files_directories_and_links_are_moved(run, tree, move):
    lines = run(f"""
        for from, to in pairs({{["a.txt"] = "b.txt", ["sub/deep/"] = "deep", dangling = "end", ["sub/c.txt"] = "c"}}) do
          assert({move}(root .. "/" .. from, root .. "/" .. to))
        end
        print(list(root), list(root .. "/deep"))""")
    assert lines == [".hidden b.txt c deep end folder link sub\td"]
    assert (tree / "b.txt").read_text() == "a.txt"
    assert os.readlink(tree / "end") == "none"


@pytest.mark.parametrize(("source", "target", "problem"), [
    ("none", "new", "none: No such file or directory\t2"),
    ("a.txt", "none/new", "none/new: No such file or directory\t2"),
    ("a.txt", "sub", "sub: Is a directory\t21"),
    ("sub", "a.txt", "a.txt: Not a directory\t20"),
    ("sub", "sub/deep/x", "sub/deep/x: Invalid argument\t22"),
    ("a.txt/", "new", "a.txt/: Not a directory\t20"),
    ("a.txt", "new/", "new/: Not a directory\t20"),
    ("sub", ".", ".: Invalid argument\t22"),
    ("sub/..", "new", "sub/..: Invalid argument\t22"),
])  # fmt: skip
def test_what_can_not_be_moved_is_told_with_its_path(run, tree, source, target, problem):
    arguments = f"(root .. '/{source}', root .. '/{target}')"
    lines = run(f"print(fs.move{arguments}) print(os.rename{arguments})")
    assert lines == [f"nil\t/{problem}", f"nil\t{problem.partition(': ')[2]}"]


def test_a_relative_link_may_not_be_moved_to_where_it_leads_out(run, tree):
    (tree / "sub/up").symlink_to("../a.txt")
    source = """
        print(fs.move(root .. "/sub/up", root .. "/sub/deep/up"))
        print(pcall(fs.move, root .. "/sub/deep/up", root .. "/sub/up"))"""
    lines = run(source, "fs={}/sub", "fs={}/b.txt")
    assert lines[0] == "true"
    assert "permission \"fs:write\" denied for '/a.txt'" in lines[1]


def test_what_may_not_be_read_is_not_moved(run, tree):
    """Also to where this state may not read: another may, with what the two have from their parent."""
    (tree / "in").mkdir()
    before = sorted(os.walk(tree))
    source = """
        for from, to in pairs{["a.txt"] = "in/x", sub = "in/x", link = "in", ["b.txt"] = "c.txt", [".hidden"] = "x"} do
          print(pcall(fs.move, root .. "/" .. from, root .. "/" .. to))
        end"""
    lines = run(source, "fs:write={}", "fs:read={}/in")
    assert [line for line in lines if 'permission "fs:read" denied' not in line] == []
    assert sorted(os.walk(tree)) == before


def test_nothing_is_moved_from_or_to_where_something_beneath_would_be_rejected(run, tree):
    """Not even a file, since another state may put a directory in its place before it is moved."""
    source = """
        print(pcall(fs.move, root .. "/a.txt", root .. "/git")) print(pcall(fs.move, root .. "/b.txt", root .. "/x"))
        print(fs.move(root .. "/b.txt", root .. "/y"))"""
    lines = run(source, "fs={}", "~fs:write={}/git/hooks", "~fs:read={}/x/secret")
    assert 'rejected by "~fs:write' in lines[0]
    assert lines[1:] == ["true\ttrue", "nil\t/b.txt: No such file or directory\t2"]
    lines = run('print(pcall(fs.move, root .. "/x", root .. "/z"))', "fs={}", "~fs:read={}/x/secret")
    assert 'rejected by "~fs:read' in lines[0]


def test_what_is_rejected_is_not_carried_away_with_its_directory(run, tree):
    source = """
        print(pcall(fs.move, root .. "/sub", root .. "/x")) print(pcall(fs.remove, root .. "/sub", true))
        print(pcall(fs.move, root .. "/sub/deep", root .. "/x")) print(pcall(fs.remove, root .. "/sub/deep/d"))"""
    assert all('rejected by "~fs:write' in line for line in run(source, "fs={}", "~fs:write={}/sub/deep/d"))
    assert (tree / "sub/deep/d").exists()
