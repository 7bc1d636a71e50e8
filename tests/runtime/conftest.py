"""A runtime that leaves nothing behind: no process, no descriptor, no thread."""

import os
import threading

import pytest

import luspool


@pytest.fixture(autouse=True)
def _nothing_is_left_behind():
    luspool.Runtime().close()  # whatever is made once
    descriptors, threads = sorted(os.listdir("/proc/self/fd")), set(threading.enumerate())
    yield
    assert sorted(os.listdir("/proc/self/fd")) == descriptors
    assert set(threading.enumerate()) == threads
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.fixture(params=["signal", "hook"])
def mechanism(request, monkeypatch):
    """The test is run with either mechanism of preemption."""
    monkeypatch.setenv("LUSPOOL_PREEMPTION", request.param)
    return request.param


@pytest.fixture(params=[1, 2], ids=["one host", "two hosts"])
def run(request):
    """`run(source, functions, *arguments, …)`: a script that may call every function, on a runtime of its own."""

    def run(source, functions=None, *arguments, threads=2, function_threads=4, limits=luspool.Limits(), **options):  # noqa: B008
        options = {"pledges": ["host"], **options}
        with luspool.Runtime(
            functions,
            hosts=request.param,
            placement="spread",
            threads=threads,
            function_threads=function_threads,
            limits=limits,
        ) as runtime:
            return runtime.run("main.lus", *arguments, source=source, **options)

    return run
