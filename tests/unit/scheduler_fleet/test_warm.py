"""A host that stays, seen from its supervisor: an honest one, and every way to lie about a program and its end."""

import os
import select

import pytest

from luspool.scheduler import wire
from luspool.scheduler.callees import CallRouter
from luspool.scheduler.connection import HostProtocolError
from luspool.scheduler.limits import Limits
from luspool.scheduler.supervisor import HostDiedError
from luspool.scheduler.warm import OverdueError, WarmHost

from .host_script import start_host

HELLO = "send(wire.Hello(wire.VERSION)); receive()\n"
"""Ready, and given a program."""
FOREVER = "\nwhile True: receive()\n"
USED = "wire.Used(9, 5, 7, (), True, True)"
END = f"send({USED}, wire.TreeEnded(False, 0))\n"
START = wire.Start.of(1, 0, Limits(), b"", stays=True)


class Listener:
    """Notes what it hears; as much input as anybody asks for."""

    def __init__(self):
        self.heard = []

    def started(self):
        self.heard.append("started")

    def write(self, stream, data):
        self.heard.append((stream, data))

    def notice(self, text):
        self.heard.append(text)

    def failed(self, failure):
        self.heard.append(failure.message)

    def deadlocked(self, report):
        self.heard.append(report.waiting)

    def stuck(self, report):
        self.heard.append(report.kind)

    def read_input(self):
        return b"x" * wire.INPUT_PIECE

    def record(self, record):
        if record.rows == b"nonsense":
            raise wire.WireError("no record")
        self.heard.append((record.state, record.rows))


class Desk:
    """One host, and what becomes of it."""

    def __init__(self, code):
        self.host = WarmHost(start_host(code))
        self.listener = Listener()

    def turn(self):
        """Wait until something happens, and take it in as a loop does."""
        host, poll = self.host, select.poll()
        process = host.process
        poll.register(process.events, select.POLLIN)
        poll.register(process.control, select.POLLIN | (select.POLLOUT if host.connection.unsent else 0))
        poll.register(process.pidfd, select.POLLIN)
        ready = dict(poll.poll(60_000))
        assert ready, "nothing happens"
        if ready.get(process.control.fileno(), 0) & select.POLLOUT:
            host.connection.flush()
        if ready.get(process.control.fileno(), 0) & select.POLLIN:
            host.hear_control()
        if process.events.fileno() in ready and not host.is_gone:
            host.hear_events()
        if (process.pidfd in ready or host.connection.is_over) and not host.is_gone:
            host.lost()

    def until_ready(self):
        while not (self.host.is_free or self.host.is_gone):
            self.turn()

    def run(self, seconds=None, calls=None):
        """Give it a program; how that has ended."""
        self.until_ready()
        self.host.give(START, self.listener, seconds, calls)
        return self.ending()

    def ending(self):
        """How the next program has ended, or that it was not begun."""
        while not self.host.endings:
            self.turn()
        listener, ending = self.host.endings.popleft()
        assert listener is self.listener
        return ending


@pytest.fixture
def desk():
    desks = []

    def make(code):
        desks.append(Desk(code))
        return desks[-1]

    yield make
    for one in desks:
        one.host.close()


def test_programs_one_after_another(desk):
    it = desk(HELLO + "send(wire.Output(1, b'one'))\n" + END + "receive(); send(wire.Notice('two'))\n" + END + FOREVER)
    first = it.run()
    assert (first.ended, first.used.cpu, first.used.memory) == (wire.TreeEnded(exited=False, status=0), 5, 7)
    assert first.nanoseconds == 9
    assert it.host.is_free
    second = it.run()
    assert second is not first
    assert it.listener.heard == ["started", (1, b"one"), "started", "two"]
    assert it.host.programs == 2


@pytest.mark.parametrize(
    "code",
    [
        "send(wire.Output(3, b'x'))",
        "send(wire.RootEnded('returned', 0))",
        "send(wire.Notice('one'), wire.Notice('two'))",
        "send(wire.Exceeded('cpu', 1, 2))",
        "send(wire.Hello(wire.VERSION))",
        f"send({USED}, {USED})",
        "send(wire.Used(0, 0, 0, (b'nonsense',), True, True))",
        "send(wire.Deadlocked(1, (b'nonsense',)))",
        "events.sendall(b'nonsense')",
        "control.sendall(b'nonsense')",
        "while True: send(wire.WantInput())",
        "while True: send(wire.Call(1, 'f', b''))",
        "send(wire.Record(1, b'nonsense'))",
        "send(wire.Trace((), b''))",
        "send(wire.Seen(1, 1, 1, 1, 1, 1, 1, 1, ()))",
    ],
)
def test_a_host_that_breaks_the_protocol_is_ended_and_so_is_its_program(desk, code):
    it = desk(HELLO + code + FOREVER)
    ending = it.run()
    assert isinstance(ending.death, HostProtocolError)
    assert ending.ended is None
    assert it.host.is_gone
    assert it.host.process.wait(60) is not None


@pytest.mark.parametrize(
    "code",
    [
        "send(wire.Output(1, b'x'))",
        "send(wire.TreeEnded(False, 0))",
        f"send({USED})",
        "send(wire.Record(1, b'x'))",
        "send(wire.Trace((), b''))",
    ],
)
def test_what_is_said_of_no_program_ends_the_host(desk, code):
    it = desk(HELLO + END + code + FOREVER)
    ending = it.run()
    while not it.host.is_gone:
        it.turn()
    assert not it.host.endings
    assert ending.death is None
    assert isinstance(it.host.death, HostProtocolError)


def test_records_are_those_of_the_program_that_runs(desk):
    it = desk(
        HELLO + "send(wire.Record(1, b'a'), wire.Output(1, b'b'), wire.Record(2, b'c'))\n" + END
        + "receive(); send(wire.Record(1, b'd'))\n" + END + FOREVER
    )  # fmt: skip
    assert it.run().death is None
    assert it.listener.heard == ["started", (1, b"a"), (1, b"b"), (2, b"c")]
    assert it.run().death is None
    assert it.listener.heard[4:] == ["started", (1, b"d")]


ENDS = "wire.TreeEnded(False, 0)"


def given_ahead(desk, code):
    """A host that was given three programs at once."""
    it = desk("send(wire.Hello(wire.VERSION)); receive(); receive(); receive()\n" + code)
    it.until_ready()
    for _ in range(3):
        assert it.host.has_room
        it.host.give(START, it.listener, None)
    assert (it.host.ahead, it.host.is_free, it.listener.heard) == (2, False, ["started"])
    return it


def test_programs_that_were_given_ahead_have_their_turns_one_after_another(desk):
    it = given_ahead(desk, f"send({USED}, {ENDS}, wire.Output(1, b'two'), {USED}, {ENDS}, {USED}, {ENDS})" + FOREVER)
    assert [it.ending().ended is not None for _ in range(3)] == [True] * 3
    assert it.listener.heard == ["started", "started", (1, b"two"), "started"]
    assert it.host.is_free


@pytest.mark.parametrize("last", ["os._exit(3)", "send(wire.Notice('1'), wire.Notice('2'))" + FOREVER])
def test_only_the_program_whose_turn_it_is_dies_with_its_host(desk, last):
    it = given_ahead(desk, f"send({USED}, {ENDS}); {last}")
    assert it.ending().ended is not None
    assert it.ending().death is not None
    assert not it.ending().was_begun
    assert it.host.programs == 2


@pytest.mark.parametrize(
    "last",
    [f"send(wire.Used(9, 5, 7, (), True, False), {ENDS})", "send(wire.Stuck('cpu', 'too long', 'a.lus', True, 1))"],
)
def test_a_host_that_does_not_stay_begins_nothing_of_what_it_has_ahead(desk, last):
    it = given_ahead(desk, last + FOREVER)
    assert [it.ending().was_begun for _ in range(3)] == [True, False, False]
    assert it.host.is_gone
    assert not it.host.has_room


@pytest.mark.parametrize("count", [0, 1, 2])
def test_what_was_not_begun_is_given_back(desk, count):
    ends = f", {USED}, {ENDS}" * (3 - count)
    it = given_ahead(desk, f"receive(); send(wire.Recalled({count}){ends})" + FOREVER)
    it.host.recall()
    it.host.recall()
    assert not it.host.has_room
    endings = [it.ending() for _ in range(3)]
    assert sum(not ending.was_begun for ending in endings) == count
    assert it.host.is_free
    assert it.host.programs == 3 - count


def test_an_end_may_be_heard_before_what_was_given_back_sooner(desk):
    it = given_ahead(desk, f"receive(); send({USED}, {ENDS}); receive(); send(wire.Recalled(2))" + FOREVER)
    it.host.recall()
    endings = [it.ending()]
    it.host.connection.send(wire.Recall())  # what it waits for
    endings += [it.ending(), it.ending()]
    assert [ending.was_begun for ending in endings] == [True, False, False]
    assert it.host.is_free


def test_what_was_heard_of_is_not_given_back(desk):
    said = f"{USED}, {ENDS}, wire.Output(1, b'2')"
    it = given_ahead(desk, f"receive(); send({said}); receive(); send(wire.Recalled(2))" + FOREVER)
    it.host.recall()
    assert it.ending().was_begun
    while len(it.listener.heard) < 3:
        it.turn()
    it.host.connection.send(wire.Recall())
    assert [it.ending().was_begun for _ in range(2)] == [True, False]
    assert isinstance(it.host.death, HostProtocolError)


@pytest.mark.parametrize("count", [-1, 3])
def test_a_host_that_gives_back_what_it_was_not_given_is_ended(desk, count):
    it = given_ahead(desk, f"receive(); send(wire.Recalled({count}))" + FOREVER)
    it.host.recall()
    assert [it.ending().was_begun for _ in range(3)] == [True, False, False]
    assert isinstance(it.host.death, HostProtocolError)


def test_nothing_is_recalled_of_a_host_that_has_nothing_ahead(desk):
    it = desk(HELLO + "send(wire.Recalled(0))" + FOREVER)
    it.until_ready()
    it.host.give(START, it.listener, None)
    it.host.recall()
    assert not it.host.is_recalling
    assert isinstance(it.ending().death, HostProtocolError)


def test_a_host_of_another_version_is_no_host(desk):
    it = desk("send(wire.Hello(wire.VERSION + 1))" + FOREVER)
    it.until_ready()
    assert it.host.is_gone
    assert "another version" in str(it.host.death)


@pytest.mark.parametrize("used", ["", "wire.Used(9, 5, 7, (), True, False), "])
def test_a_host_that_does_not_stay_takes_no_further_program(desk, used):
    it = desk(HELLO + f"send({used}wire.TreeEnded(True, 3))" + FOREVER)
    assert it.run().ended == wire.TreeEnded(exited=True, status=3)
    assert it.host.is_gone
    assert it.host.death is None


def test_a_step_that_does_not_end_ends_the_host(desk):
    it = desk(HELLO + "send(wire.Stuck('cpu', 'too long', 'a.lus', True, 1))" + FOREVER)
    assert it.run().ended is not None
    assert it.listener.heard == ["started", "cpu"]
    assert it.host.is_gone
    assert it.host.process.wait(60) is not None


def test_the_last_words_of_a_host_come_before_its_death(desk):
    it = desk(
        HELLO + "send(wire.Output(1, b'last')); print('a fault', flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ending = it.run()
    assert isinstance(ending.death, HostDiedError)
    assert it.listener.heard == ["started", (1, b"last")]
    assert ending.death.diagnostics == b"a fault\n"


def test_the_death_of_a_host_before_it_is_ready(desk):
    it = desk("os._exit(3)")
    it.until_ready()
    assert it.host.is_gone
    assert not it.host.is_ready
    assert "exited with status 3" in str(it.host.death)


def test_a_program_that_is_not_over_in_time(desk):
    it = desk(HELLO + FOREVER)
    it.until_ready()
    it.host.give(START, it.listener, 0.0)
    it.host.keep_time()
    assert isinstance(it.ending().death, OverdueError)
    assert it.host.is_gone


def test_a_call_is_refused_and_goes_on(desk):
    it = desk(
        HELLO + "send(wire.Call(1, 'f', b'')); reply = receive(); send(wire.Output(1, reply.payload))\n" + END + FOREVER
    )
    it.run()
    assert it.listener.heard[1][1].startswith(b"there is no function host.f")


class Callees:
    """Replies to calls one after another, each when the next one comes."""

    def __init__(self):
        self.bell, self.ringer = os.pipe2(os.O_CLOEXEC)
        self.begun = []

    def fileno(self):
        return self.bell

    def begin(self, call):
        self.begun.append(call)

    def take_reply(self):
        if len(self.begun) < 2:
            return None
        return wire.Reply(self.begun.pop(0).call, ok=True, payload=b"done")

    def close(self):
        os.close(self.bell)
        os.close(self.ringer)


@pytest.fixture
def callees():
    callees = Callees()
    yield callees
    callees.close()


def test_calls_are_carried_out_by_who_came_with_the_program(desk, callees):
    call = "send(wire.Call({}, 'f', b'')); "
    it = desk(
        HELLO
        + call.format(7)
        + call.format(9)
        + "reply = receive(); send(wire.Output(1, b'%d ' % reply.call + reply.payload))\n"
        + END
        + "receive(); "
        + call.format(1)
        + "reply = receive(); send(wire.Output(1, reply.payload))\n"
        + END
        + FOREVER
    )
    it.until_ready()
    assert it.host.reply_fd is None
    it.host.give(START, it.listener, None, CallRouter(callees, 1 << 20))
    assert it.host.reply_fd == callees.bell
    it.ending()
    assert it.host.reply_fd is None
    assert it.listener.heard == ["started", (1, b"7 done")]
    it.host.send_replies()  # what was called before concerns nobody any more
    # Of the next program's calls nobody carries out any.
    it.run()
    assert it.listener.heard[3][1].startswith(b"there is no function host.f")


@pytest.mark.parametrize(
    "code",
    [
        "send(wire.Call(2, 'f', b''), wire.Call(2, 'f', b''))",
        "send(wire.Call(2, 'f', b''), wire.Call(1, 'f', b''))",
        "for i in range(1, 100_000): send(wire.Call(i, 'f', b'x' * 1000))",
    ],
)
def test_a_host_that_lies_about_calls_is_ended(desk, callees, code):
    callees.take_reply = lambda: None
    it = desk(HELLO + code + FOREVER)
    ending = it.run(calls=CallRouter(callees, 1 << 20))
    assert isinstance(ending.death, HostProtocolError)
    assert len(callees.begun) < 5000


def test_no_reply_is_taken_for_a_host_that_does_not_read(desk, callees):
    """Nor is one waited for meanwhile, so that the loop can wait for something else."""
    calls = "for i in range(1, 11): send(wire.Call(i, 'f', b''))"
    it = desk(HELLO + calls + FOREVER.replace("receive()", "time.sleep(60)"))
    callees.take_reply = lambda: (
        wire.Reply(callees.begun.pop(0).call, ok=True, payload=bytes(wire.REPLY_LIMIT)) if callees.begun else None
    )
    it.until_ready()
    it.host.give(START, it.listener, None, CallRouter(callees, 1 << 20))
    while not callees.begun:
        it.turn()
    assert it.host.connection.is_swamped
    assert it.host.reply_fd is None
    left = len(callees.begun)
    it.host.send_replies()
    assert len(callees.begun) == left
