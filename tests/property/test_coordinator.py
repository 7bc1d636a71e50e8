"""The coordinator finds the end of a computation, and never before it has ended, however late its reports are.

The hosts are as simple as can be: each is busy or not, writes letters while it is busy and becomes busy when one
arrives. What is busy, and what is on its way, is known here.
"""

from collections import defaultdict, deque

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from luspool.scheduler.coordinator import Coordinator, EndTree, Gone, Joined, RunRoot, Stage, TellWaits
from luspool.scheduler.events import Deadlocked
from luspool.scheduler.idle_report import Report
from luspool.scheduler.letters import HOST_BITS
from luspool.scheduler.protocol import Returned, StateId

ROOT = StateId((1 << HOST_BITS) + 1)


class Host:
    """What a host counts, and what it was told and has asked that has not arrived."""

    def __init__(self, number):
        self.number = number
        self.is_busy = False
        self.timed = 0
        self.sent, self.received = {}, {}
        self.done = self.asked = 0
        self.commands, self.asks, self.reports = deque(), deque(), []

    def report(self):
        return Report(dict(self.sent), dict(self.received), self.done, self.asked, self.timed > 0)


class AnyComputation(RuleBasedStateMachine):
    """Hosts that join, talk, ask, idle and die in any order, and reports that come late, twice or never."""

    @initialize(hosts=st.integers(1, 3))
    def begin(self, hosts):
        self.coordinator = Coordinator(ROOT, "s.lus")
        self.hosts, self.dying = {}, {}
        self.wires = defaultdict(deque)
        self.newest = 0
        self.has_ended = False
        self.is_timed_out = False
        for _ in range(hosts):
            self.join()
        self.coordinator.run()
        self.pass_commands()

    def one(self, data, test=lambda _: True):
        return data.draw(st.sampled_from([host for host in self.hosts.values() if test(host)]))

    def any_busy(self):
        return any(host.is_busy for host in self.hosts.values())

    # --- hosts ---

    @rule()
    @precondition(lambda self: len(self.hosts) < 4 and self.newest < 8)
    def join(self):
        self.newest += 1
        self.hosts[self.newest] = Host(self.newest)
        self.tell(lambda: self.coordinator.joined(self.newest))

    @rule(data=st.data())
    @precondition(any_busy)
    def write(self, data):
        host = self.one(data, lambda host: host.is_busy)
        if host.sent:
            there = data.draw(st.sampled_from(list(host.sent)))
            host.sent[there] += 1
            if there in self.hosts:
                self.wires[host.number, there].append("a letter")

    @rule(data=st.data())
    @precondition(any_busy)
    def rest(self, data):
        self.one(data, lambda host: host.is_busy).is_busy = False

    @rule(data=st.data())
    @precondition(any_busy)
    def set_a_time(self, data):
        self.one(data, lambda host: host.is_busy).timed += 1

    @rule(data=st.data())
    @precondition(lambda self: any(host.timed for host in self.hosts.values()))
    def time_out(self, data):
        """Somebody's time is over: his parent, in another host, hears of it."""
        host = self.one(data, lambda host: host.timed)
        host.timed -= 1
        self.is_timed_out = True
        host.is_busy = host.is_busy or data.draw(st.booleans())

    @rule(data=st.data())
    @precondition(any_busy)
    def ask(self, data):
        host = self.one(data, lambda host: host.is_busy)
        host.asked += 1
        host.asks.append("end below")

    @rule()
    @precondition(lambda self: 1 in self.hosts and self.hosts[1].is_busy and not self.has_ended)
    def end_root(self):
        self.has_ended = True
        self.hosts[1].asked += 1
        self.hosts[1].asks.append("root")

    @rule(data=st.data(), rarely=st.integers(0, 3))
    @precondition(lambda self: len(self.hosts) > 1)
    def die(self, data, rarely):
        if not rarely:
            host = self.hosts.pop(self.one(data).number)
            self.dying[host.number] = host
            for pair, queue in self.wires.items():
                if pair[1] == host.number:
                    queue.clear()
                elif pair[0] == host.number and queue:
                    kept = data.draw(st.integers(0, len(queue)))  # the rest was not published
                    while len(queue) > kept:
                        queue.pop()

    # --- what is on its way ---

    def deliveries(self):
        found = []
        for pair, queue in self.wires.items():
            if queue and pair[0] in self.hosts[pair[1]].received:
                found.append(("letter", *pair))
        for number, host in self.hosts.items():
            if host.commands and not (isinstance(host.commands[0], Gone) and self.wires[host.commands[0].host, number]):
                found.append(("command", number))
            if host.asks:
                found.append(("ask", number))
        found += [("death", number) for number in self.dying]
        return found

    @rule(data=st.data(), wakes=st.booleans())
    @precondition(lambda self: self.deliveries())
    def deliver(self, data, wakes):
        self.perform(data.draw(st.sampled_from(self.deliveries())), wakes)

    def perform(self, delivery, wakes):
        match delivery:
            case "letter", here, there:
                self.wires[here, there].popleft()
                self.hosts[there].received[here] += 1
                self.hosts[there].is_busy |= wakes
            case "command", number:
                self.carry_out(self.hosts[number])
            case "ask", number:
                self.answer(self.hosts[number])
            case "death", number:
                self.bury(number)

    def bury(self, number):
        host = self.dying[number]
        while host.asks:
            self.answer(host)
        del self.dying[number]
        self.tell(lambda: self.coordinator.gone(Gone(number, "died")))

    def carry_out(self, host):
        match command := host.commands.popleft():
            case RunRoot():
                host.is_busy = True
            case Joined(other):
                host.sent[other] = host.received[other] = 0
            case Gone():
                del host.sent[command.host], host.received[command.host]
                host.is_busy = True  # to find out what that means here
            case TellWaits():
                host.asks.append("waits")
            case EndTree():
                host.is_busy = False
                host.asks.append("ended")
            case _:
                host.is_busy = True
        host.done += 1

    def answer(self, host):
        coordinator, number = self.coordinator, host.number
        match host.asks.popleft():
            case "end below":
                self.tell(lambda: coordinator.end_below(number, StateId(7)))
            case "root":
                self.tell(lambda: coordinator.root_ended(number, Returned()))
            case "waits":
                self.tell(lambda: coordinator.told_waits(number))
            case "ended":
                self.tell(lambda: coordinator.tree_ended(number))

    @rule(data=st.data())
    @precondition(lambda self: not all(host.is_busy for host in self.hosts.values()))
    def report(self, data):
        host = self.one(data, lambda host: not host.is_busy)
        host.reports.append(host.report())

    @rule(data=st.data(), fate=st.sampled_from(["comes", "comes", "comes", "comes twice", "is lost"]))
    @precondition(lambda self: any(host.reports for host in self.hosts.values()))
    def deliver_report(self, data, fate):
        host = self.one(data, lambda host: host.reports)
        report = data.draw(st.sampled_from(host.reports))
        if fate != "comes twice":
            host.reports.remove(report)
        if fate != "is lost":
            self.tell(lambda: self.coordinator.reported(host.number, report))

    def tell(self, event):
        before = self.coordinator.stage
        event()
        if before is Stage.RUNNING and self.coordinator.stage is not before:
            self.check_decision()
        self.pass_commands()

    def pass_commands(self):
        for number, command in self.coordinator.commands:
            if number in self.hosts:
                self.hosts[number].commands.append(command)
        self.coordinator.commands.clear()

    # --- laws ---

    def check_decision(self):
        if self.coordinator.outcome is None:
            assert not any(host.timed for host in self.hosts.values())
        elif self.is_timed_out:
            return  # after the root nobody waits for time, which may come just after the decision
        assert not any(self.wires.values()), "a letter is on its way"
        for host in self.hosts.values():
            assert not host.is_busy
            assert not host.commands
            assert not host.asks
        for host in self.dying.values():
            assert not host.asks

    @invariant()
    def says_how_it_ended(self):
        if hasattr(self, "coordinator") and self.coordinator.stage in (Stage.ENDING, Stage.OVER):
            assert self.coordinator.outcome is not None

    def teardown(self):
        """Everybody rests at last and all arrives: the end is found."""
        if not hasattr(self, "coordinator"):
            return
        for _ in range(20):
            for host in self.hosts.values():
                host.is_busy, host.timed = False, 0
            while found := self.deliveries():
                self.perform(found[-1], wakes=False)
            for host in self.hosts.values():
                host.is_busy = False
                host.reports.append(host.report())
                for report in reversed(host.reports):  # the last one first
                    self.tell(lambda host=host, report=report: self.coordinator.reported(host.number, report))
                host.reports.clear()
        assert self.coordinator.stage is Stage.OVER
        if not self.has_ended and 1 in self.hosts:
            assert self.coordinator.outcome == Deadlocked()


TestAnyComputation = AnyComputation.TestCase
TestAnyComputation.settings = settings(
    max_examples=100, stateful_step_count=60, suppress_health_check=list(HealthCheck)
)
