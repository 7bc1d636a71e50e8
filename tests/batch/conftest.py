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


@pytest.fixture(scope="session")
def ray_server():
    from .ray_bench import RayServer  # noqa: PLC0415  it builds on this module

    server = RayServer()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(request, tmp_path, monkeypatch):
    if hasattr(request.node, "callspec") and "ray" in request.node.callspec.params.values():
        request.getfixturevalue("ray_server")  # it stays, and is no child of ours
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
        self.outcomes = {}
        self.command = host_command()

    def start_host(self):
        self.hosts.append(HostProcess.start(self.command))
        return self.hosts[-1]

    def open(self, lanes=1, **options):
        self.wake_fd, self.waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        options = LocalOptions(lanes, start_host=self.start_host, **options)
        self.engine = LocalEngine(options, self.wake_fd, self.notices.append)
        return self

    def close(self):
        if self.engine is not None:
            self.engine.close()
            os.close(self.wake_fd)
            os.close(self.waker)

    def wake(self):
        os.write(self.waker, b"!")

    def submit(self, source, *arguments, held=(), limits=None, wall="", **fields):
        """A script with this text; its number."""
        self.count += 1
        path = self.directory / f"{self.count}.lus"
        path.write_text(source, encoding="utf-8")
        planner = Planner(Grants(tuple(held), (), None, limits or {}), strict_globals=False, wall=wall)
        item = Item(path.name, arguments, **fields)
        self.engine.submit(planner.plan(self.count, item).task)
        return self.count

    def collect(self):
        """Wait until something has ended; `finish` gives it."""
        done = self.engine.wait(PATIENCE)
        assert done, "nothing has ended"
        for one in done:
            assert one.number not in self.outcomes
            self.outcomes[one.number] = one.outcome

    def finish(self, count=None):
        """Wait for so many (all) tasks; the outcomes of those not yet given, by number."""
        left = self.count if count is None else count
        while len(self.outcomes) < left:
            self.collect()
        self.count -= left
        outcomes, self.outcomes = self.outcomes, {}
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
