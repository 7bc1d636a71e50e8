"""What the tests run inside of a walled process: a host with Lua states, and a record of what Python imports there.

Imported before the wall goes up, like everything that such a process needs.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence

from luspool.permissions import Origin, Pledge, PledgeSet, Rule
from luspool.sandbox import Program, Sandbox, codec
from luspool.scheduler.events import TreeResult, Wait
from luspool.scheduler.host import Host
from luspool.scheduler.limits import Limits
from luspool.scheduler.protocol import Failure, StateId

HANG = 60
"""Seconds after which a program that should have ended is taken to hang."""

_LIMITS = Limits()


def pledges(*texts: str, cwd: str = "/") -> PledgeSet:
    """The rights of a root: `pledges("load", "fs:read=/srv")`."""
    return PledgeSet.root(
        [Rule(Pledge.parse(text, command_line=True).bind(cwd), Origin.flag("-P", text)) for text in texts]
    )


def become(user: int | None) -> None:
    """Another user, without rights, where this is root; otherwise this process is an ordinary user's already."""
    if user is not None and os.geteuid() == 0:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)


class ImportRecorder:
    """Keeps the name of each module that Python looks for from now on, which is not loaded."""

    def __init__(self) -> None:
        self.names: list[str] = []
        sys.meta_path.insert(0, self)

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        self.names.append(name)


class _Events:
    """Keeps what a host says."""

    def __init__(self) -> None:
        self.output: list[bytes] = []
        self.failures: list[str] = []
        self.ended = threading.Event()

    def write(self, _stream: int, data: bytes) -> None:
        self.output.append(data)

    def want_input(self) -> None: ...

    def failed(self, failure: Failure, _state: StateId, _root: StateId) -> None:
        self.failures.append(f"{failure.kind}: {failure.message}\n{failure.traceback}")

    def deadlocked(self, _root: StateId, waits: Sequence[Wait]) -> None:
        self.failures.append(f"deadlock: {waits}")

    def stuck(self, failure: Failure, _state: StateId, _root: StateId) -> None:
        self.failures.append(f"stuck: {failure.message}")

    def tree_ended(self, _root: StateId, _result: TreeResult) -> None:
        self.ended.set()


class Lua:
    """A host in this process. Made before the wall goes up; its threads start with `run`."""

    def __init__(self, directory: str, threads: int = 2) -> None:
        self._sandbox = Sandbox({"NAME": "value"}, directory)
        self._events = _Events()
        self._host = Host(threads, self._sandbox.new_state, self._events, slice_nanoseconds=1_000_000)
        self._started = False

    def run(self, source: str, rights: PledgeSet, limits: Limits = _LIMITS) -> tuple[str, list[str]]:
        """What a program prints, and its failures. One at a time."""
        if not self._started:
            self._host.start()
            self._started = True
        events = self._events
        events.output.clear()
        events.failures.clear()
        events.ended.clear()
        self._host.create_root(Program("main.lus", source.encode(), codec.encode(), rights), limits)
        if not events.ended.wait(HANG):
            raise TimeoutError("the program hangs")
        return b"".join(events.output).decode(), list(events.failures)

    def run_broken(self) -> None:
        """A tree that the factory can't make a state for: luspool's own fault, which is told with a traceback."""
        self._events.ended.clear()
        self._host.create_root("not a program", _LIMITS)
        if not self._events.ended.wait(HANG):
            raise TimeoutError("the program hangs")

    def shutdown(self) -> None:
        if not self._host.shutdown(HANG):
            raise TimeoutError("the host does not shut down")
