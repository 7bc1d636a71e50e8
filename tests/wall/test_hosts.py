"""What native code can do in a host of a running program: nothing, and the program goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import luspool
from luspool import hosts, runtime
from luspool.scheduler.process import CONTROL_FD

from ..crash.rig import with_prelude
from .scene import scene
from .test_attacks import STOPPED, by_root

HERE = Path(__file__).parent

TAKEN_OVER = """
import ctypes, errno, json, os, sys
sys.path.insert(0, {here!r})
import attacks
from luspool import host_process

secret = ctypes.create_string_buffer(attacks.SECRET)
scene = attacks.Scene(terminal=-1, **json.loads({fields!r}))
libc = ctypes.CDLL(None, use_errno=True)

def outcome(action):
    try:
        action()
    except OSError as error:
        return "refused" if error.errno in (errno.EPERM, errno.EACCES, errno.EIO) else errno.errorcode[error.errno]
    return "works"

def read_memory(pid, address):
    found = ctypes.create_string_buffer(len(attacks.SECRET))
    here, there = (attacks._vector(at) for at in (ctypes.addressof(found), address))
    attacks._call("process_vm_readv", pid, here, 1, there, 1, 0)
    attacks._must_be_secret(found.raw)

def take_channel(pid):
    os.close(attacks._call("pidfd_getfd", os.pidfd_open(pid), {control}, 0))

class Environment(dict):
    "What os.getenv asks, on an executor's thread, while another executor runs Lua."
    def get(self, name, default=None):
        if name == "who":
            return f"{{os.getpid()}} {{ctypes.addressof(secret)}}"
        if name.startswith("other "):
            pid, address = map(int, name.split()[1:])
            tries = (lambda: read_memory(pid, address), lambda: take_channel(pid), lambda: os.kill(pid, 0))
            return json.dumps([outcome(one) for one in tries])
        if name == "all":
            return json.dumps({{
                attack.title: outcome(lambda: attack.run(scene)) for attack in attacks.ATTACKS
                if attack.title not in {left_out!r}
            }})
        return default

make = host_process.Sandbox
host_process.Sandbox = lambda environment: make(Environment(some="thing"))
"""

LEFT_OUT = (
    "system calls of 32-bit programs, which have other numbers",  # it ends the process: see test_attacks
    "type at the user's terminal (`TIOCSTI`)",  # there is none
)

MAIN = """
local neighbours = {}
for i = 1, 4 do neighbours[i] = worker.create("neighbour.lus") end  -- each in the next process
local other = worker.receive(neighbours[1])
for i = 2, 4 do worker.receive(neighbours[i]) end
print(os.getenv(...))
print(os.getenv("other " .. other))
print(os.getenv("who") ~= other)
local sum = 0
for i = 1, 4 do
  for n = 1, 50 do worker.send(neighbours[i], n) sum = sum + worker.receive(neighbours[i]) end
end
print(sum)
"""
NEIGHBOUR = """
worker.message(os.getenv("who"))
while true do
  local n, x = worker.peek(), 0
  for k = 1, 1000 do x = x + k end
  worker.message(n + x - 500500)
end
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs MAIN on two hosts that were taken over; its lines."""

    def start(wall, question):
        (tmp_path / "neighbour.lus").write_text(NEIGHBOUR, encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        directory = tmp_path / "scene"
        directory.mkdir()
        with scene(directory) as fields:
            prelude = TAKEN_OVER.format(
                here=str(HERE), fields=json.dumps(fields), control=CONTROL_FD, left_out=LEFT_OUT
            )
            command = with_prelude(prelude)
            for module in (runtime, hosts):
                monkeypatch.setattr(module, "host_command", lambda: command)
            pledges = ("load", "env", "fs:read=neighbour.lus", f"fs:read={fields['readable']}")
            with luspool.Runtime(hosts=2, threads=2, placement="spread", wall=wall) as pool:
                result = pool.run("main.lus", question, source=MAIN, pledges=pledges)
        assert result.failure is None, result.failure
        return result.stdout.decode().splitlines()

    return start


def test_every_attack_fails_on_the_thread_of_a_state_and_all_states_go_on(run):
    attacks, other, is_other, total = run("strict", "all")
    found = json.loads(attacks)
    assert len(found) > 60
    assert {title: result for title, result in found.items() if result not in (*STOPPED, "ENOSYS")} == {}
    assert json.loads(other) == ["refused"] * 3
    assert (is_other, total) == ("true", str(4 * sum(range(1, 51))))


@by_root
def test_without_a_wall_one_host_reads_another_and_takes_its_channel(run):
    _, other, is_other, total = run("off", "nothing")
    assert json.loads(other) == ["works"] * 3
    assert (is_other, total) == ("true", str(4 * sum(range(1, 51))))
