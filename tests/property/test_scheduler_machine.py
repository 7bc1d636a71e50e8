"""The scheduler's machine under arbitrary events, with mailboxes of one to four messages."""

from collections import Counter
from itertools import count

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from luspool.scheduler.instructions import ReportDeadlock, ReportFailure, ReportTreeEnd, StartCall
from luspool.scheduler.invariants import validate
from luspool.scheduler.limits import Excess, Limits, StateLimits, TreeLimits
from luspool.scheduler.machine import Machine
from luspool.scheduler.mailbox import MESSAGE_OVERHEAD
from luspool.scheduler.protocol import (
    CallResult,
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
    ReplyArrived,
    Returned,
    Thrown,
    Waiting,
)
from luspool.scheduler.tree import Phase
from luspool.scheduler.units import UNLIMITED

SIZE = 4
MESSAGE = SIZE + MESSAGE_OVERHEAD


class Channel:
    """All that was ever accepted in one direction between a worker and its parent, and all that was taken."""

    def __init__(self):
        self.sent = []
        self.taken = []


class NotedMachine(Machine):
    """Notes each failure by which a state really ended: a step's own one does not count when a limit was exceeded."""

    __slots__ = ("failures", "numbers", "whose")

    def __init__(self):
        super().__init__(lambda state: f"number {next(self.numbers)}")
        self.numbers = count(1)
        self.failures = Counter()
        self.whose = {}

    def _ended(self, state, outcome):
        if isinstance(outcome, Failure):
            assert outcome.message not in self.failures
            self.failures[outcome.message] += 1
            self.whose[outcome.message] = state.id
        super()._ended(state, outcome)


class AnyEvents(RuleBasedStateMachine):
    """Any order of events keeps the invariants; messages and errors are neither lost, nor doubled, nor reordered."""

    @initialize(data=st.data(), messages=st.integers(1, 4))
    def begin(self, data, messages):
        def limit(least, most):
            return data.draw(st.just(UNLIMITED) | st.integers(least, most))

        tree = TreeLimits(
            states=limit(1, 20),
            depth=limit(0, 4),
            output=limit(0, 50),
            memory=limit(0, 5000),
            cpu=limit(0, 500),
            mailbox=messages * MESSAGE,
        )
        self.limits = Limits(StateLimits(cpu=limit(0, 100)), tree)
        self.machine = NotedMachine()
        self.numbers = count(1)
        self.inboxes, self.outboxes = {}, {}
        self.records = {}  # every state ever made
        self.named = {}  # state: the ids of the children it has created and not released
        self.listener = {}  # state: who may receive from it, for as long as it keeps the handle
        self.running = []
        self.takes = {}  # state: for what mail it waits that may be taken for it
        self.heard, self.closed = Counter(), Counter()
        self.over = Counter()
        self.deadlocks = set()
        self.calls = {}  # call: the state that made it
        self.announced = []  # calls in the order in which they were told, not yet replied to
        self.replies = {}  # call: its result, once it was given
        self.latest = {}  # state: its last call
        self.root()
        self.run()
        for _ in range(3):
            self.birth(self.running[0])
            self.run()

    # --- events ---

    @rule()
    @precondition(lambda self: len(self.machine.trees) < 3)
    def root(self):
        self.meet(self.machine.create_root("root", self.limits))

    def meet(self, state_id):
        record = self.machine.states.get(state_id)
        if record is None:  # its parent had been cancelled
            return
        assert state_id not in self.records
        self.records[state_id] = record
        self.named[state_id] = []
        self.inboxes[state_id], self.outboxes[state_id] = Channel(), Channel()

    @rule()
    @precondition(lambda self: len(self.running) < 4)
    def run(self):
        state = self.machine.take_ready()
        if state is None:
            return
        self.running.append(state)
        condition = self.takes.pop(state.id, None)
        payload, state.brought = state.brought, None
        if payload is None:
            return
        if isinstance(condition, InboxHasMail):
            channel, mailbox = self.inboxes[state.id], state.inbox
        else:
            (child,) = condition.children
            channel, mailbox = self.outboxes[child], self.records[child].outbox
        channel.taken.append(payload)
        assert not mailbox.used

    def one(self, data):
        return data.draw(st.sampled_from(self.running))

    def rarely_a_root(self, data, states):
        """Roots end everything: seldom enough that something grows in between."""
        workers = [state for state in states if not state.is_root]
        return data.draw(st.sampled_from(workers * 10 + [state for state in states if state.is_root]))

    def some_children(self, data, state):
        return data.draw(st.lists(st.sampled_from(self.named[state.id]), max_size=4)) if self.named[state.id] else []

    def payload(self):
        return next(self.numbers).to_bytes(SIZE, "big")

    @rule(data=st.data(), size=st.integers(0, 500), cpu=st.integers(0, 200), time=st.sampled_from([1, UNLIMITED]))
    @precondition(lambda self: self.running)
    def create(self, data, size, cpu, time):
        self.birth(self.one(data), size, StateLimits(cpu=cpu, time=time))

    def birth(self, state, size=0, limits=StateLimits()):  # noqa: B008 - it is immutable
        child = self.machine.create(state, "child", size, limits)
        self.named[state.id].append(child)
        self.meet(child)
        self.listener[child] = state

    # A refused call is mostly followed by the wait for it, as the sandbox does. `wait` below does anything else.

    @rule(data=st.data(), times=st.integers(1, 5), patient=st.integers(0, 3))
    @precondition(lambda self: self.running)
    def message(self, data, times, patient):
        state = self.one(data)
        for _ in range(times):
            payload = self.payload()
            somebody_listens = state.parent is not None
            room = self.machine.message(state, payload)
            if room is None:
                if patient:
                    self.stepped(state, Waiting(OutboxHasRoom(SIZE)))
                return
            assert not room or state.outbox.fits(room)
            if somebody_listens:
                self.outboxes[state.id].sent.append(payload)

    @rule(data=st.data(), times=st.integers(1, 5), patient=st.integers(0, 3))
    @precondition(lambda self: self.running)
    def send(self, data, times, patient):
        state = self.one(data)
        for child in self.some_children(data, state) * times:
            payload = self.payload()
            somebody_listens = self.machine.is_running(state, child)
            room = self.machine.send(state, child, payload)
            if room is None:
                if patient:
                    self.stepped(state, Waiting(InboxHasRoom(child, SIZE)))
                return
            assert not room or self.machine.states[child].inbox.fits(room)
            if somebody_listens:
                self.inboxes[child].sent.append(payload)

    @rule(data=st.data(), patient=st.integers(0, 3))
    @precondition(lambda self: self.running)
    def receive(self, data, patient):
        state = self.one(data)
        children = self.some_children(data, state)
        match self.machine.receive(state, children):
            case Delivered(messages):
                assert len(messages) == len(children)
                for child, payload in zip(children, messages, strict=True):
                    if payload is not None:
                        self.outboxes[child].taken.append(payload)
            case Thrown(failure):
                self.hear(failure)
                failed = self.outboxes[self.machine.whose[failure.message]]
                assert failed.taken == failed.sent
            case None if patient:
                self.wait_for_mail(state, ChildrenHaveMail(tuple(children)), takes=patient > 1 and len(children) == 1)

    @rule(data=st.data(), patient=st.integers(0, 3))
    @precondition(lambda self: self.running)
    def peek(self, data, patient):
        state = self.one(data)
        payload = self.machine.peek(state)
        if payload is not None:
            self.inboxes[state.id].taken.append(payload)
        elif patient:
            self.wait_for_mail(state, InboxHasMail(), takes=patient > 1)

    def wait_for_mail(self, state, condition, *, takes):
        if takes:
            self.takes[state.id] = condition
        self.stepped(state, Waiting(condition, takes))

    def hear(self, failure):
        if failure.message in self.machine.failures:  # otherwise it is that of a tree whose root has gone
            self.heard[failure.message] += 1

    @rule(data=st.data(), patient=st.integers(0, 9))
    @precondition(lambda self: self.running)
    def call(self, data, patient):
        state = self.one(data)
        payload = self.payload()
        call = self.machine.call(state, "f", payload)
        assert call not in self.calls
        if call:
            self.calls[call] = state
            self.latest[state.id] = call
        if patient:
            self.stepped(state, Waiting(ReplyArrived(call)))

    @rule(data=st.data(), ok=st.booleans())
    @precondition(lambda self: self.announced)
    def reply(self, data, ok):
        call = self.announced.pop(data.draw(st.integers(0, len(self.announced) - 1)))
        self.replies[call] = CallResult(ok, self.payload())
        self.machine.replied(call, self.replies[call])
        self.machine.replied(call, CallResult(ok, b"once more"))

    @rule(data=st.data())
    @precondition(lambda self: self.running)
    def take_reply(self, data):
        state = self.one(data)
        call = data.draw(st.sampled_from([0, *self.calls]))
        result = self.machine.calls.take(state, call)
        if state.phase is not Phase.ENDED and self.latest.get(state.id) == call:
            assert result == self.replies.get(call)
            if result is not None:
                del self.latest[state.id]
        else:
            assert result is None

    @rule(data=st.data())
    @precondition(lambda self: self.running)
    def release(self, data):
        state = self.one(data)
        children = self.some_children(data, state)
        self.machine.release(state, children)
        self.named[state.id] = [child for child in self.named[state.id] if child not in children]
        for child in children:
            self.listener.pop(child, None)

    @rule(data=st.data())
    @precondition(lambda self: self.running)
    def wait(self, data):
        state = self.one(data)
        children = self.some_children(data, state)
        conditions = [
            InboxHasMail(),
            OutboxHasRoom(SIZE),
            ChildrenHaveMail(tuple(children)),
            InputArrived(self.machine.input_seen),
            ReplyArrived(self.latest.get(state.id, 0)),
        ]
        conditions += [InboxHasRoom(child, SIZE) for child in children]
        self.stepped(state, Waiting(data.draw(st.sampled_from(conditions))))

    @rule(data=st.data())
    @precondition(lambda self: self.running)
    def preempt(self, data):
        self.stepped(self.one(data), Preempted())

    @rule(data=st.data(), how=st.sampled_from(["returned", "exited", "failed"]))
    @precondition(lambda self: self.running)
    def end(self, data, how):
        state = self.rarely_a_root(data, self.running)
        failure = Failure("error", b"", f"failure {next(self.numbers)}", "", "s.lus")
        self.stepped(state, Ended({"returned": Returned(), "exited": Exited(3), "failed": failure}[how]))

    def stepped(self, state, result):
        self.stop()
        self.running.remove(state)
        self.machine.stepped(state, result, self.step_cost % 7, self.step_cost)

    def stop(self):
        """What the shell does before it lets go of the machine."""
        assert set(self.machine.stoppable) <= set(self.running)
        self.machine.stoppable.clear()

    step_cost = 0

    @rule(cost=st.integers(0, 1000))
    def costs(self, cost):
        self.step_cost = cost

    @rule(data=st.data(), size=st.integers(0, 20))
    @precondition(lambda self: self.running)
    def write(self, data, size):
        state = self.one(data)
        left = state.tree.limits.output - state.tree.output
        assert self.machine.wrote(state, size) == min(size, left)

    @rule(data=st.data())
    @precondition(lambda self: self.machine.states)
    def exceed(self, data):
        state = self.rarely_a_root(data, list(self.machine.states.values()))
        self.machine.exceed(state, Excess("time", 1, 1))

    @rule(data=st.data(), rarely=st.integers(0, 9))
    @precondition(lambda self: self.machine.trees)
    def exceed_tree(self, data, rarely):
        if not rarely:
            tree = data.draw(st.sampled_from(list(self.machine.trees.values())))
            self.machine.exceed_tree(tree, Excess("time", 1, 1, is_of_tree=True))

    @rule(data=st.data())
    @precondition(lambda self: self.running)
    def cancel_child(self, data):
        state = self.one(data)
        for child in self.some_children(data, state)[:1]:
            self.machine.cancel_child(state, child)
            assert not self.machine.is_running(state, child)

    @rule(end=st.booleans())
    def input(self, end):
        self.machine.input_arrived(end=end)

    @rule(data=st.data())
    @precondition(lambda self: self.machine.states)
    def cancel(self, data):
        self.machine.cancel(self.rarely_a_root(data, list(self.machine.states.values())).id)

    @rule()
    def close(self):
        while self.machine.closable:
            corpse = self.machine.closable.popleft()
            assert corpse not in self.running
            self.closed[corpse.id] += 1

    # --- laws ---

    @invariant()
    def holds(self):
        for instruction in self.machine.instructions:
            match instruction:
                case ReportFailure(failure):
                    self.hear(failure)
                case ReportTreeEnd(root):
                    self.over[root] += 1
                case ReportDeadlock(root, blocked):
                    assert blocked
                    self.deadlocks.add(root)
                case StartCall(call, _, payload):
                    assert len(payload) == SIZE
                    assert call in self.calls
                    self.announced.append(call)
        self.machine.instructions.clear()
        self.stop()
        validate(self.machine)
        self.check_messages()
        self.check_replies()
        self.check_ends()

    def check_replies(self):
        for record in self.records.values():
            if isinstance(record.condition, ReplyArrived):
                assert record.condition.call not in self.replies

    def check_messages(self):
        for state_id, record in self.records.items():
            listener = self.listener.get(state_id)
            for channel, mailbox, is_open in (
                (self.inboxes[state_id], record.inbox, record.phase is not Phase.ENDED),
                (self.outboxes[state_id], record.outbox, listener is not None and listener.phase is not Phase.ENDED),
            ):
                queued = list(mailbox)
                assert channel.taken + queued == channel.sent[: len(channel.taken) + len(queued)]
                if is_open:
                    assert channel.taken + queued == channel.sent

    def check_ends(self):
        failures = [record.failure for record in self.records.values() if record.failure is not None]
        held = Counter(failure.message for failure in failures)
        assert self.heard + held == self.machine.failures
        assert all(times == 1 for times in self.over.values())
        assert self.deadlocks <= set(self.over)
        roots = {record.tree.root for record in self.records.values()}
        assert roots == set(self.over) ^ set(self.machine.trees)
        to_close = Counter(record.id for record in self.machine.closable)
        for record in self.records.values():
            is_closed = record.phase is Phase.ENDED and record not in self.running
            assert self.closed[record.id] + to_close[record.id] == is_closed

    def teardown(self):
        if hasattr(self, "machine"):
            self.machine.cancel_all()
            self.machine.instructions.clear()
            assert not self.machine.states
            assert not self.machine.trees


TestAnyEvents = AnyEvents.TestCase
TestAnyEvents.settings = settings(max_examples=400, stateful_step_count=60, suppress_health_check=list(HealthCheck))
