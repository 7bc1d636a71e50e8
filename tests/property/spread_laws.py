"""What is known of a simulated cluster, and what has to be true of it."""

from collections import Counter, defaultdict, deque

from luspool.scheduler import letters
from luspool.scheduler.coordinator import Stage
from luspool.scheduler.invariants import validate
from luspool.scheduler.letters import Kind, host_of
from luspool.scheduler.mailbox import MESSAGE_OVERHEAD
from luspool.scheduler.protocol import InboxHasRoom, OutboxHasRoom
from luspool.scheduler.tree import Phase


class Channel:
    """All that was ever accepted in one direction between a worker and its parent, and all that was taken."""

    def __init__(self):
        self.sent = []
        self.taken = []


class Laws:
    """The omniscient view of a `Cluster`, which writes all this."""

    def __init__(self):
        self.hosts = {}
        self.dead = {}
        """Those that died, until the coordinator knows."""
        self.unpublished, self.wires = defaultdict(deque), defaultdict(deque)
        self.published = Counter()
        self.inboxes, self.outboxes = {}, {}
        self.parents = {}
        """The creator of every state ever made."""
        self.named = defaultdict(list)
        self.failures, self.heard, self.lost = {}, Counter(), Counter()
        self.dooms, self.threats = set(), {}
        """States below which all has to end; and those of which this is known only to a host that may die."""
        self.told, self.begun = set(), {}
        """States that have said that they begin; those that have begun, and where."""
        self.is_abrupt = False
        """The end of the tree does not wait for anybody."""
        self.is_timed_out = False
        """Time has ended somebody: that comes out of nowhere, and may come just after a decision."""

    # --- what everybody knows ------------------------------------------------------------------------------------

    def failed(self, state_id, failure):
        assert failure.message not in self.failures
        self.failures[failure.message] = state_id

    def doom(self, state_id):
        self.dooms.add(state_id)

    def above(self, state_id):
        while (state_id := self.parents[state_id]) is not None:
            yield state_id

    def is_doomed(self, state_id):
        """Whether somebody above it was cancelled, or exceeded a limit."""
        return any(top in self.dooms or top in self.threats for top in self.above(state_id))

    def living(self):
        return [
            state
            for host in self.hosts.values()
            for state in host.machine.states.values()
            if state.phase not in (Phase.ENDED, Phase.ELSEWHERE)
        ]

    def all_letters(self):
        for queues in (self.wires, self.unpublished):
            for pair, queue in queues.items():
                for letter in queue:
                    yield pair, letter

    def assert_quiet(self):
        """At the moment of the decision that a tree is over, or deadlocked: it is."""
        for host in self.hosts.values():
            tree = host.machine.tree
            assert tree is None or not tree.busy, f"host {host.number} is busy"
            assert not host.commands
            assert self.coordinator.outcome is not None or tree is None or not tree.timed
        for host in (*self.hosts.values(), *self.dead.values()):
            assert not host.asks
        assert not list(self.all_letters())

    # --- laws ----------------------------------------------------------------------------------------------------

    def check(self):
        for host in self.hosts.values():
            validate(host.machine)
        self.check_failures()
        self.check_messages()
        self.check_windows()

    def check_failures(self):
        somewhere = Counter(
            state.failure.message
            for host in self.hosts.values()
            for state in host.machine.states.values()
            if state.failure is not None
        )
        for _, letter in self.all_letters():
            kind, _, body = letters.read(letter)
            if kind is Kind.ENDED and body:
                somewhere[letters.read_failure(body).message] += 1
        assert somewhere + self.heard + self.lost == Counter(self.failures.keys()), "a failure got lost, or came twice"

    def check_messages(self):
        for channels in (self.inboxes, self.outboxes):
            for channel in channels.values():
                assert channel.taken == channel.sent[: len(channel.taken)]

    def on_the_way(self, pair, kind, state_id):
        for queue in (self.wires[pair], self.unpublished[pair]):
            for letter in queue:
                its_kind, its_state, body = letters.read(letter)
                if its_kind is kind and its_state == state_id:
                    yield body

    def check_windows(self):
        """What a sender counts is what lies at the other end or is on its way there, or what it will be told of."""
        for number, host in self.hosts.items():
            for stub in host.machine.stubs.values():
                there = self.hosts.get(stub.host)
                if there is None or number not in there.machine.peers:
                    continue
                state = there.machine.states.get(stub.id)
                if state is not None and state.phase is Phase.ENDED:
                    continue
                is_moving = any(self.on_the_way((number, stub.host), Kind.MOVED, stub.id))
                if state is None and not is_moving:
                    continue
                out, back = (number, stub.host), (stub.host, number)
                sent, told = (Kind.SENT, Kind.INBOX_TAKEN), (Kind.MESSAGE, Kind.OUTBOX_TAKEN)
                box = None if state is None else state.inbox
                if stub.parent is not None and not stub.inbox.is_closed and (state is None or state.parent is not None):
                    self.check_window(stub.id, (stub.inbox, box), (out, back), sent)
                    assert not is_moving or stub.inbox.kept is not None
                if stub.parent is not None and state is not None and state.parent is not None:
                    self.check_window(stub.id, (state.outbox, stub.outbox), (back, out), told)

    def check_window(self, state_id, ends, ways, kinds):
        (window, box), (out, back) = ends, ways
        flying = sum(len(body) + MESSAGE_OVERHEAD for body in self.on_the_way(out, kinds[0], state_id))
        told = sum(map(letters.read_number, self.on_the_way(back, kinds[1], state_id)))
        there = 0 if box is None else box.used + box._untold
        assert window.used == flying + told + there, f"the window of state {state_id} counts wrong"

    def check_drained(self):
        assert not list(self.all_letters())
        for host in self.hosts.values():
            machine = host.machine
            assert not host.commands
            for peer in machine.peers.values():
                assert not peer.waiters
            assert not_heard(machine) == 0, "an end below a state is remembered for ever"
            for stub in machine.stubs.values():
                assert stub.id in self.hosts[stub.host].machine.states, f"the record of state {stub.id} is left"
        for state in self.living():
            doomed = [top for top in self.above(state.id) if top in self.dooms or top in self.threats]
            assert not doomed, f"state {state.id} lives, though {doomed} took all below with them"
        if not self.is_abrupt and self.coordinator.stage is Stage.RUNNING:
            self.check_drained_edges()

    def check_drained_edges(self):
        for host in self.hosts.values():
            for stub in host.machine.stubs.values():
                state = self.hosts[stub.host].machine.states[stub.id]
                if state.phase is Phase.ENDED or stub.parent is None or stub.inbox.is_closed:
                    continue
                for channel, box in ((self.inboxes[stub.id], state.inbox), (self.outboxes[stub.id], stub.outbox)):
                    assert channel.taken + list(box) == channel.sent
                condition = stub.parent.condition
                if isinstance(condition, InboxHasRoom) and condition.child == stub.id:
                    assert not state.inbox.fits(condition.size), "a lost wake-up of a parent"
                if isinstance(state.condition, OutboxHasRoom):
                    assert not stub.outbox.fits(state.condition.size), "a lost wake-up of a child"

    def check_over(self):
        assert self.coordinator.outcome is not None or not self.hosts
        for host in self.hosts.values():
            assert_empty(host.machine)
        for state_id in self.parents.keys() - self.begun.keys():
            doomed = state_id in self.dooms or state_id in self.threats or self.is_doomed(state_id)
            lost = host_of(state_id) not in self.hosts or state_id in self.told
            failed = state_id in self.failures.values()
            assert doomed or lost or failed or self.is_abrupt, f"state {state_id} never ran"


def assert_empty(machine):
    """Nothing is left in a machine whose tree is over."""
    assert machine.tree is None
    assert not machine.states
    assert not machine.stubs
    assert not machine._abroad
    assert not machine._untold
    assert not machine._spread_from
    assert not machine.input_waiters
    assert all(not peer.waiters for peer in machine.peers.values())


def not_heard(machine):
    return len(machine._ending_below) + sum(len(peer.behind) + peer.ahead for peer in machine.peers.values())
