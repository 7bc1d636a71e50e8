"""A few hosts of one tree, whose letters a test carries by hand."""

import pytest

from luspool.scheduler.invariants import validate
from luspool.scheduler.letters import HOST_BITS, read
from luspool.scheduler.limits import Limits, StateLimits, TreeLimits
from luspool.scheduler.mailbox import MESSAGE_OVERHEAD
from luspool.scheduler.protocol import Failure, InboxHasMail, StateId, Waiting
from luspool.scheduler.spread import SpreadMachine
from luspool.scheduler.tree import Phase
from luspool.scheduler.units import UNLIMITED

MAIL = Waiting(InboxHasMail())


class Specs:
    """Specs are bytes; "bad" is none."""

    def pack(self, spec):
        return spec

    def unpack(self, data):
        if data == b"bad":
            raise ValueError("bad")
        return data

    def script(self, spec):
        return spec.decode()


class Hosts:
    """The machines of hosts 1, 2, … The root is in host 1 and inside its step."""

    def __init__(self, size, messages=2, **limits):
        mailbox = messages * (4 + MESSAGE_OVERHEAD)
        self.limits = Limits(StateLimits(), TreeLimits(mailbox=mailbox, depth=UNLIMITED, **limits))
        self.machines = {number: SpreadMachine(self.locate, number, Specs()) for number in range(1, size + 1)}
        self.root_id = StateId((1 << HOST_BITS) + 1)
        for number, machine in self.machines.items():
            for other in self.machines:
                if other != number:
                    machine.peer_joined(other)
            if number > 1:
                machine.join_tree(self.root_id, self.limits)
        assert self[1].create_root(b"root.lus", self.limits) == self.root_id
        self.root = self.step(1)

    def __getitem__(self, number):
        return self.machines[number]

    @staticmethod
    def locate(state):
        return f"s{state.id}.lus:1"

    def letters(self, writer, reader):
        """The kinds of the letters on their way."""
        peer = self[writer].peers.get(reader)
        return [read(letter)[0] for letter in peer.letters] if peer is not None else []

    def post(self, writer, reader, count=None):
        """Deliver the letters from one host to another, or the first so many."""
        queue = self[writer].peers[reader].letters
        for _ in range(len(queue) if count is None else count):
            letter = queue[0]
            del queue[0]
            self[reader].arrived(writer, letter)

    def post_all(self):
        """Deliver all letters, until there are none."""
        while pairs := [(one, other) for one in self.machines for other in self.machines if self.letters(one, other)]:
            for one, other in pairs:
                self.post(one, other)

    def create(self, host, parent, limits=None, spec=b"child.lus"):
        """A new child, not started."""
        return self[host].create(parent, spec, len(spec), limits or self.limits.state)

    def step(self, host):
        """The state whose turn it is in this host, inside its first step or a further one."""
        machine = self[host]
        state = machine.take_ready()
        if state.runnable is None:
            condition = machine.start(state)
            if condition is not None:
                machine.letters_are_out(condition.host, condition.number)
            state.runnable = object()
        return state

    def give(self, host, to):
        """Give the oldest state away; there it is inside its first step, and its old host knows."""
        assert self[host].give(to)
        self.post(host, to)
        state = self.step(to)
        self.post(to, host)
        return state

    def child(self, host, parent, to=None, limits=None):
        """A running child of a running parent; with `to` it runs in that host."""
        self.create(host, parent, limits)
        return self.step(host) if to is None else self.give(host, to)

    def die(self, number, how="died"):
        """A host dies; what it had written until now arrives before that is told."""
        for other in tuple(self.machines):
            if other != number and number in self[other].peers:
                self.post(number, other)
        del self.machines[number]
        for machine in self.machines.values():
            machine.peer_gone(number, lambda state, script: Failure("crashed", b"", f"{script}: {how}", "", script))

    def is_alive(self, host, state):
        """Whether it lives in this host."""
        record = self[host].states.get(state.id if hasattr(state, "id") else state)
        return record is not None and record.phase not in (Phase.ENDED, Phase.ELSEWHERE)

    def end_below(self, top):
        """What the coordinator has every host do when one asks for it."""
        for machine in self.machines.values():
            machine.end_below(top)


@pytest.fixture
def make_hosts():
    made = []

    def make(*arguments, **options):
        made.append(Hosts(*arguments, **options))
        return made[-1]

    yield make
    for hosts in made:
        for machine in hosts.machines.values():
            validate(machine)


@pytest.fixture
def hosts(make_hosts):
    return make_hosts(3)
