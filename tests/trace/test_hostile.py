"""A supervisor against hosts that send traces, or show their states, as no honest one does."""

import json
import os
from contextlib import ExitStack, nullcontext
from types import SimpleNamespace

import pytest

from luspool.scheduler import wire
from luspool.scheduler.connection import HostError
from luspool.scheduler.limits import Limits
from luspool.scheduler.supervisor import SoleHost, Supervisor
from luspool.scheduler.surroundings import Surroundings
from luspool.top.server import TopServer
from luspool.trace.file import TraceFile

from ..unit.scheduler_fleet.host_script import start_host
from .trace_format import count, read

HELLO = """
from luspool.scheduler.trace_rows import Kind, Row, pack_rows
send(wire.Hello(wire.VERSION)); receive()
def trace(*rows): send(wire.Trace(*pack_rows(rows)))
now = time.monotonic_ns
"""
GOOD = "trace(Row(Kind.BEGAN, now(), 1, 1, text='a.lus'))\n"
END = "send(wire.TreeEnded(False, 0)); receive(); os._exit(0)"
START = wire.Start.of(1, 0, Limits(), b"", traces=True)


def run(code, *, traced=None, onlooker=None):
    listener = SimpleNamespace(started=lambda: None)
    with ExitStack() as opened:
        process = opened.enter_context(start_host(HELLO + code))
        nothing = os.open(os.devnull, os.O_RDONLY)
        opened.callback(os.close, nothing)
        surroundings = Surroundings(nullcontext(), nothing, traced=traced, onlooker=onlooker)
        supervisor = Supervisor(SoleHost(process, START, listener), listener, surroundings)
        supervisor.run()
        supervisor.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trace.json"


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        ("trace(Row(99, now(), 1))", "a row"),
        ("send(wire.Trace((), b'x'))", "1 bytes are no rows"),
        ("trace(Row(Kind.BEGAN, now(), 1, 1))", "begins out of turn"),
        ("trace(Row(Kind.RAN, now(), 1, 1, number=1 << 50))", "a time"),
        ("trace(Row(Kind.READY, 1, 1))", "a time 1 in a trace"),
        ("events.sendall(b't' + (1 << 31).to_bytes(4))", "Trace of 2147483648 bytes"),
    ],
)
def test_a_host_that_sends_no_trace_is_ended_and_the_file_stays_whole(path, lie, why):
    with pytest.raises(HostError, match=why), TraceFile(str(path), {}, [], nullcontext()) as trace:
        run(GOOD + lie + "; receive()", traced=trace)
    events = read(path.read_text())
    assert count(events, ph="b") == count(events, ph="e") == 1


def test_a_trace_that_nobody_has_asked_for_is_refused():
    with pytest.raises(HostError, match="nothing is traced"):
        run(GOOD + "receive()")


def test_what_comes_after_the_end_is_in_the_trace_and_lies_are_not(path):
    late = "send(wire.TreeEnded(False, 0)); receive()\n" + GOOD + GOOD + "os._exit(0)"
    with TraceFile(str(path), {}, [], nullcontext()) as trace:
        run(late, traced=trace)
        trace.finish(0)
    assert count(read(path.read_text()), ph="b") == 1


def seen(number=1):
    return f"send(wire.Seen({number}, 1, 1, 1, 1, 1, 1, 1, ()))\n"


def test_a_host_that_shows_what_nobody_has_asked_for_is_ended():
    with pytest.raises(HostError, match="shows what nobody has asked for"):
        run(seen() + "receive()")
    server = TopServer(dict)
    try:
        with pytest.raises(HostError, match="shows what nobody has asked for"):
            run(seen() + "receive()", onlooker=server)
    finally:
        server.close()


def test_a_trace_lacks_only_its_last_line_while_it_is_written(path):
    with TraceFile(str(path), {}, [], nullcontext()) as trace:
        run(GOOD + END, traced=trace)
        assert json.loads(path.read_text() + "]")
