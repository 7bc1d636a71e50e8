"""Machines of several hosts and their coordinator under arbitrary events, with mailboxes of one to seven messages."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from .spread_chance import Chance, begin, finish, run


class Drawn:
    """Leaves what is open to Hypothesis, which makes a failing run shorter."""

    def __init__(self, data):
        self._data = data

    def one(self, choices):
        return self._data.draw(st.sampled_from(choices))

    def number(self, least, most):
        return self._data.draw(st.integers(least, most))


class AnyEvents(RuleBasedStateMachine):
    """Whatever the order of events: nothing is lost, doubled or reordered, and the tree's end is found, in its time."""

    cluster = None

    @initialize(data=st.data(), messages=st.integers(1, 7))
    def begin(self, data, messages):
        self.cluster = begin(Drawn(data), messages)

    def step(self, data, name):
        pick = Drawn(data)
        everybody = self.cluster.everybody()
        # Roots end everything, and one that waits does nothing: seldom enough that something grows in between.
        workers = [(host, state) for host, state in everybody if state.id != self.cluster.root]
        if name in ("end", "exceed", "wait") and workers and pick.number(0, 9):
            everybody = workers
        getattr(self.cluster, name)(pick, *pick.one(everybody))

    @rule(data=st.data(), name=st.sampled_from(["create", "create", "message", "send", "send", "receive", "peek"]))
    @precondition(lambda self: self.cluster.everybody())
    def talk(self, data, name):
        self.step(data, name)

    @rule(data=st.data(), name=st.sampled_from(["wait", "preempt", "release", "cancel_child", "end", "exceed"]))
    @precondition(lambda self: self.cluster.everybody())
    def act(self, data, name):
        self.step(data, name)

    def any_host(self, data):
        return data.draw(st.sampled_from(list(self.cluster.hosts.values())))

    @rule(data=st.data())
    @precondition(lambda self: self.cluster.hosts)
    def run(self, data):
        self.cluster.run(Drawn(data), self.any_host(data))

    @rule(data=st.data())
    @precondition(lambda self: self.cluster.hosts)
    def give(self, data):
        self.cluster.give(Drawn(data), self.any_host(data))

    @rule(data=st.data(), times=st.integers(1, 10))
    @precondition(lambda self: self.cluster.deliveries())
    def deliver(self, data, times):
        for _ in range(times):
            found = self.cluster.deliveries()
            if found:
                Drawn(data).one(found)()

    @rule(data=st.data())
    @precondition(lambda self: self.cluster.hosts)
    def report(self, data):
        self.cluster.take_report(self.any_host(data))

    @rule(data=st.data())
    @precondition(lambda self: any(host.reports for host in self.cluster.hosts.values()))
    def deliver_report(self, data):
        self.cluster.deliver_report(Drawn(data), self.any_host(data))

    @rule()
    @precondition(lambda self: self.cluster.can_join())
    def join(self):
        self.cluster.join()

    @rule(data=st.data(), what=st.sampled_from(["die", "time_out", "exceed_tree", "input"]), rarely=st.integers(0, 9))
    @precondition(lambda self: self.cluster.hosts)
    def strike(self, data, what, rarely):
        host = self.any_host(data)
        if what == "time_out":
            self.cluster.time_out(Drawn(data))
        elif what == "input":
            self.cluster.input(host)
        elif rarely == 0 and what == "exceed_tree":
            self.cluster.exceed_tree(host)
        elif rarely < 4 and what == "die":
            self.cluster.die(host.number)

    @rule(seed=st.integers(0, 9))
    def drain(self, seed):
        self.cluster.drain(Chance(seed))

    @invariant()
    def holds(self):
        if self.cluster is not None:
            self.cluster.check()

    def teardown(self):
        if self.cluster is not None:
            seed = len(self.cluster.parents)
            finish(self.cluster, Chance(seed), root_returns=bool(seed % 2))


TestAnyEvents = AnyEvents.TestCase
TestAnyEvents.settings = settings(max_examples=60, stateful_step_count=60, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("start", range(0, 600, 100))
def test_long_runs_by_chance_keep_the_laws_and_come_to_their_end(start):
    for seed in range(start, start + 100):
        chance = Chance(seed)
        cluster = begin(chance, chance.number(1, 7))
        run(cluster, chance, chance.one([50, 150, 400]))
        finish(cluster, chance, root_returns=bool(chance.number(0, 1)))
