"""`luspool batch --engine ray` as a user meets it."""

import json
import os
import signal
import subprocess
import tempfile

import pytest

from ..cli.conftest import PATIENCE
from ..gone import wait_until_gone
from .test_command import READ, WAITS, ended, export, read_until, started

OWN = ("--engine", "ray", "-j", "2", "--ray-jobs", "1")


@pytest.fixture
def ray(ray_server, luspool):
    """The flags for the cluster of all tests."""
    address, environment = ray_server.ask("address")
    luspool.environment.update(environment)
    return ("--engine", "ray", "--address", address)


@pytest.fixture
def folder(luspool):
    """Where a cluster of the command's own leaves its files while it is there."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="lus") as folder:
        luspool.environment["TMPDIR"] = folder
        yield folder
        assert os.listdir(folder) == []


def wait_for_the_end(luspool):
    """Of all processes that were ever started there. (Who reaps orphans may take its time: that is not waited for.)"""
    wait_until_gone(luspool.processes, PATIENCE)


@pytest.mark.usefixtures("folder")
def test_a_batch_has_a_cluster_of_its_own_and_leaves_nothing(luspool):
    luspool.write(a="print(io.read())", b="error('boom')", c="print(2)")
    items = "\n".join(json.dumps({"script": f"{name}.lus", "stdin": "in\n"}) for name in "abc")
    done = luspool("batch", "--items", "-", *OWN, "--json", "--results", "out", input=items)
    assert luspool.processes() == []
    assert done.returncode == 1
    assert sorted(json.loads(line)["script"] for line in done.stdout.splitlines()) == ["a.lus", "b.lus", "c.lus"]
    assert all(line.startswith(("luspool: ", "  ")) for line in done.stderr.splitlines()), done.stderr
    assert [(record["status"], record["stdout"]) for record in export(luspool)] == [
        ("completed", "in\n"),
        ("failed", ""),
        ("completed", "2\n"),
    ]
    assert luspool.directory.joinpath("out/1/stdout").read_text(encoding="utf-8") == "in\n"
    assert "item 2, b.lus: boom" in done.stderr


@pytest.mark.usefixtures("folder")
def test_a_command_that_is_killed_leaves_no_cluster(luspool):
    process = started(luspool, *OWN)
    process.kill()
    process.communicate()
    wait_for_the_end(luspool)


def test_the_first_ctrl_c_lets_what_runs_come_to_its_end(luspool, ray):
    process = started(luspool, *ray)
    process.send_signal(signal.SIGINT)
    read_until(process.stderr, "interrupted: ")
    luspool.directory.joinpath("go").touch()
    assert "--resume goes on" in process.stderr.read().decode()
    assert ended(process) == 130
    assert [record["status"] for record in export(luspool)] == ["completed", "completed", "pending", "pending"]


@pytest.mark.parametrize("numbers", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM,)])
def test_the_second_ctrl_c_and_other_signals_end_everything(luspool, ray, numbers):
    process = started(luspool, *ray)
    for number in numbers:
        process.send_signal(number)
        read_until(process.stderr, "interrupted: ")
    said = process.stderr.read().decode()
    assert ended(process) == 128 + numbers[0]
    assert all(line.startswith(("luspool: ", "  ")) for line in said.splitlines()), said
    first, *others = (record["status"] for record in export(luspool))
    assert first == "completed"
    assert set(others) <= {"cancelled", "pending"}


def test_a_ray_worker_that_is_killed_costs_no_item(luspool, ray, ray_server):
    luspool.write(a=WAITS, b=WAITS, c="print('c')")
    process = luspool.start(
        "batch", "a.lus", "b.lus", "c.lus", *ray, "-j", "2", "--ray-jobs", "1", *READ, stdin=subprocess.DEVNULL
    )
    while not (workers := ray_server.ask("hosts")):
        assert process.poll() is None
    os.kill(workers[0], signal.SIGKILL)
    read_until(process.stderr, "a Ray worker was lost")
    luspool.directory.joinpath("go").touch()
    process.communicate()
    assert process.returncode == 0
    assert [(record["status"], record["crashes"]) for record in export(luspool)] == [("completed", 0)] * 3


def test_a_command_that_is_killed_is_resumed(luspool, ray):
    process = started(luspool, *ray)
    process.kill()
    process.communicate()
    wait_for_the_end(luspool)
    luspool.directory.joinpath("go").touch()
    done = luspool("batch", "first.lus", "a.lus", "b.lus", "c.lus", "--resume", "-q", *READ, *ray)
    assert done.returncode == 0
    assert [record["status"] for record in export(luspool)] == ["completed"] * 4


def test_what_runs_on_the_cluster_is_shown_by_its_items(luspool, ray):
    process = started(luspool, *ray)
    while not (seen := json.loads(luspool("top", "--json", str(process.pid)).stdout))["running"]:
        assert process.poll() is None
    luspool.directory.joinpath("go").touch()
    assert (seen["hosts"], seen["batch"]["items"], seen["batch"]["done"]) == ([], 4, 1)
    assert [(one["number"], one["script"], one["process"]) for one in seen["running"]] == [(2, "a.lus", None)]
    process.communicate()
    assert process.returncode == 0


def test_audit_logs_come_back_from_the_cluster(luspool, ray):
    luspool.write(a="pcall(os.getenv, 'A')", b="io.open('/etc/passwd')", c="x = = 1")
    done = luspool("batch", "a.lus", "b.lus", "c.lus", "--audit", "logs", "-q", *ray)
    assert done.returncode == 1
    records = [record["audit"] for record in export(luspool)]
    assert sorted(map(str, luspool.directory.resolve().joinpath("logs").rglob("*.*"))) == sorted(records)
    report = luspool("audit", "report", "--json", *records)
    assert [(run["script"], run["denied"], run["status"]) for run in json.loads(report.stdout)["runs"]] == [
        ("a.lus", 1, 0),
        ("b.lus", 1, 77),
        ("c.lus", 0, 126),
    ]
    assert luspool("batch", "a.lus", "b.lus", "c.lus", "--audit", "logs", "--resume", "-q", *ray).returncode == 1
    assert [record["audit"] for record in export(luspool)] == records


@pytest.mark.parametrize(
    ("arguments", "status", "problem"),
    [
        (("--address", "127.0.0.1:1"), 2, "--address and --ray-jobs are for --engine ray"),
        (("--engine", "ray", "--address", "127.0.0.1:1"), 125, "no Ray cluster can be reached at 127.0.0.1:1"),
        (("--engine", "ray", "--address", "ray://127.0.0.1:1"), 2, "ray job submit"),
        (("--engine", "ray", "--address", "somewhere"), 2, "HOST:PORT is expected"),
    ],
)
def test_what_is_wrong_is_told(luspool, arguments, status, problem):
    luspool.write(a="print(1)")
    done = luspool("batch", "a.lus", *arguments)
    assert done.returncode == status
    assert problem in done.stderr
    assert "Traceback" not in done.stderr
