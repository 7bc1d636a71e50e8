"""The side of a program that is looked at: hears who comes, asks the hosts, and answers with JSON.

One after the other: while somebody is served, the next ones wait. Who connects is of the same user, says nothing, and
gets one answer, with which the connection ends. Hosts have `_ANSWER_SECONDS` for theirs; how many are missing then is
told. A host that owes an answer is not asked again, so one that never gives any costs nothing.

Others than the same user are not served. After one of them, nobody is heard for `_DEAF_SECONDS`: who connects all the
time has no more of the supervisor's than that lets through.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import time
import weakref
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from ..scheduler import wire
from ..scheduler.connection import HostConnection
from ..scheduler.letters import shown_number
from ..scheduler.records import RecordError
from ..scheduler.tree import Phase
from ..scheduler.wire_views import STATES_SEEN, StateSeen
from .meeting import is_ours, open_place

VERSION: Final = 1
"""Of the answer."""
_ANSWER_SECONDS: Final = 1.0
"""For all hosts to answer, and then for who asks to read. Guessed: some milliseconds are usual."""
_DEAF_SECONDS: Final = 0.1
_PHASES: Final = frozenset(phase.value for phase in (Phase.READY, Phase.RUNNING, Phase.WAITING))


class TopServer:
    """See `surroundings.Onlooker`. For one thread. To be closed."""

    def __init__(self, facts: Callable[[], Mapping[str, Any]]) -> None:
        """What `facts` gives about the program is part of each answer. OSError: there is no place to meet."""
        self._place = open_place()
        self._facts = facts
        self._began_at = time.monotonic_ns()
        self._deaf_until: float | None = None
        self._client: socket.socket | None = None
        self._until = 0.0
        """When the present client, or the wait for hosts, has had its time."""
        self._number = 0
        """Of the last look."""
        self._owed: dict[HostConnection, int] = {}
        """Hosts that have still to answer, and the number of the look."""
        self._missing: set[HostConnection] = set()
        """Those whose answer the present client waits for."""
        self._silent = 0
        """How many hosts were not asked."""
        self._answers: list[dict[str, Any]] = []
        self._unsent = memoryview(b"")
        _SERVERS.add(self)

    def close(self) -> None:
        """Nobody is served any more. Repeatable."""
        self._place.close()
        self._leave()

    def awaits(self) -> tuple[int, int] | None:
        if self._client is not None:
            return (self._client.fileno(), selectors.EVENT_WRITE) if self._unsent else None
        return None if self._deaf_until is not None else (self._place.fileno(), selectors.EVENT_READ)

    def due(self) -> float | None:
        return self._until if self._client is not None else self._deaf_until

    def serve(self, hosts: Collection[HostConnection], *, is_ready: bool) -> None:
        now = time.monotonic()
        if self._client is None:
            if self._deaf_until is not None and now >= self._deaf_until:
                self._deaf_until = None
            if is_ready:
                self._hear(hosts, now)
        if self._client is None:
            return
        if not self._unsent:
            self._missing.intersection_update(hosts)
            if self._missing and now < self._until:
                return
            self._unsent = memoryview(self._answer())
            self._until = now + _ANSWER_SECONDS
        elif now >= self._until:  # it does not read
            self._leave()
            return
        self._send()

    def saw(self, host: HostConnection, seen: wire.Seen) -> None:
        if self._owed.pop(host, None) != seen.number:
            raise wire.WireError("it shows what nobody has asked for")
        answer = _host_seen(host, seen)
        if host in self._missing and seen.number == self._number:
            self._missing.discard(host)
            self._answers.append(answer)

    def _hear(self, hosts: Collection[HostConnection], now: float) -> None:
        """Somebody has come. Ask the hosts."""
        try:
            client, _ = self._place.accept()
        except OSError:  # it has left; or there are no descriptors, and the program is worth more than who looks at it
            self._deaf_until = now + _DEAF_SECONDS
            return
        client.setblocking(False)
        if not is_ours(client):
            client.close()
            self._deaf_until = now + _DEAF_SECONDS
            return
        self._client, self._until = client, now + _ANSWER_SECONDS
        self._number += 1
        self._answers, self._silent = [], 0
        self._owed = {host: number for host, number in self._owed.items() if host in hosts}
        for host in hosts:
            if host in self._owed or host.unsent:
                self._silent += 1
            elif host.number:
                host.send(wire.Look(self._number))
                self._owed[host] = self._number
                self._missing.add(host)

    def _answer(self) -> bytes:
        answer = {
            "v": VERSION,
            "pid": os.getpid(),
            **self._facts(),
            "running_for": time.monotonic_ns() - self._began_at,
            "hosts": sorted(self._answers, key=lambda answer: answer["host"]),
            "silent": self._silent + len(self._missing),
        }
        self._missing.clear()
        return json.dumps(answer).encode()

    def _send(self) -> None:
        assert self._client is not None  # noqa: S101  for the type checker
        try:
            self._unsent = self._unsent[self._client.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:  # it has left
            self._leave()
            return
        if not self._unsent:
            self._leave()

    def _leave(self) -> None:
        client, self._client = self._client, None
        self._unsent = memoryview(b"")
        self._missing.clear()
        if client is not None:
            with contextlib.suppress(OSError):
                client.close()


_SERVERS: Final[weakref.WeakSet[TopServer]] = weakref.WeakSet()


def _close_all() -> None:
    for server in tuple(_SERVERS):
        server.close()


# A child of an embedding program serves nobody, but who comes would wait for it, at a socket that it has, too.
os.register_at_fork(after_in_child=_close_all)


def _host_seen(host: HostConnection, seen: wire.Seen) -> dict[str, Any]:
    """WireError for what no honest host shows."""
    try:
        states = [_state_seen(state) for state in seen.records()]
    except RecordError as error:
        raise wire.WireError(str(error)) from error
    counts = {name: getattr(seen, name) for name in _COUNTS}
    if len(states) > STATES_SEEN or min(counts.values()) < 0:
        raise wire.WireError(f"it shows {len(states)} states, {counts}")
    return {"host": host.number, "pid": host.process.pid, **counts, "shown": states}


def _state_seen(state: StateSeen) -> dict[str, Any]:
    sizes = {name: getattr(state, name) for name in _SIZES}
    if state.phase not in _PHASES or min(state.state, state.parent, *sizes.values()) < 0:
        raise wire.WireError(f"it shows a state {state!r:.200}")
    awaited = [int.from_bytes(state.awaited[at : at + 8]) for at in range(0, len(state.awaited), 8)]
    return {
        "state": shown_number(state.state),
        "parent": shown_number(state.parent) if state.parent else None,
        "script": state.script,
        "phase": state.phase,
        "waits_for": state.waits_for or None,
        "awaited": [shown_number(one) for one in awaited],
        "location": state.location or None,
        **sizes,
    }


_COUNTS: Final = ("states", "running", "ready", "waiting", "memory", "cpu", "output")
_SIZES: Final = ("cpu", "memory", "inbox", "outbox")
