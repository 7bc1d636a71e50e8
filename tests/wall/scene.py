"""What the attacks are about: files, another process, sockets; and the table of what came of them."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
COLUMNS = {"none": "no wall", "small": "small walls", "landlock": "Landlock", "seccomp": "seccomp", "wall": "the wall"}
SECRET = b"the secret that nobody in a host may see"  # as in attacks.py, which only attackers import

_VICTIM = f"""
import ctypes, sys
secret = ctypes.create_string_buffer({SECRET!r})
print(ctypes.addressof(secret), flush=True)
sys.stdin.read()
"""


def python(*arguments: str) -> list[str]:
    """The command of a Python that finds luspool and the modules of this folder."""
    start = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(HERE)!r}]; import runpy; sys.argv[:] = sys.argv[1:]; "
    return [sys.executable, "-I", "-c", start + "runpy.run_path(sys.argv[0], run_name='__main__')", *arguments]


@contextlib.contextmanager
def scene(directory: Path) -> Iterator[Mapping[str, object]]:
    """Sets everything up beneath an empty directory; what is yielded are the fields of `attacks.Scene`."""
    readable, outside = directory / "readable", directory / "outside"
    for folder in (readable, outside, outside / "mount"):
        folder.mkdir()
    for name in ("data", "renamed", "removable"):
        (readable / name).write_bytes(bytes(4096))
    (outside / "secret").write_bytes(SECRET)
    (readable / "link").symlink_to(outside / "secret")
    own_secret = ctypes.create_string_buffer(SECRET)
    abstract_name = f"luspool-{secrets.token_hex(8)}"
    with contextlib.ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        for address in (str(outside / "socket"), f"\0{abstract_name}"):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(address)
            listener.listen()
        victim = stack.enter_context(
            subprocess.Popen([sys.executable, "-c", _VICTIM], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        )
        yield {
            "readable": str(readable),
            "outside": str(outside),
            "supervisor": os.getpid(),
            "supervisor_secret": ctypes.addressof(own_secret),
            "victim": victim.pid,
            "victim_secret": int(victim.stdout.readline()),
            "tcp_port": tcp.getsockname()[1],
            "udp_port": udp.getsockname()[1],
            "abstract_name": abstract_name,
        }


def results(wall: str, directory: Path) -> dict[str, str]:
    """What came of each attack, by its title, behind one wall of COLUMNS.

    Attacks after one that ends the process are not in it.
    """
    with scene(directory) as fields:
        done = subprocess.run(
            python(str(HERE / "attacker.py"), wall),
            input=json.dumps(fields),
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
    if done.returncode > 0:
        raise AssertionError(done.stderr)
    return dict(map(json.loads, done.stdout.splitlines()))
