"""Nothing may be left of any program: no child, descriptor, memory or file."""

import os
import threading
from pathlib import Path

import pytest


def _mapped_memory():
    return sum("memfd:" in line for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines())


def _holdings():
    return (
        sorted(os.listdir("/proc/self/fd")),
        threading.active_count(),
        _mapped_memory(),
        sorted(os.listdir("/dev/shm")),  # noqa: S108  only looked at
    )


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = _holdings()
    yield
    assert _holdings() == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    assert all(path.suffix == ".lus" for path in tmp_path.rglob("*"))
