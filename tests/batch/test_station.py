"""A station as its machine's Ray would call it, here without Ray; and what keeps one from being opened."""

import json
import os
import re
import sys
import threading

import pytest

from luspool import __version__
from luspool.batch.cluster.connection import python_version
from luspool.batch.cluster.dealer import Interruption
from luspool.batch.cluster.doorstep import doorstep
from luspool.batch.cluster.letters import Orders, pack_tasks, unpack_report
from luspool.batch.cluster.station import open_station
from luspool.batch.item import Item
from luspool.batch.outcome import Status
from luspool.batch.plan import Planner
from luspool.batch.rights import Grants

PATIENCE = 60


def orders(directory, lanes=1, **fields):
    settings = {"threads": 1, "slice_nanoseconds": 10**7, "tasks_per_host": 100, "output_kept": 100, **fields}
    return Orders(str(directory), lanes, variables=(), **settings).pack()


class Desk:
    def __init__(self, directory, lanes=1, **fields):
        self.directory = directory
        self.station, problem = open_station(orders(directory, lanes, **fields))
        assert problem == ""
        self.exchanges = 0

    def exchange(self, *sources, gather=0.0, patience=PATIENCE, limits=None):
        """Give it scripts, numbered from 1 in each exchange."""
        planner = Planner(Grants((), (), None, limits or {}), strict_globals=False, wall="")
        tasks = []
        for number, source in enumerate(sources, 1):
            self.directory.joinpath(f"{number}.lus").write_text(source, encoding="utf-8")
            tasks.append(planner.plan(number, Item(f"{number}.lus")).task)
        self.exchanges += 1
        return unpack_report(self.station.exchange(self.exchanges, pack_tasks(tasks), gather, patience), 100)


@pytest.fixture
def desk(request, tmp_path):
    desk = Desk(tmp_path, getattr(request, "param", 1))
    yield desk
    desk.station.close()


def test_what_has_ended_is_reported_with_what_runs(desk):
    report = desk.exchange("print(1)", "while true do end")
    assert [(done.number, done.outcome.stdout) for done in report.done] == [(1, b"1\n")]
    report = desk.exchange(patience=0.05)
    assert report.done == ()
    ((number, seconds),) = report.running
    assert number == 2
    assert 0 < seconds <= report.spent + PATIENCE


def test_small_tasks_are_reported_together(desk):
    report = desk.exchange(*["print(1)"] * 50, gather=PATIENCE)
    assert [done.number for done in report.done] == list(range(1, 51))


@pytest.mark.parametrize("gives_ahead", [True, False])
def test_hosts_have_tasks_ahead_where_that_was_ordered(tmp_path, gives_ahead):
    desk = Desk(tmp_path, gives_ahead=gives_ahead)
    try:
        report = desk.exchange("while true do end", "print(2)", patience=0.05)
        while not report.running:
            report = desk.exchange(patience=0.05)
        assert any(lane.host.ahead for lane in desk.station._engine._lanes) == gives_ahead
    finally:
        desk.station.close()


def test_the_output_is_cut_as_it_was_ordered(desk):
    (done,) = desk.exchange("print(('x'):rep(1000))").done
    assert (len(done.outcome.stdout), done.outcome.stdout_size) == (100, 1001)


@pytest.mark.parametrize("what", [Interruption.RECALL, Interruption.CANCEL])
def test_an_interruption_that_comes_first_counts_for_its_exchange(desk, what):
    desk.station.interrupt(1, what)
    report = desk.exchange("while true do end", "print(2)", "print(3)")
    back = {done.number for done in report.done if done.outcome is None}
    assert {2, 3} <= back <= {1, 2, 3}  # no host was ready yet


def test_an_interruption_ends_an_exchange_and_not_the_next_one(desk):
    desk.exchange("while true do end", patience=0.0)
    while not desk.exchange(patience=0.05).running:
        pass  # its host is on its way
    stop = threading.Timer(0.1, desk.station.interrupt, (desk.exchanges + 1, Interruption.REPORT))
    stop.start()
    assert desk.exchange().done == ()
    stop.join()
    desk.station.interrupt(desk.exchanges, Interruption.CANCEL)  # it is too late
    assert desk.exchange(patience=0.05).done == ()
    desk.station.interrupt(desk.exchanges + 1, Interruption.CANCEL)
    assert [done.outcome.status for done in desk.exchange().done] == [Status.CANCELLED]


def test_what_holds_for_all_is_told(desk, monkeypatch):
    monkeypatch.setenv("LUSPOOL_PREEMPTION", "nonsense")
    report = desk.exchange("print(1)")
    assert "LUSPOOL_PREEMPTION is 'nonsense'" in report.problem
    assert report.is_usage


# --- audit logs -------------------------------------------------------------------------------------------------------


@pytest.fixture
def audited(tmp_path):
    desk = Desk(tmp_path, is_audited=True)
    yield desk
    desk.station.close()


def words(lines):
    """Of the lines of a log, in short."""
    return [(record["type"], record.get("value")) for record in map(json.loads, lines.splitlines())]


def test_a_log_goes_along_with_the_end_of_its_task(audited):
    report = audited.exchange("pcall(os.getenv, 'A')", "print(2)", gather=PATIENCE)
    assert [done.outcome.audit for done in report.done] == ["", ""]
    first, second = report.logs
    assert words(first.lines) == [
        ("header", None),
        ("state", None),
        ("decision", "A"),
        ("end", None),
        ("footer", None),
    ]
    assert json.loads(first.lines.splitlines()[0])["run"] == first.run
    assert (first.number, second.number) == (1, 2)
    assert audited.exchange(patience=0.0).logs == ()


def test_the_log_of_what_runs_is_sent_in_pieces(audited):
    lines, run = b"", set()
    report = audited.exchange("pcall(os.getenv, 'A') while true do end", patience=0.0, limits={"cpu": 10**9})
    while not report.done:
        report = audited.exchange(patience=0.1)
        lines += b"".join(piece.lines for piece in report.logs)
        run |= {piece.run for piece in report.logs}
    assert len(run) == 1
    assert words(lines)[0] == ("header", None)
    assert words(lines)[-1] == ("footer", None)
    assert ("decision", "A") in words(lines)


def test_a_large_log_does_not_wait_for_its_end(audited, monkeypatch):
    audited.station._logs._many = 100_000
    source = "for i = 1, math.huge do pcall(os.getenv, 'A' .. i) end"
    for turn in range(3):
        report = audited.exchange(*[source] * (turn == 0))
        assert report.done == ()
        (piece,) = report.logs
        assert len(piece.lines) >= 100_000
    audited.station.interrupt(4, Interruption.CANCEL)
    (done,) = audited.exchange().done
    assert done.outcome.status is Status.CANCELLED


# --- beginning --------------------------------------------------------------------------------------------------------


def test_a_station_is_opened_where_the_same_luspool_is(tmp_path):
    step = doorstep()()
    assert step.begin(__version__, python_version(), orders(tmp_path)) == ""
    assert os.getcwd() == str(tmp_path)
    step.station.close()


@pytest.mark.parametrize(
    ("version", "python", "problem"),
    [
        ("9.9.9", python_version(), rf"has luspool {__version__}, and this is 9\.9\.9: the same is needed"),
        (__version__, "2.7", rf"has Python {python_version()}, and this is 2\.7: the same is needed"),
    ],
)
def test_another_version_is_told(tmp_path, version, python, problem):
    assert re.search(problem, doorstep()().begin(version, python, orders(tmp_path)))


def test_a_luspool_that_can_not_run_there_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "luspool.batch.cluster.station", None)
    said = doorstep()().begin(__version__, python_version(), orders(tmp_path))
    assert f"(install {__version__} there, from a clone)" in said


def test_a_directory_that_is_not_there_is_told(tmp_path):
    said = doorstep()().begin(__version__, python_version(), orders(tmp_path / "none"))
    assert f"cannot change to the working directory {tmp_path}/none: No such file or directory" in said
