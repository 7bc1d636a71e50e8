"""`--wall` on this kernel, and on one that has no Landlock: whole, incomplete, or none, and what is said of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

WITHOUT_LANDLOCK = """
import ctypes, errno, os, struct, sys
from luspool.sandbox.wall import kernel, process
from luspool.sandbox.wall.numbers import architecture

numbers = architecture().numbers
steps = (
    (0x20, 0, 0, 0),  # load the number of the call
    (0x15, 0, 1, numbers["landlock_create_ruleset"]),
    (0x06, 0, 0, 0x00050000 | errno.ENOSYS),
    (0x06, 0, 0, 0x7FFF0000),
)
text = kernel.buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
process.no_new_privileges()
kernel.call(numbers["seccomp"], 1, 0, kernel.buffer(struct.pack("@HP", len(steps), ctypes.addressof(text))))
os.execv(sys.executable, [sys.executable, "-m", "luspool", *sys.argv[1:]])
"""
INCOMPLETE = (
    "luspool: the wall of the operating system {}is incomplete: Landlock: this kernel has none "
    "(Linux 5.13 and newer have it) "
)


@pytest.fixture
def run(tmp_path):
    """What the command says of a script with these options; on a kernel without Landlock, if asked for."""
    script = tmp_path / "main.lus"
    script.write_text("print(worker.receive(worker.create('w.lus')))", encoding="utf-8")
    (tmp_path / "w.lus").write_text("worker.message(42)", encoding="utf-8")

    def start(*options, landlock):
        how = ("-m", "luspool") if landlock else ("-c", WITHOUT_LANDLOCK)
        return subprocess.run(
            [sys.executable, *how, "run", *options, "-P", "load", "-P", "fs:read=.", "main.lus"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return start


@pytest.mark.parametrize("options", [(), ("--wall", "strict"), ("--wall", "best-effort"), ("--wall", "off")])
@pytest.mark.parametrize("hosts", ["1", "2"])
def test_a_whole_wall_is_not_worth_a_word(run, options, hosts):
    done = run(*options, "--hosts", hosts, "--placement", "spread", landlock=True)
    assert (done.stdout, done.stderr, done.returncode) == ("42\n", "", 0)


@pytest.mark.parametrize("hosts", ["1", "2"])
def test_an_incomplete_wall_is_told_once_and_the_program_runs(run, hosts):
    done = run("--hosts", hosts, "--placement", "spread", landlock=False)
    assert done.stderr == INCOMPLETE.format("around scripts ") + "(--wall strict makes it an error)\n"
    assert (done.stdout, done.returncode) == ("42\n", 0)


@pytest.mark.parametrize("hosts", ["1", "2"])
def test_an_incomplete_wall_is_an_error_for_who_asked_for_all_of_it(run, hosts):
    done = run("--wall", "strict", "--hosts", hosts, "--placement", "spread", landlock=False)
    assert done.stderr == INCOMPLETE.format("") + "(--wall best-effort goes on without)\n"
    assert (done.stdout, done.returncode) == ("", 2)


@pytest.mark.parametrize("wall", ["best-effort", "off"])
def test_who_accepts_less_is_told_nothing(run, wall):
    done = run("--wall", wall, landlock=False)
    assert (done.stdout, done.stderr, done.returncode) == ("42\n", "", 0)


def niceness(pid):
    """That of each thread of a process."""
    stats = [path.read_text(encoding="ascii") for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return [int(stat.rpartition(")")[2].split()[16]) for stat in stats]


@pytest.mark.parametrize("wall", ["strict", "off"])
def test_a_thread_that_is_held_by_its_state_steps_back_and_no_other(luspool, wall):
    luspool.write(
        main='local w = worker.create("held.lus") print(worker.receive(w)) io.stdout:flush() while true do end',
        held='worker.message("up") table.sort({ 1, 2, 3 }, function() while true do end end)',
    )
    options = ("--hosts", "1", "--threads", "1", "--wall", wall, "--cpu", "1m", "-P", "load", "-P", "fs:read=.")
    with luspool.start("run", *options, "main.lus") as command:
        assert command.stdout.readline() == b"up\n"
        (host,) = psutil.Process(command.pid).children()
        while 10 not in (found := niceness(host.pid)):
            assert command.poll() is None
            os.sched_yield()
        assert sorted(set(found)) == [0, 10]
        assert found.count(10) == 1
        command.terminate()


def test_the_environment_stands_for_the_option(run, monkeypatch):
    monkeypatch.setenv("LUSPOOL_WALL", "strict")
    assert run(landlock=False).returncode == 2
    assert run("--wall", "off", landlock=False).returncode == 0
    monkeypatch.setenv("LUSPOOL_WALL", "none")
    done = run(landlock=True)
    assert "'none' is not one of 'strict', 'best-effort', 'off'" in done.stderr
    assert done.returncode == 2
