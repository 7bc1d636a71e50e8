"""Hosts of one tree without processes: real machines and a real coordinator, joined by queues that a test empties.

What the shell promises is kept: letters between two hosts arrive in the order in which they were written, those that
were *published* also when their writer has died, and all of them before its death is told; asks are out before any
letter that was written after them. All else is in no order: `deliveries` lists what may happen next.

Everything is known here: who sent what, who failed, whose descendants have to end. `check` compares.
"""

from collections import deque
from functools import partial
from itertools import count

from luspool.scheduler import letters
from luspool.scheduler.coordinator import (
    Coordinator,
    EndBelow,
    EndForExcess,
    EndTree,
    Gone,
    Joined,
    RunRoot,
    Stage,
    TellWaits,
)
from luspool.scheduler.instructions import (
    AskForEndBelow,
    ReportDeadlock,
    ReportExcess,
    ReportFailure,
    ReportRootEnd,
    ReportTreeEnd,
)
from luspool.scheduler.letters import HOST_BITS, Kind
from luspool.scheduler.limits import Excess, Limits, StateLimits, TreeLimits
from luspool.scheduler.mailbox import MESSAGE_OVERHEAD
from luspool.scheduler.protocol import (
    ChildrenHaveMail,
    Delivered,
    Ended,
    Exited,
    Failure,
    InboxHasMail,
    InboxHasRoom,
    InputArrived,
    OutboxHasRoom,
    Preempted,
    Returned,
    StateId,
    Thrown,
    Waiting,
)
from luspool.scheduler.spread import SpreadMachine
from luspool.scheduler.tree import Phase
from luspool.scheduler.units import UNLIMITED

from .spread_laws import Channel, Laws

SIZE = 4
MESSAGE = SIZE + MESSAGE_OVERHEAD
MOST_HOSTS = 4
SCRIPT = "s.lus"


class Specs:
    """A spec is a few bytes that begin with "spec"."""

    def pack(self, spec):
        return spec

    def unpack(self, data):
        if not data.startswith(b"spec"):
            raise ValueError("no spec")
        return data

    def script(self, spec):
        assert isinstance(spec, bytes)
        return SCRIPT


class NotedMachine(SpreadMachine):
    """Tells the cluster how states end."""

    __slots__ = ("cluster", "may_strip")

    def __init__(self, cluster, number):
        super().__init__(lambda state: f"number {next(cluster.numbers)}", number, Specs())
        self.cluster = cluster
        self.may_strip = False

    def _add(self, state, size):
        self.cluster.meet(state)
        return super()._add(state, size)

    def _ended(self, state, outcome):
        if isinstance(outcome, Failure):
            self.cluster.failed(state.id, outcome)
            if outcome.is_limit:
                self.cluster.doom(state.id)
        super()._ended(state, outcome)

    def _end_tree(self, tree):
        self.may_strip = True
        super()._end_tree(tree)
        assert (tree.memory, tree.busy, tree.timed) == (0, 0, 0)

    def _strip(self, state):
        if state.phase not in (Phase.ENDED, Phase.ELSEWHERE) and not self.may_strip:
            assert self.cluster.is_doomed(state.id), f"state {state.id} was ended for nothing"
        super()._strip(state)


class SimHost:
    """A host, and what was said to and by it that has not arrived."""

    def __init__(self, cluster, number):
        self.number = number
        self.machine = NotedMachine(cluster, number)
        self.running = []
        self.commands = deque()
        self.asks = deque()
        self.reports = []


class Cluster(Laws):
    """See the module. `pick` in its methods decides what is left open: `one(choices)` and `number(least, most)`."""

    def __init__(self, pick, messages=2):
        super().__init__()
        self.numbers = count(1)
        self.host_numbers = count(1)
        self.takes = {}  # state: for what mail it waits that may be taken for it
        limits = TreeLimits(
            mailbox=messages * MESSAGE,
            depth=pick.one([2, 5, UNLIMITED]),
            memory=pick.one([UNLIMITED, UNLIMITED, UNLIMITED, 6000]),
            states=pick.one([40, 40, 6]),
        )
        self.limits = Limits(StateLimits(cpu=pick.one([UNLIMITED, UNLIMITED, 500])), limits)
        self.root = StateId((1 << HOST_BITS) + 1)
        self.coordinator = Coordinator(self.root, SCRIPT)
        self.add(SimHost(self, next(self.host_numbers)))
        for _ in range(pick.number(0, 2)):
            self.join()
        self.coordinator.run()
        self.pass_commands()

    # --- hosts ---------------------------------------------------------------------------------------------------

    def can_join(self):
        return len(self.hosts) < MOST_HOSTS and next_number(self.host_numbers) < 12

    def join(self):
        host = SimHost(self, next(self.host_numbers))
        host.machine.join_tree(self.root, self.limits)
        self.add(host)

    def add(self, host):
        self.hosts[host.number] = host
        self.coordinator.joined(host.number)
        self.pass_commands()

    def die(self, number):
        """What it had not published is lost with it, and what it held."""
        host = self.dead[number] = self.hosts.pop(number)
        for state in host.machine.states.values():
            if state.failure is not None:
                self.lost[state.failure.message] += 1
        host.running.clear()
        host.commands.clear()
        for (writer, reader), queue in self.unpublished.items():
            if number in (writer, reader):
                for letter in queue:
                    self.lose(letter)
                    kind, state_id, _ = letters.read(letter)
                    if kind is Kind.MESSAGE and writer == number:
                        self.outboxes[state_id].sent.pop()
                queue.clear()
        for (_, reader), queue in self.wires.items():
            if reader == number:
                for letter in queue:
                    self.lose(letter)
                queue.clear()
        for top, holder in tuple(self.threats.items()):
            if holder == number:
                del self.threats[top]

    def lose(self, letter):
        kind, _, body = letters.read(letter)
        failure = letters.read_failure(body) if kind is Kind.ENDED else None
        if failure is not None:
            self.lost[failure.message] += 1

    def collect(self, host):
        """What the shell does before it lets go of a machine."""
        machine = host.machine
        machine.stoppable.clear()
        for instruction in machine.instructions:
            match instruction:
                case ReportFailure(failure):
                    if failure.message in self.failures:
                        self.heard[failure.message] += 1
                case AskForEndBelow(state):
                    self.dooms.add(state)
                    host.asks.append(instruction)
                case ReportRootEnd() | ReportExcess() | ReportTreeEnd() | ReportDeadlock():
                    host.asks.append(instruction)
        machine.instructions.clear()
        for corpse in machine.closable:
            assert corpse not in host.running
            assert corpse.phase is Phase.ENDED
        machine.closable.clear()
        for number, peer in machine.peers.items():
            for letter in peer.letters:
                if number in self.hosts:
                    self.unpublished[host.number, number].append(letter)
                else:
                    self.lose(letter)
            peer.letters.clear()

    # --- what states do ------------------------------------------------------------------------------------------

    def everybody(self):
        """Who is inside a step, and where."""
        return [(host, state) for host in self.hosts.values() for state in host.running]

    def meet(self, state):
        """A state was created, or has come to another host."""
        if state.id not in self.parents:
            self.parents[state.id] = None if state.parent is None else state.parent.id
            self.inboxes[state.id], self.outboxes[state.id] = Channel(), Channel()

    def run(self, pick, host):
        machine = host.machine
        state = machine.take_ready()
        if state is None:
            return
        if state.runnable is None:
            if not pick.number(0, 40):
                failure = Failure("quarantined", b"", f"failure {next(self.numbers)}", "", SCRIPT)
                machine.stepped(state, Ended(failure))
                self.collect(host)
                return
            condition = machine.start(state)
            if condition is not None:
                self.told.add(state.id)
                machine.stepped(state, Waiting(condition))
                self.collect(host)
                return
            if state.phase is not Phase.ENDED:
                assert state.id not in self.begun, f"state {state.id} runs twice"
                self.begun[state.id] = host.number
            state.runnable = object()
        host.running.append(state)
        payload, state.brought = state.brought, None
        if payload is not None:
            condition = self.takes[state.id]
            channels, name = (
                (self.inboxes, state.id) if condition == InboxHasMail() else (self.outboxes, condition.children[0])
            )
            channels[name].taken.append(payload)
        self.collect(host)

    def payload(self, pick):
        return next(self.numbers).to_bytes(SIZE, "big") + bytes(pick.one([0, 0, 0, 60, 200]))

    def some_children(self, pick, state):
        named = self.named[state.id]
        return [pick.one(named) for _ in range(pick.number(0, 3))] if named else []

    def create(self, pick, host, state):
        limits = StateLimits(
            cpu=pick.one([UNLIMITED, UNLIMITED, 100]), time=pick.one([UNLIMITED, UNLIMITED, UNLIMITED, 1])
        )
        child = host.machine.create(state, b"spec", pick.one([0, 500]), limits)
        self.named[state.id].append(child)
        self.collect(host)

    def message(self, pick, host, state):
        for _ in range(pick.number(1, 4)):
            payload = self.payload(pick)
            if host.machine.message(state, payload) is None:
                self.wait_mostly(pick, host, state, OutboxHasRoom(len(payload)))
                break
            self.outboxes[state.id].sent.append(payload)
        self.collect(host)

    def send(self, pick, host, state):
        for child in self.some_children(pick, state)[:1] * pick.number(1, 4):
            payload = self.payload(pick)
            if host.machine.send(state, child, payload) is None:
                self.wait_mostly(pick, host, state, InboxHasRoom(child, len(payload)))
                break
            if child in self.inboxes:
                self.inboxes[child].sent.append(payload)
        self.collect(host)

    def receive(self, pick, host, state):
        children = self.some_children(pick, state) if pick.number(0, 2) else list(self.named[state.id])
        if self.take(host, state, children) is None:
            self.wait_mostly(pick, host, state, ChildrenHaveMail(tuple(children)))
        self.collect(host)

    def take(self, host, state, children):
        received = host.machine.receive(state, children)
        match received:
            case Delivered(messages):
                for child, payload in zip(children, messages, strict=True):
                    if payload is not None:
                        self.outboxes[child].taken.append(payload)
            case Thrown(failure):
                self.heard[failure.message] += 1
                failed = self.outboxes[self.failures[failure.message]]
                assert failed.taken == failed.sent, "an error overtook a message"
        return received

    def peek(self, pick, host, state):
        payload = host.machine.peek(state)
        if payload is not None:
            self.inboxes[state.id].taken.append(payload)
        else:
            self.wait_mostly(pick, host, state, InboxHasMail())
        self.collect(host)

    def wait_mostly(self, pick, host, state, condition):
        if pick.number(0, 3) > (2 if state.id == self.root else 0):  # a root that waits has little to do
            takes = condition == InboxHasMail() or (
                isinstance(condition, ChildrenHaveMail) and len(condition.children) == 1
            )
            if takes:
                self.takes[state.id] = condition
            self.stepped(host, state, Waiting(condition, takes=takes))

    def wait(self, pick, host, state):
        children = self.some_children(pick, state)
        conditions = [
            InboxHasMail(),
            OutboxHasRoom(pick.number(0, 300)),
            ChildrenHaveMail(tuple(children)),
            ChildrenHaveMail(tuple(self.named[state.id])),
            InputArrived(host.machine.input_seen),
        ]
        conditions += [InboxHasRoom(child, pick.number(0, 300)) for child in children]
        self.stepped(host, state, Waiting(pick.one(conditions)))
        self.collect(host)

    def release(self, pick, host, state):
        children = self.some_children(pick, state)
        host.machine.release(state, children)
        self.named[state.id] = [child for child in self.named[state.id] if child not in children]
        self.collect(host)

    def cancel_child(self, pick, host, state):
        for child in self.some_children(pick, state)[:1]:
            if host.machine.is_running(state, child):
                # In another host it is this one that sees to it, whatever becomes of the other.
                if child in host.machine.stubs:
                    self.threats[child] = host.number
                else:
                    self.doom(child)
            host.machine.cancel_child(state, child)
            assert not host.machine.is_running(state, child)
        self.collect(host)

    def preempt(self, _pick, host, state):
        self.stepped(host, state, Preempted())
        self.collect(host)

    def end(self, pick, host, state):
        failure = Failure("error", b"value", f"failure {next(self.numbers)}", "", SCRIPT)
        outcomes = [Returned(), failure, failure, Exited(3)]
        if state.id == self.root:
            outcomes = [Returned()] * 4 + [failure] * 2 + [Exited(3)]
        self.stepped(host, state, Ended(pick.one(outcomes)))
        self.collect(host)

    def exceed(self, pick, host, state):
        host.machine.exceed(state, Excess(pick.one(["time", "message"]), 1, 1))
        self.collect(host)

    def stepped(self, host, state, result):
        host.machine.stoppable.clear()
        host.running.remove(state)
        host.machine.stepped(state, result, 3, 7)

    # --- what happens to hosts -----------------------------------------------------------------------------------

    def give(self, pick, host):
        others = [number for number in host.machine.peers if number != host.number]
        if others:
            host.machine.give(pick.one(others))
            self.collect(host)

    def time_out(self, pick):
        """The wall time of a state that has begun is over; mostly one of those that have less than the root."""
        living = [
            (host, state)
            for host in self.hosts.values()
            for state in host.machine.states.values()
            if state.runnable is not None and state.phase not in (Phase.ENDED, Phase.ELSEWHERE)
        ]
        timed = [(host, state) for host, state in living if state.is_timed]
        busy = [(host, state) for host, state in living if state.phase is not Phase.WAITING]
        if timed or (busy and not pick.number(0, 5)):
            self.is_timed_out = True
            self.exceed(pick, *pick.one(timed or busy))

    def exceed_tree(self, host):
        tree = host.machine.tree
        if tree is not None and tree.busy:
            host.machine.exceed_tree(tree, Excess("memory", 1, 2, is_of_tree=True))
            self.collect(host)

    def input(self, host):
        host.machine.input_arrived()
        self.collect(host)

    # --- what is on its way --------------------------------------------------------------------------------------

    def deliveries(self):
        """All that may arrive next, but reports; each is called to let it."""
        found = [partial(self.publish, *pair) for pair, queue in self.unpublished.items() if queue]
        found += [
            partial(self.deliver, *pair)
            for pair, queue in self.wires.items()
            if queue and pair[0] in self.hosts[pair[1]].machine.peers
        ]
        for number, host in self.hosts.items():
            if host.commands and self.may_carry_out(host, host.commands[0]):
                found.append(partial(self.carry_out, number))
            if host.asks:
                found.append(partial(self.answer, host))
        for host in self.dead.values():
            found.append(partial(self.answer, host) if host.asks else partial(self.bury, host))
        return found

    def publish(self, writer, reader):
        pair = writer, reader
        self.wires[pair].append(self.unpublished[pair].popleft())
        self.published[pair] += 1
        host = self.hosts[writer]
        if host.machine.peers[reader].waiters or self.published[pair] % 2:
            host.machine.letters_are_out(reader, self.published[pair])
        self.collect(host)

    def deliver(self, writer, reader):
        letter = self.wires[writer, reader].popleft()
        host = self.hosts[reader]
        if host.machine.tree is None:
            self.lose(letter)
        kind, state_id, _ = letters.read(letter)
        if kind in (Kind.CANCELLED, Kind.ENDED):
            self.threats.pop(state_id, None)
        state = host.machine.states.get(state_id)
        if kind is Kind.CANCELLED and state is not None and state.phase is not Phase.ENDED:  # else it was too late
            self.doom(state_id)
        host.machine.arrived(writer, letter)
        self.collect(host)

    def may_carry_out(self, host, command):
        return not (isinstance(command, Gone) and self.wires[command.host, host.number])

    def carry_out(self, number):
        host = self.hosts[number]
        machine = host.machine
        match command := host.commands.popleft():
            case RunRoot():
                assert machine.create_root(b"spec", self.limits) == self.root
            case Joined(other):
                machine.peer_joined(other)
            case Gone():
                self.lose_host(host, command)
            case EndBelow(state):
                machine.end_below(state)
            case EndForExcess(excess):
                if machine.tree is not None:
                    machine.exceed_tree(machine.tree, excess)
            case TellWaits():
                machine.report_waits()
                host.asks.append(command)
            case EndTree():
                machine.end_tree()
        machine.commands += 1
        self.collect(host)

    def lose_host(self, host, gone):
        """Those who had said that they begin have crashed; the others have not begun, and are to begin here."""
        machine = host.machine
        stubs = [stub for stub in machine.stubs.values() if stub.host == gone.host and not stub.inbox.is_closed]
        before_it = [(stub, stub.parent, stub.inbox.kept is None) for stub in stubs]
        before = set(self.failures)
        machine.peer_gone(gone.host, partial(self.crashed, gone))
        crashed = {self.failures[message] for message in self.failures.keys() - before}
        for stub, parent, has_begun in before_it:
            if not has_begun:
                assert stub.id not in self.begun
                assert stub.phase is Phase.READY, "a state that had not begun is to begin at home"
            elif parent is not None and parent.phase is not Phase.ENDED:
                assert stub.id in crashed, "a parent has to know that its child has crashed"

    def crashed(self, gone, state, script):
        assert script == SCRIPT
        plain = gone.failure_of(state, script)
        assert plain.kind in ("crashed", "time")
        failure = Failure(plain.kind, b"value", f"failure {next(self.numbers)}", "", SCRIPT)
        self.failed(state, failure)
        return failure

    def answer(self, host):
        """The coordinator hears what a host has asked."""
        coordinator, number = self.coordinator, host.number
        match host.asks.popleft():
            case ReportRootEnd(_, outcome):
                self.is_abrupt |= isinstance(outcome, Exited)
                self.tell(lambda: coordinator.root_ended(number, outcome))
            case ReportExcess(_, excess):
                self.is_abrupt |= coordinator.outcome is not None
                self.tell(lambda: coordinator.exceeded(number, excess))
            case AskForEndBelow(state):
                self.tell(lambda: coordinator.end_below(number, state))
            case ReportTreeEnd():
                self.tell(lambda: coordinator.tree_ended(number))
            case TellWaits():
                self.tell(lambda: coordinator.told_waits(number))
            case ReportDeadlock(_, blocked):
                assert coordinator.stage is not Stage.RUNNING
                assert all(wait.condition is not None for wait in blocked)

    def bury(self, host):
        del self.dead[host.number]
        stuck, failure = None, None
        victims = [state for state in host.machine.states.values() if state.id in self.begun and state.runnable]
        if victims and host.number % 2:
            stuck, failure = victims[0].id, Failure("time", b"", "stuck", "", "")
            self.dooms.add(stuck)
        self.tell(lambda: self.coordinator.gone(Gone(host.number, "died", stuck, failure)))

    def take_report(self, host):
        report = host.machine.report()
        if report is not None:
            host.reports.append(report)

    def deliver_report(self, pick, host):
        """Any of those that are on their way; sometimes it comes again, sometimes it is lost."""
        if host.reports:
            index = pick.number(0, len(host.reports) - 1)
            fate = pick.number(0, 9)
            report = host.reports[index] if fate == 0 else host.reports.pop(index)
            if fate != 1:
                self.tell(lambda: self.coordinator.reported(host.number, report))

    def tell(self, event):
        coordinator = self.coordinator
        before = coordinator.stage
        event()
        has_decided = before is Stage.RUNNING and coordinator.stage is not before and not self.is_abrupt
        if has_decided and (coordinator.outcome is None or not self.is_timed_out):
            self.assert_quiet()
        self.pass_commands()

    def pass_commands(self):
        for number, command in self.coordinator.commands:
            if number in self.hosts:
                self.hosts[number].commands.append(command)
        self.coordinator.commands.clear()

    def drain(self, pick):
        """Let everything arrive, in any order, while no state runs."""
        while found := self.deliveries():
            pick.one(found)()
        self.check()
        self.check_drained()


def next_number(counter):
    return counter.__reduce__()[1][0]
