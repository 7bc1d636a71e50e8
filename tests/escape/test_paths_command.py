"""The script that a command names, and the values of its pledges."""

import os
import socket
import threading
from contextlib import nullcontext

import pytest

from luspool.errors import CannotLoadError, NotFoundError
from luspool.permissions import PledgeError
from luspool.sandbox import codec
from luspool.source import read_script

from ..cli.conftest import Luspool
from .paths_scene import DENIED, INSIDE, READ, SECRET, Scene, verdict


@pytest.fixture
def scene(tmp_path, monkeypatch):
    """The working directory is `open`."""
    scene = Scene(tmp_path)
    monkeypatch.chdir(tmp_path / "open")
    scene.link("open/out", "../closed/file")
    scene.link("open/loop", "loop")
    scene.link("open/dangling", "none")
    scene.write("open/new\nline")
    return scene


@pytest.mark.parametrize(
    ("path", "error", "text"),
    [
        ("", NotFoundError, "no such script"),
        (".", CannotLoadError, "is a directory"),
        ("../open/./none/..", NotFoundError, "no such script"),
        ("file/", CannotLoadError, "Not a directory"),
        ("dangling", NotFoundError, "no such script"),
        ("loop", CannotLoadError, "Too many levels of symbolic links"),
        ("n" * 256, CannotLoadError, "File name too long"),
        ("./" * 2100 + "file", CannotLoadError, "File name too long"),
        ("socket", CannotLoadError, "No such device or address"),
    ],
)
def test_a_script_that_can_not_be_read_is_an_error(scene, path, error, text):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")
        with pytest.raises(error, match=text):
            read_script(path, nullcontext())


@pytest.mark.parametrize("path", ["file", "./sub/../file", "../open/file", "new\nline", "/proc/self/cwd/file"])
def test_a_script_is_what_its_path_leads_to(scene, path):
    assert read_script(path, nullcontext()) == INSIDE.encode()


def test_the_script_of_a_run_needs_no_pledge_since_a_person_has_named_it(scene):
    assert read_script("out", nullcontext()) == SECRET.encode()


@pytest.mark.parametrize(
    ("value", "path", "expected"),
    [
        (".", "file", READ),
        (".", "../closed/file", DENIED),
        ("./", "out", DENIED),
        ("./*", "../closed/file", DENIED),
        ("sub/../..", "file", READ),
        ("none/../file", "file", READ),
        ("../open/./sub/..//file", "file", READ),
        ("file/sub", "file", DENIED),
        ("../op?n/fil*", "file", READ),
        ("dangling", "none", "No such file or directory"),
        ("/proc/self/cwd", "file", READ),
    ],
)
def test_a_value_is_where_it_leads_from_the_working_directory(scene, value, path, expected):
    text = verdict(scene.attempt("io.open", path, held=(f"fs:read={value}",)))
    assert text == expected if expected in (READ, DENIED) else expected in text


def test_a_value_that_is_a_link_is_the_file_where_it_led_when_the_pledge_was_made(scene):
    source = "print(io.open('out'):read('a')) worker.peek() print(pcall(io.open, 'out')) print(pcall(io.open, (...)))"
    script = scene.script(source, "../closed/file", held=("fs:read=out",), is_worker=True)
    script.waits_for()
    (scene.root / "open/out").unlink()
    scene.link("open/out", "../closed/sub/file")
    script.port.inbox.append(codec.encode(1))
    script.step()
    script.state.close()
    lines = script.port.lines
    assert lines[0] == SECRET
    assert "denied for" in lines[1]
    assert lines[-1].startswith("true\tfile")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("x" * 5000, "4096 characters"),
        ("a\nb", "control character"),
        ("a\0b", "control character"),
        ("*/x", "does not say in which directory"),
        ("./*/../x", "cannot be resolved"),
        ("\\x", "backslash"),
        ("", "nothing behind"),
    ],
)
def test_a_value_that_is_no_path_is_an_error(scene, value, problem):
    with pytest.raises(PledgeError, match=problem):
        scene.script("", held=(f"fs:read={value}",))


def test_a_script_from_a_pipe_by_its_name_is_read_to_its_end(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=("print('ran', pcall(io.open, 'pipe'))",))
    writer.start()
    done = Luspool(tmp_path)("run", "-P", "fs:read=.", "pipe")
    writer.join()
    assert done.stdout == "ran\ttrue\tnil\tpipe: Not a regular file\t22\n"
