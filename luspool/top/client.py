"""The side of who looks: which programs of this user run, and what each of them shows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final, TypeAlias

from ..errors import SCRIPT_ERROR, LuspoolError
from .meeting import Place, connect, find_places
from .server import VERSION

Answer: TypeAlias = dict[str, Any]
"""What a program shows; docs/tracing.md describes it."""

_SECONDS: Final = 5.0
"""For an answer. The program's side takes two at most, unless it waits for a reader of its output."""
_MOST: Final = 256 << 20
"""Bytes of an answer: some times what 64 hosts may show."""


class NothingSeenError(LuspoolError):
    """There is no program to look at, or it does not say what it does."""

    exit_status: ClassVar[int] = SCRIPT_ERROR


def programs(pid: int | None) -> list[Place]:
    """Those that there are, or the one of this process. NothingSeenError if that is none."""
    try:
        places = find_places()
    except OSError as error:
        raise NothingSeenError(f"the system does not tell which programs run: {error}") from error
    if pid is None:
        return places
    found = [place for place in places if place.pid == pid]
    if not found:
        raise NothingSeenError(
            f"process {pid} runs no scripts that can be looked at ('luspool top' lists those that do)"
        )
    return found


def ask(place: Place) -> Answer | None:
    """What a program shows; None when it has ended, or is another user's. NothingSeenError."""
    try:
        sock = connect(place, _SECONDS)
        if sock is None:
            return None
        with sock:
            data = b"".join(_received(sock.recv))
    except TimeoutError as error:
        advice = "does anybody read its output?"
        raise NothingSeenError(f"process {place.pid} does not answer for {_SECONDS:g} s ({advice})") from error
    except ConnectionError:
        return None
    except OSError as error:
        raise NothingSeenError(f"process {place.pid} does not answer: {error}") from error
    if not data:
        return None
    answer = json.loads(data)
    if answer["v"] != VERSION:
        raise NothingSeenError(f"process {place.pid} is of another version of luspool")
    return dict(answer)


def _received(receive: Callable[[int], bytes]) -> Iterator[bytes]:
    left = _MOST
    while left > 0 and (piece := receive(1 << 20)):
        yield piece
        left -= len(piece)
