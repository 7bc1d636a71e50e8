"""Paths that try to leave what was granted: dots, links, odd names. Every way to name a file judges them alike."""

import os

import pytest

from .paths_scene import DENIED, READ, SECRET, WAYS, Scene, verdict

MISSING, LOOP = "No such file or directory", "Too many levels of symbolic links"
TOO_LONG, NO_DIRECTORY, NO_FILE = "File name too long", "Not a directory", "Is a directory"

ATTACKS = {
    # where the path leads is what counts
    "{}/open/file": READ,
    "{}/open/./file": READ,
    "{}//open///file": READ,
    "/..{}/open/file": READ,
    "{}/open/../open/file": READ,
    "{}/open/sub/../file": READ,
    "{}/open/sub/./..//sub/../file": READ,
    "{}/closed/file": DENIED,
    "{}/open/../closed/file": DENIED,
    "{}/open/.././closed//file": DENIED,
    "{}/open/sub/../../closed/file": DENIED,
    "{}/open/sub/../sub/../../closed/sub/../file": DENIED,
    "/../../..{}/closed/file": DENIED,
    "{}/open/..": DENIED,
    "{}/open/...": MISSING,
    "{}/open/..\\closed\\file": MISSING,
    "{}/open/%2e%2e/closed/file": MISSING,
    # links: the last component, and one in the middle
    "{}/open/in": READ,
    "{}/open/in_absolute": READ,
    "{}/open/in_sub/file": READ,
    "{}/closed/in": READ,
    "{}/open/good_chain0": READ,
    "{}/open/out": DENIED,
    "{}/open/out_absolute": DENIED,
    "{}/open/directory": DENIED,
    "{}/open/directory/": DENIED,
    "{}/open/directory/file": DENIED,
    "{}/open/directory/sub/file": DENIED,
    "{}/open/directory/../closed/file": DENIED,
    "{}/open/sub/again/file": DENIED,
    "{}/open/top/closed/file": DENIED,
    "{}/open/root{}/closed/file": DENIED,
    "{}/open/root{}/open/file": READ,
    "{}/open/bad_chain0": DENIED,
    "{}/open/dangling": DENIED,
    "{}/open/dangling_in": MISSING,
    "{}/open/loop": LOOP,
    "{}/open/loop_a": LOOP,
    "{}/open/loop/file": LOOP,
    "{}/open/long_chain0": LOOP,
    "{}/open/endless_chain0": LOOP,
    # nothing tells whether something exists where a script may not look
    "{}/closed/none": DENIED,
    "{}/closed/none/file": DENIED,
    "{}/closed/file/": DENIED,
    "{}/closed/file/.": DENIED,
    "{}/closed": DENIED,
    "{}/closed/sub/../../open/file": DENIED,
    "{}/closed/none/../../open/file": DENIED,
    "{}/closed/file/../../open/file": DENIED,
    "{}/closed/../open/file": DENIED,
    "{}/open/directory/sub/../../open/file": DENIED,
    "{}/open/directory/none/../../open/file": DENIED,
    "{}/open/../closed/sub/./../../open/none": DENIED,
    # the end of a path
    "": DENIED,
    ".": DENIED,
    "/": DENIED,
    "{}/open": NO_FILE,
    "{}/open/": NO_FILE,
    "{}/open/.": NO_FILE,
    "{}/open/sub/..": NO_FILE,
    "{}/open/file/": NO_DIRECTORY,
    "{}/open/file/.": NO_DIRECTORY,
    "{}/open/file/../file": NO_DIRECTORY,
    "{}/open/in/": NO_DIRECTORY,
    "{}/open/none/../file": MISSING,
    # odd names
    "{}/open/new\nline": READ,
    "{}/open/ ": READ,
    "{}/open/-": READ,
    "{}/open/~": READ,
    "{}/open/\x7f\x1b[31m": READ,
    "{}/open/\udcff\udcfe": READ,
    "{}/open/\udcc0\udcae\udcc0\udcae/closed/file": MISSING,  # an overlong coding of two dots
    "{}/closed/\udcff": DENIED,
    "{}/open/" + "n" * 255: READ,
    "{}/open/" + "n" * 256: TOO_LONG,
    "{}/closed/" + "n" * 256: DENIED,
    "{}/open/" + "./" * 1500 + "file": READ,
    "{}/open/" + "./" * 2100 + "file": TOO_LONG,
    "{}/closed/" + "x/" * 100_000: TOO_LONG,
    "{}/open/" + "sub/../" * 16 + "file": READ,
    "{}/open/" + "sub/../" * 17 + "file": "More than 16 directories are left by '..'",
    "{}/open/file\0": "Path with a NUL byte",
    "{}/closed/file\0{}/open/file": "Path with a NUL byte",
    "\0": "Path with a NUL byte",
}
"""`{}` is the directory above `open` and `closed`. An error's text is that of `io.open`."""

_SILENT = ("require", "searchers", "searchpath")
"""These say what they have tried, and not what was wrong with it."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    scene = Scene(tmp_path_factory.mktemp("paths"))
    for name in ("new\nline", " ", "-", "~", "\x7f\x1b[31m", "\udcff\udcfe", "n" * 255):
        scene.write(f"open/{name}")
    scene.link("open/in", "sub/file")
    scene.link("open/in_absolute", "{}/open/file")
    scene.link("open/in_sub", "./sub/../sub/.")
    scene.link("closed/in", "../open/file")
    scene.link("open/out", "../closed/file")
    scene.link("open/out_absolute", "{}/closed/file")
    scene.link("open/directory", "../closed")
    scene.link("open/sub/again", "../directory")
    scene.link("open/top", "..")
    scene.link("open/root", "/")
    scene.link("open/dangling", "../closed/none")
    scene.link("open/dangling_in", "none")
    scene.link("open/loop", "loop")
    scene.link("open/loop_a", "loop_b")
    scene.link("open/loop_b", "{}/open/sub/../loop_a")
    scene.chain("open/good_chain", 20, "{}/open/file")
    scene.chain("open/bad_chain", 20, "../closed/file")
    scene.chain("open/long_chain", 60, "file")
    scene.chain("open/endless_chain", 1200, "file")
    return scene


@pytest.mark.parametrize("way", WAYS)
def test_a_path_leads_where_the_system_says_and_nowhere_else(scene, way):
    paths = [template.replace("{}", str(scene.root)) for template in ATTACKS]
    wrong = {}
    for (template, expected), text in zip(ATTACKS.items(), scene.attempts(way, paths), strict=True):
        got = verdict(text)
        if expected in (READ, DENIED):
            is_right = got == expected or (not template and way in _SILENT)  # an empty path is no place to look at
        else:
            is_right = got not in (READ, DENIED) and (expected in got or way in _SILENT)
        if not is_right:
            wrong[template[:80]] = (expected, got[:200])
    assert not wrong


@pytest.mark.parametrize(
    "path", ["{}/closed/{name}", "{}/closed/{name}/", "{}/open/directory/{name}", "{}/closed/{name}/../../open/file"]
)
def test_what_is_denied_sounds_the_same_whatever_is_there(scene, path):
    texts = set()
    for name in ("file", "none", "sub"):
        named = path.replace("{}", str(scene.root)).replace("{name}", name)
        texts.add(scene.attempt("io.open", named).replace(name, "?"))
    (text,) = texts
    assert verdict(text) == DENIED


def test_where_everything_may_be_read_every_directory_may_be_left(scene):
    path = f"{scene.root}/closed/sub/../../open/file"
    assert verdict(scene.attempt("io.open", path, held=("fs:read",))) == READ


@pytest.mark.parametrize("way", WAYS)
def test_a_hard_link_inside_of_what_is_granted_is_inside(scene, way):
    """It is no link that leads out: the file has two names of the same right, and one of them is granted."""
    hard = scene.root / "open/hard"
    if not hard.exists():
        os.link(scene.root / "closed/file", hard)
    text = scene.attempt(way, hard)
    assert text in ("secret", SECRET)
    assert verdict(scene.attempt(way, scene.root / "closed/file")) == DENIED


def test_a_rejected_file_is_read_by_its_other_hard_link(scene):
    if not (scene.root / "open/second").exists():
        os.link(scene.root / "open/file", scene.root / "open/second")
    held = (f"fs:read={scene.root}/open", f"~fs:read={scene.root}/open/file")
    assert verdict(scene.attempt("io.open", scene.root / "open/file", held=held)) == DENIED
    assert verdict(scene.attempt("io.open", scene.root / "open/second", held=held)) == READ


NAMES = ("*", "?", "a*", "ab", "a?c", "abc", "\\", "\\*", "[ab]", "{a,b}", "x")


@pytest.mark.parametrize(
    ("value", "granted"),
    [
        (r"\*", {"*"}),
        (r"\?", {"?"}),
        (r"a\*", {"a*"}),
        ("a*", {"a*", "ab", "a?c", "abc"}),
        (r"a\?c", {"a?c"}),
        ("a?c", {"a?c", "abc"}),
        (r"\\", {"\\"}),
        (r"\\\*", {"\\*"}),
        ("[ab]", {"[ab]"}),
        ("{a,b}", {"{a,b}"}),
        ("?", {"*", "?", "\\", "x"}),
    ],
)
def test_wildcards_are_those_of_the_pledge_and_never_those_of_a_name(tmp_path, value, granted):
    scene = Scene(tmp_path)
    (tmp_path / "glob").mkdir()
    for name in NAMES:
        scene.write(f"glob/{name}")
    held = (f"fs:read={tmp_path}/glob/{value}",)
    read = {name for name in NAMES if verdict(scene.attempt("io.open", tmp_path / "glob" / name, held=held)) == READ}
    assert read == granted


@pytest.mark.parametrize("template", ["?.lus;../closed/?", "{}/closed/?", "{}/open/?/../../closed/file", ";;?;", ""])
@pytest.mark.parametrize("name", ["file", "../closed/file", "..closed.file", "/", "", "\0", "{}/closed/file"])
def test_neither_the_path_nor_the_name_of_a_module_leads_out(scene, template, name):
    source = """
        local path, name = ...
        package.path = path
        print(pcall(require, name))
        print(pcall(package.searchpath, name, path, ".", "/"))
        print(pcall(package.searchpath, name, path, "", "../"))"""
    path, name = (text.replace("{}", str(scene.root)) for text in (template, name))
    assert "secret" not in scene.run(source, path, name).output
