"""Who carries out the calls of scripts, as the supervisor's loop sees them, and what a host may not do about calls."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from . import wire
from .protocol import CALL_LIMIT, CALL_OVERHEAD, FUNCTION_NAME_LIMIT, CallResult

if TYPE_CHECKING:
    from .connection import HostConnection


class CallError(Exception):
    """A host has made a call that an honest one would not make."""


class Callees(Protocol):
    """Carries out calls, on threads of its own. Its methods are called by the loop's thread alone, and never block."""

    def fileno(self) -> int | None:
        """Readable while there is a reply to take; None where each is there as soon as its call has begun."""

    def begin(self, call: wire.Call) -> None:
        """Carry out a call, whatever its name is; its reply will be there some time, or never."""

    def take_reply(self) -> wire.Reply | None:
        """The next reply, in the order in which they were ready; None when there is none."""


class NoFunctions:
    """The callees of a program that nobody has given functions."""

    def __init__(self) -> None:
        self._replies: deque[wire.Reply] = deque()

    def fileno(self) -> int | None:
        return None

    def begin(self, call: wire.Call) -> None:
        refusal = no_such_function(call.name)
        self._replies.append(wire.Reply(call.call, refusal.ok, refusal.payload))

    def take_reply(self) -> wire.Reply | None:
        return self._replies.popleft() if self._replies else None


def no_such_function(name: str) -> CallResult:
    """What becomes of a call of a function that was not given."""
    text = f"there is no function host.{name}: the program that runs this script has not given one"
    return CallResult(ok=False, payload=text.encode("utf-8", "surrogateescape"))


class CallLedger:
    """The calls of one host that have no reply yet.

    An honest host counts them in the memory of its tree, and by the same measure (see `calls`), so what is more than
    that, but for one call that went over the limit, is a lie.
    """

    def __init__(self, memory: int) -> None:
        self._most = memory + CALL_LIMIT + CALL_OVERHEAD
        self._sizes: dict[int, int] = {}
        self._used = 0
        self._last = 0

    def begin(self, call: wire.Call) -> None:
        """Before it is carried out. CallError."""
        if call.call <= self._last:
            raise CallError(f"call {call.call} after call {self._last}")
        if len(call.payload) > CALL_LIMIT or len(call.name) > FUNCTION_NAME_LIMIT:
            raise CallError(f"a call of {len(call.payload)} bytes, to a name of {len(call.name)}")
        self._last = call.call
        self._sizes[call.call] = size = len(call.payload) + CALL_OVERHEAD
        self._used += size
        if self._used > self._most:
            raise CallError("more calls at a time than its memory allows")

    def end(self, call: int) -> None:
        """When its reply is sent."""
        self._used -= self._sizes.pop(call)


class CallRouter:
    """The calls of all hosts of one program, on their way to those who carry them out and back. For the loop's thread.

    Hosts number their calls each for itself; the callees get numbers that are all different.
    """

    __slots__ = ("_callees", "_ledgers", "_memory", "_pending", "_started")

    def __init__(self, callees: Callees, memory: int) -> None:
        """`memory`: the limit of the program's tree, in bytes."""
        self._callees = callees
        self._memory = memory
        self._ledgers: dict[HostConnection, CallLedger] = {}
        self._pending: dict[int, tuple[HostConnection, int]] = {}
        """By the number that the callees have: whose call it is, and by which number there."""
        self._started = 0

    def fileno(self) -> int | None:
        """See `Callees.fileno`."""
        return self._callees.fileno()

    def begin(self, host: HostConnection, call: wire.Call) -> None:
        """Have a call carried out. CallError."""
        self._ledgers.setdefault(host, CallLedger(self._memory)).begin(call)
        self._started += 1
        self._pending[self._started] = (host, call.call)
        self._callees.begin(replace(call, call=self._started))

    def take_reply(self) -> tuple[HostConnection, wire.Reply] | None:
        """The next reply and whom it is for, who may be gone; None when there is none."""
        reply = self._callees.take_reply()
        if reply is None:
            return None
        host, call = self._pending.pop(reply.call)
        ledger = self._ledgers.get(host)
        if ledger is not None:
            ledger.end(call)
        return host, replace(reply, call=call)

    def gone(self, host: HostConnection) -> None:
        """A host is dead: it makes no further calls."""
        self._ledgers.pop(host, None)
