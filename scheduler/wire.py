"""The frames between a supervisor and a host process: a pure encoder and decoder, bytes in, messages out.

They go over two sockets. The *control* socket goes both ways and is read at once on either side, whatever else goes on.
The *events* socket brings what scripts say, from the threads that run them: who writes there waits while the supervisor
waits for a slow reader of the output.

Each kind is a record below (see `records`). How they become bytes, and what is checked on the way back: see `framing`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from .framing import TEXT_LIMIT, Decoder, Message, WireError, clip, encode
from .limits import Limits, StateLimits, TreeLimits
from .protocol import CALL_LIMIT, FUNCTION_NAME_LIMIT, REPLY_LIMIT
from .records import pack, unpack
from .wire_views import Look, Seen, Trace

# What others know of these modules, with all that is below.
__all__ = ["TEXT_LIMIT", "Decoder", "Look", "Message", "Seen", "Trace", "WireError", "clip", "encode"]

VERSION = 8
"""Changes whenever any frame changes; both sides must have the same (see `Hello`)."""

OUTPUT_PIECE = 60 * 1024
"""Bytes of output per frame at most; longer writes go in several. Some pages below a socket buffer, so that back
pressure sets in early; guessed."""

INPUT_PIECE = 64 * 1024
"""Bytes of standard input per frame at most: one read of a pipe."""

PROGRAM_LIMIT = 64 * 1024 * 1024
"""Bytes of a program (source and arguments) at most."""

RECORD_LIMIT = 4 * 1024 * 1024
"""Bytes of records per frame at most. Those who make them bound the characters (`sandbox.recorder`), of which each may
take 12 bytes."""

WAITS_LIMIT = 100
"""How many waits a report of a deadlock lists at most."""


SOURCES_LIMIT = 1000
"""How many files of source text a program's end tells of at most."""

PATH_LIMIT = 4096
"""Bytes of a path at most, as the system has it."""


# --- messages ---------------------------------------------------------------------------------------------------


_FIELD_HEADS = 256  # room for numbers and the lengths of a handful of fields, on top of a limit on their content


class Hello(Message, frozen=True):
    """Host to supervisor, first and once: ready. `version` must be the supervisor's own `VERSION`."""

    version: int
    KIND = ord("H")
    LIMIT = 8


class Start(Message, frozen=True):
    """Supervisor to host: take part in running `program` (opaque here). Once, unless the host `stays`.

    The host is number `host` of those that run it; 0: the only one, which begins at once. `root` is the root's id,
    which says where it will live. States run on `threads` executors, in slices (0: without end). `spreads`: every new
    state goes to the next host, whatever the load. The two limits are the bytes of their records: see `of`, `limits`.

    For one of several, the descriptor of its board comes with it.

    `stays`: the only host serves one program after another, each with a `Start`; one that comes before the `TreeEnded`
    of the one before waits until then. The wall stands since the first: `program` decides what the others may be.

    `traces`: the host is to send `Trace`s.
    """

    host: int
    root: int
    threads: int
    slice_nanoseconds: int
    spreads: bool
    state_limits: bytes
    tree_limits: bytes
    program: bytes
    stays: bool = False
    traces: bool = False
    KIND = ord("S")
    LIMIT = PROGRAM_LIMIT + _FIELD_HEADS

    @classmethod
    def of(  # noqa: PLR0913  what a run is
        cls,
        threads: int,
        slice_nanoseconds: int,
        limits: Limits,
        program: bytes,
        *,
        spreads: bool = False,
        stays: bool = False,
        traces: bool = False,
    ) -> Start:
        """For the only host; see `for_host`."""
        return cls(0, 1, threads, slice_nanoseconds, spreads, *_packed_limits(limits), program, stays, traces)

    def for_host(self, host: int, root: int) -> Start:
        """The same for one of several hosts."""
        return replace(self, host=host, root=root)

    def limits(self) -> Limits:
        """RecordError when they are none."""
        return _limits(self.state_limits, self.tree_limits)


# Hosts that stay get many programs with the same ones.
@lru_cache(maxsize=8)
def _packed_limits(limits: Limits) -> tuple[bytes, bytes]:
    return pack(limits.state), pack(limits.tree)


@lru_cache(maxsize=8)
def _limits(state: bytes, tree: bytes) -> Limits:
    return Limits(unpack(StateLimits, state), unpack(TreeLimits, tree))


class Run(Message, frozen=True):
    """Supervisor to the root's host, one of several: start the root."""

    KIND = ord("R")
    LIMIT = 0


class Recall(Message, frozen=True):
    """Supervisor to a host that stays: begin none of the programs that wait; answer with `Recalled`."""

    KIND = ord("c")
    LIMIT = 0


class Join(Message, frozen=True):
    """Supervisor to host: there is another host.

    With it come descriptors: three of a ring that leads there, three of one that leads here, one of its board.
    """

    host: int
    KIND = ord("J")
    LIMIT = 8
    DESCRIPTORS = 7


class Gone(Message, frozen=True):
    """Supervisor to host: another host has died; see `coordinator.Gone`. `failure` is a record, empty for none."""

    host: int
    how: str
    stuck: int
    failure: bytes
    KIND = ord("G")
    LIMIT = 6 * TEXT_LIMIT


class EndBelow(Message, frozen=True):
    """Supervisor to host: everybody below this state is to end."""

    state: int
    KIND = ord("B")
    LIMIT = 8


class EndForExcess(Message, frozen=True):
    """Supervisor to the root's host: the tree has used too much. The fields of a `limits.Excess`."""

    kind: str
    limit: int
    value: int
    KIND = ord("X")
    LIMIT = _FIELD_HEADS


class TellWaits(Message, frozen=True):
    """Supervisor to host: there is a deadlock; answer with `Deadlocked`."""

    KIND = ord("T")
    LIMIT = 0


class EndTree(Message, frozen=True):
    """Supervisor to host: the tree is over; answer with `TreeEnded`."""

    KIND = ord("Z")
    LIMIT = 0


class Ban(Message, frozen=True):
    """Supervisor to host: start no state of this script any more, `why`."""

    script: str
    why: str
    KIND = ord("N")
    LIMIT = 2 * (TEXT_LIMIT + _FIELD_HEADS)


class Ping(Message, frozen=True):
    """Supervisor to host: answer with a `Pong` of this number."""

    number: int
    KIND = ord("P")
    LIMIT = 8


class LeaveInput(Message, frozen=True):
    """Supervisor to host: another host wants standard input; answer with `InputLeft`."""

    KIND = ord("L")
    LIMIT = 0


class Input(Message, frozen=True):
    """Supervisor to host: the chunk of standard input that a `WantInput` asked for; empty at the end of input."""

    data: bytes
    KIND = ord("I")
    LIMIT = INPUT_PIECE + _FIELD_HEADS


class Shutdown(Message, frozen=True):
    """Supervisor to host: close every state, join every thread and exit."""

    KIND = ord("Q")
    LIMIT = 0


class Recalled(Message, frozen=True):
    """Host to supervisor: the last `count` programs that it was given will not begin. Once for each `Recall`."""

    count: int
    KIND = ord("c")
    LIMIT = 8


class Notice(Message, frozen=True):
    """Host to supervisor, at most once, and before its program begins: something that the user has to know."""

    text: str
    KIND = ord("n")
    LIMIT = TEXT_LIMIT + _FIELD_HEADS


class Output(Message, frozen=True):
    """Host to supervisor: bytes for standard output (1) or standard error (2)."""

    stream: int
    data: bytes
    KIND = ord("O")
    LIMIT = OUTPUT_PIECE + _FIELD_HEADS


class Record(Message, frozen=True):
    """Host to supervisor: what is recorded of a state for the audit of the run, opaque here.

    With `Trace` the only frames that count after `TreeEnded`; see `Supervisor.close`.
    """

    state: int
    rows: bytes
    KIND = ord("a")
    LIMIT = RECORD_LIMIT + _FIELD_HEADS


class WantInput(Message, frozen=True):
    """Host to supervisor: a state waits for standard input."""

    KIND = ord("W")
    LIMIT = 0


class Call(Message, frozen=True):
    """Host to supervisor: a state calls the function `name`. `call` is greater than in each `Call` before."""

    call: int
    name: str
    payload: bytes
    KIND = ord("C")
    LIMIT = CALL_LIMIT + FUNCTION_NAME_LIMIT + _FIELD_HEADS


class Reply(Message, frozen=True):
    """Supervisor to host: what a call came to; see `protocol.CallResult`. Once for each, in any order."""

    call: int
    ok: bool
    payload: bytes
    KIND = ord("A")
    LIMIT = REPLY_LIMIT + _FIELD_HEADS


class Failed(Message, frozen=True):
    """Host to supervisor: the root ended with an error (`is_root`), or a worker did and nobody will receive it.

    `kind`, `message`, `traceback` and `script` are those of `protocol.Failure`; its error value stays in the host.
    """

    kind: str
    message: str
    traceback: str
    script: str
    is_root: bool
    KIND = ord("F")
    LIMIT = 4 * (TEXT_LIMIT + _FIELD_HEADS)


class WaitRecord(Struct, frozen=True):
    """One state of a deadlock: it waits at `location` for `what`, which the states `awaited` could have given.

    `what` is the name of the class of its condition. Of awaited states, 8 bytes each, at most `WAITS_LIMIT` are named.
    """

    state: int
    location: str
    what: str
    awaited: bytes


class Deadlocked(Message, frozen=True):
    """Host to supervisor: who waits in it, of whom none can ever run again; at most `WAITS_LIMIT` as `WaitRecord`s."""

    waiting: int
    waits: tuple[bytes, ...]
    KIND = ord("D")
    LIMIT = WAITS_LIMIT * (TEXT_LIMIT + 8 * WAITS_LIMIT + _FIELD_HEADS)

    @classmethod
    def of(cls, waiting: int, records: Iterable[WaitRecord]) -> Deadlocked:
        """As many of the records as it may have."""
        return cls(waiting, tuple(pack(record) for record in islice(records, WAITS_LIMIT)))

    def records(self) -> list[WaitRecord]:
        """RecordError when they are none."""
        return [unpack(WaitRecord, wait) for wait in self.waits]


class Stuck(Message, frozen=True):
    """Host to supervisor: a state that should have ended does not come out of one long call; only we can end it.

    `kind` is that of the limit that it exceeded, or "cancelled". The rest as in `Failed`.
    """

    kind: str
    message: str
    script: str
    is_root: bool
    state: int
    KIND = ord("K")
    LIMIT = 3 * (TEXT_LIMIT + _FIELD_HEADS)


class TreeEnded(Message, frozen=True):
    """Host to supervisor, once: the program is over. Only records and traces may follow.

    `exited`: the root called `os.exit`, with `status` (any integer; else 0).
    """

    exited: bool
    status: int
    KIND = ord("E")
    LIMIT = _FIELD_HEADS


class SourceRecord(Struct, frozen=True):
    """A file of source text: the SHA-256 digest of its content, b"" where there was no such file."""

    path: str
    digest: bytes


class Used(Message, frozen=True):
    """Host to supervisor, right before `TreeEnded`, where the host stays: what the program has used.

    Nanoseconds of wall and of processor time, and bytes of memory at most (see `events.TreeResult`). `sources` are
    `SourceRecord`s of the files that it has loaded code from, or would have; `has_all` is False where there were more.
    `stays` is False where the host can't get rid of what is left of the program: it ends instead.
    """

    wall: int
    cpu: int
    memory: int
    sources: tuple[bytes, ...]
    has_all: bool
    stays: bool
    KIND = ord("U")
    LIMIT = SOURCES_LIMIT * (PATH_LIMIT + _FIELD_HEADS)

    def records(self) -> list[SourceRecord]:
        """RecordError when they are none."""
        return [unpack(SourceRecord, source) for source in self.sources]


class Stamp(Message, frozen=True):
    """Host to supervisor, where there are several: the next `frames` frames belong together and were written at `at`.

    That is a time of the system's monotonic clock, in nanoseconds, which is one clock for all hosts: see `merge`.
    """

    at: int
    frames: int
    KIND = ord("M")
    LIMIT = 16


class RootEnded(Message, frozen=True):
    """Host to supervisor: the root has ended, the tree has not. `kind`: "returned", "exited", or that of a failure."""

    kind: str
    status: int
    KIND = ord("R")
    LIMIT = _FIELD_HEADS


class Exceeded(Message, frozen=True):
    """Host to supervisor: the tree has used too much. The fields of a `limits.Excess`."""

    kind: str
    limit: int
    value: int
    KIND = ord("x")
    LIMIT = _FIELD_HEADS


class AskEndBelow(Message, frozen=True):
    """Host to supervisor: have all hosts end everybody below this state."""

    state: int
    KIND = ord("b")
    LIMIT = 8


class InputLeft(Message, frozen=True):
    """Host to supervisor: what it has of standard input and nobody has read; in pieces, the last one empty."""

    data: bytes
    KIND = ord("l")
    LIMIT = INPUT_PIECE + _FIELD_HEADS


class Pong(Message, frozen=True):
    """Host to supervisor: the answer to a `Ping`."""

    number: int
    KIND = ord("p")
    LIMIT = 8


class Report(Message, frozen=True):
    """Host to supervisor: it has nothing to do. See `idle_report`; counts are pairs of host and number, 16 bytes."""

    sent: bytes
    received: bytes
    commands: int
    asks: int
    is_timed: bool
    KIND = ord("r")
    LIMIT = 2 * 16 * 4096 + _FIELD_HEADS


class Broken(Message, frozen=True):
    """Host to supervisor: another host wrote what no honest one writes."""

    host: int
    why: str
    KIND = ord("k")
    LIMIT = TEXT_LIMIT + _FIELD_HEADS


TO_HOST: tuple[type[Message], ...] = (
    Start,
    Run,
    Recall,
    Join,
    Gone,
    EndBelow,
    EndForExcess,
    TellWaits,
    EndTree,
    Ban,
    Ping,
    Look,
    LeaveInput,
    Input,
    Reply,
    Shutdown,
)
"""What a host may receive, on the control socket."""

CONTROL: tuple[type[Message], ...] = (Hello, Recalled, Pong, Seen, Report, Broken)
"""What a supervisor may receive there."""

EVENTS: tuple[type[Message], ...] = (
    Stamp,
    Notice,
    Output,
    Record,
    Trace,
    WantInput,
    InputLeft,
    Call,
    Failed,
    Deadlocked,
    Stuck,
    RootEnded,
    Exceeded,
    AskEndBelow,
    Used,
    TreeEnded,
)
"""What a supervisor may receive on the events socket."""
