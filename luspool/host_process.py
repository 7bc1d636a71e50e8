"""The main program of a host process: frames from the supervisor become calls of a host, its events become frames.

Threads: this one blocks on the socket for as long as the process lives, so that the end of the supervisor, which is the
end of the stream, is seen and obeyed at once whatever the executors are doing; the executors send output themselves,
and wait there when the supervisor does not read. Nothing here ends by returning: the process leaves by `os._exit`,
because orderly interpreter shutdown would wait for executors that are inside a script.
"""

from __future__ import annotations

import gc
import os
import socket
import threading
import traceback
from collections.abc import Sequence
from typing import NoReturn

from .errors import UsageError
from .preemption import chosen_mechanism
from .report import wait_lines
from .request import Request
from .sandbox import Program, Sandbox, codec
from .scheduler import wire
from .scheduler.events import TreeResult, Wait
from .scheduler.host import Host
from .scheduler.process import SOCKET_FD, close_inherited_descriptors
from .scheduler.protocol import Exited, Failure, StateId
from .scheduler.supervisor import SHUTDOWN_SECONDS

_DONE, _FAULT, _ORPHANED = 0, 1, 2


class EventSender:
    """Sends a host's events to the supervisor (see `HostEvents`; the host calls one at a time)."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def write(self, stream: int, data: bytes) -> None:
        for start in range(0, len(data), wire.OUTPUT_PIECE):
            self.send(wire.Output(stream, data[start : start + wire.OUTPUT_PIECE]))

    def want_input(self) -> None:
        self.send(wire.WantInput())

    def called(self, call: int, name: str, payload: bytes) -> None:
        self.send(wire.Call(call, name, payload))

    def failed(self, failure: Failure, state: StateId, root: StateId) -> None:
        kind, message, trace, script = map(
            wire.clip, (failure.kind, failure.message, failure.traceback, failure.script)
        )
        self.send(wire.Failed(kind, message, trace, script, is_root=state == root))

    def deadlocked(self, root: StateId, waits: Sequence[Wait]) -> None:
        lines = wait_lines(waits)
        self.send(wire.Deadlocked(len(lines), tuple(map(wire.clip, lines[: wire.WAITS_LIMIT]))))

    def stuck(self, failure: Failure, state: StateId, root: StateId) -> None:
        kind, message, script = map(wire.clip, (failure.kind, failure.message, failure.script))
        self.send(wire.Stuck(kind, message, script, is_root=state == root))

    def tree_ended(self, root: StateId, result: TreeResult) -> None:
        outcome = result.outcome
        self.send(wire.TreeEnded(isinstance(outcome, Exited), outcome.status if isinstance(outcome, Exited) else 0))

    def send(self, message: wire.Message) -> None:
        """Send all of a message; back once it can't be lost any more. Without a supervisor the process ends here."""
        frame = wire.encode(message)
        try:
            self._socket.sendall(frame)
        except OSError:
            os._exit(_ORPHANED)


def main() -> NoReturn:
    """Serve one supervisor at the socket that it left at descriptor `SOCKET_FD`; see `scheduler.process`."""
    close_inherited_descriptors()
    gc.freeze()  # what was imported stays for good: no collection looks at it again
    gc.enable()
    try:
        _serve(socket.socket(fileno=SOCKET_FD))
    except BaseException:  # the supervisor shows what lands on standard error as the reason
        traceback.print_exc()
    os._exit(_FAULT)


def _serve(sock: socket.socket) -> NoReturn:
    events = EventSender(sock)
    events.send(wire.Hello(wire.VERSION))
    decoder = wire.Decoder(wire.FROM_SUPERVISOR)
    host: Host | None = None
    while data := sock.recv(256 * 1024):
        decoder.feed(data)
        for message in decoder:
            if isinstance(message, wire.Start) and host is None:
                host = _start(message, events)
            elif isinstance(message, wire.Input) and host is not None:
                _pass_input(host, message.data)
            elif isinstance(message, wire.Reply) and host is not None:
                host.replied(message.call, message.ok, message.payload)
            elif isinstance(message, wire.Shutdown) and host is not None:
                # Not in this thread, which goes on listening: the supervisor may die while an executor hangs.
                threading.Thread(target=_close, args=(host,), daemon=True).start()
            else:
                raise wire.WireError(f"{type(message).__name__} is out of turn")
    os._exit(_ORPHANED)


def _start(message: wire.Start, events: EventSender) -> Host:
    request = Request.unpack(message.program)
    try:
        chosen_mechanism()
    except UsageError as error:
        _refuse(request, str(error), events)
    program = Program(
        path=request.path,
        source=request.source,
        arguments=request.values or codec.encode(*request.arguments),
        pledges=request.pledge_set(),
        strict_globals=request.strict_globals,
    )
    host = Host(message.threads, Sandbox(os.environ).new_state, events, slice_nanoseconds=message.slice_nanoseconds)
    host.start()
    host.create_root(program, message.limits())
    return host


def _refuse(request: Request, problem: str, events: EventSender) -> NoReturn:
    """This process can't be what was asked for: the program is over before it has begun."""
    events.send(wire.Failed("usage", wire.clip(problem), "", wire.clip(request.path), is_root=True))
    events.send(wire.TreeEnded(exited=False, status=0))
    os._exit(_DONE)


def _pass_input(host: Host, data: bytes) -> None:
    if data:
        host.input_arrived(data)
    else:
        host.input_ended()


def _close(host: Host) -> None:
    host.shutdown(SHUTDOWN_SECONDS)
    os._exit(_DONE)
