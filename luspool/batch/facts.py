"""What `luspool top` is told of a batch, besides what hosts show. docs/tracing.md describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..onlooker import task_facts

if TYPE_CHECKING:
    from .batch import Batch

_RUNNING_MOST: Final = 1000
"""Items that are told of: as many as one machine runs at a time, and of a cluster enough for anybody."""


class Facts:
    """Of one batch, of which `batch` is set soon after somebody may look. For one thread."""

    def __init__(self, name: str, total: int) -> None:
        """`name` is what it is called by."""
        self._name = name
        self._total = total
        self.batch: Batch | None = None

    def __call__(self) -> dict[str, Any]:
        batch = self.batch
        facts = {"script": self._name, "batch": {"items": self._total}}
        if batch is None:
            return facts
        course, running, processes = batch.course, batch.running(), batch.processes()
        counts = {
            "done": course.counts.total(),
            "failed": course.failures,
            "running": len(running),
            "again": course.waiting,
            "skipped": batch.skipped,
        }
        shown = [
            task_facts(number, item.script, seconds, processes.get(number))
            for number, item, seconds in running[:_RUNNING_MOST]
        ]
        return {**facts, "batch": {"items": self._total, **counts}, "running": shown}
