"""Host calls of lua/worker.lua and lua/mail.lua: messages, workers, pledges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from ..permissions import Pledge, PledgeError
from ..scheduler.limits import MEASURES, Excess, StateLimits
from ..scheduler.protocol import (
    ChildrenHaveMail,
    InboxHasMail,
    InboxHasRoom,
    OutboxHasRoom,
    StateId,
    Thrown,
)
from ..scheduler.units import UNLIMITED
from . import codec
from .calls import RefusedError, Scalar, decode, encode
from .calls_code import TooMuchSourceError, read_source
from .operations import Operation
from .program import Program

if TYPE_CHECKING:
    from .door import Door


def _message(door: Door, payload: bytes) -> int | None:
    room = door.port.message(payload)
    if room is None:
        door.condition = OutboxHasRoom(len(payload))
    return room


_INBOX_HAS_MAIL: Final = InboxHasMail()


def _peek(door: Door) -> Scalar:
    payload = door.port.peek()
    if payload is None:
        door.condition = _INBOX_HAS_MAIL
        return None
    return door.brought(payload)


def _send(door: Door, child: StateId, payload: bytes) -> int | None:
    room = door.port.send(child, payload)
    if room is None:
        door.condition = InboxHasRoom(child, len(payload))
    return room


def _has_room(door: Door, to: StateId, size: int) -> bool:
    """Whether a message of so many bytes to the parent (0) or a child would be taken. It stays so until one is sent."""
    condition = InboxHasRoom(to, size) if to else OutboxHasRoom(size)
    if door.port.holds(condition):
        return True
    door.condition = condition
    return False


def _received(door: Door, children: tuple[StateId, ...]) -> tuple[bytes | None, ...] | int | None:
    """The messages. None: wait. 1: an error; its value is DELIVERY 0."""
    answer = door.port.receive(children)
    if answer is None:
        door.condition = ChildrenHaveMail(children)
        return None
    if isinstance(answer, Thrown):
        # A failure of luspool itself has no value in the codec's form: the scheduler knows of no codec.
        door.delivery = (answer.failure.value or codec.encode(encode(answer.failure.message)),)
        if answer.failure.kind == "denied":
            door.remember_denial(encode(answer.failure.message))
        return 1
    return answer.messages


def _receive(door: Door, child: StateId) -> Scalar:
    """As `_received`, but for its one message: as `Door.brought` gives it; True when the worker is dead and empty."""
    received = _received(door, (child,))
    if not isinstance(received, tuple):
        return received
    return True if received[0] is None else door.brought(received[0])


def _receive_many(door: Door, *children: StateId) -> Scalar:
    """As `_received`, but for messages 2; they are DELIVERY 1, 2…"""
    received = _received(door, children)
    if not isinstance(received, tuple):
        return received
    door.delivery = (None, *received)
    return 2


def _delivery(door: Door, index: int) -> bytes | None:
    return door.delivery[index]


def _status(door: Door, child: StateId) -> bool:
    return door.port.is_running(child)


def _create_prepare(door: Door, path: bytes) -> bool:
    """Everything that may refuse a worker before its arguments are copied. Its file is read here, with the creator's
    rights; one that can't be read is the worker's own error, later."""
    door.rights.decide("load")
    name = decode(path)
    source, problem = None, None
    kind = "load"
    try:
        source = read_source(door, path)
    except TooMuchSourceError as error:
        kind, problem = "source", f"{name}: {error}"
    except OSError as error:
        problem = f"cannot read {name}: {error.strerror}"
    pledges, audit = door.rights.inherit()
    creator = door.port.identity() if audit else 0
    strict_globals = door.program.strict_globals
    door.prepared = Program(name, source, b"", pledges, strict_globals, problem, kind, audit, creator)
    return True


def _create(door: Door, arguments: bytes) -> StateId:
    prepared, door.prepared = door.prepared, None
    if prepared is None:
        raise RefusedError("no worker was prepared")
    if door.recorder is not None:
        door.recorder.flush()  # what led to a worker comes before what it does
    program = replace(prepared, arguments=arguments)
    return door.port.create(program, program.size, door.worker_limits or door.limits)


def _cancel(door: Door, child: StateId) -> None:
    door.port.cancel(child)


_OF_WORKERS: Final = StateLimits.__struct_fields__


def _limit(door: Door, name: bytes, amount: float | bytes) -> None:
    kind = decode(name)
    if kind not in _OF_WORKERS:
        raise RefusedError(f"worker.limit: there is no limit '{kind}' of a worker; there are {', '.join(_OF_WORKERS)}")
    text = decode(amount) if isinstance(amount, bytes) else f"{amount:.9f}".rstrip("0").rstrip(".")
    try:
        value = MEASURES[kind].unit.parse(text)
    except ValueError as error:
        raise RefusedError(f"worker.limit: {kind}: {error}") from None
    stricter = StateLimits(**{**dict.fromkeys(_OF_WORKERS, UNLIMITED), kind: value})
    door.worker_limits = (door.worker_limits or door.limits).within(stricter)


def _too_large(door: Door) -> None:
    limit = door.limits.message
    door.port.exceed(Excess("message", limit, limit))


def _release(door: Door, *children: StateId) -> None:
    door.port.release(children)


def _pledge(door: Door, text: bytes, where: bytes) -> int:
    """1 or 0: the answer of `pledge` for one argument."""
    try:
        pledge = Pledge.parse(decode(text)).bind(door.shared.directory)
        return int(door.rights.request(pledge, decode(where)))
    except PledgeError as error:
        raise RefusedError(str(error)) from None


WORKER_CALLS: Final[Mapping[int, Callable[..., Scalar]]] = {
    Operation.MESSAGE: _message,
    Operation.PEEK: _peek,
    Operation.SEND: _send,
    Operation.HAS_ROOM: _has_room,
    Operation.RECEIVE: _receive,
    Operation.RECEIVE_MANY: _receive_many,
    Operation.DELIVERY: _delivery,
    Operation.STATUS: _status,
    Operation.CREATE_PREPARE: _create_prepare,
    Operation.CREATE: _create,
    Operation.RELEASE: _release,
    Operation.CANCEL: _cancel,
    Operation.LIMIT: _limit,
    Operation.TOO_LARGE: _too_large,
    Operation.PLEDGE: _pledge,
}
