"""A runtime that leaves nothing behind: no process, no descriptor, no thread."""

import gc
import os
import threading

import pytest

import luspool

PATIENCE = 60
"""Seconds until a test that hangs is called failed."""


@pytest.fixture(autouse=True)
def _nothing_is_left_behind():
    luspool.Runtime().close()  # whatever is made once
    descriptors, threads = sorted(os.listdir("/proc/self/fd")), set(threading.enumerate())
    yield
    gc.collect()
    assert sorted(os.listdir("/proc/self/fd")) == descriptors
    assert set(threading.enumerate()) == threads
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.fixture
def runtime():
    """With one job at a time, so that what is said of the next ones holds."""
    with luspool.Runtime(jobs=1) as runtime:
        yield runtime


@pytest.fixture(params=["signal", "hook"])
def mechanism(request, monkeypatch):
    """The test is run with either mechanism of preemption."""
    monkeypatch.setenv("LUSPOOL_PREEMPTION", request.param)
    return request.param
