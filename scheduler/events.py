"""What a host tells its owner: the callbacks, and the records that they carry.

Everything here is plain data that may cross to another process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from .limits import Excess
from .protocol import Condition, Exited, Failure, Returned, StateId


class Deadlocked(Struct, frozen=True):
    """No state of the tree could ever run again and its root had not ended; everything was cancelled."""


class Cancelled(Struct, frozen=True):
    """The tree was cancelled from outside, or its host was shut down, before it was over."""


TreeOutcome = Returned | Exited | Failure | Deadlocked | Cancelled


class TreeResult(Struct, frozen=True):
    """How a tree ended: the root's own outcome, unless something else ended the tree.

    `unreceived_errors` counts the workers whose error nobody received; each was reported by `HostEvents.failed`
    before. The root's own failure is not among them. What the tree has used is in the units of its limits: `cpu` in
    all, `memory` the most that it had at the end of a step or when something was queued.
    """

    outcome: TreeOutcome
    unreceived_errors: int
    cpu: int = 0
    memory: int = 0

    def __eq__(self, other: object) -> bool:
        # What was used has no part in it: no two runs use the same.
        if not isinstance(other, TreeResult):
            return NotImplemented
        return (self.outcome, self.unreceived_errors) == (other.outcome, other.unreceived_errors)

    def __hash__(self) -> int:
        return hash((self.outcome, self.unreceived_errors))


class Wait(Struct, frozen=True):
    """One state of a deadlock: where it waits (`script:line`), what for, and which states could have ended the wait."""

    state: StateId
    location: str
    condition: Condition
    awaited: tuple[StateId, ...]


class HostEvents(Protocol):
    """What a host calls. One callback at a time per host, from any of its threads, never with its lock held.

    A callback may block; whoever writes output waits behind it, which is the back-pressure of a slow reader. A
    callback may call the host. One that raises shuts the host down and is the last one called (see `Host.fault`).
    For one tree: `tree_ended` comes last, also after every `write` of its states.
    """

    def write(self, stream: int, data: bytes) -> None:
        """A state wrote `data` to standard output (1) or standard error (2)."""

    def record(self, state: StateId, rows: bytes) -> None:
        """What is recorded of a state, for an audit: opaque bytes, in the order in which each state gave them.

        With `traced` the only callback that may still come after `tree_ended`: a state that was cancelled inside its
        step is closed when it has come out of it.
        """

    def traced(self, texts: tuple[str, ...], rows: bytes) -> None:
        """Of a host that is traced (`Host.trace`): see `trace_rows.pack_rows`. Also after `tree_ended`."""

    def want_input(self) -> None:
        """A state waits for standard input: answer once, with `Host.input_arrived` or `Host.input_ended`."""

    def called(self, call: int, name: str, payload: bytes) -> None:
        """A state calls the function `name` of the host's owner: answer once, with `Host.replied`, whenever that is."""

    def failed(self, failure: Failure, state: StateId, root: StateId) -> None:
        """A failure that nobody will receive: the root's own (`state == root`), or a worker's."""

    def deadlocked(self, root: StateId, waits: Sequence[Wait]) -> None:
        """The tree of `root` is deadlocked; `waits` has every live state, in order of creation."""

    def stuck(self, failure: Failure, state: StateId, root: StateId) -> None:
        """A state that had to end has stayed in its step for longer than `protocol.GRACE`: only the end of the process
        can end it. `failure` says why it had to: a limit's kind, or "cancelled". Once for each such step.
        """

    def root_ended(self, root: StateId, outcome: TreeOutcome) -> None:
        """Of one of several hosts: the root has ended here, and states of its tree may live here and elsewhere."""

    def input_left(self, data: bytes) -> None:
        """Of one of several hosts, asked for it: what had arrived of standard input, and nobody has read."""

    def exceeded(self, root: StateId, excess: Excess) -> None:
        """Of one of several hosts: the tree has used more than it may, and its root does not live here. Once."""

    def end_below(self, state: StateId) -> None:
        """Of one of several hosts: `state` has ended, and everybody below it, in all hosts, is to end."""

    def tree_ended(self, root: StateId, result: TreeResult) -> None:
        """The tree of `root` is over. Steps of cancelled states may still run for a while, without any effect."""

    def vacated(self) -> None:
        """Of a host for one tree after another, once after each: nothing is left of it, and no step runs."""
