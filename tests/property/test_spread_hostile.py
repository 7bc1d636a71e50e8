"""A host that has fallen to a script writes what it likes: the others stay sound, and can go on without it."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luspool.scheduler import letters
from luspool.scheduler.invariants import validate
from luspool.scheduler.letters import HOST_BITS, Kind, LetterError, Move
from luspool.scheduler.limits import StateLimits
from luspool.scheduler.protocol import (
    ChildrenHaveMail,
    Ended,
    Failure,
    InboxHasMail,
    InboxHasRoom,
    OutboxHasRoom,
    Preempted,
    Returned,
    StateId,
    Waiting,
)
from luspool.scheduler.records import pack
from luspool.scheduler.tree import Phase
from luspool.scheduler.units import UNLIMITED

from .spread_chance import Chance, begin, run
from .spread_laws import assert_empty


def crashed(state_id, script):
    return Failure("crashed", b"value", f"{state_id} {script}", "", script)


class Enemy:
    """Writes letters of `host` to `machine`: each looks right at a glance."""

    def __init__(self, chance, machine, host):
        self.chance = chance
        self.machine = machine
        self.host = host

    def state_id(self):
        known = list(self.machine.states) or [self.machine.last_id]
        mine = (self.host << HOST_BITS) + self.chance.number(0, 5)
        theirs = [name for name, stub in self.machine.stubs.items() if stub.host == self.host]
        came = [
            name
            for name, state in self.machine.states.items()
            if state.phase is not Phase.ELSEWHERE and getattr(state.inbox, "peer", 0) == self.host
        ]
        top = self.machine.tree.root if self.machine.tree else 1
        return StateId(
            self.chance.one(
                (theirs or known) * 3
                + (came or known) * 3
                + known[:2]
                + [mine, mine, top, 0, self.chance.number(0, 2**64 - 1)]
            )
        )

    def blob(self):
        return bytes(self.chance.number(0, 255) for _ in range(self.chance.number(0, 40)))

    def number(self):
        return self.chance.one([0, 1, 64, 68, 132, self.chance.number(0, 1000), 2**40, 2**64 - 1])

    def ancestors(self):
        hosts = [self.host, self.host, self.machine.host, 99, *self.machine.peers]
        abroad = [(parent.id, parent.host) for parent in self.machine._abroad.values()]
        made = [(self.state_id(), self.chance.one(hosts)) for _ in range(self.chance.number(0, 3))]
        return self.chance.one([made, [*abroad[:1], *made], [(self.state_id(), self.host), *made]])

    def move(self):
        limits = StateLimits(cpu=self.chance.one([UNLIMITED, 100, -1]), time=self.chance.one([UNLIMITED, 1]), memory=-5)
        whole = letters.pack_ancestors(self.ancestors())
        return Move(
            self.chance.one([b"spec", b"spec" + bytes(100), b"none", b""]),
            self.chance.one([1, 2, 3, 4, 5, 0, -1, 10**9]),
            self.chance.one([pack(limits)] * 4 + [b"", self.blob()]),
            self.chance.one([whole] * 6 + [whole[:-1], self.blob()]),
            bool(self.chance.number(0, 2)),
        )

    def body(self, kind):
        failure = Failure(self.chance.one(["error", "time", "", "crashed"]), self.blob(), "m", "", "s.lus")
        bodies = {
            Kind.MOVED: lambda: pack(self.move()),
            Kind.ENDED: lambda: self.chance.one([b"", letters.pack_failure(failure), pack(failure)[:-1]]),
        }
        numbers = Kind.OUTBOX_TAKEN, Kind.INBOX_TAKEN
        if not self.chance.number(0, 20):
            return self.blob()
        if kind in numbers:
            return self.number().to_bytes(8, "little")
        return bodies.get(kind, lambda: self.blob() + bytes(self.chance.one([0, 100, 400])))()

    def letter(self):
        if not self.chance.number(0, 30):
            return self.blob()
        kind = self.chance.one([*Kind, Kind.MOVED, Kind.MOVED, Kind.MESSAGE, Kind.SENT])
        return letters.write(kind, self.state_id(), self.body(kind))


def live(machine, chance, running):
    """The states of `machine` do this and that."""
    machine.stoppable.clear()
    machine.closable.clear()
    machine.instructions.clear()
    for peer in machine.peers.values():
        peer.letters.clear()
    for _ in range(chance.number(0, 4)):
        state = machine.take_ready()
        if state is None:
            break
        condition = machine.start(state) if state.runnable is None else None
        if condition is not None:
            machine.stepped(state, Waiting(condition))
            machine.letters_are_out(condition.host, condition.number)
            continue
        state.runnable = object()
        state.brought = None  # as every step begins
        running.append(state)
    for state in tuple(running):
        children = list(state.children)
        machine.message(state, bytes(chance.number(0, 100)))
        machine.peek(state)
        machine.receive(state, children)
        for child in children:
            machine.send(state, child, bytes(chance.number(0, 100)))
        if machine.peers and not chance.number(0, 3):
            machine.create(state, b"spec", 0, state.limits)
            machine.give(chance.one(list(machine.peers)))
        if children and not chance.number(0, 9):
            machine.cancel_child(state, chance.one(children))
        results = [Preempted(), Waiting(InboxHasMail()), Waiting(OutboxHasRoom(50)), Ended(Returned())]
        results.append(Waiting(ChildrenHaveMail(tuple(children))))
        results += [Waiting(InboxHasRoom(child, 50)) for child in children[:1]]
        running.remove(state)
        machine.stoppable.clear()
        machine.stepped(state, chance.one(results))


def attack(seed):
    """Whether the enemy was found out."""
    chance = Chance(seed)
    cluster = begin(chance, chance.number(1, 7))
    cluster.join()
    run(cluster, chance, 80)
    victims = [host for host in cluster.hosts.values() if host.machine.peers]
    if not victims:
        return False
    victim = chance.one(victims)
    machine, running = victim.machine, victim.running
    machine.may_strip = True  # what the cluster knows is no longer what is
    enemy = Enemy(chance, machine, chance.one(list(machine.peers)))
    is_found = False
    for _ in range(60):
        try:
            machine.arrived(enemy.host, enemy.letter())
        except LetterError:
            is_found = True
        validate(machine)
        if is_found and not chance.number(0, 3):
            break
        live(machine, chance, running)
        validate(machine)
    machine.peer_gone(enemy.host, crashed)
    validate(machine)
    for _ in range(5):
        live(machine, chance, running)
        validate(machine)
    for state in machine.states.values():
        assert state.phase is not Phase.ELSEWHERE or state.host != enemy.host
    tree = machine.tree
    machine.end_tree()
    for state in running:
        machine.stepped(state, Preempted())
    validate(machine)
    assert_empty(machine)
    assert tree is None or (tree.memory, tree.busy, tree.timed) == (0, 0, 0)
    return is_found


@pytest.mark.parametrize("start", range(0, 400, 200))
def test_whatever_one_host_writes_the_others_stay_sound(start):
    found = [attack(seed) for seed in range(start, start + 200)]
    assert any(found)


@given(st.binary(max_size=200))
def test_bytes_by_chance_are_read_or_refused(letter):
    try:
        kind, state_id, body = letters.read(letter)
    except LetterError:
        return
    assert letters.write(kind, state_id, body) == letter
    for read in (letters.read_number, letters.read_move, letters.read_failure, letters.read_ancestors):
        with suppress(LetterError):
            read(body)
