"""Engines on real hosts, and the command; nothing is left behind of either."""

import os
import threading

import pytest

from luspool.batch.item import Item
from luspool.batch.local import LocalEngine, LocalOptions
from luspool.batch.plan import Planner
from luspool.batch.rights import Grants
from luspool.host_command import host_command
from luspool.scheduler.process import HostProcess

from ..cli.conftest import luspool  # noqa: F401  a fixture

PATIENCE = 60
"""Seconds until a test that hangs is called failed."""


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    descriptors, threads = sorted(os.listdir("/proc/self/fd")), set(threading.enumerate())
    yield
    assert sorted(os.listdir("/proc/self/fd")) == descriptors
    assert set(threading.enumerate()) == threads
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


class Bench:
    """An engine, tasks for it, and the hosts that it has started."""

    def __init__(self, directory):
        self.directory = directory
        self.hosts = []
        self.notices = []
        self.engine = None
        self.count = 0
        self.command = host_command()

    def start_host(self):
        self.hosts.append(HostProcess.start(self.command))
        return self.hosts[-1]

    def open(self, lanes=1, **options):
        self.wake, self.waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        options = LocalOptions(lanes, start_host=self.start_host, **options)
        self.engine = LocalEngine(options, self.wake, self.notices.append)
        return self

    def close(self):
        if self.engine is not None:
            self.engine.close()
            os.close(self.wake)
            os.close(self.waker)

    def submit(self, source, *arguments, held=(), limits=None, wall="", **fields):
        """A script with this text; its number."""
        self.count += 1
        path = self.directory / f"{self.count}.lus"
        path.write_text(source, encoding="utf-8")
        planner = Planner(Grants(tuple(held), (), None, limits or {}), strict_globals=False, wall=wall)
        item = Item(path.name, arguments, **fields)
        self.engine.submit(planner.plan(self.count, item).task)
        return self.count

    def finish(self, count=None):
        """Wait for so many (all) tasks; their outcomes by number."""
        left = self.count if count is None else count
        outcomes = {}
        while len(outcomes) < left:
            done = self.engine.wait(PATIENCE)
            assert done, "nothing has ended"
            for one in done:
                assert one.number not in outcomes
                outcomes[one.number] = one.outcome
        self.count -= left
        return outcomes

    def run(self, source, *arguments, **options):
        """Run one script, and nothing beside it; its outcome."""
        self.submit(source, *arguments, **options)
        (outcome,) = self.finish(1).values()
        self.count += 1
        return outcome


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.close()
