"""Ray, as far as it is used: a connection to a cluster, its processors, and stations there. All else that imports it is
the keeper of a cluster of our own.

Ray is at home in programs of its own: it writes to standard output, takes over signals, puts the working directory in
front of where the processes of the cluster look for modules, and waits without end. What is done against that is here.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import platform
import select
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from ... import __version__
from ...errors import HostFailedError, LuspoolError, UsageError
from .doorstep import doorstep
from .keeper import Keeper

_TCP_SECONDS: Final = 5.0
_CONNECT_SECONDS: Final = 60.0
"""Two are usual. Ray itself takes longer to give up."""
_CONTROL: Final = "control"
"""Calls of this group have a thread of their own at a station."""

INSTALL: Final = ".venv/bin/pip install -e '.[ray]' in luspool's clone"
"""Never by the name `luspool` alone: pip would ask an index, where anybody may have put something under it."""


def check_ray(address: str | None) -> None:
    """UsageError: there is no Ray here, or no such address."""
    if importlib.util.find_spec("ray") is None:
        raise UsageError(f"--engine ray needs Ray, which is not installed: {INSTALL}")
    if address is not None and "://" in address:
        raise UsageError(
            f"--address {address}: a client from outside of the cluster can't run a batch; run the command on a machine"
            " of the cluster, by `ray job submit` for example, with --address auto"
        )


class Cluster:
    """A connection to a Ray cluster; without an address, to one of our own of so many processors, which ends with it.

    A context manager. For one thread.
    """

    def __init__(self, address: str | None, cpus: int) -> None:
        self._address = address
        self._keeper = Keeper(cpus) if address is None else None
        self._ray: Any = None
        self._environment: dict[str, str | None] = {}
        """What was set before, of what the keeper's cluster needs."""

    @property
    def is_open(self) -> bool:
        """Whether `open` has connected."""
        return self._ray is not None

    def open(self, wake_fd: int | None = None) -> None:
        """Connect; not, if `wake_fd` is readable before that is done. UsageError, HostFailedError."""
        if self._keeper is not None:
            self._environment = {name: os.environ.get(name) for name in self._keeper.environment}
            os.environ.update(self._keeper.environment)
        connecting = _Connecting(self._connect)
        connecting.wait(wake_fd, _CONNECT_SECONDS)
        if connecting.error is not None:
            raise connecting.error
        self._ray = connecting.ray
        _take_signals_back()

    def close(self) -> None:
        """Disconnect; what runs there on our account ends."""
        if self._ray is not None:
            self._ray.shutdown()
            self._ray = None
        if self._keeper is not None:
            self._keeper.close()
        for name, value in self._environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def _connect(self) -> ModuleType:
        if self._keeper is not None:
            address = self._keeper.wait_ready()
        else:
            assert self._address is not None  # noqa: S101  for the type checker: else there is a keeper
            address = self._address
            _check_reachable(address)
        try:
            return _init(address)
        except LuspoolError:
            raise
        except Exception as error:
            raise HostFailedError(f"cannot use the Ray cluster at {address}: {why_lost(error)}") from error

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def processors(self) -> list[int]:
        """Of each machine that is there now, as Ray counts them; of those that have any."""
        nodes = self._ray.nodes()
        found = (int(node["Resources"].get("CPU", 0)) for node in nodes if node["Alive"])
        return [count for count in found if count > 0]

    def station(self, lanes: int) -> Station:
        """Have a station begin somewhere, as soon as there is room for so many lanes."""
        options = {
            "num_cpus": lanes,
            "max_restarts": 0,  # what it had would be gone: we start another one
            "max_task_retries": 0,
            "scheduling_strategy": "SPREAD",
            "concurrency_groups": {_CONTROL: 1},
        }
        return Station(self._ray, self._ray.remote(**options)(doorstep()).remote())


class Station:
    """A station, from our side. No call waits; `heard` gets its answer, or the error, on some thread of Ray's."""

    def __init__(self, ray: Any, actor: Any) -> None:  # noqa: ANN401  what Ray gives
        self._ray = ray
        self._actor = actor

    def begin(self, orders: bytes, heard: Callable[[object], None]) -> None:
        """See `Doorstep.begin`."""
        _then(self._actor.begin.remote(__version__, python_version(), orders), heard)

    def exchange(
        self, number: int, tasks: bytes, gather: float, patience: float, heard: Callable[[object], None]
    ) -> None:
        """See `station.Station.exchange`."""
        _then(self._actor.exchange.remote(number, tasks, gather, patience), heard)

    def interrupt(self, number: int, what: int) -> None:
        """See `station.Station.interrupt`."""
        self._actor.interrupt.options(concurrency_group=_CONTROL).remote(number, what)

    def close(self, heard: Callable[[object], None]) -> None:
        """See `station.Station.close`."""
        _then(self._actor.close.options(concurrency_group=_CONTROL).remote(), heard)

    def end(self) -> None:
        """End its process, whatever it does."""
        with contextlib.suppress(Exception):  # it is gone, or Ray is
            self._ray.kill(self._actor)


def _take_signals_back() -> None:
    """Ray's library has installed handlers of its own, behind Python's back: on SIGTERM they write a traceback."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.getsignal(number))


def python_version() -> str:
    """Of this Python, as far as it has to be the same on all machines."""
    return ".".join(platform.python_version_tuple()[:2])


def why_lost(error: BaseException) -> str:
    """What an error of Ray's says, for people, on one line."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    text = next((line for line in lines if not line.startswith(("ray::", "File ", "Traceback"))), type(error).__name__)
    return text if len(text) <= 300 else f"{text[:299]}…"


def _then(reference: Any, heard: Callable[[object], None]) -> None:  # noqa: ANN401  what Ray gives
    def ended(future: Any) -> None:  # noqa: ANN401  a future of whatever was called
        error = future.exception()
        heard(future.result() if error is None else error)

    reference.future().add_done_callback(ended)


def _check_reachable(address: str) -> None:
    """A cluster that is not there at all is told at once."""
    if address == "auto":
        return
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        raise UsageError(f"--address {address}: HOST:PORT is expected, or auto for the cluster of this machine")
    try:
        socket.create_connection((host, int(port)), _TCP_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise HostFailedError(f"no Ray cluster can be reached at {address}: {error}") from error


class _Connecting:
    """A thread that connects, which can be left behind; and in any but the main one Ray takes over no signals.

    `ray` or `error` is there when it is done.
    """

    def __init__(self, connect: Callable[[], ModuleType]) -> None:
        self.ray: ModuleType | None = None
        self.error: BaseException | None = None
        self._connect = connect
        self._done_fd, self._doing_fd = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="connect to Ray", daemon=True)
        self._thread.start()

    def wait(self, wake_fd: int | None, seconds: float) -> None:
        """Until it is done, or `wake_fd` is readable. Once."""
        fds = [self._done_fd] if wake_fd is None else [self._done_fd, wake_fd]
        ready, _, _ = select.select(fds, [], [], seconds)
        os.close(self._done_fd)
        if self._done_fd in ready:
            self._thread.join()
        elif not ready:
            self.error = HostFailedError(f"the Ray cluster has not answered within {seconds:.0f} s")

    def _run(self) -> None:
        try:
            self.ray = self._connect()
        except BaseException as error:
            self.error = error
        os.close(self._doing_fd)


def _init(address: str) -> ModuleType:
    # Ours go to the descriptors: what Ray prints is no result.
    sys.stdout = sys.stderr
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray  # noqa: PLC0415  it takes a second, and only this engine needs it

        # Ray tells the processes of the cluster to look for modules in our working directory first, which scripts may
        # be allowed to write to. It can't be told otherwise, but the root is nobody's to write to.
        # (Whoever waits for this does nothing else meanwhile.)
        directory = os.open(".", os.O_PATH | os.O_CLOEXEC)
        os.chdir("/")
        try:
            logging.getLogger("ray").setLevel(logging.CRITICAL)
            ray.init(address, log_to_driver=False, configure_logging=False)
        finally:
            os.fchdir(directory)
            os.close(directory)
    module: ModuleType = ray
    return module
