"""The command, of which the supervisor, or the process of the main script, is killed, or memory is taken away."""

import os
import resource
import select
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

import psutil
import pytest

from .rig import alarm, write

FLAGS = ("--hosts", "3", "--threads", "1", "--placement", "spread", "-P", "load", "-P", "fs:read=.")
MAIN = """
local ws = {}
for i = 1, 3 do ws[i] = worker.create("w.lus") end
for i, w in ipairs(ws) do worker.receive(w) end
print("up")
io.read()
"""


@contextmanager
def command(**options):
    """A run whose workers are all up, and descriptors that tell of the ends of its hosts, that of the root first."""
    with (
        alarm(),
        subprocess.Popen(
            [sys.executable, "-m", "luspool", "run", *FLAGS, "main.lus"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        ) as process,
        ExitStack() as stack,
    ):
        stack.callback(process.kill)
        assert process.stdout.readline() == "up\n"
        hosts = sorted(psutil.Process(process.pid).children(), key=lambda host: host.pid)
        assert len(hosts) == 3
        yield process, {host.pid: stack.enter_context(_Descriptor(os.pidfd_open(host.pid))) for host in hosts}


class _Descriptor:
    def __init__(self, fd):
        self.fd = fd

    def __enter__(self):
        return self.fd

    def __exit__(self, *_):
        os.close(self.fd)


def gone_within(seconds, fds):
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    deadline = time.monotonic() + seconds
    left = set(fds)
    while left and (wait := deadline - time.monotonic()) > 0:
        for fd, _ in poll.poll(wait * 1000):
            left.discard(fd)
            poll.unregister(fd)
    return not left


@pytest.mark.parametrize("busy", ["while true do end", "worker.peek()"], ids=["busy", "idle"])
def test_all_hosts_are_gone_a_second_after_their_supervisor_stopped_ones_too(busy):
    write(main=MAIN, w=f"worker.message(1) {busy}")
    with command() as (process, hosts):
        os.kill(list(hosts)[1], signal.SIGSTOP)
        process.kill()
        assert gone_within(1, hosts.values())


def test_with_the_host_of_the_main_script_the_program_ends_with_125():
    write(main=MAIN, w="worker.message(1) worker.peek()")
    with command() as (process, hosts):
        os.kill(next(iter(hosts)), signal.SIGKILL)
        _, said = process.communicate()
        assert process.returncode == 125
        # It may have printed, and not have come to its read yet.
        assert said.replace(" while it ran main.lus", "").splitlines()[:2] == [
            "luspool: one of 3 processes was ended by signal 9 (SIGKILL); the main script has ended with it",
            "luspool: main.lus: the process that ran it was ended by signal 9 (SIGKILL)",
        ]
        assert gone_within(1, hosts.values())


def test_a_host_whose_memory_is_taken_away_harms_nobody_else():
    """Whatever fails first in there: every wait ends, and the program ends well."""
    write(
        main=MAIN + "for i, w in ipairs(ws) do worker.send(w, 1) print(pcall(worker.receive, w)) end",
        w="worker.message(1) worker.peek() local t = {} for i = 1, 1000 do t[i] = ('x'):rep(10000 + i) end "
        "worker.message(#t)",
    )
    with command() as (process, hosts):
        victim = list(hosts)[1]
        resource.prlimit(victim, resource.RLIMIT_CORE, (0, 0))
        resource.prlimit(victim, resource.RLIMIT_AS, (1 << 20, 1 << 20))
        said, _ = process.communicate("\n")
        lines = said.splitlines()
        assert len(lines) == 3
        assert lines.count("true\t1000") >= 2
        assert process.returncode == 0
