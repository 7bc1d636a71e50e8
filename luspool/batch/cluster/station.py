"""A station: tasks on hosts of this machine (`local`), for a command on another one.

Its process has two threads of Ray's that call it: one is inside `exchange` for as long as the station has anything to
do, the other says what can't wait until that is over (`interrupt`). The engine belongs to the first one. Hosts die with
the thread that has started them, and so with the process.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Final

from ...errors import LuspoolError, UsageError
from ..engine import Done
from ..local import LocalEngine, LocalOptions
from .dealer import Interruption
from .letters import Orders, Report, pack_report, unpack_tasks
from .logs import LogsToSend

_NEWS_SECONDS: Final = 0.25
"""What has begun is told after so long, if it has not ended: `Engine.running` is for what takes long."""
_REPORT_BYTES: Final = 8 << 20
"""With so much to tell a report does not wait for more. It is in memory a few times, here and at the command."""


class Station:
    """For two threads, as the module says."""

    def __init__(self, orders: Orders) -> None:
        self._wake, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._notices: list[str] = []
        self._logs = LogsToSend(_REPORT_BYTES, self._ring)
        options = LocalOptions(
            orders.lanes,
            orders.threads,
            orders.slice_nanoseconds,
            orders.tasks_per_host,
            orders.output_kept,
            log_of=self._logs.open if orders.is_audited else None,
            gives_ahead=orders.gives_ahead,
        )
        self._engine = LocalEngine(options, self._wake, self._notices.append)
        self._lanes = orders.lanes
        self._held = 0
        """Tasks that are not reported yet."""
        self._told_running: set[int] = set()
        """By the last report."""
        self._exchanging = threading.Lock()
        """Held by who uses the engine."""
        self._is_closing = False
        self._lock = threading.Lock()
        self._interrupted = (0, 0)
        """The exchange that is to be ended, and what it was told (`Interruption`). Written by one thread, read by the
        other, under the lock."""

    def exchange(self, number: int, tasks: bytes, gather: float, patience: float) -> bytes:
        """Take tasks, and report, as bytes (`letters`): when a lane is free after something has ended, `gather` seconds
        after the first one has, when it is told to, and after `patience` seconds at the latest; soon,
        when a task has begun that takes long. Exchanges are numbered."""
        with self._exchanging:
            return self._exchange(number, tasks, gather, patience)

    def _exchange(self, number: int, tasks: bytes, gather: float, patience: float) -> bytes:
        began = time.monotonic()
        problem, is_usage, done = "", False, []
        try:
            for task in unpack_tasks(tasks):
                self._held += 1
                self._engine.submit(task)
            done = self._gather(number, began, gather, patience)
        except LuspoolError as error:
            problem, is_usage = str(error), isinstance(error, UsageError)
        notices, self._notices[:] = tuple(self._notices), []
        running = tuple(self._engine.running())
        self._told_running = {number for number, _ in running}
        logs = self._logs.take()
        return pack_report(Report(tuple(done), running, time.monotonic() - began, notices, problem, is_usage, logs))

    def interrupt(self, number: int, what: int) -> None:
        """Tell something (`Interruption`) to the exchange of this number, which may be on its way yet or over."""
        with self._lock:
            self._interrupted = max(self._interrupted, (number, what))
        self._ring()

    def close(self) -> None:
        """End what is left, also an exchange, and give everything back. Nothing may be called afterwards."""
        self._is_closing = True
        self._ring()
        with self._exchanging:
            self._engine.close()
            os.close(self._wake)
            os.close(self._waker)

    def _ring(self) -> None:
        try:
            os.write(self._waker, b"!")
        except BlockingIOError:
            return  # as much as a pipe holds: it is readable anyway

    def _gather(self, number: int, began: float, gather: float, patience: float) -> list[Done]:
        until = began + patience
        done: list[Done] = []
        size = 0
        obeyed = 0
        look_at = began + _NEWS_SECONDS
        while True:
            told = self._told(number)
            if told > obeyed:
                obeyed = told
                if told >= Interruption.CANCEL:
                    self._engine.cancel()
                elif told >= Interruption.RECALL:
                    self._engine.withdraw()
            if obeyed or self._is_closing or (done and self._held < self._lanes):
                until = 0.0
            if size >= _REPORT_BYTES or self._logs.are_many:
                until = 0.0
            ended = self._engine.wait(max(0.0, min(until, look_at) - time.monotonic()))
            self._take_wakes()
            if time.monotonic() >= look_at:
                look_at += _NEWS_SECONDS
                running = self._engine.running()
                if any(at >= _NEWS_SECONDS and number not in self._told_running for number, at in running):
                    until = 0.0
            if ended and not done:
                until = min(until, time.monotonic() + gather)
            done += ended
            size += sum(len(one.outcome.stdout) + len(one.outcome.stderr) for one in ended if one.outcome)
            self._held -= len(ended)
            if time.monotonic() >= until:
                return done

    def _told(self, number: int) -> int:
        with self._lock:
            exchange, what = self._interrupted
        return what if exchange == number else 0

    def _take_wakes(self) -> None:
        try:
            os.read(self._wake, 4096)
        except BlockingIOError:
            return


def open_station(data: bytes) -> tuple[Station | None, str]:
    """The station of this process under these orders; or why there can be none."""
    orders = Orders.unpack(data)
    os.environ.update(zip(orders.variables[::2], orders.variables[1::2], strict=True))
    try:
        os.chdir(orders.directory)
    except OSError as error:
        return None, (
            f"cannot change to the working directory {orders.directory}: {error.strerror}"
            " (scripts find their files by it: it has to be there on all machines)"
        )
    return Station(orders), ""
