"""The side of a program that is looked at, against hosts and visitors of every kind."""

import json
import os
import resource
import selectors
import socket
from types import SimpleNamespace

import pytest

from luspool.scheduler import wire, wire_views
from luspool.scheduler.protocol import StateId
from luspool.scheduler.sight import Sight, StateSight
from luspool.scheduler.tree import Phase
from luspool.top import meeting
from luspool.top.server import TopServer


class Host:
    """A connection to a host that notes what it is asked."""

    def __init__(self, number):
        self.number = number
        self.process = SimpleNamespace(pid=100 + number)
        self.unsent = False
        self.asked = []

    def send(self, message):
        self.asked.append(message.number)


class Program:
    """A place to meet, with a loop that is turned by hand."""

    def __init__(self, hosts=2):
        self.server = TopServer(lambda: {"script": "main.lus"})
        self.hosts = [Host(number + 1) for number in range(hosts)]
        self.clients = []

    def visit(self):
        (place,) = [place for place in meeting.find_places() if place.pid == os.getpid()]
        client = socket.socket(socket.AF_UNIX)
        client.connect(f"\0{place.name}")
        client.settimeout(60)
        self.clients.append(client)
        return client

    def turn(self):
        """What the supervisor's loop does once, but for waiting."""
        awaited = self.server.awaits()
        is_ready = False
        if awaited is not None:
            with selectors.PollSelector() as selector:
                selector.register(*awaited)
                is_ready = bool(selector.select(0))
        self.server.serve(self.hosts, is_ready=is_ready)

    def answer(self, host, number=None, **fields):
        numbers = {"states": 1, "running": 1, "ready": 0, "waiting": 0, "memory": 5, "cpu": 6, "output": 7} | fields
        shown = numbers.pop("shown", (STATE,))
        seen = wire.Seen.of(number or host.asked[-1], Sight(**numbers, shown=shown))
        self.server.saw(host, seen)

    def close(self):
        self.server.close()
        for client in self.clients:
            client.close()


STATE = StateSight(
    StateId((1 << 40) + 2), (1 << 40) + 1, "w.lus", Phase.WAITING, "InboxHasMail", (StateId(1),), "w.lus:1", 1, 2, 3, 4
)


@pytest.fixture
def program():
    descriptors = sorted(os.listdir("/proc/self/fd"))
    program = Program()
    yield program
    program.close()
    assert sorted(os.listdir("/proc/self/fd")) == descriptors
    assert not [place for place in meeting.find_places() if place.pid == os.getpid()]


def read(client):
    data = b""
    while piece := client.recv(1 << 16):
        data += piece
    return json.loads(data) if data else None


def test_who_comes_gets_one_answer_of_all_hosts(program):
    client = program.visit()
    program.turn()
    for host in reversed(program.hosts):
        program.answer(host)
    program.turn()
    seen = read(client)
    assert (seen["v"], seen["pid"], seen["script"], seen["silent"]) == (1, os.getpid(), "main.lus", 0)
    assert [(host["host"], host["pid"], host["cpu"]) for host in seen["hosts"]] == [(1, 101, 6), (2, 102, 6)]
    assert seen["hosts"][0]["shown"] == [
        {
            "state": 2,
            "parent": 1,
            "script": "w.lus",
            "phase": "waiting",
            "waits_for": "InboxHasMail",
            "awaited": [1],
            "location": "w.lus:1",
            "cpu": 1,
            "memory": 2,
            "inbox": 3,
            "outbox": 4,
        }
    ]


def test_the_next_one_is_served_afterwards(program):
    first, second = program.visit(), program.visit()
    for client in (first, second):
        program.turn()
        for host in program.hosts:
            program.answer(host)
        program.turn()
        assert read(client)["silent"] == 0
    assert program.hosts[0].asked == [1, 2]


def test_nothing_is_waited_for_but_visitors_while_nobody_looks(program):
    assert program.server.due() is None
    program.turn()
    assert program.hosts[0].asked == []


def test_hosts_that_do_not_answer_are_told_and_not_asked_again_before_they_have(program):
    silent = program.hosts[1]
    client = program.visit()
    program.turn()
    program.answer(program.hosts[0])
    program.server._until = 0.0  # their time is over
    program.turn()
    assert read(client)["silent"] == 1
    client = program.visit()
    program.turn()
    program.answer(program.hosts[0])
    program.answer(silent, number=1)  # late, and to nobody
    program.turn()
    seen = read(client)
    assert (silent.asked, seen["silent"], len(seen["hosts"])) == ([1], 1, 1)
    client = program.visit()
    program.turn()
    assert silent.asked == [1, 3]


def test_hosts_that_die_or_have_not_begun_or_do_not_read_are_not_waited_for(program):
    program.hosts[1].number = 0
    busy, dies = Host(3), Host(4)
    busy.unsent = True
    program.hosts += [busy, dies]
    client = program.visit()
    program.turn()
    program.hosts.remove(dies)
    program.answer(program.hosts[0])
    program.turn()
    seen = read(client)
    assert (len(seen["hosts"]), seen["silent"]) == (1, 1)


def test_a_visitor_that_does_not_read_or_leaves_keeps_nobody_else(program):
    states = (StateSight(StateId(1), 0, "x" * 500, Phase.READY, "", (), "y" * 500, 1, 2, 3, 4),) * 1000
    lazy, gone, good = program.visit(), program.visit(), program.visit()
    gone.close()
    for client in (lazy, gone, good):
        program.turn()
        for host in program.hosts:
            program.answer(host, shown=states)  # more than a socket takes
        program.turn()
        if client is lazy:
            assert program.server.awaits()[1] == selectors.EVENT_WRITE
            program.server._until = 0.0  # its time is over
            program.turn()
    assert program.server.awaits()[1] == selectors.EVENT_WRITE
    data = good.recv(1 << 10)
    while program.server.awaits()[1] == selectors.EVENT_WRITE:
        program.turn()
        data += good.recv(1 << 20)
    data += b"".join(iter(lambda: good.recv(1 << 20), b""))
    assert len(json.loads(data)["hosts"][0]["shown"]) == 1000


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"number": 7}, "nobody has asked for"),
        ({"memory": -1}, "it shows 1 states"),
        ({"shown": (STATE,) * 3, "states": -1}, "it shows 3 states"),
    ],
)
def test_what_no_honest_host_shows_is_refused(program, fields, why):
    program.visit()
    program.turn()
    with pytest.raises(wire.WireError, match=why):
        program.answer(program.hosts[0], **fields)
    with pytest.raises(wire.WireError, match="nobody has asked for"):
        program.answer(program.hosts[0])  # it had its turn


@pytest.mark.parametrize("change", [{"phase": "ended"}, {"phase": "beer"}, {"cpu": -1}, {"state": -1}, {"outbox": -1}])
def test_a_state_that_can_not_be_is_refused(program, change):
    program.visit()
    program.turn()
    good = wire.Seen.of(1, Sight(1, 1, 1, 1, 1, 1, 1, (STATE,)))
    (record,) = good.records()
    fields = {name: getattr(record, name) for name in record.__struct_fields__} | change
    bad = wire.Seen(1, 1, 1, 1, 1, 1, 1, 1, (wire_views.pack(wire_views.StateSeen(**fields)),))
    with pytest.raises(wire.WireError, match="it shows a state"):
        program.server.saw(program.hosts[0], bad)
    with pytest.raises(wire.WireError):
        program.server.saw(program.hosts[1], wire.Seen(1, 1, 1, 1, 1, 1, 1, 1, (b"x",)))


def test_another_user_is_told_nothing_and_nobody_is_heard_for_a_while(program, monkeypatch):
    stranger, friend = program.visit(), program.visit()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    program.turn()
    assert read(stranger) is None
    assert program.server.awaits() is None
    assert program.server.due() is not None
    monkeypatch.undo()
    program.server._deaf_until = 0.0  # the while is over
    program.turn()
    assert program.server.awaits() is not None
    program.turn()
    for host in program.hosts:
        program.answer(host)
    program.turn()
    assert read(friend)["silent"] == 0


def test_without_descriptors_the_program_goes_on_and_who_looks_is_heard_later(program):
    client = program.visit()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with selectors.PollSelector() as selector:
        selector.register(program.server._place, selectors.EVENT_READ)
        assert selector.select(60)
    os.close(free := os.dup(client.fileno()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        program.server.serve(program.hosts, is_ready=True)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert program.server.awaits() is None
    program.server._deaf_until = 0.0  # the while is over
    program.turn()
    program.turn()
    assert program.hosts[0].asked
    for host in program.hosts:
        program.answer(host)
    program.turn()
    assert read(client)["silent"] == 0


def test_a_place_of_another_user_is_not_believed(program, monkeypatch):
    (place,) = [place for place in meeting.find_places() if place.pid == os.getpid()]
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert meeting.connect(place, 60) is None


def test_a_place_that_is_gone_is_none():
    assert meeting.connect(meeting.Place(1, "luspool-top-1-00000000"), 60) is None
