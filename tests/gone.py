"""Waiting for the ends of processes that are no children of the tests, so that any of them may be gone already."""

import contextlib
import time

import psutil


def wait_until_gone(find, patience):
    """Until `find` (which tells process ids) finds none; AssertionError after so many seconds."""
    until = time.monotonic() + patience
    while left := find():
        assert time.monotonic() < until, f"processes are left: {left}"
        with contextlib.suppress(psutil.Error):
            psutil.Process(left[0]).wait(0.5)
