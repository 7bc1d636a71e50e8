"""Which task goes where: every task is done once, whatever becomes of the stations."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from luspool.batch.cluster import dealer as module
from luspool.batch.cluster.credit import Credit
from luspool.batch.cluster.dealer import Dealer, Dismiss, Exchange, Interrupt, Interruption
from luspool.batch.cluster.letters import LetterError, LogPiece, Report
from luspool.batch.engine import Done, Task
from luspool.batch.outcome import Outcome, Status
from luspool.request import Request
from luspool.scheduler.limits import Limits

FINE = Outcome(Status.COMPLETED, 0)


def task(number):
    return Task(number, Request(f"{number}.lus", b"", (), "", strict_globals=False, wall=""), Limits())


class Desk:
    """A dealer, its clock, and stations that do as they are told to by the test."""

    def __init__(self, *lanes, tasks=0):
        self.dealer = Dealer(0)
        self.now = 100.0
        self.open = {}
        """The tasks of each station whose exchange is open."""
        self.told = []
        self.dismissed = []
        for number, count in enumerate(lanes, 1):
            self.dealer.join(number, count)
        self.submit(*range(1, tasks + 1))

    def submit(self, *numbers):
        for number in numbers:
            self.dealer.submit(task(number))

    def deal(self, seconds=0.0):
        """After so many seconds; the numbers that each station was given."""
        self.now += seconds
        given = {}
        for order in self.dealer.orders(self.now):
            match order:
                case Exchange(station, tasks, _):
                    assert station not in self.open
                    self.open[station] = given[station] = [one.number for one in tasks]
                case Interrupt(station, what):
                    assert station in self.open
                    self.told.append((station, what))
                case Dismiss(station, why):
                    self.dismissed.append((station, why))
                    self.open.pop(station, None)
        self.dealer.validate()
        return given

    def report(self, station, *done, took=0.1, running=(), back=()):
        """These are done, and what comes `back` has not begun."""
        self.now += took
        ends = [*(Done(number, FINE) for number in done), *(Done(number, None) for number in back)]
        del self.open[station]
        self.dealer.report(station, Report(tuple(ends), tuple((number, 0.0) for number in running), took), self.now)
        self.dealer.validate()

    def warm(self, station):
        """Have it end many small tasks, so that it gets many."""
        for turn in range(5):
            self.submit(*range(1000 * (turn + 1), 1000 * (turn + 1) + 50))
            while self.dealer.waiting:
                self.deal()
                self.report(station, *self.open[station], took=0.002)
        self.done()

    def lose(self, station, why="gone"):
        self.open.pop(station, None)
        self.dealer.lose(station, why)
        self.dealer.validate()

    def done(self):
        """What was done since the last time, by number."""
        done, self.dealer.done = self.dealer.done, []
        return {one.number: one.outcome for one in done}


# --- how much goes where ----------------------------------------------------------------------------------------------


def test_a_station_of_which_nothing_is_known_gets_what_it_can_run():
    desk = Desk(2, 3, tasks=20)
    assert desk.deal() == {1: [1, 2], 2: [3, 4, 5]}
    desk.report(1, 2, running=[1])
    assert desk.dealer.running(desk.now) == [(1, 0.0)]


def test_small_tasks_are_given_many_at_a_time_and_long_ones_are_not():
    for seconds, least, most in ((0.002, 50, 500), (10.0, 1, 2)):
        desk = Desk(2, tasks=0)
        desk.submit(*range(1, 5000))
        given = desk.deal()[1]
        for _ in range(10):
            desk.report(1, *given, took=seconds * len(given) / 2)
            given = desk.deal()[1]
        assert least <= len(given) <= most, seconds


def test_one_task_that_is_over_at_once_does_not_make_long_ones_wait():
    desk = Desk(2, tasks=500)
    desk.deal()
    desk.report(1, 1, took=0.001, running=[2])
    assert len(desk.deal()[1]) < 10


def test_what_one_station_can_not_begin_is_left_for_the_lanes_of_others():
    desk = Desk(2)
    desk.warm(1)
    desk.dealer.join(2, 2)
    desk.submit(1, 2, 3, 4)
    assert desk.deal() == {1: [1, 2], 2: [3, 4]}


def test_credit_follows_what_is_seen():
    credit = Credit(4)
    assert credit.tasks(0.05) == 4
    for _ in range(100):
        credit.learn(100, 0.1, 0.095)
    assert 4 + 90 <= credit.tasks(0.05) <= 4 + 130  # a thousand a second, for twice 55 ms
    assert credit.seconds_for(1000, 0) == pytest.approx(1.0, rel=0.1)
    assert credit.seconds_for(10, 2.0) == 20  # and nothing has ended for two seconds
    for _ in range(20):
        credit.learn(0, 5.0, 5.0)
    assert credit.tasks(0.05) == 4


def test_there_is_room_as_long_as_not_too_much_waits(monkeypatch):
    desk = Desk(2)
    desk.submit(*range(1, 64))
    assert desk.dealer.has_room
    desk.submit(64)
    assert not desk.dealer.has_room
    desk.deal()
    assert desk.dealer.has_room
    monkeypatch.setattr(module, "_AHEAD_BYTES", 10)
    assert not desk.dealer.has_room


def test_a_station_has_no_more_bytes_than_it_may_but_for_what_it_runs(monkeypatch):
    monkeypatch.setattr(module, "_AHEAD_BYTES", 10)
    desk = Desk(2, tasks=100)
    for _ in range(5):
        desk.deal()
        assert len(desk.open[1]) == 2
        desk.report(1, *desk.open[1], took=0.001)


# --- what is said during an exchange ----------------------------------------------------------------------------------


def test_a_lane_that_has_become_free_of_work_is_told_of_a_new_task():
    desk = Desk(2, tasks=1)
    assert desk.deal() == {1: [1]}
    desk.submit(2)
    desk.deal(seconds=1)
    desk.deal(seconds=1)
    assert desk.told == [(1, Interruption.REPORT)]
    desk.report(1, running=[1])
    assert desk.deal() == {1: [2]}


def test_what_will_not_begin_soon_is_recalled_where_others_have_nothing_to_do():
    desk = Desk(1)
    desk.warm(1)
    desk.submit(*range(1, 11))
    assert len(desk.deal()[1]) == 10
    desk.dealer.join(2, 1)
    desk.deal(seconds=0.05)
    assert desk.told == []
    desk.deal(seconds=2)  # nothing has ended there for that long
    desk.deal(seconds=2)
    assert desk.told == [(1, Interruption.RECALL)]
    desk.report(1, running=[1], back=range(2, 11))
    assert desk.deal()[2]


def test_what_is_withdrawn_comes_back_and_what_runs_goes_on():
    desk = Desk(1)
    desk.warm(1)
    desk.submit(1, 2, 3)
    desk.deal()
    desk.submit(4)
    desk.dealer.withdraw()
    desk.dealer.withdraw()
    assert desk.done() == {4: None}
    desk.deal()
    assert desk.told == [(1, Interruption.RECALL)]
    desk.report(1, 1, back=[2, 3])
    assert desk.done() == {1: FINE, 2: None, 3: None}
    assert desk.deal() == {}


def test_what_is_withdrawn_between_two_exchanges_is_recalled_in_the_next():
    desk = Desk(1)
    desk.warm(1)
    desk.submit(*range(1, 11))
    desk.deal()
    desk.report(1, 1, running=[2])
    desk.dealer.withdraw()
    assert desk.deal() == {1: []}
    assert desk.told == [(1, Interruption.RECALL)]


def test_what_is_cancelled_comes_back_and_a_station_that_does_not_answer_is_ended():
    desk = Desk(1, 1, tasks=2)
    desk.deal()
    for station in (1, 2):
        desk.report(station, running=[station])
    desk.deal()
    desk.submit(3)
    desk.dealer.cancel(desk.now)
    desk.dealer.cancel(desk.now)
    assert desk.done() == {3: None}
    desk.deal()
    assert desk.told == [(1, Interruption.CANCEL), (2, Interruption.CANCEL)]
    cancelled = Outcome(Status.CANCELLED, 0)
    del desk.open[1]
    desk.dealer.report(1, Report((Done(1, cancelled),), (), 0.1), desk.now)
    desk.deal(seconds=6)
    assert [station for station, _ in desk.dismissed] == [2]
    assert {number: outcome.status for number, outcome in desk.done().items()} == dict.fromkeys((1, 2), "cancelled")


def test_a_station_that_says_nothing_is_lost():
    desk = Desk(1, tasks=1)
    desk.deal()
    desk.deal(seconds=59)
    assert desk.dismissed == []
    desk.deal(seconds=2)
    assert desk.dismissed == [(1, "it has said nothing for 60 s")]
    desk.dealer.join(2, 1)
    assert desk.deal() == {2: [1]}


@pytest.mark.parametrize(
    "report",
    [
        Report((Done(7, FINE),), (), 0.1),
        Report((Done(1, FINE), Done(1, FINE)), (), 0.1),
        Report((), ((1, 0.0), (2, 0.0), (3, 0.0)), 0.1),
        Report((), ((1, 0.0), (1, 0.0)), 0.1),
        Report((), (), 0.1, logs=(LogPiece(7, "run", b""),)),
        Report((), (), 0.1, logs=(LogPiece(1, "run", b""), LogPiece(1, "run", b""))),
    ],
)
def test_what_a_station_can_not_mean_is_told_and_changes_nothing(report):
    desk = Desk(2, tasks=2)
    desk.deal()
    with pytest.raises(LetterError):
        desk.dealer.report(1, report, desk.now)
    desk.dealer.validate()
    desk.lose(1)
    desk.dealer.join(2, 2)
    assert desk.deal() == {2: [1, 2]}


# --- stations that are lost -------------------------------------------------------------------------------------------


def test_what_a_station_had_is_begun_elsewhere():
    desk = Desk(2, 2, tasks=6)
    desk.deal()
    desk.lose(1)
    desk.report(2, 3, 4)
    assert desk.deal()[2][:2] == [1, 2]
    assert set(desk.done()) == {3, 4}


def test_a_task_of_which_stations_die_crashes_alone():
    desk = Desk(4, tasks=8)
    lost, bad = 1, 3
    ends = {}
    while len(ends) < 8:
        given = desk.deal()
        ((station, _),) = given.items()
        held = desk.dealer._stations[station].held
        if bad in held:
            desk.lose(station, "boom")
            lost += 1
            desk.dealer.join(lost, 4)
        else:
            desk.report(station, *held)
        ends |= desk.done()
    assert {number for number, outcome in ends.items() if outcome.status is not Status.COMPLETED} == {bad}
    assert ends[bad].status is Status.CRASHED
    assert ends[bad].failure == "3.lus: 4 Ray workers that had it have died, the last 2 with nothing else: boom"


def test_a_suspect_does_not_wait_for_ever_behind_others():
    desk = Desk(1, 1, tasks=1000)
    desk.deal()
    for station in (3, 4):  # the first task's stations die twice
        held = next(one for one, numbers in desk.open.items() if 1 in numbers)
        desk.lose(held)
        desk.dealer.join(station, 1)
        desk.deal()
    for _ in range(3):
        for station in tuple(desk.open):
            desk.report(station, *desk.open[station])
        desk.deal()
    assert 1 in desk.done()


class Chance(RuleBasedStateMachine):
    """Stations come, work, lie and go; the batch gives work, withdraws and cancels: each task is done once."""

    @initialize(lanes=st.lists(st.integers(1, 3), max_size=3))
    def begin(self, lanes):
        self.desk = Desk(*lanes)
        self.stations = len(lanes)
        self.submitted = 0
        self.ended = {}

    def held(self, station):
        return list(self.desk.dealer._stations[station].held)

    @rule(count=st.integers(1, 20))
    def submit(self, count):
        numbers = range(self.submitted + 1, self.submitted + count + 1)
        self.submitted += count
        self.desk.submit(*numbers)

    @rule(lanes=st.integers(1, 3))
    def join(self, lanes):
        self.stations += 1
        self.desk.dealer.join(self.stations, lanes)

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.3, 2.0, 10.0, 70.0]))
    def deal(self, seconds):
        self.desk.deal(seconds)

    @precondition(lambda self: self.desk.open)
    @rule(data=st.data(), took=st.sampled_from([0.001, 0.05, 1.0]))
    def report(self, data, took):
        station = data.draw(st.sampled_from(sorted(self.desk.open)))
        held = data.draw(st.permutations(self.held(station)))
        done, back = data.draw(st.integers(0, len(held))), data.draw(st.integers(0, len(held)))
        lanes = self.desk.dealer._stations[station].lanes
        running = held[done : done + min(back, lanes)]
        self.desk.report(station, *held[:done], took=took, running=running, back=held[max(done, back) + len(running) :])

    @precondition(lambda self: self.desk.dealer._stations)
    @rule(data=st.data())
    def lose(self, data):
        self.desk.lose(data.draw(st.sampled_from(sorted(self.desk.dealer._stations))))

    @rule()
    def withdraw(self):
        self.desk.dealer.withdraw()

    @rule()
    def cancel(self):
        self.desk.dealer.cancel(self.desk.now)

    @invariant()
    def each_ends_once(self):
        if hasattr(self, "desk"):
            self.desk.dealer.validate()
            new = [one.number for one in self.desk.dealer.done]
            assert len(new) == len(set(new))
            assert not self.ended.keys() & set(new)
            self.ended |= self.desk.done()

    def teardown(self):
        """Whatever has happened: with a station that works, all that is left comes to its end."""
        if not hasattr(self, "desk"):
            return
        self.desk.dealer.join(self.stations + 1, 2)
        for _ in range(10 * self.submitted + 100):
            if len(self.ended) == self.submitted:
                break
            self.desk.deal(0.3)
            for station in tuple(self.desk.open):
                self.desk.report(station, *self.held(station), took=0.01)
            self.ended |= self.desk.done()
        assert set(self.ended) == set(range(1, self.submitted + 1))


Chance.TestCase.settings = settings(
    max_examples=100, stateful_step_count=40, suppress_health_check=[HealthCheck.too_slow], deadline=None
)
TestChance = Chance.TestCase
