"""A `Bench` whose engine runs on Ray, in a process of its own, lest Ray do to this one what it does to processes.

The server (`ray_server`) is no child of ours, so that tests can still tell that none is left.
"""

import itertools
import os
import subprocess
import sys
import tempfile
from multiprocessing.connection import Listener
from pathlib import Path

from .conftest import Bench

SERVER = Path(__file__).with_name("ray_server.py")
START_SECONDS = 120


class RayServer:
    """A cluster of two processors, and engines on it, one at a time."""

    def __init__(self):
        with tempfile.TemporaryDirectory() as folder, Listener(f"{folder}/socket", authkey=b"tests") as listener:
            # The shell ends at once, and its child belongs to nobody.
            command = f'"{sys.executable}" -m tests.batch.ray_server "{listener.address}" >"{folder}/said" 2>&1 &'
            root = SERVER.parents[2]
            subprocess.run(["sh", "-c", command], check=True, cwd=root, stdin=subprocess.DEVNULL)
            self._connection = listener.accept()
            assert self.ask("open_cluster") == "ready", Path(folder, "said").read_text(encoding="utf-8")

    def ask(self, word, *arguments):
        """Have something done; what comes of it, or what it raises."""
        self._connection.send((word, arguments))
        assert self._connection.poll(START_SECONDS), f"no answer to {word}"
        is_fine, answer = self._connection.recv()
        if not is_fine:
            raise answer
        return answer

    def close(self):
        self.ask("end")
        self._connection.close()


class Proxy:
    """An engine, in the server."""

    def __init__(self, server):
        self._server = server

    @property
    def has_room(self):
        return self._server.ask("has_room")

    def submit(self, task):
        self._server.ask("submit", task)

    def wait(self, seconds):
        return self._server.ask("wait", seconds)

    def running(self):
        return self._server.ask("running")

    def withdraw(self):
        self._server.ask("withdraw")

    def cancel(self):
        self._server.ask("cancel")


class RayBench(Bench):
    numbers = itertools.count(1)

    def __init__(self, directory, server):
        super().__init__(directory)
        self.server = server

    def open(self, lanes=1, **options):
        settings = {name: value for name, value in os.environ.items() if name.startswith("LUSPOOL_")}
        self.server.ask("open", os.getcwd(), settings, lanes, options)
        self.engine = Proxy(self.server)
        return self

    def close(self):
        if self.engine is not None:
            self.notices += self.server.ask("close")

    def wake(self):
        self.server.ask("wake")

    def stations(self):
        """The process ids of Ray's workers that are stations."""
        return self.server.ask("stations")
