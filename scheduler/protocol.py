"""What the scheduler and the states it runs know of each other.

The scheduler knows a state only as a `Runnable`: something with a `step` that runs until it ends, waits or has
used up its slice. A state knows the scheduler only as a `Port`: calls that never block. Whatever cannot be done
at once is refused by the port; the state then leaves `step` with a `Waiting` that names the *condition* it waits
for, and when it is resumed it asks again. Nothing is ever handed to a state by waking it, which has two
consequences: there is no wake-up to lose (the condition is checked, under the scheduler's lock, when the wait is
registered), and a state whose heap is full can be resumed safely. One that waits for a message may have its question
answered when its turn has come (`Waiting.takes`), as though it had asked first thing in its step.

Everything here is plain data and protocols: no Lua, no thread, no process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NewType, Protocol

from msgspec import Struct

from .limits import MEASURES, Excess, StateLimits

StateId = NewType("StateId", int)
"""Names one state among all hosts of its tree; more than 0, never used again, also after the state's end."""


# --- what a state waits for -------------------------------------------------------------------------------------


class InboxHasMail(Struct, frozen=True):
    """`worker.peek()` on an empty inbox: true once the parent has sent something."""


class ChildrenHaveMail(Struct, frozen=True):
    """`worker.receive(…)`: true once any of these children has an item queued, or all are dead and empty."""

    children: tuple[StateId, ...]


class OutboxHasRoom(Struct, frozen=True):
    """`worker.message(v)` on a full outbox: true once `size` bytes fit, or nobody can receive them any more."""

    size: int


class InboxHasRoom(Struct, frozen=True):
    """`worker.send(w, v)` to a full inbox: true once `size` bytes fit, or the child is dead."""

    child: StateId
    size: int


class InputArrived(Struct, frozen=True):
    """Reading standard input: true once more than `seen` chunks have arrived (see `Port.input_seen`)."""

    seen: int


class ReplyArrived(Struct, frozen=True):
    """A call of a function of the host's owner: true once its reply has come. With no such call it is true at once."""

    call: int


class LetterIsOut(Struct, frozen=True):
    """Before the first step of a state that came from another host: true once that host can know that it has begun.

    `number` counts the letters written to `host`. No state asks for this: it is the scheduler's own wait.
    """

    host: int
    number: int


Condition = InboxHasMail | ChildrenHaveMail | OutboxHasRoom | InboxHasRoom | InputArrived | LetterIsOut | ReplyArrived


# --- how a state ends -------------------------------------------------------------------------------------------


class Failure(Struct, frozen=True):
    """Why a state failed, in plain values that may cross any border.

    `kind` is one word: "error" (the script raised it), "denied" (an uncaught denial), "load" (missing file, syntax
    error), "internal" (luspool's own fault), "crashed" (the process that ran it died), "quarantined" (it was not
    started, because processes that ran its script have died), or the name of a limit (`limits.MEASURES`). `value` is
    the error value in the message codec's form, which the parent's `receive` throws; it is empty where the scheduler
    itself made the failure, since it knows no codec: throw `message` then. `message` and `traceback` are for people;
    `script` is the path as the creator gave it.
    """

    kind: str
    value: bytes
    message: str
    traceback: str
    script: str

    @property
    def is_limit(self) -> bool:
        """Whether the state was ended for exceeding a limit, with all below it."""
        return self.kind in MEASURES


class Returned(Struct, frozen=True):
    """The script ran to its end."""


class Exited(Struct, frozen=True):
    """The script called `os.exit`: at the root this ends the whole tree with `status`, in a worker that worker."""

    status: int


Outcome = Returned | Exited | Failure


# --- what a step gives back: a closed set ---------------------------------------------------------------------


class Waiting(Struct, frozen=True):
    """The state can't go on until `condition` is true."""

    condition: Condition
    takes: bool = False
    """What it will ask for first is one message, of its parent or of the one child that it waits for: that may be
    taken for it when its turn has come (see `Port.brought`)."""


class Preempted(Struct, frozen=True):
    """The slice is over; the state could go on at once."""


class Ended(Struct, frozen=True):
    """The state will never run again."""

    outcome: Outcome


StepResult = Waiting | Preempted | Ended


class Slice(Struct, frozen=True):
    """How long a step may go on: without end while nobody else could use the thread, else for `nanoseconds`.

    `wanted[0]` is not 0 while there is other work. `wanted[1]`, if there is one, is not 0 while nobody could run at
    once what the step wakes: messages to others may wait for the end of the step then, or for a millisecond. Both are
    written by the scheduler, under its lock, and may be read at any time without one: what reads them may be a signal
    handler. The size never changes. With 0 nanoseconds a step is never cut short.
    """

    nanoseconds: int
    wanted: bytearray


DEFAULT_SLICE_NANOSECONDS: Final = 10_000_000
"""Shorter slices let states that wait for each other answer sooner beside busy ones; each costs some microseconds. With
10 ms that is less than one part in a thousand. Guessed."""


class Runnable(Protocol):
    """One interpreter state. At most one thread is inside any of its methods at a time; which one may change."""

    def step(self, time: Slice, /) -> StepResult:
        """Run until the state ends, waits or has used up its slice. Never raises for what a script does."""

    def script(self) -> str:
        """The name of its script, as its creator gave it; always the same, at any time and from any thread."""

    def location(self) -> str:
        """Where a waiting state waits, or where a stopped one was stopped, as `script:line`. Only between steps."""

    def memory(self) -> int:
        """Bytes that the state holds. Only between steps; asked after each, so it must be cheap."""

    def stop(self) -> None:
        """End the step that goes on, or the next one, as soon as possible. From any thread; never blocks.

        What that step gives is of no interest. A state inside one C function may take its time (`GRACE`).
        """

    def step_back(self) -> None:
        """Another thread has taken the place of the one that is inside `step`: it goes on at a low priority, for good.

        From any thread; never blocks. Nothing where there is no such thing, or no step goes on.
        """

    def close(self) -> None:
        """Free everything, without running the script any further. Only between steps; twice is harmless."""


GRACE: Final = 200_000_000
"""Nanoseconds of processor time that a step may take after `Runnable.stop`. Beyond that it counts as stuck, and its
host has to be ended. Leaving takes some 10 ms."""

WAITING_GRACE: Final = 2_000_000_000
"""Nanoseconds of wall time that it may take: for one that waits inside its step."""


# --- what a state may ask of its scheduler -------------------------------------------------------------------


class Delivered(Struct, frozen=True):
    """One item per worker asked for, in the order asked: the next message, or None where none is ready."""

    messages: tuple[bytes | None, ...]


class Thrown(Struct, frozen=True):
    """The error that ended a worker; its turn came. Every other item stays queued."""

    failure: Failure


class CallResult(Struct, frozen=True):
    """What a call of a function came to: its results in the message codec's form; not `ok`: an error's text."""

    ok: bool
    payload: bytes


CALL_LIMIT: Final = 4 << 20
"""Bytes of a call's arguments at most, whatever the limit on messages. Those who carry calls out make objects of them
that take many times as much (see the codec), in a process that is not walled in. Guessed."""

CALL_OVERHEAD: Final = 1024
"""Bytes that a call counts beyond what it carries: its records here and where it is carried out. Guessed."""

REPLY_LIMIT: Final = 16 << 20
"""Bytes of a reply at most."""

MESSAGE_OVERHEAD: Final = 64
"""Bytes that every queued message counts on top of its payload, so that empty messages are bounded too.

About what a small `bytes` object and its place in the queue cost (33 + 8 and the allocator's rounding).
"""

MESSAGE_CALL: Final = "worker.message"
PEEK_CALL: Final = "worker.peek"
"""Names of calls by which the root of a job sends a message, and takes one: no functions, and not to be called as such.

The reply to the former is empty, and comes when there is room; that to the latter is the message, or empty when there
will never be one again.
"""

FUNCTION_NAME_LIMIT: Final = 100
"""Bytes of a function's name at most; nothing longer can be granted (see `permissions`)."""


class Port(Protocol):
    """A state's side of the scheduler. Thread-safe, never blocks; only the state itself may call it, inside `step`, or
    for what is said there, when it is closed.

    Payloads are opaque bytes. A call that names a child which is not the caller's own raises `NotAChildError`. One
    that takes the caller beyond a limit succeeds or does nothing, and the caller is stopped (`Runnable.stop`).
    """

    def limits(self) -> StateLimits:
        """The state's own; they never change."""

    def create(self, spec: object, size: int, limits: StateLimits) -> StateId:
        """Make a child state from `spec` (opaque here, handed to the host's factory) and put it in the run queue.

        `size` is the bytes that `spec` takes until the child starts. It gets the stricter of `limits` and the caller's.
        """

    def cancel(self, child: StateId) -> None:
        """End a child and all below it. What it had sent can still be received. Nothing if it has ended."""

    def exceed(self, excess: Excess) -> None:
        """The caller has exceeded one of its own limits, as only it can know: it ends when its step returns."""

    def message(self, payload: bytes) -> int | None:
        """Queue for the parent; None when the outbox is full (wait for `OutboxHasRoom`).

        Otherwise: how many bytes one further payload may have to be taken for sure, whenever it is sent, and to be kept
        by a receiver who has one of each sender.
        """

    def send(self, child: StateId, payload: bytes) -> int | None:
        """Queue for a child; None when its inbox is full (wait for `InboxHasRoom`). To a dead child: 0, dropped.

        Otherwise as `message`.
        """

    def holds(self, condition: Condition) -> bool:
        """Whether the caller would have nothing to wait for."""

    def receive(self, children: Sequence[StateId]) -> Delivered | Thrown | None:
        """Take what is ready from these children; None when there is nothing yet (wait for `ChildrenHaveMail`).

        When all are dead and empty the answer is `Delivered` with nothing but None. Where one child's next item is
        the error that ended it, the first such child's error is given alone and all messages stay queued: an error
        can then neither starve nor cost a message.
        """

    def peek(self) -> bytes | None:
        """Take the next message from the parent; None when the inbox is empty (wait for `InboxHasMail`)."""

    def brought(self, child: StateId | None) -> bytes | None:
        """What was taken for the state at the beginning of this step, once: a message of this child, or of the parent.

        The last step ended with a `Waiting` that `takes`, for that one's mail. Where something was taken, nothing else
        lay there. None does not say that nothing is there: ask.
        """

    def is_running(self, child: StateId) -> bool:
        """False once the child has ended, whatever it left in its outbox."""

    def release(self, children: Sequence[StateId]) -> None:
        """The caller has lost its handles to these children: what they send is dropped, errors are reported."""

    def call(self, name: str, payload: bytes) -> int:
        """Have the host's owner call its function `name`: the number of the call, which is never used again.

        At most `CALL_LIMIT` bytes; the right to it is for the caller to check. A call that the state made before, and
        whose reply it has not taken, is given up by this: it goes on, and nobody hears of its reply.
        """

    def take_reply(self, call: int) -> CallResult | None:
        """What a call came to, once; None while that is not known (wait for `ReplyArrived`)."""

    def has_parent(self) -> bool:
        """Whether this is a worker (its parent may have ended)."""

    def write(self, stream: int, data: bytes) -> None:
        """Write to standard output (1) or standard error (2), whole: no other state's bytes come in between."""

    def claim_output(self, size: int) -> int:
        """How many of `size` bytes the state may write by itself, to files; they count as written."""

    def identity(self) -> StateId:
        """The state's own."""

    def record(self, rows: bytes) -> None:
        """Pass on what is recorded of the state, as opaque bytes; whole, and also when it has ended. May block."""

    def ending(self) -> str:
        """How the state has ended, once it has: "returned", "exited", the kind of its failure, "deadlock" (its whole
        tree's), or "cancelled", for all else that ends a state by no doing of its own."""

    def input_seen(self) -> int:
        """How many chunks of standard input have arrived so far."""

    def read_input(self, size: int | None) -> bytes | None:
        """Take from standard input: a line with its end (`size` None), or up to `size` bytes, of which 1 or more.

        b"" at the end of input; None while nothing (or no complete line) is there: wait for `InputArrived` with the
        `input_seen` read *before* this call. A line without an end is the last one, or a piece of a line longer than
        `standard_input.LINE_PIECE`: read on until a piece ends with a newline or b"" comes.
        """


class NotAChildError(LookupError):
    """A state named a worker that it did not create. The sandbox makes this impossible; a bug or an attack."""
