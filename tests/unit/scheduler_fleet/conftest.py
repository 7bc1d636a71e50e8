"""Nothing may be left: no child, no descriptor."""

import os

import pytest


@pytest.fixture(autouse=True)
def _nothing_is_left_behind():
    before = sorted(os.listdir("/proc/self/fd"))
    yield
    assert sorted(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
