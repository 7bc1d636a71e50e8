"""The main program of a host process: frames from the supervisor become calls of a host, its events become frames.

Threads: this one waits for the supervisor, and for other hosts where there are any (`scheduler.courier`), for as long
as the process lives, so that the end of the supervisor, which is the end of the stream, is seen and obeyed at once
whatever the executors are doing; the executors send output themselves, and wait there when the supervisor does not
read. Nothing here ends by returning: the process leaves by `os._exit`, because orderly interpreter shutdown would wait
for executors that are inside a script.
"""

from __future__ import annotations

import gc
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from .errors import UsageError
from .host_wall import put_up
from .preemption import chosen_mechanism
from .request import Request
from .sandbox import Program, Sandbox, codec
from .sandbox.wall.process import die_with_parent
from .scheduler import wire
from .scheduler.control import ControlSocket
from .scheduler.events import TreeOutcome, TreeResult, Wait
from .scheduler.executor import Factory
from .scheduler.host import Host
from .scheduler.letters import host_of
from .scheduler.limits import Excess
from .scheduler.process import CONTROL_FD, EVENTS_FD, close_inherited_descriptors
from .scheduler.protocol import Exited, Failure, StateId
from .scheduler.supervisor import SHUTDOWN_SECONDS

if TYPE_CHECKING:
    from .resident import Resident
    from .scheduler.courier import Courier

_DONE, _FAULT, _ORPHANED = 0, 1, 2


class EventSender:
    """Sends a host's events to the supervisor (see `HostEvents`; the host calls one at a time)."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.has_stamps = False
        """There are other hosts, of which the supervisor brings the events in one order (see `scheduler.merge`)."""
        self.resident: Resident | None = None
        """Tells of the ends of programs, where the host stays for others."""

    def write(self, stream: int, data: bytes) -> None:
        pieces = range(0, len(data), wire.OUTPUT_PIECE)
        if pieces:
            self._stamp(len(pieces))
        for start in pieces:
            self._send(wire.Output(stream, data[start : start + wire.OUTPUT_PIECE]))

    def record(self, state: StateId, rows: bytes) -> None:
        self.send(wire.Record(state, rows))

    def traced(self, texts: tuple[str, ...], rows: bytes) -> None:
        self.send(wire.Trace(texts, rows))

    def want_input(self) -> None:
        if self.resident is not None:
            self.resident.want_input()
        self.send(wire.WantInput())

    def input_left(self, data: bytes) -> None:
        """What was left of standard input."""
        for start in range(0, len(data), wire.INPUT_PIECE):
            self.send(wire.InputLeft(data[start : start + wire.INPUT_PIECE]))
        self.send(wire.InputLeft(b""))

    def called(self, call: int, name: str, payload: bytes) -> None:
        self.send(wire.Call(call, name, payload))

    def failed(self, failure: Failure, state: StateId, root: StateId) -> None:
        kind, message, trace, script = map(
            wire.clip, (failure.kind, failure.message, failure.traceback, failure.script)
        )
        self.send(wire.Failed(kind, message, trace, script, is_root=state == root))

    def deadlocked(self, root: StateId, waits: Sequence[Wait]) -> None:
        self.send(wire.Deadlocked.of(len(waits), map(_wait_record, waits)))

    def stuck(self, failure: Failure, state: StateId, root: StateId) -> None:
        if self.resident is not None:
            self.resident.stuck()
        kind, message, script = map(wire.clip, (failure.kind, failure.message, failure.script))
        self.send(wire.Stuck(kind, message, script, is_root=state == root, state=state))

    def root_ended(self, root: StateId, outcome: TreeOutcome) -> None:
        match outcome:
            case Exited(status):
                self.send(wire.RootEnded("exited", status))
            case Failure():
                self.send(wire.RootEnded(outcome.kind, 0))
            case _:
                self.send(wire.RootEnded("returned", 0))

    def exceeded(self, root: StateId, excess: Excess) -> None:
        self.send(wire.Exceeded(excess.kind, excess.limit, excess.value))

    def end_below(self, state: StateId) -> None:
        self.send(wire.AskEndBelow(state))

    def tree_ended(self, root: StateId, result: TreeResult) -> None:
        outcome = result.outcome
        ended = wire.TreeEnded(isinstance(outcome, Exited), outcome.status if isinstance(outcome, Exited) else 0)
        if self.resident is None:
            self.send(ended)
        else:
            self.resident.tree_ended(result, ended)

    def vacated(self) -> None:
        if self.resident is not None:
            self.resident.vacated()

    def send(self, message: wire.Message) -> None:
        """Send all of a message; back once it can't be lost any more. Without a supervisor the process ends here."""
        self._stamp(1)
        self._send(message)

    def send_together(self, *messages: wire.Message) -> None:
        """As `send`, so that they arrive at once."""
        self._stamp(len(messages))
        self._send_frames(b"".join(map(wire.encode, messages)))

    def _stamp(self, frames: int) -> None:
        if self.has_stamps:
            self._send(wire.Stamp(time.monotonic_ns(), frames))

    def _send(self, message: wire.Message) -> None:
        self._send_frames(wire.encode(message))

    def _send_frames(self, frames: bytes) -> None:
        try:
            self._socket.sendall(frames)
        except OSError:
            os._exit(_ORPHANED)


def _wait_record(wait: Wait) -> wire.WaitRecord:
    awaited = b"".join(state.to_bytes(8) for state in wait.awaited[: wire.WAITS_LIMIT])
    return wire.WaitRecord(wait.state, wire.clip(wait.location), type(wait.condition).__name__, awaited)


def main() -> NoReturn:
    """Serve one supervisor at the sockets that it left for us; see `scheduler.process`."""
    die_with_parent()
    close_inherited_descriptors()
    gc.freeze()  # what was imported stays for good: no collection looks at it again
    gc.enable()
    try:
        _Process(ControlSocket(socket.socket(fileno=CONTROL_FD)), EventSender(socket.socket(fileno=EVENTS_FD))).serve()
    except BaseException:  # the supervisor shows what lands on standard error as the reason
        sys.excepthook(*sys.exc_info())
    os._exit(_FAULT)


class _Process:
    """What this process is: at first nothing but connected, then a host."""

    def __init__(self, control: ControlSocket, events: EventSender) -> None:
        self._control = control
        self._events = events
        self._host: Host | None = None
        self._courier: Courier | None = None
        """Where there are other hosts."""
        self._program: Program | None = None
        """The root's, until it is started."""
        self._resident: Resident | None = None
        """Where it is to stay for other programs."""

    def serve(self) -> NoReturn:
        """Until the supervisor is gone, or says that it is over."""
        self._control.send(wire.Hello(wire.VERSION))
        poll = select.poll()
        poll.register(self._control.fileno(), select.POLLIN)
        while self._control.is_open:
            poll.modify(self._control.fileno(), select.POLLIN | (select.POLLOUT if self._control.unsent else 0))
            poll.poll()
            if self._control.unsent:
                self._control.flush()
            for message in self._control.receive():
                (self._obey if self._courier is None else self._courier.obey)(message)
            if self._courier is not None:
                self._courier.serve()
        os._exit(_ORPHANED)

    def _obey(self, message: wire.Message) -> None:
        if isinstance(message, wire.Start) and self._host is None:
            self._start(message)
        elif isinstance(message, wire.Start) and self._resident is not None:
            self._resident.begin(message)
        elif isinstance(message, wire.Recall) and self._resident is not None:
            self._control.send(wire.Recalled(self._resident.recall()))
        elif self._host is None:
            raise wire.WireError(f"{type(message).__name__} is out of turn")
        elif isinstance(message, wire.Input):
            if self._resident is not None:
                self._resident.input_arrived(message.data)
            elif message.data:
                self._host.input_arrived(message.data)
            else:
                self._host.input_ended()
        elif isinstance(message, wire.Look):
            self._control.send(wire.Seen.of(message.number, self._host.look()))
        elif isinstance(message, wire.Reply):
            self._host.replied(message.call, message.ok, message.payload)
        elif isinstance(message, wire.Shutdown):
            # Not in this thread, which goes on listening: the supervisor may die while an executor hangs.
            threading.Thread(target=_close, args=(self._host,), daemon=True).start()
        else:
            raise wire.WireError(f"{type(message).__name__} is out of turn")

    def _start(self, message: wire.Start) -> None:
        request = Request.unpack(message.program)
        self._events.has_stamps = message.host != 0
        try:
            chosen_mechanism()
        except UsageError as error:
            self._refuse(message, request, str(error))
        program = Program(
            path=request.path,
            source=request.source,
            arguments=request.values or codec.encode(*request.arguments),
            pledges=request.pledge_set(),
            strict_globals=request.strict_globals,
            audit=request.audit_plan(),
        )
        sandbox = Sandbox(request.environment())
        factory = sandbox.new_state
        if message.host:
            self._start_with_others(message, request, program, factory)
            return
        if message.stays:
            # Not needed otherwise, and a twentieth of what it takes to start.
            from .resident import Resident  # noqa: PLC0415

            self._resident = self._events.resident = Resident(self._events, sandbox, message)
            self._host = self._resident.host
            self._put_up_wall(message, request, program)
            if message.traces:
                self._host.trace()
            self._host.start()
            self._resident.begin(message)
            return
        self._host = Host(message.threads, factory, self._events, slice_nanoseconds=message.slice_nanoseconds)
        self._put_up_wall(message, request, program)
        if message.traces:
            self._host.trace()
        self._host.start()
        self._host.create_root(program, message.limits())

    def _start_with_others(self, message: wire.Start, request: Request, program: Program, factory: Factory) -> None:
        """Be one of several hosts."""
        # Not needed where there is one host, and a tenth of what that takes to start.
        from .program_format import ProgramFormat  # noqa: PLC0415
        from .scheduler.board import BoardWriter  # noqa: PLC0415
        from .scheduler.courier import Courier  # noqa: PLC0415
        from .scheduler.spread_host import Place, SpreadHost  # noqa: PLC0415

        (board,) = self._control.take_descriptors(1)
        limits = message.limits()
        place = Place(message.host, StateId(message.root), limits, ProgramFormat(program.pledges), BoardWriter(board))
        host = SpreadHost(place, message.threads, factory, self._events, message.slice_nanoseconds)
        if message.spreads:
            host.dispatcher.placement.spreads = True
        if host_of(place.root) == place.host:
            self._program = program
        else:
            host.join_tree()
        self._put_up_wall(message, request, program)
        if message.traces:
            host.trace()
        host.start()
        self._host = host

        def obey(message: wire.Message) -> None:
            root, self._program = self._program, None
            if isinstance(message, wire.Run) and root is not None:
                host.create_root(root, limits)
                host.dispatcher.machine.commands += 1
            elif isinstance(message, wire.LeaveInput):
                host.leave_input()
            else:
                self._program = root
                self._obey(message)

        self._courier = Courier(self._control, host, obey)

    def _put_up_wall(self, message: wire.Start, request: Request, program: Program) -> None:
        """Nothing that a script does happens before, and no other thread is there yet."""
        try:
            notice = put_up(request.wall, program.pledges, message.limits().tree, message.threads)
        except UsageError as error:
            self._refuse(message, request, str(error))
        if notice and _is_first(message):
            self._events.send(wire.Notice(wire.clip(notice)))

    def _refuse(self, message: wire.Start, request: Request, problem: str) -> NoReturn:
        """This process can't be what was asked for: the program is over before it has begun.

        What can't be had in the root's host can't be had in others: it speaks for them, and they wait for the end.
        """
        while not _is_first(message) and self._control.is_open:
            select.select([self._control], [], [])
            if any(isinstance(one, wire.EndTree | wire.Shutdown) for one in self._control.receive()):
                os._exit(_DONE)
        self._events.send(wire.Failed("usage", wire.clip(problem), "", wire.clip(request.path), is_root=True))
        if self._events.has_stamps:
            self._events.send(wire.RootEnded("usage", 0))
        else:
            self._events.send(wire.TreeEnded(exited=False, status=0))
        os._exit(_DONE)


def _is_first(message: wire.Start) -> bool:
    """Whether the root will live here."""
    return host_of(StateId(message.root)) == message.host


def _close(host: Host) -> None:
    host.shutdown(SHUTDOWN_SECONDS)
    os._exit(_DONE)
