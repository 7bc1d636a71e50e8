"""Runs of a `Cluster` by chance: a hundred times as many as Hypothesis makes in the same time, and longer ones."""

import random
from functools import partial

from luspool.scheduler.coordinator import Stage
from luspool.scheduler.protocol import ChildrenHaveMail, Delivered, Ended, InboxHasMail, Returned, Waiting
from luspool.scheduler.tree import Phase

from .spread_cluster import Cluster


class Chance:
    """Decides what is left open by a seed."""

    def __init__(self, seed):
        self._random = random.Random(seed)

    def one(self, choices):
        return self._random.choice(choices)

    def number(self, least, most):
        return self._random.randint(least, most)


def begin(pick, messages):
    """A cluster whose root has some children to start with."""
    cluster = Cluster(pick, messages)
    cluster.drain(pick)
    cluster.run(pick, cluster.hosts[1])
    for host, root in cluster.everybody():
        for _ in range(3):
            cluster.create(pick, host, root)
    return cluster


TALK = ["create"] * 5 + ["message"] * 6 + ["send"] * 7 + ["receive"] * 6 + ["peek"] * 5 + ["preempt"]
ACTS = TALK * 2 + ["wait"] * 2 + ["release"] * 2 + ["cancel_child"] * 3 + ["end"] * 3 + ["exceed"]


class Weather:
    """How often what happens, in one run by chance."""

    def __init__(self, pick):
        self.deaths = pick.one([0, 0, 4, 10])
        self.moves = pick.one([30, 100, 200])
        self.post = pick.one([200, 500, 800])
        self.excesses = pick.one([0, 10, 30])
        self.tree_excesses = pick.one([0, 0, 3])


def run(cluster, pick, steps):
    """So many events, each of which may be anything."""
    weather = Weather(pick)
    for _ in range(steps):
        hosts = list(cluster.hosts.values())
        if not hosts:
            return
        strike(cluster, pick, weather, pick.one(hosts))
        if not happen(cluster, pick, weather, list(cluster.hosts.values())):
            return
        if not pick.number(0, 9):
            cluster.check()


def strike(cluster, pick, weather, host):
    def now(per_mille):
        return pick.number(0, 999) < per_mille

    if now(weather.excesses):
        cluster.time_out(pick)
    if now(weather.tree_excesses):
        cluster.exceed_tree(host)
    if now(20) and cluster.can_join():
        cluster.join()
    if now(10):
        cluster.input(host)
    if now(20):
        cluster.drain(pick)
    if now(weather.moves):
        cluster.give(pick, host)
    if now(50):
        cluster.take_report(host)
    if now(50):
        cluster.deliver_report(pick, host)
    if now(weather.deaths):
        cluster.die(host.number)


def happen(cluster, pick, weather, hosts):
    """Whether anything did."""
    found, everybody = cluster.deliveries(), cluster.everybody()
    if found and pick.number(0, 999) < weather.post:
        pick.one(found)()
    elif everybody and pick.number(0, 2):
        host, state = pick.one(everybody)
        name = pick.one(ACTS)
        if state.id == cluster.root and name in ("end", "exceed", "wait", "peek") and pick.number(0, 19):
            name = "create"
        getattr(cluster, name)(pick, host, state)
    elif any(host.machine.run_queue or host.machine.woken for host in hosts):
        cluster.run(pick, pick.one(hosts))
    else:
        return bool(found or everybody)
    return True


def finish(cluster, pick, *, root_returns):
    """From now on every state takes what it can get and then waits: the tree has to come to its end, and does."""
    for _ in range(1000):
        cluster.drain(pick)
        while act_last(cluster, pick, root_returns):
            pass
        if cluster.deliveries():
            continue
        report_all(cluster, pick)
        if cluster.coordinator.stage is Stage.OVER:
            break
        if not cluster.deliveries():
            end_timed(cluster, pick)
    assert cluster.coordinator.stage is Stage.OVER
    cluster.drain(pick)
    cluster.check_over()


def report_all(cluster, pick):
    """Every host with nothing to do says so; that comes in any order, as do reports that are late."""
    for host in cluster.hosts.values():
        cluster.take_report(host)
    while reporters := [host for host in cluster.hosts.values() if host.reports]:
        host = pick.one(reporters)
        report = host.reports.pop(pick.number(0, len(host.reports) - 1))
        cluster.tell(partial(cluster.coordinator.reported, host.number, report))


def end_timed(cluster, pick):
    """Nothing but time can go on."""
    timed = [
        (host, state)
        for host in cluster.hosts.values()
        for state in host.machine.states.values()
        if state.is_timed and state.phase is Phase.WAITING
    ]
    assert timed, "the tree hangs"
    for host, state in timed:
        cluster.exceed(pick, host, state)


def act_last(cluster, pick, root_returns):
    """Whether anybody did anything."""
    has_acted = False
    for host in cluster.hosts.values():
        host.machine.input_arrived(end=True)
        while host.machine.run_queue or host.machine.woken:
            cluster.run(pick, host)
        for state in tuple(host.running):
            has_acted = True
            act_one_last(cluster, host, state, root_returns)
            cluster.collect(host)
    return has_acted


def act_one_last(cluster, host, state, root_returns):
    if state.phase is Phase.ENDED or (state.id == cluster.root and root_returns):
        cluster.stepped(host, state, Ended(Returned()))
        return
    children = cluster.named[state.id]
    living = [child for child in children if host.machine.is_running(state, child)]
    for child in children:
        while child not in living and cluster.take(host, state, [child]) != Delivered((None,)):
            pass
    cluster.named[state.id] = living
    payload = host.machine.peek(state)
    if payload is not None:
        cluster.inboxes[state.id].taken.append(payload)
    elif not living:
        cluster.stepped(host, state, Waiting(InboxHasMail()))
    elif cluster.take(host, state, living) is None:
        cluster.stepped(host, state, Waiting(ChildrenHaveMail(tuple(living))))
