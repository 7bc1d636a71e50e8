"""Host calls of lua/host.lua and lua/job.lua: functions of the program that runs the script, and messages with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from ..scheduler.protocol import (
    CALL_LIMIT,
    FUNCTION_NAME_LIMIT,
    MESSAGE_CALL,
    MESSAGE_OVERHEAD,
    PEEK_CALL,
    ReplyArrived,
)
from ..scheduler.units import SIZE
from .calls import RefusedError, Scalar, decode
from .operations import Operation

if TYPE_CHECKING:
    from .door import Door

_NO_CALL: Final = ReplyArrived(0)
"""Always true: calls are numbered from 1."""


def _prepare(door: Door, name: bytes) -> bool:
    """Whether the state may call this function; whether there is one is told only to those who may.

    Also lets a state that then waits go on at once.
    """
    door.rights.decide("host", decode(name))
    if len(name) > FUNCTION_NAME_LIMIT:
        raise RefusedError("a name of a host function is not as long as this")
    if decode(name) in (MESSAGE_CALL, PEEK_CALL):
        raise RefusedError(f"{decode(name)} is no host function")
    door.condition = _NO_CALL
    return True


def _call(door: Door, name: bytes, arguments: bytes) -> int:
    """The call's number, which FUNCTION_REPLY takes. After FUNCTION_PREPARE of the same name."""
    if len(arguments) > CALL_LIMIT:
        limit = SIZE.format(CALL_LIMIT)
        raise RefusedError(f"the arguments of host.{decode(name)} take more than {limit}, the most that a call carries")
    return door.port.call(decode(name), arguments)


def _reply(door: Door, call: int) -> bytes | None:
    """The results in the codec's form; None: wait."""
    result = door.port.take_reply(call)
    if result is None:
        door.condition = ReplyArrived(call)
        return None
    if not result.ok:
        raise RefusedError(decode(result.payload))
    return result.payload


_AHEAD: Final = 32 * 1024
"""Bytes of messages that a job sends on without waiting until they are accepted: to wait for each would cost ten times
as much as to send it. Guessed; what the program has no room for yet, it keeps all the same."""


def _job_prepare(door: Door, size: int) -> int:
    """Before a message of so many bytes, or a peek (0): 1 if its reply is to be waited for, else 0.

    Also lets a state that then waits go on at once.
    """
    door.condition = _NO_CALL
    return int(not size or door.ahead + size >= _AHEAD)


def _job_message(door: Door, payload: bytes) -> int:
    """As `_call`. What goes to the program is output: it has to keep it."""
    if len(payload) > CALL_LIMIT:
        limit = SIZE.format(CALL_LIMIT)
        raise RefusedError(f"a message of more than {limit}, the most that the program which runs this script takes")
    door.ahead = 0 if _job_prepare(door, len(payload)) else door.ahead + len(payload) + MESSAGE_OVERHEAD
    door.port.claim_output(len(payload) + MESSAGE_OVERHEAD)
    return door.port.call(MESSAGE_CALL, payload)


def _job_peek(door: Door) -> int:
    return door.port.call(PEEK_CALL, b"")


FUNCTION_CALLS: Final[Mapping[int, Callable[..., Scalar]]] = {
    Operation.FUNCTION_PREPARE: _prepare,
    Operation.FUNCTION_CALL: _call,
    Operation.FUNCTION_REPLY: _reply,
    Operation.JOB_PREPARE: _job_prepare,
    Operation.JOB_MESSAGE: _job_message,
    Operation.JOB_PEEK: _job_peek,
}
