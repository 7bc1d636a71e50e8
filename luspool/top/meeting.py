"""Where a running program and those who look at it meet: a socket that has a name, and no file.

Its name is an abstract one, which lasts as long as the socket: nothing is left of it, however a program ends. Anybody
in the same network namespace may connect to such a name, and may take one that looks like ours; so each side asks the
system who the other one is, before it says or reads anything.
"""

from __future__ import annotations

import os
import re
import socket
import struct
from typing import Final, NamedTuple

_NAME: Final = re.compile(r"@(luspool-top-(\d{1,10})-[0-9a-f]{8})", re.ASCII)
_PEER: Final = struct.Struct("3i")
_WAITING: Final = 8
"""Who may wait for being heard. The next ones are told to come again."""


class Place(NamedTuple):
    """A program that can be looked at, by its supervisor's process."""

    pid: int
    name: str


def open_place() -> socket.socket:
    """A place for this process: a listening socket, non-blocking. OSError.

    Part of the name is random: a process of another namespace may have our number.
    """
    place = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        place.bind(f"\0luspool-top-{os.getpid()}-{os.urandom(4).hex()}")
        place.listen(_WAITING)
    except BaseException:
        place.close()
        raise
    return place


def find_places() -> list[Place]:
    """All that there seem to be, in order of their processes. OSError where the system does not tell."""
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as sockets:
        names = {line.split()[-1] for line in sockets}
    found = (_NAME.fullmatch(name) for name in names)
    return sorted(Place(int(match[2]), match[1]) for match in found if match)


def connect(place: Place, seconds: float) -> socket.socket | None:
    """To a program of this user. None: nobody is there, or somebody else. OSError: it does not answer."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(seconds)
    try:
        sock.connect(f"\0{place.name}")
        if is_ours(sock):
            return sock
    except (ConnectionError, FileNotFoundError):
        pass  # it has ended meanwhile
    except BaseException:
        sock.close()
        raise
    sock.close()
    return None


def is_ours(sock: socket.socket) -> bool:
    """Whether the other side of a connection is a process of the same user."""
    _, user, _ = _PEER.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return bool(user == os.geteuid())
