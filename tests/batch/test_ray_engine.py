"""The engine for Ray with stations that do as a test tells them: which are started, and what their ends mean."""

import os
import signal
import subprocess
import sys

import pytest
from msgspec.structs import replace

from luspool.batch.cluster import engine as module
from luspool.batch.cluster.connection import Cluster, check_ray, why_lost
from luspool.batch.cluster.engine import RayEngine, RayOptions, lanes_of_places
from luspool.batch.cluster.letters import LogPiece, Orders, Report, pack_report, unpack_tasks
from luspool.batch.engine import Done, Task
from luspool.batch.local import LocalOptions
from luspool.batch.outcome import Outcome, Status
from luspool.errors import CannotWriteError, HostFailedError, UsageError
from luspool.permissions import PledgeSet
from luspool.request import Request
from luspool.scheduler.limits import Limits

FINE = Outcome(Status.COMPLETED, 0, stdout=b"out", stdout_size=3)


class Station:
    """Answers at once, unless there is nothing in `answers`."""

    def __init__(self, lanes, answers):
        self.lanes = lanes
        self.answers = answers
        self.held = []
        self.interrupts = []
        self.is_ended = False

    def begin(self, orders, heard):
        self.orders = Orders.unpack(orders)
        heard("" if self.answers is None else self.answers.pop(0))

    def exchange(self, number, tasks, gather, patience, heard):
        self.held += [task.number for task in unpack_tasks(tasks)]
        self.heard = heard
        if self.answers is None:
            self.report()
        elif self.answers:
            heard(self.answers.pop(0))

    def report(self, **fields):
        done = tuple(Done(number, FINE) for number in self.held)
        self.held = []
        self.heard(pack_report(Report(done, (), 0.1, **fields)))

    def interrupt(self, number, what):
        self.interrupts.append((number, what))

    def close(self, heard):
        heard(None)

    def end(self):
        self.is_ended = True


class Machines:
    """A cluster, whose next stations get these answers; when there are none left, they work."""

    is_open = True

    def __init__(self, *answers, processors=(2,)):
        self.answers = list(answers)
        self.counts = list(processors)
        self.stations = []

    def processors(self):
        return self.counts

    def station(self, lanes):
        self.stations.append(Station(lanes, self.answers.pop(0) if self.answers else None))
        return self.stations[-1]


@pytest.fixture
def open_engine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "_PAUSE_LEAST", 0.0)
    fds = os.pipe()
    engines = []

    def open_engine(machines, *, lanes=None, notices=None, **local):
        options = RayOptions(LocalOptions(1, **local), lanes=lanes)
        engines.append(RayEngine(options, machines, fds[0], [].append if notices is None else notices.append))
        return engines[-1]

    yield open_engine
    for engine in engines:
        engine.close()
    for fd in fds:
        os.close(fd)


def submit(engine, *numbers):
    for number in numbers:
        rights = PledgeSet.root([], [])
        request = Request.of(f"{number}.lus", b"", (), rights, strict_globals=False, wall="", environment={})
        engine.submit(Task(number, request, Limits()))


def finish(engine, count):
    done = {}
    while len(done) < count:
        for one in engine.wait(10):
            assert one.number not in done
            done[one.number] = one.outcome
    return done


def test_no_more_stations_are_started_than_there_is_work_for(open_engine):
    machines = Machines(processors=(4, 4, 4))
    engine = open_engine(machines)
    assert engine.wait(0) == []
    assert machines.stations == []
    submit(engine, 1, 2, 3, 4, 5)
    finish(engine, 5)
    assert [station.lanes for station in machines.stations] == [4, 4]
    engine.close()
    assert all(station.is_ended for station in machines.stations)


def test_a_station_is_told_how_to_run_tasks(open_engine, tmp_path, monkeypatch):
    monkeypatch.setenv("LUSPOOL_PREEMPTION", "hook")
    monkeypatch.setenv("SECRET", "x")
    machines = Machines()
    engine = open_engine(machines, threads=3, output_kept=7)
    submit(engine, 1)
    finish(engine, 1)
    orders = machines.stations[0].orders
    assert (orders.directory, orders.lanes, orders.threads, orders.output_kept) == (str(tmp_path), 2, 3, 7)
    assert ("LUSPOOL_PREEMPTION", "hook") in zip(orders.variables[::2], orders.variables[1::2], strict=True)
    assert "SECRET" not in orders.variables


def test_with_results_all_output_comes_here_and_the_files_are_here(open_engine, tmp_path):
    machines = Machines()
    engine = open_engine(machines, output_kept=1, results="out")
    submit(engine, 1)
    assert finish(engine, 1)[1].stdout == b"o"
    assert machines.stations[0].orders.output_kept > 1 << 40
    assert tmp_path.joinpath("out/1/stdout").read_bytes() == b"out"
    assert tmp_path.joinpath("out/1/stderr").read_bytes() == b""


# --- audit logs -------------------------------------------------------------------------------------------------------

RUN, OTHER = "0123456789abcdef", "fedcba9876543210"


def logged(folder):
    """The files beneath a directory, and what is in them."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def logs(tmp_path):
    return tmp_path / "logs"


def one_station(open_engine, logs):
    """An engine, and its only station, which holds tasks 1 and 2."""
    machines = Machines([""])
    engine = open_engine(machines, audits=str(logs))
    submit(engine, 1, 2)
    assert engine.wait(0) == []
    assert machines.stations[0].orders.is_audited
    return engine, machines.stations[0]


def send(station, *pieces, done=()):
    """Have it report so much of logs, and the ends of these tasks."""
    station.held = [number for number in station.held if number not in done]
    logs = tuple(LogPiece(number, run, lines) for number, run, lines in pieces)
    station.heard(pack_report(Report(tuple(Done(number, FINE) for number in done), (), 0.1, logs=logs)))


def test_a_log_is_there_as_soon_as_its_task_is_done_and_whole(open_engine, logs):
    engine, station = one_station(open_engine, logs)
    send(station, (1, RUN, b"one\n"), (2, OTHER, b"begins\n"))
    assert engine.wait(0) == []
    assert list(logs.iterdir()) == [logs / ".unfinished"]
    send(station, (1, RUN, b"two\n"), done=[1])
    path = str(logs / "1" / f"{RUN}.jsonl")
    assert finish(engine, 1) == {1: replace(FINE, audit=path)}
    engine.close()
    assert logged(logs) == {f"1/{RUN}.jsonl": "one\ntwo\n"}


def test_of_a_try_that_was_lost_no_half_log_is_left(open_engine, logs):
    engine, station = one_station(open_engine, logs)
    send(station, (1, RUN, b"half\n"), (2, RUN, b"whole\n"), done=[2])
    station.heard(RuntimeError("gone"))
    outcomes = finish(engine, 2)
    assert outcomes[2].audit == str(logs / "2" / f"{RUN}.jsonl")
    (first, *_) = files = sorted(logged(logs))
    assert outcomes[1].audit == str(logs / first)
    assert len(files) == 2
    assert "half" not in logged(logs)[first]


def test_a_try_that_begins_anew_has_a_log_that_does(open_engine, logs):
    engine, station = one_station(open_engine, logs)
    send(station, (1, RUN, b"half\n"))
    engine.wait(0)
    send(station, (1, OTHER, b"anew\n"), done=[1])
    finish(engine, 1)
    assert logged(logs) == {f"1/{OTHER}.jsonl": "anew\n"}


def test_a_task_of_which_every_station_has_died_has_a_log_that_was_cut_off(open_engine, logs):
    machines = Machines(*(["", RuntimeError("gone")] for _ in range(4)), processors=(1,))
    engine = open_engine(machines, audits=str(logs))
    submit(engine, 1)
    outcome = finish(engine, 1)[1]
    assert outcome.status is Status.CRASHED
    assert list(logged(logs)) == [os.path.relpath(outcome.audit, logs)]
    assert logged(logs).popitem()[1].count("\n") == 1


def test_what_was_never_begun_has_no_log(open_engine, logs):
    engine, station = one_station(open_engine, logs)
    engine.withdraw()
    station.heard(pack_report(Report((Done(1, None), Done(2, FINE)), (), 0.1, logs=(LogPiece(2, RUN, b"x\n"),))))
    assert finish(engine, 2)[1] is None
    assert logged(logs) == {f"2/{RUN}.jsonl": "x\n"}


def test_what_a_command_leaves_that_was_killed_is_removed_by_the_next(open_engine, logs):
    code = f"""
import os, signal
from luspool.batch.cluster.aside import Aside
open(os.path.join(Aside({str(logs / ".unfinished")!r}).path, "1"), "w").close()
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    (left,) = logs.rglob("1")
    engine, station = one_station(open_engine, logs)
    assert not left.exists()
    send(station, (1, RUN, b"half\n"))
    engine.wait(0)
    other = open_engine(Machines(), audits=str(logs))  # which does not touch what belongs to one that runs
    other.close()
    send(station, (1, RUN, b"whole\n"), done=[1])
    finish(engine, 1)
    engine.close()
    assert logged(logs) == {f"1/{RUN}.jsonl": "half\nwhole\n"}
    assert [path.name for path in logs.iterdir()] == ["1"]


def test_a_log_that_can_not_be_written_ends_the_batch(open_engine, logs):
    engine, station = one_station(open_engine, logs)
    logs.joinpath("1").write_text("a file")
    send(station, (1, RUN, b"x\n"), done=[1])
    with pytest.raises(CannotWriteError, match=r"cannot write to .*/logs/1: File exists"):
        finish(engine, 1)


def test_where_no_log_can_be_the_batch_does_not_begin(open_engine, logs):
    logs.write_text("a file")
    with pytest.raises(CannotWriteError, match=r"cannot write to .*/logs.*: Not a directory"):
        open_engine(Machines(), audits=str(logs))


# --- stations that are of no use --------------------------------------------------------------------------------------


def test_a_station_that_dies_is_replaced_and_what_it_had_is_done_once(open_engine):
    notices = []
    machines = Machines(["", RuntimeError("The worker\n died.")], ["", b"nonsense"])
    engine = open_engine(machines, notices=notices)
    submit(engine, 1, 2)
    assert finish(engine, 2) == {1: FINE, 2: FINE}
    assert [station.is_ended for station in machines.stations] == [True, True, False]
    assert notices[0] == "a Ray worker was lost: The worker"
    assert "it said what can't be" in notices[1]


def test_what_a_station_says_after_it_was_given_up_is_heard_by_nobody(open_engine):
    machines = Machines([""])
    engine = open_engine(machines)
    submit(engine, 1)
    engine.wait(0)
    first = machines.stations[0]
    first.heard(RuntimeError("gone"))
    first.report()
    assert finish(engine, 1) == {1: FINE}
    assert len(machines.stations) == 2
    first.heard(RuntimeError("gone again"))
    assert engine.wait(0) == []


def test_where_no_station_can_begin_the_batch_ends(open_engine):
    machines = Machines(["no luspool"], ["no luspool"], ["no luspool"])
    engine = open_engine(machines)
    submit(engine, 1)
    with pytest.raises(HostFailedError, match="no Ray worker can run scripts: no luspool"):
        finish(engine, 1)


def test_machines_that_are_of_no_use_are_left_out(open_engine):
    notices = []
    machines = Machines(["no luspool"], None, ["no luspool"], ["no luspool"], ["no luspool"], processors=(1, 1))
    engine = open_engine(machines, notices=notices)
    submit(engine, *range(1, 100))
    assert len(finish(engine, 99)) == 99
    assert notices == ["a Ray worker was lost: no luspool"]


def test_what_holds_for_all_stations_ends_the_batch(open_engine):
    report = pack_report(Report((), (), 0.0, problem="no such wall", is_usage=True))
    engine = open_engine(Machines(["", report]))
    submit(engine, 1)
    with pytest.raises(UsageError, match="no such wall"):
        finish(engine, 1)


def test_notices_of_hosts_are_told_once(open_engine):
    notices = []
    machines = Machines([""], processors=(1,))
    engine = open_engine(machines, notices=notices)
    for number in (1, 2):
        submit(engine, number)
        engine.wait(0)
        machines.stations[0].report(notices=("no Landlock here",))
        finish(engine, 1)
    assert notices == ["no Landlock here"]


def test_a_cluster_that_has_no_room_is_told(open_engine, monkeypatch):
    monkeypatch.setattr(module, "_PLACED_SECONDS", 0.0)
    notices = []

    class Full(Machines):
        def station(self, lanes):
            station = super().station(lanes)
            station.begin = lambda orders, heard: None
            return station

    engine = open_engine(Full(), notices=notices)
    submit(engine, 1)
    engine.wait(0.01)
    engine.wait(0.01)
    assert notices == ["waiting for a Ray worker: the cluster has no 2 processors free (Ctrl-C gives up)"]


@pytest.mark.parametrize(
    ("processors", "lanes", "of_each", "places"),
    [
        ([2], None, None, [2]),
        ([2], None, 1, [1, 1]),
        ([64], None, None, [16] * 4),
        ([64, 64, 4], None, None, [16] * 8),
        ([4, 4, 16], None, None, [4] * 6),
        ([3], None, 2, [2]),
        ([4], 10, None, [4, 4, 2]),
        ([64], 3, None, [3]),
        ([2], None, 4, [4]),
    ],
)
def test_how_many_lanes_stations_have(processors, lanes, of_each, places):
    assert lanes_of_places(processors, lanes, of_each) == places


def test_a_cluster_without_processors_is_told():
    with pytest.raises(HostFailedError, match="no processors"):
        lanes_of_places([], None, None)


# --- what is wrong with a cluster -------------------------------------------------------------------------------------


def test_ray_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install -e '\.\[ray\]'"):
        check_ray(None)


def test_an_address_from_outside_of_the_cluster_is_told():
    with pytest.raises(UsageError, match="ray job submit"):
        check_ray("ray://head:10001")


@pytest.mark.parametrize(
    ("address", "error", "problem"),
    [
        ("127.0.0.1:1", HostFailedError, "no Ray cluster can be reached at 127.0.0.1:1: .*refused"),
        ("127.0.0.1", UsageError, "HOST:PORT is expected"),
        ("127.0.0.1:x", UsageError, "HOST:PORT is expected"),
        ("127.0.0.1:99999", HostFailedError, "no Ray cluster can be reached at 127.0.0.1:99999"),
    ],
)
def test_an_address_where_nothing_is_is_told(address, error, problem):
    with Cluster(address, 1) as cluster, pytest.raises(error, match=problem):
        cluster.open()


def test_an_error_of_ray_s_is_one_line():
    error = RuntimeError('ray::Doorstep.begin()\nTraceback (most recent call last):\n  File "x", line 1\nboom\nmore')
    assert why_lost(error) == "boom"
    assert why_lost(RuntimeError("")) == "RuntimeError"
    assert len(why_lost(RuntimeError("x" * 1000))) == 300
