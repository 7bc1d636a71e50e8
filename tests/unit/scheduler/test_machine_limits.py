"""The machine's rules for limits, each by the shortest program that shows it."""

import pytest

from luspool.scheduler.events import TreeResult
from luspool.scheduler.instructions import ReportFailure, ReportTreeEnd
from luspool.scheduler.invariants import validate
from luspool.scheduler.limits import Excess, Limits, StateLimits, TreeLimits
from luspool.scheduler.machine import Machine
from luspool.scheduler.mailbox import MESSAGE_OVERHEAD
from luspool.scheduler.protocol import (
    ChildrenHaveMail,
    Delivered,
    Ended,
    Failure,
    InboxHasMail,
    Preempted,
    Returned,
    Thrown,
    Waiting,
)
from luspool.scheduler.tree import Phase

MAIL, RETURNED = Waiting(InboxHasMail()), Ended(Returned())
TIME = Excess("time", 10**9, 10**9)


class Play:
    """A machine with one running root, and shorthands."""

    def __init__(self, **limits):
        state = {name: limits.pop(name) for name in ("cpu_of_state",) if name in limits}
        self.limits = Limits(StateLimits(cpu=state.get("cpu_of_state", 10**9)), TreeLimits(**limits))
        self.machine = Machine(lambda state: f"s{state.id}.lus:7")
        self.machine.create_root("root", self.limits)
        self.root = self.machine.take_ready()

    def child(self, parent, size=0, limits=None):
        name = self.machine.create(parent, "child", size, limits or self.limits.state)
        child = self.machine.take_ready()
        return child if child is not None and child.id == name else None

    def step(self, state, result, cpu=0, heap=0):
        self.machine.stepped(state, result, cpu, heap)
        validate(self.machine)

    def ends(self):
        return [word for word in self.machine.instructions if isinstance(word, ReportTreeEnd | ReportFailure)]


def thrown(play, parent, child):
    answer = play.machine.receive(parent, [child.id])
    assert isinstance(answer, Thrown)
    return answer.failure


@pytest.mark.parametrize("phase", [Phase.READY, Phase.RUNNING, Phase.WAITING])
def test_the_parent_receives_what_was_sent_and_then_the_error(phase):
    play = Play()
    child = play.child(play.root)
    play.machine.message(child, b"before")
    if phase is not Phase.RUNNING:
        play.step(child, MAIL if phase is Phase.WAITING else Preempted())
    play.machine.exceed(child, TIME)
    if phase is Phase.RUNNING:
        assert child.phase is Phase.RUNNING
        assert play.machine.stoppable == [child]
        play.machine.stoppable.clear()
        play.step(child, RETURNED)
    validate(play.machine)
    assert list(play.machine.closable) == [child]
    assert play.machine.receive(play.root, [child.id]) == Delivered((b"before",))
    failure = thrown(play, play.root, child)
    assert (failure.kind, failure.script) == ("time", f"s{child.id}.lus")
    assert failure.message == f"s{child.id}.lus:7: time limit exceeded: more than 1 s of wall time"
    assert play.machine.receive(play.root, [child.id]) == Delivered((None,))


def test_all_below_an_offender_end_with_it_and_nobody_else():
    play = Play()
    offender, neighbour = play.child(play.root), play.child(play.root)
    below = play.child(offender)
    grandchild = play.child(below)
    play.step(below, RETURNED)
    play.step(grandchild, MAIL)
    play.step(offender, Preempted(), cpu=10**9 + 1)
    assert offender.phase is grandchild.phase is Phase.ENDED
    assert neighbour.phase is Phase.RUNNING
    assert thrown(play, play.root, offender).message.endswith("1 s of processor time, 1 s allowed")


def test_a_parent_that_waits_is_woken_by_the_error():
    play = Play()
    child = play.child(play.root)
    play.step(play.root, Waiting(ChildrenHaveMail((child.id,))))
    play.machine.exceed(child, TIME)
    play.step(child, Preempted())
    assert play.machine.take_ready() is play.root


def test_an_offending_root_ends_the_tree_with_its_error():
    play = Play()
    child = play.child(play.root)
    play.step(child, MAIL)
    play.step(play.root, Preempted(), cpu=10**9 + 1)
    report, end = play.ends()
    assert (report.state, report.failure.kind) == (play.root.id, "cpu")
    assert end.result == TreeResult(report.failure, 0)
    assert not play.machine.states


def test_a_step_that_ended_in_time_counts_and_one_that_was_told_to_stop_does_not():
    play = Play()
    child, late = play.child(play.root), play.child(play.root)
    play.step(child, RETURNED, cpu=10**9)
    assert play.machine.receive(play.root, [child.id]) == Delivered((None,))
    play.machine.exceed(late, TIME)
    play.step(late, Ended(Failure("error", b"", "caught in the act", "", "")))
    assert thrown(play, play.root, late).kind == "time"


def test_the_first_excess_counts():
    play = Play()
    child = play.child(play.root)
    play.machine.exceed(child, TIME)
    play.machine.exceed(child, Excess("output", 1, 1))
    play.step(child, Preempted())
    assert thrown(play, play.root, child).kind == "time"


def test_a_worker_never_has_more_than_its_creator():
    play = Play()
    child = play.child(play.root, limits=StateLimits(cpu=10**6, memory=2**60))
    assert child.limits == StateLimits(cpu=10**6, memory=play.limits.state.memory)
    assert play.child(child, limits=StateLimits()).limits.cpu == 10**6


def test_a_state_too_many_ends_its_creator():
    play = Play(states=3)
    creator = play.child(play.root)
    play.child(creator)
    assert play.child(creator) is None
    assert play.child(creator) is None
    assert play.machine.stoppable == [creator]
    play.step(creator, RETURNED)
    assert thrown(play, play.root, creator).message.endswith("4 states, 3 allowed for the whole program")
    assert play.child(play.root) is not None


def test_an_ended_worker_counts_until_all_it_left_is_received():
    play = Play(states=2)
    child = play.child(play.root)
    play.machine.message(child, b"left")
    play.step(child, RETURNED)
    assert play.machine.receive(play.root, [child.id]) == Delivered((b"left",))
    other = play.child(play.root)
    play.machine.message(other, b"left")
    play.step(other, RETURNED)
    assert play.child(play.root) is None
    assert play.root.excess.kind == "states"


def test_a_worker_too_deep_ends_its_creator():
    play = Play(depth=1)
    child = play.child(play.root)
    assert play.child(child) is None
    play.step(child, Preempted())
    assert thrown(play, play.root, child).kind == "depth"


def test_output_up_to_the_limit_is_written():
    play = Play(output=10)
    writer = play.child(play.root)
    assert play.machine.wrote(writer, 6) == 6
    assert play.machine.wrote(writer, 6) == 4
    assert play.machine.wrote(writer, 6) == 0
    play.step(writer, RETURNED)
    assert thrown(play, play.root, writer).kind == "output"


def test_memory_of_a_tree_is_heaps_messages_errors_and_what_is_to_start():
    play = Play(memory=10_000)
    tree = play.root.tree
    child = play.child(play.root, size=100)
    assert tree.memory == 100
    play.step(child, Preempted(), heap=3000)
    assert tree.memory == 3000
    play.machine.take_ready()
    play.machine.message(child, b"x" * 500)
    assert tree.memory == 3500 + MESSAGE_OVERHEAD
    play.step(child, Ended(Failure("error", b"y" * 200, "", "", "")), heap=3000)
    assert tree.memory == 700 + MESSAGE_OVERHEAD
    play.machine.receive(play.root, [child.id])
    play.machine.receive(play.root, [child.id])
    assert tree.memory == 0


@pytest.mark.parametrize("way", ["heap", "message", "send", "create"])
def test_a_tree_that_takes_too_much_memory_ends(way):
    play = Play(memory=1000)
    child = play.child(play.root)
    match way:
        case "heap":
            play.step(child, Preempted(), heap=1001)
        case "message":
            play.machine.message(child, b"x" * 1000)
        case "send":
            play.machine.send(play.root, child.id, b"x" * 1000)
        case "create":
            play.child(child, size=1001)
    assert play.root.excess.kind == "memory"
    play.step(play.root, Preempted())
    report, end = play.ends()
    assert report.failure is end.result.outcome
    assert report.failure.message.endswith("allowed for the whole program")


def test_a_tree_without_its_root_ends_for_its_limits_too():
    play = Play(cpu=1000)
    child = play.child(play.root)
    play.step(play.root, RETURNED)
    play.step(child, Preempted(), cpu=1001)
    report, end = play.ends()
    assert (report.state, report.failure.kind) == (play.root.id, "cpu")
    assert end.result.outcome is report.failure
    assert list(play.machine.closable) == [play.root, child]


def test_a_parent_cancels_its_worker_and_all_below_and_still_gets_what_was_sent():
    play = Play()
    child = play.child(play.root)
    below = play.child(child)
    play.machine.message(child, b"sent")
    play.machine.cancel_child(play.root, child.id)
    assert set(play.machine.stoppable) == {child, below}
    assert not play.machine.is_running(play.root, child.id)
    assert play.machine.receive(play.root, [child.id]) == Delivered((b"sent",))
    assert play.machine.receive(play.root, [child.id]) == Delivered((None,))
    play.machine.cancel_child(play.root, child.id)


def test_who_waits_for_a_worker_with_less_time_is_not_deadlocked():
    play = Play()
    child = play.child(play.root, limits=StateLimits(time=10**9))
    play.step(child, MAIL)
    play.step(play.root, Waiting(ChildrenHaveMail((child.id,))))
    assert not play.machine.instructions
    play.machine.exceed(child, TIME)
    assert play.machine.take_ready() is play.root
    assert thrown(play, play.root, child).kind == "time"
    play.step(play.root, RETURNED)


def test_a_tree_without_its_root_does_not_wait_for_anybodys_time():
    play = Play()
    child = play.child(play.root, limits=StateLimits(time=10**9))
    grandchild = play.child(child, limits=StateLimits(time=10**9))
    play.step(play.root, RETURNED)
    play.step(grandchild, MAIL)
    play.step(child, Waiting(ChildrenHaveMail((grandchild.id,))))
    assert [word.result for word in play.ends()] == [TreeResult(Returned(), 0)]
