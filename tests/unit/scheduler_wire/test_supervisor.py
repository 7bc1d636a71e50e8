"""The supervisor against hosts of every kind of misbehaviour: real processes that speak, or break, the protocol."""

import os
import signal
import threading
import zlib
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest

from luspool.errors import OverdueError
from luspool.interrupts import Interrupts
from luspool.scheduler import supervisor, wire
from luspool.scheduler.connection import HostProtocolError
from luspool.scheduler.limits import Limits, StateLimits, TreeLimits
from luspool.scheduler.process import HostProcess
from luspool.scheduler.supervisor import HostDiedError, SoleHost, Supervisor, Surroundings
from luspool.scheduler.units import UNLIMITED

from ..scheduler_fleet.host_script import start_host

HELLO = "send(wire.Hello(wire.VERSION)); start = receive()\n"
END = "send(wire.TreeEnded(False, 0)); receive(); os._exit(0)\n"


START = wire.Start.of(1, 10_000_000, Limits(), b"")


class Recorder:
    """A listener that remembers."""

    def __init__(self, chunks: tuple[bytes, ...] = ()) -> None:
        self.heard: list[object] = []
        self.failed = self.deadlocked = self.stuck = self.record = self.heard.append
        self.is_started = False
        self.notices = []
        self._chunks = list(chunks)

    def started(self) -> None:
        self.is_started = True

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def write(self, stream: int, data: bytes) -> None:
        self.heard.append((stream, data))

    def read_input(self) -> bytes:
        return self._chunks.pop(0) if self._chunks else b""


class Blocked(Recorder):
    """A listener whose run has a deadline that is near, and whose output nobody reads."""

    def __init__(self, interrupts: Interrupts) -> None:
        super().__init__()
        self._interrupts = interrupts
        self._unread, self._pipe = os.pipe()

    def started(self) -> None:
        self._interrupts.set_deadline(0.01, "late")

    def write(self, stream: int, data: bytes) -> None:
        with self._interrupts.blocking:
            os.write(self._pipe, data)

    def close(self) -> None:
        os.close(self._unread)
        os.close(self._pipe)


@pytest.fixture(autouse=True)
def _nothing_is_left_behind():
    fds, threads = sorted(os.listdir("/proc/self/fd")), threading.active_count()
    yield
    assert sorted(os.listdir("/proc/self/fd")) == fds
    assert threading.active_count() == threads
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@contextmanager
def host(code: str):
    with start_host(code) as process:
        yield process


def run(code: str, listener: Recorder | None = None, start: wire.Start | None = None) -> SimpleNamespace:
    """What a run on this host gives: its end, what was heard, the host's exit status."""
    listener = listener or Recorder()
    with host(code) as process, open(os.devnull, "rb") as nothing:
        sole = SoleHost(process, start or START, listener)
        supervisor_ = Supervisor(sole, listener, Surroundings(nullcontext(), nothing.fileno()))
        ended = supervisor_.run()
        supervisor_.close()
        return SimpleNamespace(ended=ended, heard=listener.heard, exit_status=process.wait(0))


def test_a_program_is_handed_over_and_its_end_comes_back():
    result = run(HELLO + "send(wire.TreeEnded(True, len(start.program) + start.threads)); receive(); os._exit(9)")
    assert result.ended == wire.TreeEnded(True, 1)
    assert result.exit_status == 9  # it was let go in peace


def test_a_program_larger_than_any_buffer_arrives_whole():
    start = wire.Start.of(2, 0, Limits(), os.urandom(1 << 16) * 64)
    code = HELLO + "import zlib; send(wire.TreeEnded(True, zlib.crc32(start.program))); receive(); os._exit(0)"
    assert run(code, start=start).ended.status == zlib.crc32(start.program)


def test_output_arrives_in_order_and_whole_with_neighbours_joined():
    code = HELLO + 'send(*(wire.Output(s, d) for s, d in [(1, b"a"), (1, b"b"), (2, b"c"), (1, b"d")]))\n' + END
    heard = run(code).heard
    assert b"".join(data for stream, data in heard if stream == 1) == b"abd"
    assert heard[-2:] == [(2, b"c"), (1, b"d")]


def test_reports_come_between_the_outputs_around_them():
    failure = wire.Failed("error", "m", "t", "s", False)
    deadlock = wire.Deadlocked.of(1, [wire.WaitRecord(1, "x:1", "InboxHasMail", b"")])
    code = HELLO + f'send(wire.Output(1, b"a"), wire.{failure!r}, wire.{deadlock!r}, wire.Output(1, b"b"))\n' + END
    assert run(code).heard == [(1, b"a"), failure, deadlock, (1, b"b")]


def test_limits_and_slices_reach_the_host_as_they_are():
    limits = Limits(StateLimits(cpu=UNLIMITED, memory=1), TreeLimits(depth=0))
    code = HELLO + "send(wire.Output(1, repr((start.slice_nanoseconds, start.limits())).encode()))\n" + END
    assert run(code, start=wire.Start.of(1, 5, limits, b"")).heard == [(1, repr((5, limits)).encode())]


def test_a_listener_hears_that_the_program_is_with_a_host_that_is_ready():
    listener = Recorder()
    with pytest.raises(HostDiedError):
        run("os._exit(1)", listener)
    assert not listener.is_started
    run(HELLO + END, listener)
    assert listener.is_started


def test_a_stuck_state_costs_its_host_and_what_was_written_before_is_heard():
    stuck = wire.Stuck("cpu", "m", "s", False, 1)
    code = HELLO + f'send(wire.Output(1, b"before"), wire.{stuck!r}, wire.Output(1, b"after")); signal.pause()'
    result = run(code)
    assert result.heard == [(1, b"before"), stuck]
    assert result.ended == wire.TreeEnded(False, 0)
    assert result.exit_status == -signal.SIGKILL


def test_nothing_is_heard_after_the_end():
    assert run(HELLO + 'send(wire.TreeEnded(False, 0), wire.Output(1, b"x")); receive(); os._exit(0)').heard == []


@pytest.mark.parametrize("code", ["signal.pause()", 'while True: send(wire.Output(1, b"x" * 60_000))'])
def test_a_deadline_ends_a_run_whose_host_does_not_obey(code):
    """Whether the host is silent, or says more than anybody takes."""
    with Interrupts() as interrupts, host(HELLO + code) as process, open(os.devnull, "rb") as nothing:
        listener = Blocked(interrupts)
        surroundings = Surroundings(interrupts.blocking, nothing.fileno())
        supervisor_ = Supervisor(SoleHost(process, START, listener), listener, surroundings)
        with pytest.raises(OverdueError, match="late"):
            supervisor_.run()
        listener.close()


def test_input_is_read_only_when_asked_for_and_once_for_each_time():
    ask = "send(wire.WantInput()); chunks.append(receive().data)\n"
    code = HELLO + "chunks = []\n" + ask + ask + "send(wire.Output(1, b'|'.join(chunks)))\n" + END
    assert run(code, Recorder((b"one", b"two", b"three"))).heard == [(1, b"one|two")]
    untouched = Recorder((b"one",))
    run(HELLO + END, untouched)
    assert untouched.read_input() == b"one"


def test_the_end_of_input_arrives_as_such():
    code = HELLO + "send(wire.WantInput()); send(wire.Output(1, repr(receive()).encode()))\n" + END
    assert run(code).heard == [(1, b"Input(data=b'')")]


@pytest.mark.parametrize(
    ("death", "status"),
    [
        ("os._exit(3)", 3),
        ("os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV),
        ("events.shutdown(socket.SHUT_RDWR); events.close(); signal.pause()", -signal.SIGKILL),
        ("control.shutdown(socket.SHUT_RDWR); control.close(); signal.pause()", -signal.SIGKILL),
    ],
)
def test_last_words_are_heard_before_a_death_is_reported(death, status):
    listener = Recorder()
    with pytest.raises(HostDiedError) as caught:
        run(HELLO + f'send(wire.Output(1, b"last words")); {death}', listener)
    assert caught.value.exit_status == status
    assert listener.heard == [(1, b"last words")]


def test_a_death_with_a_child_that_keeps_the_socket_open_is_seen_all_the_same():
    code = HELLO + "(os.fork() or receive()); os._exit(4)"
    with pytest.raises(HostDiedError) as caught:
        run(code)
    assert caught.value.exit_status == 4


def test_a_death_before_hello_brings_what_the_host_said_of_it():
    with pytest.raises(HostDiedError) as caught:
        run('sys.exit("no such module")')
    assert caught.value.exit_status == 1
    assert caught.value.diagnostics == b"no such module\n"


def test_only_the_end_of_long_diagnostics_is_kept():
    code = "os.write(2, b'x' * 1_000_000); sys.exit('the end')"
    with pytest.raises(HostDiedError) as caught:
        run(code)
    assert caught.value.diagnostics.endswith(b"xthe end\n")
    assert len(caught.value.diagnostics) == 64 * 1024


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("send(wire.Hello(wire.VERSION + 1)); signal.pause()", "another version"),
        ("send(wire.WantInput()); signal.pause()", "another version"),
        (HELLO + "send(wire.Hello(wire.VERSION)); signal.pause()", "Hello twice"),
        (HELLO + "send(wire.Output(3, b'x')); signal.pause()", "stream 3"),
        (HELLO + "send(wire.Stamp(1, 1)); signal.pause()", "Stamp is out of turn"),
        (HELLO + "for _ in range(2): send(wire.Notice('x'))\nsignal.pause()", "Notice is out of turn"),
        (HELLO + "send(wire.Deadlocked(1, (b'x',))); signal.pause()", "broke its protocol"),
        (HELLO + "events.sendall(b'GET / HTTP/1.1'); signal.pause()", "no message of kind 71"),
        (HELLO + "events.sendall(b'O' + bytes([255] * 4)); signal.pause()", "4294967295 bytes"),
    ],
)
def test_a_host_that_breaks_the_protocol_is_reported_at_once(code, fault):
    with pytest.raises(HostProtocolError, match=fault):
        run(code)


def test_a_host_that_never_says_hello_meets_a_deadline(monkeypatch):
    monkeypatch.setattr(supervisor, "HELLO_SECONDS", 0.05)
    with pytest.raises(HostProtocolError, match="not ready"):
        run("signal.pause()")


def test_a_host_that_does_not_close_in_time_is_left_to_its_end(monkeypatch):
    monkeypatch.setattr(supervisor, "SHUTDOWN_SECONDS", 0.01)
    assert run(HELLO + "send(wire.TreeEnded(False, 0)); signal.pause()").exit_status is None


def test_what_a_listener_raises_ends_the_run():
    class Closed(Recorder):
        def write(self, stream: int, data: bytes) -> None:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run(HELLO + "send(wire.Output(1, b'x')); signal.pause()", Closed())


def test_a_host_starts_clean():
    """No descriptor but five, no terminal, a session of its own, nothing on standard input."""
    code = (
        "from luspool.scheduler.process import close_inherited_descriptors\n"
        "close_inherited_descriptors()\n" + HELLO + "fds = [os.readlink(f'/proc/self/fd/{fd}') for fd in range(5)]\n"
        "facts = (sorted(map(int, os.listdir('/proc/self/fd')))[:-1], fds[0], fds[1] == fds[2],"
        " os.getsid(0) == os.getpid(), os.read(0, 1))\n"
        "send(wire.Output(1, repr(facts).encode()))\n" + END
    )
    leaked = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        heard = run(code).heard
    finally:
        os.close(leaked)
    assert heard == [(1, b"([0, 1, 2, 3, 4], '/dev/null', True, True, b'')")]


def test_a_command_that_cannot_be_executed_leaves_nothing_behind(tmp_path):
    with pytest.raises(FileNotFoundError):
        HostProcess.start([str(tmp_path / "python")])


# records ----------------------------------------------------------------------------------------------------------


def test_records_are_passed_on_in_their_order_until_the_host_has_gone():
    result = run(
        HELLO
        + """
send(wire.Record(1, b"a")); send(wire.Output(1, b"b")); send(wire.Record(2, b"c")); send(wire.TreeEnded(False, 0))
send(wire.Record(1, b"d")); receive(); send(wire.Output(1, b"late")); send(wire.Record(1, b"e")); os._exit(0)
"""
    )
    first, second, third, last = (
        wire.Record(state, row) for state, row in ((1, b"a"), (2, b"c"), (1, b"d"), (1, b"e"))
    )
    assert result.heard == [first, (1, b"b"), second, third, last]


@pytest.mark.parametrize("late", [False, True])
def test_records_that_are_none_are_no_records_of_this_run(late):
    def refuse(_record):
        raise wire.WireError("no records")

    strict = Recorder()
    strict.record = refuse
    code = 'send(wire.Record(1, b"x"));'
    if late:
        result = run(HELLO + f"send(wire.TreeEnded(True, 5)); receive(); {code} os._exit(0)", strict)
        assert result.ended == wire.TreeEnded(True, 5)
    else:
        with pytest.raises(HostProtocolError, match="broke its protocol: no records"):
            run(HELLO + code + "signal.pause()", strict)


def test_a_host_that_never_stops_recording_is_heard_for_a_bounded_time(monkeypatch):
    monkeypatch.setattr(supervisor, "SHUTDOWN_SECONDS", 0.2)
    loop = "send(wire.TreeEnded(False, 0)); receive()\nwhile True: send(wire.Record(1, bytes(1000)))"
    result = run(HELLO + loop)
    assert result.ended == wire.TreeEnded(False, 0)
    assert wire.Record(1, bytes(1000)) in result.heard
