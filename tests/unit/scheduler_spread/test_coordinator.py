"""Each transition of the coordinator, by the shortest course of events that shows it."""

import pytest

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
from luspool.scheduler.events import Deadlocked
from luspool.scheduler.idle_report import Report
from luspool.scheduler.letters import HOST_BITS
from luspool.scheduler.limits import Excess
from luspool.scheduler.protocol import Exited, Failure, Returned, StateId

ROOT = StateId((1 << HOST_BITS) + 1)
FAILURE = Failure("error", b"", "broken", "", "s.lus")
EXCESS = Excess("memory", 1, 2, is_of_tree=True)


class Told:
    """A coordinator of so many hosts, whose root runs; it counts what each was told and has asked."""

    def __init__(self, hosts, runs=True):
        self.coordinator = Coordinator(ROOT, "s.lus")
        self.commands, self.asks = {}, {}
        for number in range(1, hosts + 1):
            self.coordinator.joined(number)
        if runs:
            self.coordinator.run()
        self.take()

    def __getattr__(self, name):
        return getattr(self.coordinator, name)

    def take(self):
        """The new commands."""
        commands = list(self.coordinator.commands)
        self.coordinator.commands.clear()
        for host, _ in commands:
            self.commands[host] = self.commands.get(host, 0) + 1
        return commands

    def ask(self, event, host, *arguments):
        self.asks[host] = self.asks.get(host, 0) + 1
        getattr(self.coordinator, event)(host, *arguments)

    def report(self, host, sent=None, received=None, timed=False, **changes):
        others = {number: 0 for number in self.coordinator.hosts if number != host}
        report = Report(
            {**others, **(sent or {})},
            {**others, **(received or {})},
            changes.get("commands", self.commands.get(host, 0)),
            changes.get("asks", self.asks.get(host, 0)),
            timed,
        )
        self.coordinator.reported(host, report)


@pytest.fixture
def one():
    return Told(1)


@pytest.fixture
def two():
    return Told(2)


def test_hosts_are_told_of_each_other_and_the_root_is_started():
    coordinator = Coordinator(ROOT, "s.lus")
    coordinator.joined(1)
    coordinator.joined(2)
    coordinator.run()
    assert coordinator.commands == [(1, Joined(2)), (2, Joined(1)), (1, RunRoot())]
    assert coordinator.hosts == (1, 2)


def test_when_all_have_nothing_to_do_and_no_letter_is_on_its_way_it_is_a_deadlock(two):
    two.report(1, {2: 1}, {2: 2})
    assert two.stage is Stage.RUNNING
    two.report(2, {1: 2}, {1: 1})
    assert two.stage is Stage.DEADLOCKED
    assert two.take() == [(1, TellWaits()), (2, TellWaits())]


def test_a_letter_on_its_way_puts_that_off(two):
    two.report(1, {2: 2}, {2: 2})
    two.report(2, {1: 2}, {1: 1})
    assert two.stage is Stage.RUNNING
    two.report(2, {1: 2}, {1: 2})
    assert two.stage is Stage.DEADLOCKED


def test_so_does_a_command_that_was_not_carried_out(two):
    two.report(1, commands=1)
    two.report(2)
    assert two.stage is Stage.RUNNING


def test_so_does_a_question_that_has_not_come(two):
    two.report(1, asks=1)
    two.report(2)
    assert two.stage is Stage.RUNNING


def test_so_does_a_state_with_less_time_than_the_root(two):
    two.report(1)
    two.report(2, timed=True)
    assert two.stage is Stage.RUNNING
    two.report(2)
    assert two.stage is Stage.DEADLOCKED


def test_a_deadlock_is_over_when_all_have_said_who_waits(two):
    two.report(1)
    two.report(2)
    two.take()
    two.told_waits(1)
    assert two.stage is Stage.DEADLOCKED
    two.told_waits(2)
    assert (two.stage, two.outcome) == (Stage.ENDING, Deadlocked())
    assert two.take() == [(1, EndTree()), (2, EndTree())]
    two.tree_ended(1)
    two.tree_ended(2)
    assert two.stage is Stage.OVER


def test_a_host_that_joins_a_deadlock_has_nothing_to_say(one):
    one.report(1)
    one.joined(2)
    one.told_waits(1)
    assert one.stage is Stage.ENDING
    assert [command for command in one.take() if command[0] == 2] == [(2, Joined(1)), (2, EndTree())]


def test_a_host_that_dies_in_a_deadlock_has_nothing_to_say_any_more(two):
    two.report(1)
    two.report(2)
    two.told_waits(1)
    two.gone(Gone(2, "died"))
    assert two.stage is Stage.ENDING


def test_a_host_that_joins_at_the_end_ends_too(one):
    one.ask("root_ended", 1, Exited(3))
    one.joined(2)
    assert one.take()[-1] == (2, EndTree())
    one.tree_ended(1)
    assert one.stage is Stage.ENDING
    one.tree_ended(2)
    assert one.stage is Stage.OVER


def test_after_the_root_all_others_may_go_on(two):
    two.ask("root_ended", 1, Returned())
    assert two.stage is Stage.RUNNING
    two.report(1)
    two.report(2, timed=True)
    assert (two.stage, two.outcome) == (Stage.ENDING, Returned())


@pytest.mark.parametrize("outcome", [Exited(3), Failure("usage", b"", "", "", "")])
def test_a_root_that_exits_or_could_not_begin_waits_for_nobody(two, outcome):
    two.ask("root_ended", 1, outcome)
    assert (two.stage, two.outcome) == (Stage.ENDING, outcome)
    assert two.take() == [(1, EndTree()), (2, EndTree())]


def test_only_its_own_host_may_say_that_the_root_has_ended(two):
    two.ask("root_ended", 2, Exited(3))
    assert (two.stage, two.outcome) == (Stage.RUNNING, None)


def test_a_tree_limit_ends_the_root_where_it_lives(two):
    two.ask("exceeded", 2, EXCESS)
    assert two.take() == [(1, EndForExcess(EXCESS))]
    assert two.stage is Stage.RUNNING


def test_a_tree_limit_ends_what_the_root_has_left(two):
    two.ask("root_ended", 1, Returned())
    two.ask("exceeded", 2, EXCESS)
    assert two.stage is Stage.ENDING
    assert two.outcome == Failure("memory", b"", str(EXCESS), "", "")
    assert two.failures == [two.outcome]


def test_a_tree_limit_says_nothing_once_the_tree_ends(two):
    two.ask("root_ended", 1, Exited(3))
    two.ask("exceeded", 2, EXCESS)
    assert two.outcome == Exited(3)
    assert not two.failures


def test_an_end_below_a_state_is_told_to_all(two):
    two.ask("end_below", 2, StateId(7))
    assert two.take() == [(1, EndBelow(StateId(7))), (2, EndBelow(StateId(7)))]


def test_the_death_of_a_host_is_told_to_the_others_who_report_again(two):
    two.report(1, {2: 3}, {2: 4})
    gone = Gone(2, "died")
    two.gone(gone)
    two.gone(gone)
    assert two.take() == [(1, gone)]
    assert two.hosts == (1,)
    assert two.stage is Stage.RUNNING
    two.coordinator.reported(1, Report({}, {}, 3, 0, is_timed=False))
    assert two.stage is Stage.DEADLOCKED


def test_a_root_whose_host_dies_has_crashed_and_the_others_go_on(two):
    two.gone(Gone(1, "killed"))
    crash = Failure("crashed", b"", "s.lus: killed", "", "s.lus")
    assert (two.stage, two.outcome, two.failures) == (Stage.RUNNING, crash, [crash])
    two.take()
    two.coordinator.reported(2, Report({}, {}, 2, 0, is_timed=False))
    assert two.stage is Stage.ENDING


def test_a_root_that_had_ended_before_its_host_died_has_not_crashed(two):
    two.ask("root_ended", 1, Returned())
    two.gone(Gone(1, "killed"))
    assert two.outcome == Returned()
    assert not two.failures


def test_below_a_state_for_which_its_host_was_ended_all_ends(two):
    stuck = Failure("cpu", b"", "too much", "", "")
    gone = Gone(2, "killed", StateId(7), stuck)
    two.gone(gone)
    assert two.take() == [(1, gone), (1, EndBelow(StateId(7)))]
    assert gone.failure_of(StateId(7), "w.lus") == Failure("cpu", b"", "w.lus: too much", "", "w.lus")
    assert gone.failure_of(StateId(8), "w.lus").kind == "crashed"


def test_without_any_host_the_tree_is_over(one):
    one.gone(Gone(1, "killed"))
    assert one.stage is Stage.OVER
    assert one.outcome.kind == "crashed"


def test_a_root_whose_host_dies_before_it_was_started_has_crashed():
    told = Told(2, runs=False)
    told.gone(Gone(1, "killed"))
    assert told.stage is Stage.ENDING
    assert told.outcome.kind == "crashed"


def test_reports_of_hosts_that_are_gone_are_dropped(two):
    two.report(1)
    two.gone(Gone(2, "died"))
    two.coordinator.reported(2, Report({1: 0}, {1: 0}, 1, 0, is_timed=False))
    assert two.stage is Stage.RUNNING


def test_an_older_report_does_not_replace_a_younger_one(two):
    two.report(1, {2: 1})
    two.report(1)  # overtaken
    two.report(2)
    assert two.stage is Stage.RUNNING
    two.report(2, received={1: 1})
    assert two.stage is Stage.DEADLOCKED


def test_a_report_from_before_the_last_command_is_the_older_one_whatever_it_counts(two):
    two.ask("end_below", 1, StateId(7))
    two.take()
    two.report(1)
    two.report(1, {2: 5}, commands=2)  # overtaken
    two.report(2)
    assert two.stage is Stage.DEADLOCKED


def test_of_two_reports_with_the_same_counts_the_one_after_the_time_is_the_younger(two):
    two.report(1, timed=False)
    two.report(1, timed=True)  # overtaken
    two.report(2)
    assert two.stage is Stage.DEADLOCKED


def test_a_new_host_has_to_report_first(one):
    one.joined(2)
    one.take()
    one.report(1)
    assert one.stage is Stage.RUNNING
    one.report(2)
    assert one.stage is Stage.DEADLOCKED
