"""A fleet against hosts that lie: real processes which keep the protocol, or break it in one point."""

import errno
import os
import re
import select
import time
from contextlib import ExitStack, nullcontext
from types import SimpleNamespace

import pytest

from luspool.scheduler import wire
from luspool.scheduler.blame import USUAL, RestartPolicy
from luspool.scheduler.connection import HostError
from luspool.scheduler.fleet import Fleet, FleetOptions
from luspool.scheduler.limits import Limits
from luspool.scheduler.ring_table import RingTable
from luspool.scheduler.supervisor import Supervisor, Surroundings

from .host_script import start_host

HOST = """
def say(*frames):
    send(wire.Stamp(time.monotonic_ns(), len(frames)), *frames)
def serve(until=None):
    while True:
        message = receive()
        if until is not None and isinstance(message, until):
            return message
        match message:
            case wire.Ping():
                send(wire.Pong(message.number))
            case wire.EndTree():
                say(wire.TreeEnded(False, 0))
            case wire.Shutdown():
                os._exit(0)
def leave():
    say(wire.RootEnded('exited', 5))
    serve()
"""
HELLO = "send(wire.Hello(wire.VERSION)); serve(wire.Start)\n"
ROOT = HELLO + "serve(wire.Run)\n"
OTHER = HELLO + "serve(wire.Join)\n"  # so the root's host will hear of its death
UNTIL_GONE = ROOT + "serve(wire.Gone); leave()"
EXITED = wire.TreeEnded(exited=True, status=5)
START = wire.Start.of(1, 10_000_000, Limits(), b"")
HANG = 0.5


class Listener:
    def __init__(self):
        self.output = b""
        self.deaths = []
        self.failures = []
        self.failed = self.deadlocked = self.stuck = self.failures.append

    def started(self):
        pass

    def write(self, stream, data):
        self.output += data

    def host_died(self, text, details):
        self.deaths.append(text + details.decode())

    def read_input(self):
        return b"ab"


class Run:
    """A fleet of these hosts, in the order of their start; the last one is what dead ones are replaced by."""

    def __init__(self, *codes, listener=None, policy=USUAL, hosts=2, hang_seconds=HANG, onlooker=None):
        self.codes = list(codes)
        self.listener = listener or Listener()
        self.processes = []
        self._options = FleetOptions(hosts, self.start_host, "main.lus", 1 << 20, policy, hang_seconds, onlooker)

    def start_host(self):
        code = self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]
        self.processes.append(start_host(HOST + code))
        return self.processes[-1]

    def __enter__(self):
        self._stack = ExitStack()
        nothing, unused = os.pipe()
        os.write(unused, b"x")  # there is input
        self._stack.callback(os.close, nothing)
        self._stack.callback(os.close, unused)
        first = self._stack.enter_context(self.start_host())
        fleet = self._stack.enter_context(Fleet(first, START, self.listener, self._options))
        self.supervisor = Supervisor(fleet, self.listener, Surroundings(nullcontext(), nothing))
        self.fleet = fleet
        return self

    def __exit__(self, *_):
        self._stack.close()

    def to_its_end(self):
        with self:
            ended = self.supervisor.run()
            self.supervisor.close()
        return ended


ENDS = HELLO + "serve()"


@pytest.mark.parametrize(
    ("lie", "how"),
    [
        ("send(wire.Stamp(time.monotonic_ns(), 3), wire.Output(1, b'a')); serve()", "stopped in the middle of a word"),
        ("events.shutdown(socket.SHUT_RDWR); serve()", "was ended by signal 9"),
        ("say(wire.AskEndBelow(-1)); serve()", "there is no state -1"),
        ("say(wire.Stuck('cpu', 'm', 's', False, 0)); serve()", "there is no state 0"),
        ("send(wire.Output(1, b'a')); serve()", "without a stamp"),
        ("send(wire.Stamp(1 << 62, 1)); serve()", "a stamp of 1 frames"),
        ("send(wire.Stamp(1, 2), wire.Stamp(1, 2)); serve()", "in the middle of an event"),
        ("say(wire.Output(3, b'a')); serve()", "stream 3"),
        ("say(wire.Exceeded('beer', 1, 2)); serve()", "no limit 'beer'"),
        ("say(wire.Stuck('cpu', 'm', 's', True, (1 << 40) + 1)); serve()", "the main script, which is in another host"),
        (
            "say(wire.Output(1, bytes(60_000)), *[wire.Output(1, bytes(60_000))] * 17); serve()",
            "wrote more than it may",
        ),
        ("send(wire.Report(b'x', b'', 0, 0, False)); serve()", "1 bytes are no counts"),
        ("send(wire.Hello(wire.VERSION)); serve()", "Hello twice"),
        ("control.sendall(b'GET / HTTP/1.1'); serve()", "no message of kind 71"),
        ("receive(); signal.pause()", "did not answer for 0.5 s"),
    ],
)
def test_a_host_that_lies_is_ended_and_the_program_goes_on(lie, how):
    run = Run(UNTIL_GONE, OTHER + lie, ENDS)
    assert run.to_its_end() == EXITED
    (death,) = run.listener.deaths
    assert re.search(how, death), death
    assert death.endswith("; another takes its place")


SLOWLY = "    send(wire.Pong(serve(wire.Ping).number), wire.Output(1, b''))\n"


def test_a_host_that_drips_one_word_without_end_is_ended_as_one_that_is_silent_in_it():
    drips = "send(wire.Stamp(time.monotonic_ns(), 1 << 40))\nwhile True:\n" + SLOWLY
    run = Run(UNTIL_GONE, OTHER + drips, ENDS)
    assert run.to_its_end() == EXITED
    assert "stopped in the middle of a word for 0.5 s" in run.listener.deaths[0]


@pytest.mark.parametrize("answer", ["", "say(wire.Deadlocked(0, ())); "])
def test_a_host_that_never_ends_its_part_of_the_program_is_not_waited_for(answer):
    """It answers all questions, or what it was not asked, and the others have ended long ago."""
    run = Run(ROOT + "leave()", OTHER + f"serve(wire.EndTree); {answer}serve()", ENDS)
    assert run.to_its_end() == EXITED
    assert run.processes[1].wait(0) == -9


def test_nobody_is_blamed_for_words_that_have_to_wait_for_those_of_another():
    stops = "serve(wire.EndTree); send(wire.Stamp(1, 2), wire.Output(1, b'x')); serve()"
    run = Run(ROOT + "leave()", OTHER + stops, ENDS, hosts=3)
    assert run.to_its_end() == EXITED
    assert [process.wait(0) for process in run.processes] == [0, -9, 0]


def test_who_writes_faster_than_it_is_read_does_not_keep_the_others_from_being_heard():
    flood = "at = time.monotonic_ns()\nwhile True: send(wire.Stamp(at, 1), wire.AskEndBelow(1))"
    run = Run(ROOT + "serve(wire.EndBelow); say(wire.Output(1, b'here')); leave()", OTHER + flood, ENDS)
    assert run.to_its_end() == EXITED
    assert run.listener.output == b"here"


def test_a_script_of_any_length_can_be_banned():
    stuck = "say(wire.Stuck('cpu', 'm', 's' * 40_000, False, 7)); serve()"
    policy = RestartPolicy(deaths_per_script=1)
    run = Run(ROOT + "serve(wire.Ban); leave()", OTHER + stuck, ENDS, policy=policy)
    assert run.to_its_end() == EXITED


def test_nobody_gives_back_more_input_than_it_got():
    liar = "say(wire.WantInput()); serve(wire.Input); say(wire.AskEndBelow(1)); serve(wire.LeaveInput)\n"
    liar += "say(wire.InputLeft(b'abc')); serve()"
    # All hear of what the liar asks for once it has the input.
    honest = ROOT + "serve(wire.EndBelow); say(wire.WantInput()); serve(wire.Gone); leave()"
    run = Run(honest, OTHER + liar, ENDS)
    assert run.to_its_end() == EXITED
    assert "it gave back 3 bytes of standard input where it had 2" in run.listener.deaths[0]


def test_a_supervisor_that_had_to_wait_itself_blames_nobody():
    class Slow(Listener):
        def write(self, stream, data):
            super().write(stream, data)
            time.sleep(2 * HANG)  # a terminal that takes nothing for a while

    talks = "for i in range(3):\n    say(wire.Output(1, b'x')); send(wire.Pong(serve(wire.Ping).number))\n"
    run = Run(ROOT + talks + "leave()", OTHER + talks + "serve()", listener=Slow())
    assert run.to_its_end() == EXITED
    assert not run.listener.deaths


def test_a_host_may_join_at_the_moment_at_which_another_dies(tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    late = f"open({str(gate)!r}).read()\n" + ENDS
    with Run(UNTIL_GONE, HELLO + "serve()", late, ENDS, hosts=3) as run:
        _, victim, newcomer = run.processes
        while len([member for member in run.fleet._members.values() if member.number]) < 2:
            run.supervisor._turn()
        os.kill(victim.pid, 9)
        gate.write_text("")
        assert select.select([victim.pidfd], [], [], 10)[0]
        assert select.select([newcomer.control], [], [], 10)[0]
        run.supervisor._turn()  # takes in both
        assert run.supervisor.run() == EXITED


def test_dead_hosts_leave_no_descriptors_while_the_program_goes_on():
    held = []

    class Counting(Run):
        def start_host(self):
            held.append(len(os.listdir("/proc/self/fd")))
            return super().start_host()

    policy = RestartPolicy(restarts=1000, first_delay=0.0, longest_delay=0.0)
    root = ROOT + "for i in range(8): serve(wire.Gone)\nleave()"
    run = Counting(root, OTHER + "os._exit(1)", policy=policy)
    assert run.to_its_end() == EXITED
    assert len(held) > 8
    assert max(held[2:]) <= held[2] + 2  # one more that is only being taken in


def test_a_first_host_that_is_never_ready_ends_the_program_with_what_it_said():
    with pytest.raises(HostError, match="to run the main script exited with status 1") as caught:
        Run("sys.exit('no such module')", ENDS).to_its_end()
    assert caught.value.diagnostics == b"no such module\n"


def test_a_host_that_can_not_be_joined_to_the_others_is_replaced_and_the_program_goes_on(monkeypatch):
    def add_host(table, number, real=RingTable.add_host):
        if number == 3 and not failures:
            failures.append(number)
            raise OSError(errno.EMFILE, "no more descriptors")
        return real(table, number)

    failures = []
    monkeypatch.setattr(RingTable, "add_host", add_host)
    root = ROOT + "serve(wire.Gone); serve(wire.Join); leave()"
    run = Run(root, OTHER + "os._exit(1)", ENDS)
    assert run.to_its_end() == EXITED
    assert failures
    first, second = run.listener.deaths
    assert "exited with status 1" in first
    assert "it could not be joined to the others: [Errno 24] no more descriptors" in second


def test_what_a_host_shows_while_it_seems_to_be_late_is_no_fault_of_it(tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    onlooker = SimpleNamespace(seen=[], saw=lambda host, seen: onlooker.seen.append(seen.number))
    shows = OTHER + f"open({str(gate)!r}).read()\n" + "send(wire.Seen(7, 1, 0, 0, 1, 0, 0, 0, ())); serve()"
    with Run(UNTIL_GONE, shows, ENDS, onlooker=onlooker) as run:
        while len([member for member in run.fleet._members.values() if member.number]) < 2:
            run.supervisor._turn()
        (member,) = (one for one in run.fleet._members.values() if one.number == 2)
        gate.write_text("")
        while not onlooker.seen:
            assert select.select([member.connection.process.control], [], [], 10)[0]
            run.fleet._hear(member)
        assert (onlooker.seen, member.how) == ([7], None)
