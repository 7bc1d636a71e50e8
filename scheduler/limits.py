"""How much a state, and a tree as a whole, may use: plain data, and the words for having used more.

Limits of a state bind that state alone: one that exceeds its own ends, with all below it, and its parent receives an
error of that kind. A worker has its creator's limits, or stricter ones. Limits of a tree bind all its states together:
`states`, `depth` and `output` end the state that steps over them, the rest end the tree.

Sizes are bytes, times nanoseconds; `UNLIMITED` is an ordinary number that nothing reaches.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from .units import COUNT, SIZE, TIME, UNLIMITED, Unit

_SECOND: Final = 1_000_000_000
_MINUTE: Final = 60 * _SECOND
_MIB: Final = 1 << 20


class StateLimits(Struct, frozen=True):
    """The limits of one state. The defaults are for scripts that nobody trusts."""

    memory: int = 64 * _MIB
    """Bytes of its heap."""
    cpu: int = _MINUTE
    """Processor time, as measured by the thread that steps it; what its host calls take counts."""
    time: int = UNLIMITED
    """Wall time from its first step, also while it waits."""
    message: int = 16 * _MIB
    """Bytes of one message that it sends, and of a worker's arguments together, in the codec's form."""
    source: int = _MIB
    """Bytes of one source text that it loads or is made from. Translating can't be interrupted."""

    def within(self, other: StateLimits) -> StateLimits:
        """The stricter of both, limit by limit."""
        if self is other:
            return self
        return StateLimits(
            min(self.memory, other.memory),
            min(self.cpu, other.cpu),
            min(self.time, other.time),
            min(self.message, other.message),
            min(self.source, other.source),
        )


class TreeLimits(Struct, frozen=True):
    """The limits of a tree as a whole."""

    states: int = 20_000
    """States at a time. One that has ended counts until its parent has received all that it left."""
    depth: int = 100
    """Workers below workers: with 1 the root may create workers, and they may not."""
    output: int = 64 * _MIB
    """Bytes written to standard output, standard error and files."""
    memory: int = 1024 * _MIB
    """Bytes of all heaps, as of each state's last step, and of all queued messages."""
    cpu: int = 10 * _MINUTE
    """Processor time of all states together, also of those that have ended."""
    time: int = 30 * _MINUTE
    """Wall time from the tree's creation to its end."""
    mailbox: int = 256 * 1024
    """Bytes that one mailbox holds; a full one makes its sender wait, which is no error. More lets a fast sender run
    further ahead."""

    def within(self, other: TreeLimits) -> TreeLimits:
        """The stricter of both, limit by limit."""
        return TreeLimits(*(min(getattr(self, name), getattr(other, name)) for name in self.__struct_fields__))


class Usage(Struct, frozen=True):
    """What a part of a tree has used of the tree's limits, in their units."""

    states: int = 0
    memory: int = 0
    cpu: int = 0
    output: int = 0


class Limits(Struct, frozen=True):
    """All limits of one tree: those that its root has, and those of the tree."""

    state: StateLimits = StateLimits()
    tree: TreeLimits = TreeLimits()


class Measure(Struct, frozen=True):
    """How people are told of a kind of limit."""

    what: str
    """What there was too much of."""
    unit: Unit


MEASURES: Final = {
    "memory": Measure("of memory", SIZE),
    "cpu": Measure("of processor time", TIME),
    "time": Measure("of wall time", TIME),
    "message": Measure("in one message", SIZE),
    "source": Measure("of source text", SIZE),
    "states": Measure("states", COUNT),
    "depth": Measure("workers below one another", COUNT),
    "output": Measure("of output", SIZE),
}
"""By kind: the names of the limits, but for `mailbox`, which can't be exceeded. A failure's `kind` is one of these."""


OF_TREE: Final = " for the whole program"
"""Ends the text of an `Excess` of a tree's limit."""


class Excess(Struct, frozen=True):
    """A limit that was exceeded. `value` is what was used or asked for; the limit itself: more than that."""

    kind: str
    limit: int
    value: int
    is_of_tree: bool = False

    def __str__(self) -> str:
        measure = MEASURES[self.kind]
        limit = measure.unit.format(self.limit)
        used = f"{measure.unit.format(self.value)} {measure.what}, {limit} allowed"
        if self.value <= self.limit:
            used = f"more than {limit} {measure.what}"
        return f"{self.kind} limit exceeded: {used}{OF_TREE if self.is_of_tree else ''}"
