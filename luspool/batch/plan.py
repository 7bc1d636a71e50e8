"""From an item to what an engine runs, at the moment at which it is to begin: only then is its script read."""

from __future__ import annotations

import os
from contextlib import nullcontext
from hashlib import sha256

from msgspec import Struct

from ..errors import CannotLoadError
from ..request import Request
from ..run import ARGUMENTS_LIMIT
from ..source import read_script
from .engine import Task
from .item import Item
from .key import key_of
from .outcome import Outcome, failed
from .rights import Grants


class Plan(Struct, frozen=True):
    """A task, with the key of its item and the digest of its script."""

    task: Task
    key: bytes
    script: bytes


class Planner:
    """Makes plans under the grants of one command line. `wall` is that of `Request`."""

    def __init__(self, grants: Grants, *, strict_globals: bool, wall: str) -> None:
        self._grants = grants
        self._strict_globals = strict_globals
        self._wall = wall

    def plan(self, number: int, item: Item) -> Plan | Outcome:
        """The plan for an item, or why it can't be run. UsageError as of `Grants.of`."""
        rights = self._grants.of(item)
        if len(item.arguments) > ARGUMENTS_LIMIT:
            return failed(CannotLoadError.exit_status, f"{len(item.arguments)} arguments; {ARGUMENTS_LIMIT} at most")
        try:
            # `./-` is a file of this name; `-` would be standard input.
            path = item.script if item.script != "-" else "./-"
            source = read_script(path, nullcontext(), rights.limits.state.source)
        except CannotLoadError as error:
            return failed(error.exit_status, str(error))
        variables = self._grants.variables(item, rights)
        request = Request(
            item.script,
            source,
            tuple(map(os.fsencode, item.arguments)),
            rights.wire,
            self._strict_globals,
            self._wall,
            variables=variables,
        )
        key = key_of(item, source, rights.digest, variables, strict_globals=self._strict_globals)
        stdin = item.stdin.encode("utf-8", "surrogateescape")
        return Plan(Task(number, request, rights.limits, stdin), key, sha256(source).digest())
