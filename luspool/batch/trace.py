"""The trace of a batch, a file: `batch --trace`. docs/tracing.md describes it."""

from __future__ import annotations

import time

from ..trace.file import TraceFile
from .engine import Task
from .outcome import Outcome


class BatchTrace(TraceFile):
    """See `TracedTasks`."""

    def ended(self, host: int, process: int, task: Task, began_at: int, outcome: Outcome) -> None:
        facts = {"item": task.number, "status": outcome.status.value, "exit": outcome.exit_status}
        self.item(host, process, f"{task.number}: {task.request.path}", (began_at, time.monotonic_ns()), facts)
