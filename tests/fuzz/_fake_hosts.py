"""Host processes that are none: pairs of sockets, of which a fuzzer plays the other ends. And a clock that obeys."""

import os
import socket

from luspool.audit.record_lines import LogHeader, LogLines
from luspool.permissions import PledgeSet
from luspool.scheduler import fleet, fleet_member, supervisor, wire
from luspool.scheduler.records import pack


class Clock:
    """Takes the place of the module `time` in the supervisor's modules. Goes on when nothing else does."""

    def __init__(self):
        self.now = 1000.0
        self._modules = (fleet, fleet_member, supervisor)
        self._real = [module.time for module in self._modules]

    def monotonic(self):
        return self.now

    def monotonic_ns(self):
        return int(self.now * 1e9)

    def __enter__(self):
        for module in self._modules:
            module.time = self
        return self

    def __exit__(self, *_):
        for module, real in zip(self._modules, self._real, strict=True):
            module.time = real


class FakeProcess:
    """What a supervisor holds of a host (see `process.HostProcess`), and the host's own ends."""

    def __init__(self, clock):
        self.clock = clock
        self.pid = 0
        self.events, self.their_events = socket.socketpair()
        self.control, self.their_control = socket.socketpair()
        self.diagnostics, self.their_diagnostics = os.pipe()
        for end in (self.events, self.control, self.their_events, self.their_control):
            end.setblocking(False)
        for fd in (self.diagnostics, self.their_diagnostics):
            os.set_blocking(fd, False)
        self.pidfd = os.eventfd(0)  # readable from the death on
        self.exit_status = None
        self.was_killed = False
        self._unsent = {self.their_events: bytearray(), self.their_control: bytearray()}
        self.decoder = wire.Decoder(wire.TO_HOST)

    # the supervisor's side

    def wait(self, _seconds):
        return self.exit_status

    def kill(self):
        if self.exit_status is None:
            self.was_killed = True
            self.die(-9)
        return self.exit_status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.events.close()
        self.control.close()
        os.close(self.pidfd)
        os.close(self.diagnostics)

    # the host's side

    def die(self, exit_status):
        if self.exit_status is None:
            self.exit_status = exit_status
            self.flush()
            self.their_events.close()
            self.their_control.close()
            os.close(self.their_diagnostics)
            os.eventfd_write(self.pidfd, 1)

    def write(self, sock, data):
        """As much as fits now; the rest goes with later calls."""
        self._unsent[sock] += data
        self.flush()

    def flush(self):
        for sock, data in self._unsent.items():
            try:
                while data:
                    del data[: sock.send(data)]
            except BlockingIOError:
                continue
            except OSError:
                data.clear()

    @property
    def has_said_all(self):
        return not any(self._unsent.values())

    def send(self, *messages):
        for message in messages:
            sock = self.their_control if isinstance(message, wire.CONTROL) else self.their_events
            self.write(sock, wire.encode(message))

    def say(self, *messages):
        self.send(wire.Stamp(self.clock.monotonic_ns(), len(messages)), *messages)

    def receive(self):
        """What the supervisor has said; the descriptors that came with it are closed."""
        while self.exit_status is None:
            try:
                data, descriptors, _, _ = socket.recv_fds(self.their_control, 1 << 16, 64)
            except BlockingIOError:
                break
            for fd in descriptors:
                os.close(fd)
            if not data:
                break
            self.decoder.feed(data)
        return list(self.decoder)


class HonestHost:
    """Keeps the protocol. In the root's host a script prints, once in each turn, and then exits with 5."""

    def __init__(self, process, lines=0):
        self.process = process
        self.lines = lines
        self.printed = 0
        self.is_running = False
        self.commands = 0
        self.peers = {}
        process.send(wire.Hello(wire.VERSION))

    def act(self):
        process = self.process
        for message in process.receive():
            self.obey(message)
        if process.exit_status is None and self.is_running:
            if self.printed < self.lines:
                self.printed += 1
                process.say(wire.Output(1, b"%d\n" % self.printed))
            else:
                self.is_running = False
                process.say(wire.RootEnded("exited", 5))
        process.flush()

    def obey(self, message):
        process = self.process
        if isinstance(message, wire.Ping):
            process.send(wire.Pong(message.number))
            return
        self.commands += 1
        match message:
            case wire.Run():
                self.is_running = True
            case wire.EndTree():
                self.is_running = False
                process.say(wire.TreeEnded(False, 0))
            case wire.TellWaits():
                record = wire.WaitRecord(1, "main.lus:1", "InboxHasMail", b"")
                process.say(wire.Deadlocked(1, (pack(record),)))
            case wire.LeaveInput():
                process.say(wire.InputLeft(b""))
            case wire.Shutdown():
                process.die(0)


class Listener:
    """Takes everything and counts."""

    def __init__(self):
        self.written = 0
        self.output = b""
        self.deaths = []
        self.reports = []
        self.failed = self.deadlocked = self.stuck = self.reports.append
        self.record = LogLines("0", LogHeader("0", "main.lus", 0, "/", False, PledgeSet.root(), None)).of
        self.is_started = False

    def notice(self, text):
        assert type(text) is str

    def started(self):
        assert not self.is_started
        self.is_started = True

    def write(self, _stream, data):
        self.written += len(data)
        self.output = (self.output + data)[-10_000:]

    def host_died(self, text, _details):
        self.deaths.append(text)

    def read_input(self):
        return b"ab"
