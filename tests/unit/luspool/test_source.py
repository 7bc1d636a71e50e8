"""How a script is found and read, and what is said when it can't be."""

import os
from contextlib import nullcontext

import pytest

from luspool import source
from luspool.errors import CannotLoadError, NotFoundError
from luspool.scheduler.units import UNLIMITED


def read(path: object) -> bytes:
    return source.read_script(str(path), nullcontext())


def test_a_script_is_its_bytes_whatever_they_are(tmp_path):
    script = tmp_path / "a.lus"
    script.write_bytes(b"\xff\x00\r\n")
    assert read(script) == b"\xff\x00\r\n"


def test_a_missing_script_suggests_its_neighbour(tmp_path):
    (tmp_path / "counter.lus").touch()
    with pytest.raises(NotFoundError, match=r"did you mean .*/counter\.lus\?") as caught:
        read(tmp_path / "conter.lus")
    assert caught.value.exit_status == 127


def test_a_link_to_nowhere_is_not_what_was_meant(tmp_path):
    link = tmp_path / "main.lus"
    link.symlink_to("nowhere")
    with pytest.raises(NotFoundError, match="the working directory is"):
        read(link)


def test_a_missing_script_without_neighbours_names_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError, match=f"the working directory is {tmp_path}"):
        read("nowhere/main.lus")


def test_a_working_directory_that_was_removed_is_told(tmp_path, monkeypatch):
    removed = tmp_path / "removed"
    removed.mkdir()
    monkeypatch.chdir(removed)
    removed.rmdir()
    with pytest.raises(CannotLoadError, match="cannot find the working directory: No such file or directory") as caught:
        read("main.lus")
    assert caught.value.exit_status == 126


def test_a_directory_is_no_script(tmp_path):
    with pytest.raises(CannotLoadError, match="is a directory") as caught:
        read(tmp_path)
    assert caught.value.exit_status == 126


def test_an_unreadable_script_says_why(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")  # file modes do not bind root, who may run the tests

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(CannotLoadError, match=r"cannot read the script .*: Permission denied") as caught:
        read(tmp_path / "a.lus")
    assert caught.value.exit_status == 126


def test_a_script_without_end_is_refused_whatever_the_limit(monkeypatch):
    monkeypatch.setattr(source, "SOURCE_MOST", 3 * 1024**2)
    with pytest.raises(CannotLoadError, match="/dev/zero is larger than 3 MiB, which is the most"):
        source.read_script("/dev/zero", nullcontext(), UNLIMITED)


def test_a_script_beyond_its_limit_says_which_flag_raises_it(tmp_path):
    script = tmp_path / "a.lus"
    script.write_bytes(b"x" * 1024)
    assert source.read_script(str(script), nullcontext(), 1024) == b"x" * 1024
    expected = r"a\.lus: source limit exceeded: more than 1023 bytes of source text \(raise it with --source\)$"
    with pytest.raises(CannotLoadError, match=expected) as caught:
        source.read_script(str(script), nullcontext(), 1023)
    assert caught.value.exit_status == 126


def test_no_descriptor_is_left_open(tmp_path):
    before = os.listdir("/proc/self/fd")
    with pytest.raises(CannotLoadError):
        read(tmp_path)
    assert os.listdir("/proc/self/fd") == before
