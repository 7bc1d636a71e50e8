"""Keeps what a program says, for a caller who wants it all at its end."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from . import errors, report
from .sandbox import codec
from .scheduler import wire
from .scheduler.connection import HostError
from .scheduler.limits import Excess, Limits
from .verdict import Verdict

_REPORTS_KEPT: Final = 100
"""Reports of failures of which a result has the text. Each may be some screens long."""


class RunResult(Struct, frozen=True):
    """What became of a run."""

    kind: str
    """`returned`; `exited` (by `os.exit`); as the main script failed: `error`, `denied`, `load`, `internal` or the name
    of the limit that was exceeded; `deadlock`; `unreceived`: it ended well, and nobody received an error of a worker;
    `crashed`: the process of the main script died; `cancelled`: a job was, or a worker that could not be stopped.
    """
    status: int
    """What the command `luspool run` would have exited with; 0 where all went well."""
    stdout: bytes
    stderr: bytes
    failure: str | None
    """All that went wrong, for people, with tracebacks; None where nothing did."""
    messages: tuple[codec.Value, ...] = ()
    """What a job of a `ScriptExecutor` has sent; other jobs' messages are received."""


class Audience:
    """Takes what a program says (see `supervisor.Listener`), and makes a `RunResult` of it."""

    def __init__(
        self,
        name: str,
        limits: Limits,
        stdin: bytes,
        started: Callable[[], None],
        record: Callable[[wire.Record], None],
    ) -> None:
        self.started = started
        self.record = record
        self._name = name
        self._limits = limits
        self._stdin = memoryview(stdin)
        self._streams = {1: bytearray(), 2: bytearray()}
        self._verdict = Verdict()
        self._reports: list[str] = []
        self._reports_left_out = 0

    def write(self, stream: int, data: bytes) -> None:
        self._streams[stream] += data

    def notice(self, text: str) -> None:
        warnings.warn(text, RuntimeWarning, stacklevel=2)

    def read_input(self) -> bytes:
        chunk, self._stdin = self._stdin[: wire.INPUT_PIECE], self._stdin[wire.INPUT_PIECE :]
        return bytes(chunk)

    def failed(self, failure: wire.Failed) -> None:
        self._verdict.failed(failure)
        text = _with_script(failure.message, failure.script)
        if not failure.is_root:
            text = f"worker {failure.script} failed, and nobody received its error: {text}"
        self._keep(f"{text}\n{failure.traceback}".rstrip())

    def host_died(self, text: str, details: bytes) -> None:
        self._keep(f"{text}\n{details.decode('utf-8', 'replace')}".rstrip())

    def stuck(self, stuck: wire.Stuck) -> None:
        self._verdict.stuck(stuck)
        self._keep(f"{_with_script(stuck.message, stuck.script)} (inside one long call of a library function)")

    def deadlocked(self, deadlock: wire.Deadlocked) -> None:
        self._verdict.deadlocked()
        self._keep(report.deadlock_text(deadlock).removeprefix("luspool: "))

    def result(self, ended: wire.TreeEnded) -> RunResult:
        return self._result(self._verdict.kind(ended), self._verdict.exit_status(ended))

    def overdue(self) -> RunResult:
        """For a program that had to be ended over its host's head, after its time."""
        limit = self._limits.tree.time
        self._keep(f"{self._name}: {Excess('time', limit, limit, is_of_tree=True)}")
        return self._result("time", errors.TIME_LIMIT)

    def died(self, death: HostError) -> RunResult:
        """For a program whose host has died, or had to be ended."""
        self._keep(f"{self._name}: {death}")
        return self._result("crashed", errors.INTERNAL)

    def _result(self, kind: str, status: int) -> RunResult:
        reports = list(self._reports)
        if self._reports_left_out:
            reports.append(f"… and {self._reports_left_out} more")
        failure = "\n".join(reports) if reports else None
        return RunResult(kind, status, bytes(self._streams[1]), bytes(self._streams[2]), failure)

    def _keep(self, text: str) -> None:
        if len(self._reports) < _REPORTS_KEPT:
            self._reports.append(text)
        else:
            self._reports_left_out += 1


def _with_script(message: str, script: str) -> str:
    return message if message.startswith(script) else f"{script}: {message}"
