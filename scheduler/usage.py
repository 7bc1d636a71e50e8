"""What host processes use, and what they may have started, by psutil. Imported where it is needed: it takes a while."""

from __future__ import annotations

import psutil
from msgspec import Struct


class ProcessUsage(Struct, frozen=True):
    """What a process uses at one moment."""

    pid: int
    cpu: float
    """Seconds of processor time since it began."""
    resident: int
    """Bytes of memory."""


def usage_of(pid: int) -> ProcessUsage | None:
    """Of a process that has not been reaped; None when it is gone."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            return ProcessUsage(pid, times.user + times.system, process.memory_info().rss)
    except psutil.Error:
        return None


def kill_descendants(pid: int) -> None:
    """End all that a process has started, and all that these have, whatever session they are in. It comes first, before
    the process itself is ended: afterwards nobody knows whose children they were."""
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return
    for child in children:
        try:
            child.kill()
        except psutil.Error:
            continue  # it has ended, or its number is another's by now
