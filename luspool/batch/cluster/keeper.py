"""A Ray cluster of our own, on this machine alone, of which nothing is left, whatever happens to the
command.

Ray's processes are daemons, and its own way of ending them (a group of processes that whoever calls `ray.init` is moved
into, and a process that kills it) takes the command out of its terminal's foreground, and leaves files behind. So they
have a parent: a *keeper*, a process that starts them, is given what they leave as orphans, and waits for the end of its
standard input, which is the end of the command. Then it kills all of them and removes their directory. It is a session
of its own, so that a Ctrl-C reaches none of this.

The cluster listens on loopback, and only for who knows a random token.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from ...errors import HostFailedError
from ...host_command import python_command

LOOPBACK: Final = "127.0.0.1"
_STORE_BYTES: Final = 128 << 20
"""Of Ray's store of objects: for reports of more than 100 KB on their way, and what does not fit goes to files. The
least that Ray takes is 75 MB."""
_START_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.05
_END_SECONDS: Final = 20.0
"""How long the keeper may take to kill everything; a second is usual."""
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_SOCKET_PATH_MOST: Final = 30
"""Bytes of the path of a directory in which there may be Ray's sockets: the system allows 107 for the whole."""


class _Wish(Struct, frozen=True):
    """What a keeper is to start."""

    cpus: int


class Keeper:
    """A keeper's process, and its cluster. `close` ends all. For one thread at a time."""

    def __init__(self, cpus: int) -> None:
        """A cluster that says it has so many processors. It is not ready yet."""
        self.environment: Mapping[str, str] = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            # Without that Ray takes the machine's own address for the one of loopback; Linux, too, obeys it.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        }
        """What Ray needs to know of it, also here: it lets nobody in who does not know the token."""
        code = "import sys; sys.path[:] = sys.argv[1:]; from luspool.batch.cluster.keeper import main; main()"
        self._process = subprocess.Popen(  # noqa: S603  ourselves
            python_command(code),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**_without_ray(os.environ), **self.environment},
        )
        self.pid = self._process.pid
        self._ask(json.dumps({"cpus": cpus}).encode() + b"\n")

    def wait_ready(self) -> str:
        """Its address, as soon as it is ready. HostFailedError: it can't be started, or was closed."""
        assert self._process.stdout is not None  # noqa: S101  for the type checker
        line = self._process.stdout.readline()
        try:
            said = json.loads(line)
        except ValueError:
            said = {"problem": "it was ended"}
        if "address" not in said:
            raise HostFailedError(f"no Ray cluster can be started on this machine: {said['problem']}")
        return str(said["address"])

    def close(self) -> None:
        """End the cluster, and wait until nothing of it is left. Repeatable."""
        assert self._process.stdin is not None  # noqa: S101  for the type checker
        assert self._process.stdout is not None  # noqa: S101  for the type checker
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _ask(self, line: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101  for the type checker
        with contextlib.suppress(BrokenPipeError):  # it is dead, which `wait_ready` tells
            self._process.stdin.write(line)
            self._process.stdin.flush()


def _without_ray(environment: Mapping[str, str]) -> dict[str, str]:
    """What is set there about Ray is meant for another cluster."""
    return {name: value for name, value in environment.items() if not name.startswith("RAY_")}


# --- the keeper's process ---------------------------------------------------------------------------------------------


def main() -> None:
    """What a keeper does."""
    # It is not to die of what ends the command: then all would stay.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    wish = _Wish(**json.loads(sys.stdin.readline()))
    folder = _new_folder()
    try:
        said = _start(wish, folder)
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.write(f"{json.dumps(said)}\n")
            sys.stdout.flush()
        if "address" in said:
            sys.stdin.read()
    finally:
        _kill_all()
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)  # whatever is left in the buffers, nobody reads it


def _start(wish: _Wish, folder: str) -> dict[str, str]:
    code = "import sys; sys.path[:] = sys.argv[1:]; from luspool.batch.cluster.keeper import ray_start; ray_start()"
    log = os.path.join(folder, "start.log")
    with open(log, "wb") as output:
        starting = subprocess.Popen(  # noqa: S603  ourselves
            _isolated(code),
            cwd=folder,
            env={**os.environ, "LUSPOOL_RAY_START": json.dumps([folder, wish.cpus])},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=_die_with_keeper,  # noqa: PLW1509  this process has one thread
        )
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        address = _text(os.path.join(folder, "ray_current_cluster"))
        if address:
            return {"address": address}
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = starting.wait(_LOOK_SECONDS)
            last = _text(log).splitlines()[-1:]
            return {"problem": f"`ray start` ended with status {status}: {''.join(last)}"}
    return {"problem": f"it was not ready after {_START_SECONDS:.0f} s"}


def _text(path: str) -> str:
    """What is in a file; "" where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def _isolated(code: str) -> list[str]:
    """As `python_command`, but with `site`: Ray's processes ask it where they are installed."""
    executable, *rest = python_command(code)
    return [executable, *(word for word in rest if word != "-S")]


def ray_start() -> None:
    """What `ray start` does, with our options: `sys.path` is set, and no module of the working directory found."""
    folder, cpus = json.loads(os.environ.pop("LUSPOOL_RAY_START"))
    from ray.scripts.scripts import main as ray  # noqa: PLC0415  nobody else needs it

    sys.argv = [
        "ray",
        "start",
        "--head",
        f"--node-ip-address={LOOPBACK}",
        "--port=0",
        "--dashboard-agent-listen-port=0",
        f"--num-cpus={cpus}",
        f"--object-store-memory={_STORE_BYTES}",
        f"--temp-dir={folder}",
        "--include-dashboard=false",
        "--include-log-monitor=false",
        "--disable-usage-stats",
        "--block",  # its processes die with it then, and it with us, even if we are killed
    ]
    ray()


def _new_folder() -> str:
    usual = tempfile.gettempdir()
    return tempfile.mkdtemp(prefix="luspool-", dir=usual if len(os.fsencode(usual)) <= _SOCKET_PATH_MOST else "/tmp")  # noqa: S108  a directory of our own there


def _kill_all() -> None:
    """Kill every process below this one, also those that are born meanwhile, and wait for their ends."""
    import psutil  # noqa: PLC0415  only here

    me = psutil.Process()
    while below := me.children(recursive=True):
        for process in below:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _die_with_keeper() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
