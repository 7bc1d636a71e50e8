"""Commands of the coordinator as messages to hosts; reports of hosts as what it takes, checked, for they may lie."""

from __future__ import annotations

from . import wire
from .connection import HostProtocolError
from .coordinator import Command, EndBelow, EndForExcess, EndTree, Gone, Joined, RunRoot, TellWaits
from .events import TreeOutcome
from .idle_report import Report, unpack_counts
from .limits import MEASURES, Excess
from .protocol import Exited, Failure, Returned, StateId
from .records import pack

__all__ = ["all_waits", "excess_of", "message_of", "outcome_of", "report_of", "state_of"]


def message_of(command: Command) -> wire.Message:
    """As it goes to a host; the descriptors that come with a `Joined` are the caller's to add."""
    match command:
        case RunRoot():
            return wire.Run()
        case Joined():
            return wire.Join(command.host)
        case Gone():
            failure = b"" if command.failure is None else pack(command.failure)
            return wire.Gone(command.host, wire.clip(command.how), command.stuck or 0, failure)
        case EndBelow():
            return wire.EndBelow(command.state)
        case EndForExcess():
            return wire.EndForExcess(command.excess.kind, command.excess.limit, command.excess.value)
        case TellWaits():
            return wire.TellWaits()
        case EndTree():
            return wire.EndTree()


def state_of(number: int) -> StateId:
    if number <= 0:
        raise HostProtocolError(f"there is no state {number}")
    return StateId(number)


def report_of(message: wire.Report) -> Report:
    try:
        sent, received = unpack_counts(message.sent), unpack_counts(message.received)
    except ValueError as error:
        raise HostProtocolError(str(error)) from error
    return Report(sent, received, message.commands, message.asks, message.is_timed)


def outcome_of(message: wire.RootEnded) -> TreeOutcome:
    match message.kind:
        case "returned":
            return Returned()
        case "exited":
            return Exited(message.status)
        case kind:
            return Failure(kind, b"", "", "", "")  # it has been reported by its host


def excess_of(message: wire.Exceeded) -> Excess:
    if message.kind not in MEASURES:
        raise HostProtocolError(f"there is no limit '{message.kind}'")
    return Excess(message.kind, message.limit, message.value, is_of_tree=True)


def all_waits(parts: list[wire.Deadlocked]) -> wire.Deadlocked:
    """The waits of several hosts, in the order in which their hosts and their states came to be."""
    records = sorted((record for part in parts for record in part.records()), key=lambda record: record.state)
    return wire.Deadlocked.of(sum(part.waiting for part in parts), records)
