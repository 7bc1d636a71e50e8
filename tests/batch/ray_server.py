"""See `ray_bench`: python -m tests.batch.ray_server SOCKET."""

import contextlib
import os
import sys
from multiprocessing.connection import Client

import psutil

from luspool.batch.cluster.connection import Cluster
from luspool.batch.cluster.engine import RayEngine, RayOptions
from luspool.batch.local import LocalOptions

from ..gone import wait_until_gone

GONE_SECONDS = 60


class Server:
    def __init__(self, cluster):
        self.cluster = cluster
        self.engine = None
        self.notices = []

    def open_cluster(self):
        self.cluster.open()
        return "ready"

    def open(self, directory, settings, lanes, options):
        os.chdir(directory)
        for name in [name for name in os.environ if name.startswith("LUSPOOL_")]:
            del os.environ[name]
        os.environ.update(settings)
        station_lanes = options.pop("station_lanes", None)
        self.notices = []
        self.fd, self.waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        options = RayOptions(LocalOptions(lanes, **options), None, lanes, station_lanes)
        self.engine = RayEngine(options, self.cluster, self.fd, self.notices.append)

    def close(self):
        """What was noticed; when nothing of the engine is left."""
        engine, self.engine = self.engine, None
        if engine is not None:
            engine.close()
            os.close(self.fd)
            os.close(self.waker)
        wait_until_gone(self.stations, GONE_SECONDS)
        return self.notices

    def wake(self):
        os.write(self.waker, b"!")

    def stations(self):
        """Those that are alive, and have an actor."""
        found = []
        for process in psutil.Process(self.cluster._keeper.pid).children(recursive=True):
            try:
                name = process.cmdline()[:1]
            except psutil.Error:
                continue
            if name and name[0].startswith("ray::Doorstep"):
                found.append(process.pid)
        return found

    def hosts(self):
        """The stations that have hosts."""
        found = []
        for pid in self.stations():
            with contextlib.suppress(psutil.NoSuchProcess):
                found += [pid] if psutil.Process(pid).children() else []
        return found

    def address(self):
        """Of the cluster, with what has to be in the environment of who wants to use it."""
        ray = sys.modules["ray"]  # it has to be imported by nobody but the cluster's owner
        return ray.get_runtime_context().gcs_address, dict(self.cluster._keeper.environment)

    def has_room(self):
        return self.engine.has_room

    def __getattr__(self, name):
        return getattr(self.engine, name)


def main():
    with Client(sys.argv[1], authkey=b"tests") as connection:
        with Cluster(None, 2) as cluster:
            serve(Server(cluster), connection)
        connection.send((True, None))


def serve(server, connection):
    """Do what is asked for, until that is the end. EOFError: nobody is there any more."""
    while (asked := connection.recv())[0] != "end":
        word, arguments = asked
        try:
            answer = True, getattr(server, word)(*arguments)
        except Exception as error:
            answer = False, error
        connection.send(answer)


if __name__ == "__main__":
    main()
