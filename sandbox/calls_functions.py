"""Host calls of lua/host.lua: functions of the program that runs the script."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from ..scheduler.protocol import CALL_LIMIT, FUNCTION_NAME_LIMIT, ReplyArrived
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


FUNCTION_CALLS: Final[Mapping[int, Callable[..., Scalar]]] = {
    Operation.FUNCTION_PREPARE: _prepare,
    Operation.FUNCTION_CALL: _call,
    Operation.FUNCTION_REPLY: _reply,
}
