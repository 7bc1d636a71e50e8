"""Random programs, run by the machine under random schedules, against a slow and obvious model of the same rules.

The model keeps plain lists and, after every single operation, looks at every waiting state anew: it has no wake-ups
that could be lost. Whatever the machine answers, and whoever it has ready, must be what the model says.
"""

import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from luspool.scheduler.events import Deadlocked
from luspool.scheduler.instructions import ReportDeadlock, ReportFailure, ReportTreeEnd
from luspool.scheduler.invariants import validate
from luspool.scheduler.limits import Limits, StateLimits, TreeLimits
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

SIZE = 4


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
        self.stuck = set()

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
            self.stuck = {name for name, state in self.states.items() if state.alive}
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
        self.machine = Machine(lambda state: "")
        limits = Limits(tree=TreeLimits(mailbox=room * (SIZE + MESSAGE_OVERHEAD)))
        self.model = Model(script, room)
        self.choose = choose
        self.running = {}
        self.refused = {}  # a running state that was refused something: the wait with which it will leave its step
        self.payloads = 0
        self.reported = []
        self.result = None
        self.machine.create_root(None, limits)

    def go(self):
        while self.result is None:
            state = self.pick()
            simple = self.model.states[state.id]
            if state.id in self.refused:
                simple.condition, real = self.refused.pop(state.id)
                takes = simple.condition[0] == "peek" or (
                    simple.condition[0] == "receive" and len(simple.condition[1]) == 1
                )
                self.leave(state, Waiting(real, takes=takes and self.choose(2) == 1))
            elif simple.pc == len(simple.script):
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
                self.begin(self.model.states[state.id], state)
        return self.running[sorted(self.running)[self.choose(len(self.running))]]

    def begin(self, simple, state):
        """What was brought is what the state would have got, had it asked now: all that there is."""
        match simple.condition:
            case ("peek",):
                queue = simple.inbox
            case ("receive", (kid,)):
                queue = self.model.states[kid].outbox
            case _:
                queue = []
        simple.condition = None
        payload, state.brought = state.brought, None
        if payload is not None:
            assert queue == [payload]
            queue.clear()
            simple.pc += 1

    def act(self, state, simple, operation):
        kids = simple.children
        match operation:
            case ("create", script):
                child = self.machine.create(state, None, 0, StateLimits())
                self.model.states[child] = Simple(state.id, script)
                kids.append(child)
            case ("message",):
                self.message(state, simple, self.payload())
            case ("peek",):
                expected = simple.inbox.pop(0) if simple.inbox else None
                assert self.machine.peek(state) == expected
                if expected is None:
                    return self.wait(state, ("peek",), InboxHasMail())
            case ("send", which) if kids:
                self.send(state, simple, kids[which % len(kids)], self.payload())
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
        if state.id not in self.refused:
            simple.pc += 1
        return None

    def payload(self):
        self.payloads += 1
        return self.payloads.to_bytes(SIZE, "big")

    def message(self, state, simple, payload):
        listener = self.model.listener(state.id)
        expected = listener is None or len(simple.outbox) < self.model.room
        assert (self.machine.message(state, payload) is not None) == expected
        if not expected:
            self.wait(state, ("message",), OutboxHasRoom(SIZE))
        elif listener is not None:
            simple.outbox.append(payload)

    def send(self, state, simple, kid, payload):
        child = self.model.states[kid]
        expected = not child.alive or len(child.inbox) < self.model.room
        assert (self.machine.send(state, kid, payload) is not None) == expected
        assert self.machine.is_running(state, kid) == child.alive
        if not expected:
            self.wait(state, ("send", kid), InboxHasRoom(kid, SIZE))
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
            self.wait(state, ("receive", names), ChildrenHaveMail(tuple(names)))

    def wait(self, state, condition, real):
        """Later: others may act between the refused call and the wait."""
        self.refused[state.id] = condition, real

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
                    assert {wait.state for wait in blocked} == self.model.stuck
                case ReportTreeEnd(_, result):
                    self.result = result
        self.machine.instructions.clear()
        states = self.machine.states.values()
        assert {s.id for s in states if s.phase in (Phase.READY, Phase.RUNNING)} == self.model.ready()
        assert sorted(self.reported) == sorted(self.model.reported)
        assert (self.result is None) == (self.model.verdict is None)


WEIGHTS = {
    "create": 3, "message": 4, "peek": 3, "send": 5, "receive": 6, "release": 1, "preempt": 1, "fail": 0.7, "exit": 0.3
}  # fmt: skip


def a_script(rng, depth):
    """What a state does, in order; the script of a worker that it creates lies inside its own."""
    script = [("create", a_script(rng, depth - 1)) for _ in range(rng.randrange(4) if depth else 0)]
    for kind in rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=rng.randrange(12)):
        times = 1
        match kind:
            case "create":
                operation = ("create", a_script(rng, depth - 1)) if depth else ("preempt",)
            case "message":
                operation, times = ("message",), rng.randrange(1, 6)
            case "send":
                operation, times = ("send", rng.randrange(4)), rng.randrange(1, 6)
            case "receive":
                operation, times = ("receive", rng.sample(range(4), rng.randrange(1, 4))), rng.randrange(1, 4)
            case "release":
                operation = ("release", rng.randrange(4))
            case _:
                operation = (kind,)
        script += [operation] * times
    return script


@settings(max_examples=700)
@given(seed=st.integers(0, 2**32))
def test_any_program_does_what_the_model_does_under_any_schedule(seed):
    rng = random.Random(seed)
    run = Run(a_script(rng, 3), rng.randrange(1, 5), rng.randrange)
    run.go()
    assert not run.machine.states
    assert isinstance(run.result.outcome, Deadlocked) == (run.model.verdict == "deadlock")
