"""The supervisor and hosts that lie to it: frames that are nearly right, in any order, of any amount."""

import os
import struct
from contextlib import ExitStack, nullcontext

from luspool.scheduler import wire
from luspool.scheduler.connection import HostError
from luspool.scheduler.fleet import Fleet, FleetOptions
from luspool.scheduler.limits import Limits, TreeLimits
from luspool.scheduler.records import pack
from luspool.scheduler.supervisor import SoleHost, Supervisor, Surroundings

from ._fake_hosts import FakeProcess, HonestHost, Listener

OUTPUT_LIMIT = 100_000
LINES = 5
START = wire.Start.of(1, 10_000_000, Limits(tree=TreeLimits(output=OUTPUT_LIMIT)), b"program")
EXITED = wire.TreeEnded(exited=True, status=5)

MOST_TURNS = 5000
MOST_SECONDS = 400
"""By the clock that goes on when nothing else does: within it everybody is found out who does not do his part."""

MOST_KEPT = 40 << 20
"""Bytes that may wait for a host that does not read."""


def frame(message):
    """As `wire.encode`, of any size."""
    payload = pack(message)
    return struct.pack(">BI", message.KIND, len(payload)) + payload


class Liar:
    """Says what it likes. What it said is in `said`, for whoever wants to do it again."""

    def __init__(self, process, chance, *, has_stamps=True):
        self.process = process
        self.chance = chance
        self.has_stamps = has_stamps
        self.said = []
        self.reads = chance.random() < 0.8
        self.answers = chance.random() < 0.8
        self.is_silent = False
        self.left = chance.choice((1, 3, 10, 30))
        self.frames = []
        if chance.random() < 0.95:
            process.send(wire.Hello(wire.VERSION))

    def act(self):
        process, chance = self.process, self.chance
        if process.exit_status is not None:
            return
        if self.reads:
            for message in process.receive():
                if self.answers:
                    self._answer(message)
        process.flush()
        if self.left and process.has_said_all and chance.random() < 0.7:
            self.left -= 1
            chance.choice((self._speak, self._speak, self._speak, self._control, self._noise, self._flood, self._end))()

    def _answer(self, message):
        match message:
            case wire.Ping():
                self.process.send(wire.Pong(message.number))
            case wire.EndTree() if self.chance.random() < 0.7:
                self._write(self._stamped(wire.TreeEnded(False, 0)))
            case wire.TellWaits() if self.chance.random() < 0.7:
                self._write(self._stamped(self._event(wire.Deadlocked)))
            case wire.Shutdown():
                self.process.die(0)

    def _write(self, data, sock=None):
        self.said.append(data if len(data) < 500 else data[:500] + b"... %d bytes" % len(data))
        self.frames = [*self.frames[-20:], data]
        if self.process.exit_status is None:
            self.process.write(sock or self.process.their_events, data)

    def _stamp(self, frames):
        now = self.process.clock.monotonic_ns()
        honest = now - self.chance.randrange(1000)
        chance = self.chance
        at = honest if chance.random() < 0.9 else chance.choice((0, 1, now + 1, now * 2, chance.number()))
        count = frames if chance.random() < 0.9 else chance.choice((0, frames + 1, 1 << 40, chance.number()))
        return frame(wire.Stamp(at, count))

    def _stamped(self, *messages):
        data = b"".join(map(frame, messages))
        return self._stamp(len(messages)) + data if self.has_stamps else data

    def _event(self, kind):
        chance = self.chance
        given = {"stream": chance.choice((1, 1, 2, 2, 3, 0))} if kind is wire.Output else {}
        if kind is wire.Deadlocked:
            records = [pack(chance.record(wire.WaitRecord)) for _ in range(chance.randrange(4))]
            given = {"waits": tuple(map(chance.mutated, records) if chance.random() < 0.3 else records)}
        if kind in (wire.Stuck, wire.AskEndBelow) and chance.random() < 0.5:
            given = {"state": (chance.randrange(1, 4) << 40) + chance.randrange(1, 4)}
        if kind is wire.Call:
            given = {"call": len(self.said) + 1} if chance.random() < 0.8 else {}
        return chance.record(kind, **given)

    def _speak(self):
        chance = self.chance
        kinds = [kind for kind in wire.EVENTS if kind is not wire.Stamp]
        messages = [self._event(chance.choice(kinds)) for _ in range(chance.choice((1, 1, 2, 5)))]
        data = self._stamped(*messages)
        self._write(chance.mutated(data) if chance.random() < 0.2 else data)

    def _control(self):
        chance = self.chance
        kind = chance.choice(wire.CONTROL)
        given = {"host": chance.choice((0, 2, 7, 99))} if kind is wire.Broken and chance.random() < 0.9 else {}
        if kind is wire.Hello:
            given = {"version": wire.VERSION}
        if kind is wire.Report:
            given = {name: chance.small_bytes(5) * 16 for name in ("sent", "received")}
        data = frame(chance.record(kind, **given))
        data = chance.mutated(data) if chance.random() < 0.2 else data
        self._write(data * chance.choice((1, 1, 50)), self.process.their_control)

    def _noise(self):
        chance = self.chance
        if self.frames and chance.random() < 0.7:
            chance.shuffle(self.frames)
            data = b"".join(self.frames[:3])
            data = data[: chance.randrange(len(data) + 1)]
        else:
            data = chance.small_bytes()
        sock = chance.choice((self.process.their_events, self.process.their_control))
        self._write(data, sock)

    def _flood(self):
        chance = self.chance
        messages = (wire.Output(1, bytes(60_000)), wire.Output(2, b""), wire.AskEndBelow(1), wire.WantInput())
        message = chance.choice((*messages, self._event(wire.Failed), self._event(wire.InputLeft)))
        count = min(chance.choice((10, 300, 2000)), (1 << 20) // len(frame(message)))
        if chance.random() < 0.5 or not self.has_stamps:
            self._write(self._stamped(message) * count)
        else:
            self._write(self._stamp(count) + frame(message) * count)

    def _end(self):
        process = self.process
        match self.chance.randrange(12):
            case 0:
                process.die(self.chance.choice((0, 1, -9, -11, -64)))
            case 1:
                process.their_events.shutdown(2)
            case 2:
                process.their_control.shutdown(2)
            case 3:
                os.write(process.their_diagnostics, self.chance.randbytes(5000))
            case 4:
                self.reads = not self.reads
            case 5:
                self.answers = not self.answers
            case 6:
                self.left = 0


def patient(kind):
    """The class of hosts `kind`, which never makes the loop wait and remembers for how long it would have."""

    class Patient(kind):
        due_at = None
        accused = False

        def _accuse(self, message):
            self.accused = True  # what one says of another is believed
            super()._accuse(message)

        def due(self):
            self.due_at = super().due()
            return 0.0

    return Patient


class Loop(Supervisor):
    """A supervisor whose time goes on when nothing else does."""

    clock = None

    def _wait(self):
        ready = super()._wait()
        if ready:
            self.clock.now += 1e-5
        else:
            self.clock.now = max(self.clock.now + 1e-3, min(self._hosts.due_at or 0, self.clock.now + 60))
        return ready


class Border:
    """One program, of which one host lies."""

    def __init__(self, chance, clock, stack):
        self.chance = chance
        self.clock = clock
        self.stack = stack
        self.listener = Listener()
        self.players = []
        self.began = clock.now

    def process(self):
        return FakeProcess(self.clock)

    def surroundings(self):
        reading, writing = os.pipe()
        os.write(writing, b"x")  # there is always input
        self.stack.callback(os.close, reading)
        self.stack.callback(os.close, writing)
        return Surroundings(nullcontext(), reading)

    def turns(self, hosts):
        """Play until the program is over, or its root may be dead: a liar that claims to be busy is then waited for."""
        loop = Loop(hosts, self.listener, self.surroundings())
        loop.clock = self.clock
        for _ in range(MOST_TURNS):
            for player in self.players:
                player.act()
            loop._turn()
            self.look(hosts)
            if hosts.accused:
                return None
            if hosts.ended is not None:
                for player in self.players:
                    player.act()
                loop.close()
                return hosts.ended
            assert self.clock.now < self.began + MOST_SECONDS, "the program does not end, and nobody is ended for it"
        raise AssertionError("the program does not end")

    def look(self, hosts):
        assert self.listener.written <= OUTPUT_LIMIT
        for host in hosts.connections:
            assert host.unsent_bytes <= MOST_KEPT
            for incoming in (host.events, host.control):
                most = max(kind.LIMIT for kind in incoming._decoder._kinds.values())
                assert len(incoming._decoder._buffer) <= most + (5 << 20)


def fleet_round(chance, clock):
    """Two or three hosts, of which one that does not run the root lies."""
    with ExitStack() as stack:
        border = Border(chance, clock, stack)
        hosts = chance.choice((2, 2, 3))

        def start_host():
            process = border.process()
            is_first_liar = not any(isinstance(player, Liar) for player in border.players)
            player = Liar(process, chance) if is_first_liar or chance.random() < 0.2 else HonestHost(process)
            border.players.append(player)
            return process

        first = stack.enter_context(border.process())
        root = HonestHost(first, LINES)
        border.players.append(root)
        options = FleetOptions(hosts, start_host, "main.lus", OUTPUT_LIMIT)
        fleet = stack.enter_context(patient(Fleet)(first, START, border.listener, options))
        try:
            ended = border.turns(fleet)
        except BaseException as error:
            error.add_note(f"said: {[getattr(player, 'said', None) for player in border.players]}")
            error.add_note(f"deaths: {border.listener.deaths}")
            raise
        if not fleet.accused:
            assert ended == EXITED, ended
            assert not first.was_killed
            assert root.printed == LINES


def sole_round(chance, clock):
    """The one host of a program lies."""
    with ExitStack() as stack:
        border = Border(chance, clock, stack)
        liar = Liar(stack.enter_context(border.process()), chance, has_stamps=False)
        border.players.append(liar)
        sole = patient(SoleHost)(liar.process, START, border.listener)
        liar.left *= 3
        giving_up = chance.randrange(50, 300)
        try:
            for player in (liar,):
                player.give_up_after = giving_up
            border.players.append(_End(liar.process, giving_up))
            border.turns(sole)
        except HostError:
            pass
        except BaseException as error:
            error.add_note(f"said: {liar.said}")
            raise


class _End:
    """Kills a host after some turns: nobody promises that a program of one host that lies ends by itself."""

    def __init__(self, process, turns):
        self.process, self.turns = process, turns

    def act(self):
        self.turns -= 1
        if not self.turns:
            self.process.die(-15)
