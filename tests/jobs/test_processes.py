"""What is left of jobs when the program that has them ends in any way, or forks."""

import signal
import subprocess
import sys
import textwrap

import psutil
import pytest

from .conftest import PATIENCE

BEGIN = """
import os, signal, sys, threading
import luspool
begun = threading.Event()
runtime = luspool.Runtime({functions}, jobs=1)
job = runtime.submit("main.lus", source="worker.message(1) while true do end")
waiting = runtime.submit("main.lus", source="")
assert job.receive(60) == 1
"""


def program(code, functions="None"):
    """A Python program with a job that runs for ever and one that waits, to be ended by the test."""
    text = BEGIN.replace("{functions}", functions) + textwrap.dedent(code)
    command = [sys.executable, "-W", "error", "-c", text]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def hosts_of(process):
    return psutil.Process(process.pid).children(recursive=True)


def all_gone(processes):
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE)
    return not alive


@pytest.mark.parametrize(
    "ending",
    [
        "",
        "sys.exit(0)",
        "job.cancel()\ndel job, waiting, runtime",
        "threading.Thread(target=lambda: None).start()",
    ],
)
def test_a_program_that_ends_without_closing_leaves_nothing_and_says_nothing(ending):
    with program(f"print('ready', flush=True)\nsys.stdin.readline()\n{ending}\n") as process:
        assert process.stdout.readline() == "ready\n"
        hosts = hosts_of(process)
        assert hosts
        out, err = process.communicate("\n", timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "", "")
    assert all_gone(hosts)


def test_a_program_that_is_killed_takes_its_hosts_with_it():
    with program("print('ready', flush=True)\nsys.stdin.readline()\n") as process:
        assert process.stdout.readline() == "ready\n"
        hosts = hosts_of(process)
        process.kill()
        process.communicate(timeout=PATIENCE)
    assert hosts
    assert all_gone(hosts)


def test_an_interrupt_reaches_who_waits_and_the_jobs_go_on():
    code = """
    try:
        print("ready", flush=True)
        job.result()
    except KeyboardInterrupt:
        print(job.status, flush=True)
    job.cancel()
    print(waiting.result(60).kind)
    runtime.close()
    """
    with program(code) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "running\nreturned\n", "")


def test_a_child_that_is_forked_has_nothing_of_the_jobs_and_does_them_no_harm():
    code = """
    runtime.submit("main.lus", source="")
    before = len(os.listdir("/proc/self/fd"))
    def asks(call):
        try:
            call()
        except luspool.ClosedError as error:
            assert "forked" in str(error), error
        else:
            raise AssertionError("no error")
    pid = os.fork()
    if not pid:
        asks(job.receive)
        asks(job.result)
        asks(job.cancel)
        asks(lambda: job.send(1))
        asks(lambda: runtime.submit("main.lus", source=""))
        runtime.close()
        with luspool.Runtime(jobs=1) as own:
            assert own.submit("main.lus", source="print(1)").result(60).stdout == b"1\\n"
        # Of the parent's, no host's sockets, pipes or process is open here.
        kinds = [os.readlink(f"/proc/self/fd/{fd}") for fd in range(3, 100) if os.path.exists(f"/proc/self/fd/{fd}")]
        kinds = [kind for kind in kinds if not kind.startswith("/")]
        assert not kinds, kinds
        if not os.fork():
            sys.exit(0)
        assert os.wait()[1] == 0
        sys.exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert job.status == "running"
    job.cancel()
    assert waiting.result(60).kind == "returned"
    runtime.close()
    """
    with program(code) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_function_that_never_returns_keeps_nobody_from_ending():
    code = """
    job.cancel()
    runtime.submit("main.lus", source="host.never()", pledges=["host"])
    assert begun.wait(60)
    """
    functions = "{'never': lambda: (begun.set(), threading.Event().wait())}"
    with program(code, functions) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "", "")
