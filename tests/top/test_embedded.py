"""`luspool top` at a batch, and at programs that run scripts by `luspool.Runtime`."""

import json
import os
import threading

import pytest

import luspool
from luspool.top.client import ask
from luspool.top.meeting import find_places

from ..cli.conftest import luspool as command  # noqa: F401  a fixture

WAITS = "local w = worker.create('w.lus', 1) worker.receive(w)"
WORKER = "while not io.open('go') do end"
"""Until there is a file of this name."""
RIGHTS = ("load", "fs:read=.")


@pytest.fixture(autouse=True)
def _scripts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tmp_path.joinpath("w.lus").write_text(WORKER)


def look_until(condition):
    """What this process shows, once that is so."""
    while True:
        places = [place for place in find_places() if place.pid == os.getpid()]
        seen = [answer for place in places if (answer := ask(place)) is not None]
        if seen and condition(seen):
            return seen


def phases(seen):
    """How many states run and wait in each host. `WAITS` has come to its wait with one of each."""
    return [(host["running"], host["waiting"]) for host in seen["hosts"]]


def all_wait(seen):
    return phases(seen).count((1, 1)) == 2


@pytest.fixture
def started(command):  # noqa: F811
    """Starts a batch, and ends it whatever happens."""
    processes = []

    def start(*arguments):
        processes.append(command.start("batch", *arguments))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()
    while command.processes():  # its hosts have noticed, and end
        os.sched_yield()


def test_a_batch_shows_its_items_and_their_states(command, started, tmp_path):  # noqa: F811
    tmp_path.joinpath("jobs").mkdir()
    for name in ("a", "b"):
        tmp_path.joinpath("jobs", f"{name}.lus").write_text(WAITS)
    process = started("jobs", "-j", "2", "-P", "load", "-P", "fs:read=.")
    while process.pid not in [place.pid for place in find_places()]:
        assert process.poll() is None
    while True:
        seen = json.loads(command("top", "--json", str(process.pid)).stdout)
        if all_wait(seen):
            break
    assert (seen["script"], seen["silent"]) == ("luspool batch jobs", 0)
    assert seen["batch"] == {"items": 2, "done": 0, "failed": 0, "running": 2, "again": 0, "skipped": 0}
    by_process = {host["pid"]: host["shown"] for host in seen["hosts"]}
    assert {task["number"]: task["script"] for task in seen["running"]} == {1: "jobs/a.lus", 2: "jobs/b.lus"}
    for task in seen["running"]:
        root, worker = sorted(by_process[task["process"]], key=lambda state: state["state"])
        assert (root["script"], root["waits_for"], root["awaited"]) == (task["script"], "ChildrenHaveMail", [2])
        assert (worker["script"], worker["phase"]) == ("w.lus", "running")
    text = command("top", str(process.pid)).stdout
    assert text.startswith(f"luspool batch jobs, process {process.pid}, for ")
    assert "\nbatch: 2 items, 2 running\n" in text
    assert ", 1 (jobs/a.lus) for " in text
    assert "waits for a message from its workers (2), jobs/a.lus:1" in text
    tmp_path.joinpath("go").touch()
    process.communicate()
    assert process.returncode == 0


def test_jobs_are_shown_with_what_waits(tmp_path):
    with luspool.Runtime(jobs=2) as runtime:
        jobs = [runtime.submit("job.lus", source=WAITS, pledges=RIGHTS) for _ in range(3)]
        (seen,) = look_until(lambda seen: all_wait(seen[0]))
        assert seen["jobs"] == {"running": 2, "waiting": 1}
        assert {task["script"] for task in seen["running"]} == {"job.lus"}
        assert {task["process"] for task in seen["running"]} == {host["pid"] for host in seen["hosts"]}
        # Who looks at hosts that stay, from one program to the next, disturbs none of them.
        tmp_path.joinpath("go").touch()
        for job in jobs:
            look_until(bool)
            assert job.result(60).status == 0
    assert [place for place in find_places() if place.pid == os.getpid()] == []


def test_runs_of_a_program_are_shown_one_by_one(tmp_path):
    with luspool.Runtime(threads=1) as runtime:
        options = {"source": WAITS, "pledges": RIGHTS}
        threads = [threading.Thread(target=runtime.run, args=(name,), kwargs=options) for name in ("a.lus", "b.lus")]
        for thread in threads:
            thread.start()
        seen = look_until(lambda seen: len(seen) == 2 and all(phases(one) == [(1, 1)] for one in seen))
        assert sorted(one["script"] for one in seen) == ["a.lus", "b.lus"]
        assert all(one["program"] for one in seen)
        tmp_path.joinpath("go").touch()
        for thread in threads:
            thread.join()


def test_a_child_that_is_forked_meets_nobody():
    with luspool.Runtime() as runtime:
        runtime.submit("job.lus", source="print(1)").result(60)
        reading, writing = os.pipe()
        told, telling = os.pipe()
        if (child := os.fork()) == 0:
            os.close(writing)
            os.write(telling, b"!")
            os.read(reading, 1)
            os._exit(0)
        os.close(reading)
        os.read(told, 1)  # it has begun
        assert os.getpid() in [place.pid for place in find_places()]
    assert os.getpid() not in [place.pid for place in find_places()]
    for fd in (writing, told, telling):
        os.close(fd)
    os.waitpid(child, 0)


def test_a_program_may_run_scripts_so_that_nobody_can_look(monkeypatch):
    monkeypatch.setenv("LUSPOOL_TOP", "0")
    with luspool.Runtime() as runtime:
        runtime.submit("job.lus", source="print(1)").result(60)
        assert os.getpid() not in [place.pid for place in find_places()]
