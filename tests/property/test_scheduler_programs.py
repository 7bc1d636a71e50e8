"""Random programs, run by the machine under random schedules, against a slow and obvious model of the same rules.

The model keeps plain lists and, after every single operation, looks at every waiting state anew: it has no wake-ups
that could be lost. Whatever the machine answers, and whoever it has ready, must be what the model says.
"""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from luspool.scheduler.events import Deadlocked
from luspool.scheduler.instructions import ReportDeadlock, ReportFailure, ReportTreeEnd
from luspool.scheduler.invariants import validate
from luspool.scheduler.machine import Machine
from luspool.scheduler.mailbox import MESSAGE_OVERHEAD
from luspool.scheduler.protocol import (
    ChildrenHaveMail,
    Delivered,
    Ended,
    Exited,
    Failure,
    InboxHasMail,
    InboxHasRoom,
    OutboxHasRoom,
    Preempted,
    Returned,
    Thrown,
    Waiting,
)
from luspool.scheduler.tree import Phase


@dataclass
class Simple:
    """A state of the model. `parent` is the one that holds its handle, if any."""

    parent: int | None
    script: list
    pc: int = 0
    children: list = field(default_factory=list)
    inbox: list = field(default_factory=list)
    outbox: list = field(default_factory=list)
    failure: str | None = None
    alive: bool = True
    condition: tuple | None = None


class Model:
    """States numbered from 1; room for `room` messages in each mailbox."""

    def __init__(self, script, room):
        self.room = room
        self.states = {1: Simple(None, script)}
        self.reported = []
        self.root_ended = False
        self.verdict = None

    def listener(self, name):
        parent = self.states[name].parent
        return parent if parent is not None and self.states[parent].alive else None

    def holds(self, name):
        state = self.states[name]
        match state.condition:
            case None:
                return True
            case ("peek",):
                return bool(state.inbox)
            case ("receive", names):
                kids = [self.states[kid] for kid in names]
                return any(k.outbox or k.failure for k in kids) or not any(k.alive for k in kids)
            case ("message",):
                return self.listener(name) is None or len(state.outbox) < self.room
            case ("send", kid):
                return not self.states[kid].alive or len(self.states[kid].inbox) < self.room

    def ready(self):
        return {name for name, state in self.states.items() if state.alive and self.holds(name)}

    def end(self, name, failure=None):
        self.states[name].alive = False
        self.states[name].failure = failure
        self.states[name].inbox.clear()

    def settle(self):
        """Draw every conclusion, one at a time, until there is none left."""
        changed = self.verdict is None
        while changed:
            changed = False
            for name, state in self.states.items():
                if self.listener(name) is None:
                    state.outbox.clear()
                    if state.failure is not None:
                        self.reported.append(state.failure)
                        state.failure = None
                    if state.alive and name != 1 and state.condition == ("peek",) and not state.inbox:
                        self.end(name)
                        changed = True
        if self.verdict is None and not self.ready():
            self.verdict = "over" if self.root_ended else "deadlock"
            self.abandon()

    def abandon(self):
        for state in self.states.values():
            state.alive = False
            if state.failure is not None:
                self.reported.append(state.failure)
                state.failure = None


class Run:
    """One program on both, one operation at a time, the state that acts chosen by `choose`."""

    def __init__(self, script, room, choose):
        self.machine = Machine(room * (1 + MESSAGE_OVERHEAD))
        self.model = Model(script, room)
        self.choose = choose
        self.running = {}
        self.reported = []
        self.deadlock = None
        self.result = None
        self.machine.create_root(None)

    def go(self):
        while self.result is None:
            state = self.pick()
            simple = self.model.states[state.id]
            if simple.pc == len(simple.script):
                self.end(state, Returned())
            else:
                self.act(state, simple, simple.script[simple.pc])
            self.check()

    def pick(self):
        """A state to go on with: one that is inside a step, or the one whose turn it is."""
        if not self.running or (len(self.running) < 3 and self.choose(2)):
            state = self.machine.take_ready()
            if state is not None:
                self.running[state.id] = state
                self.model.states[state.id].condition = None
        return self.running[sorted(self.running)[self.choose(len(self.running))]]

    def act(self, state, simple, operation):
        kids = simple.children
        match operation:
            case ("create", script):
                child = self.machine.create(state, None)
                self.model.states[child] = Simple(state.id, script)
                kids.append(child)
            case ("message", byte):
                self.message(state, simple, bytes([byte]))
            case ("peek",):
                expected = simple.inbox.pop(0) if simple.inbox else None
                assert self.machine.peek(state) == expected
                if expected is None:
                    return self.wait(state, simple, ("peek",), InboxHasMail())
            case ("send", which, byte) if kids:
                self.send(state, simple, kids[which % len(kids)], bytes([byte]))
            case ("receive", which) if kids:
                return self.receive(state, simple, [kids[index % len(kids)] for index in which])
            case ("release", which) if kids:
                kid = kids.pop(which % len(kids))
                self.machine.release(state, [kid])
                self.model.states[kid].parent = None
            case ("preempt",):
                self.leave(state, Preempted())
            case ("fail",):
                return self.end(state, Failure("error", b"", f"of {state.id}", "", ""))
            case ("exit",):
                return self.end(state, Exited(1))
        if simple.condition is None:
            simple.pc += 1
        return None

    def message(self, state, simple, payload):
        listener = self.model.listener(state.id)
        expected = listener is None or len(simple.outbox) < self.model.room
        assert self.machine.message(state, payload) == expected
        if not expected:
            self.wait(state, simple, ("message",), OutboxHasRoom(1))
        elif listener is not None:
            simple.outbox.append(payload)

    def send(self, state, simple, kid, payload):
        child = self.model.states[kid]
        expected = not child.alive or len(child.inbox) < self.model.room
        assert self.machine.send(state, kid, payload) == expected
        assert self.machine.is_running(state, kid) == child.alive
        if not expected:
            self.wait(state, simple, ("send", kid), InboxHasRoom(kid, 1))
        elif child.alive:
            child.inbox.append(payload)

    def receive(self, state, simple, names):
        """A thrown error is caught, as by the pattern the specification recommends."""
        kids = [self.model.states[name] for name in names]
        answer = self.machine.receive(state, names)
        for kid in kids:
            if kid.failure is not None and not kid.outbox:
                assert answer == Thrown(Failure("error", b"", kid.failure, "", ""))
                kid.failure = None
                simple.pc += 1
                return
        if any(kid.outbox for kid in kids) or not any(kid.alive for kid in kids):
            assert answer == Delivered(tuple(kid.outbox.pop(0) if kid.outbox else None for kid in kids))
            simple.pc += 1
        else:
            assert answer is None
            self.wait(state, simple, ("receive", names), ChildrenHaveMail(tuple(names)))

    def wait(self, state, simple, condition, real):
        """Others may act between the refused call and the wait: the choice is drawn as for any other step."""
        simple.condition = condition
        self.leave(state, Waiting(real))

    def leave(self, state, result):
        del self.running[state.id]
        self.machine.stepped(state, result)

    def end(self, state, outcome):
        error = outcome.message if isinstance(outcome, Failure) else None
        if state.id == 1:
            self.model.root_ended = True
            self.model.reported += [error] if error else []
            self.model.end(1)
            if isinstance(outcome, Exited):
                self.model.verdict = "over"
                self.model.abandon()
        else:
            self.model.end(state.id, error)
        self.leave(state, Ended(outcome))

    def check(self):
        validate(self.machine)
        self.model.settle()
        for instruction in self.machine.instructions:
            match instruction:
                case ReportFailure(failure):
                    self.reported.append(failure.message)
                case ReportDeadlock(_, blocked):
                    self.deadlock = {wait.state for wait in blocked}
                case ReportTreeEnd(_, result):
                    self.result = result
        self.machine.instructions.clear()
        states = self.machine.states.values()
        assert {s.id for s in states if s.phase in (Phase.READY, Phase.RUNNING)} == self.model.ready()
        assert sorted(self.reported) == sorted(self.model.reported)
        assert (self.result is None) == (self.model.verdict is None)


def operations(scripts):
    byte = st.integers(0, 255)
    which = st.integers(0, 3)
    return st.lists(
        st.one_of(
            st.tuples(st.just("create"), scripts),
            st.tuples(st.just("message"), byte),
            st.tuples(st.just("peek")),
            st.tuples(st.just("send"), which, byte),
            st.tuples(st.just("receive"), st.lists(which, min_size=1, max_size=3)),
            st.tuples(st.just("release"), which),
            st.tuples(st.just("preempt")),
            st.tuples(st.sampled_from(["fail", "fail", "exit"])),
        ),
        max_size=8,
    )


SCRIPTS = st.recursive(operations(st.just([])), operations, max_leaves=6)
"""What a state does, in order; a script that it creates a worker from lies inside its own."""


@settings(max_examples=2000, deadline=None)
@given(script=SCRIPTS, room=st.integers(1, 4), schedule=st.randoms(use_true_random=False))
def test_any_program_does_what_the_model_does_under_any_schedule(script, room, schedule):
    run = Run(script, room, schedule.randrange)
    run.go()
    assert not run.machine.states
    assert isinstance(run.result.outcome, Deadlocked) == (run.model.verdict == "deadlock")
