"""`luspool top` as a user meets it."""

import json
import os
import pty
import select
import signal
import subprocess

import pytest

from luspool.top.meeting import find_places

from ..cli.conftest import COMMAND, luspool  # noqa: F401  a fixture

RIGHTS = ["-P", "load", "-P", "fs:read=."]
WAITS = "print('begun') io.read() print('over')"
"""Until it is told to go on."""


@pytest.fixture
def running(luspool):  # noqa: F811
    """Starts programs that print `begun`, and ends them."""
    processes = []

    def start(*arguments):
        processes.append(luspool.start("run", *arguments))
        assert processes[-1].stdout.readline() == b"begun\n"
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()
    while luspool.processes():  # hosts of a supervisor that was killed have noticed, and end
        os.sched_yield()


def look(luspool, *arguments, status=0):  # noqa: F811
    result = luspool("top", *arguments)
    assert result.returncode == status, result.stderr
    return result.stdout if status == 0 else result.stderr


def look_until(luspool, pid, condition):  # noqa: F811
    """Look over and over, until what is seen is like that: a state does not wait at once after it has printed."""
    while True:
        (seen,) = map(json.loads, look(luspool, "--json", str(pid)).splitlines())
        if condition(seen):
            return seen


def states(seen):
    return {state["state"]: state for host in seen["hosts"] for state in host["shown"]}


def test_what_each_state_waits_for_and_uses_is_seen(luspool, running):  # noqa: F811
    luspool.write(
        main="""
        local a, b = worker.create("w.lus"), worker.create("w.lus")
        worker.send(b, ("x"):rep(1000))
        worker.send(b, ("x"):rep(1000))
        worker.create("loop.lus")
        print("begun")
        worker.receive(a)
        """,
        w="worker.peek() if ... then end worker.receive(worker.create('p.lus'))",
        p="worker.peek()",
        loop="local t = {} for i = 1, 1e5 do t[i] = i end while true do end",
    )
    process = running("--threads", "2", *RIGHTS, "main.lus")
    seen = look_until(
        luspool, process.pid, lambda seen: seen["hosts"][0]["waiting"] == 4 and seen["hosts"][0]["running"] == 1
    )
    assert (seen["script"], seen["pid"], seen["silent"]) == ("main.lus", process.pid, 0)
    (host,) = seen["hosts"]
    assert (host["states"], host["ready"]) == (5, 0)
    found = states(seen)
    assert (found[1]["waits_for"], found[1]["awaited"], found[1]["parent"]) == ("ChildrenHaveMail", [2], None)
    assert found[1]["location"] == "main.lus:7"
    assert (found[2]["waits_for"], found[2]["awaited"], found[2]["inbox"]) == ("InboxHasMail", [1], 0)
    assert found[3]["inbox"] > 1000
    (loop,) = (number for number, state in found.items() if state["script"] == "loop.lus")  # 5 if `p.lus` was sooner
    assert (found[loop]["phase"], found[loop]["waits_for"]) == ("running", None)
    later = look_until(luspool, process.pid, lambda later: states(later)[loop]["cpu"] > found[loop]["cpu"])
    assert later["running_for"] > seen["running_for"]
    text = look(luspool, "--once", str(process.pid))
    assert "waits for a message from its workers (2), main.lus:7" in text
    assert look(luspool, "--sort", "mail", "--states", "1", str(process.pid)).splitlines()[-1].split()[0] == "3"


def test_states_of_several_processes_are_seen(luspool, running):  # noqa: F811
    luspool.write(
        main="local w = worker.create('w.lus') print('begun') worker.receive(w)",
        w="io.read() worker.message(1)",
    )
    process = running("--hosts", "2", "--placement", "spread", *RIGHTS, "main.lus")
    seen = look_until(luspool, process.pid, lambda seen: sum(host["waiting"] for host in seen["hosts"]) == 2)
    assert [[state["script"] for state in host["shown"]] for host in seen["hosts"]] == [["main.lus"], ["w.lus"]]
    assert seen["hosts"][1]["shown"][0]["waits_for"] == "InputArrived"


def test_all_programs_are_listed_where_there_are_several(luspool, running):  # noqa: F811
    luspool.write(main=WAITS)
    first = running("main.lus")
    second = running("main.lus")
    text = look(luspool)
    pids = [line.split()[0] for line in text.splitlines() if line.endswith("main.lus")]
    assert {str(first.pid), str(second.pid)} <= set(pids)
    lines = map(json.loads, look(luspool, "--json").splitlines())
    assert {first.pid, second.pid} <= {seen["pid"] for seen in lines}


def test_a_program_that_does_not_run_is_told(luspool):  # noqa: F811
    assert look(luspool, str(os.getpid()), status=1) == (
        f"luspool: process {os.getpid()} runs no scripts that can be looked at ('luspool top' lists those that do)\n"
    )


@pytest.mark.parametrize("ends", ["by itself", "by a signal", "killed"])
def test_nothing_is_left_where_a_program_has_met_those_who_look(luspool, running, ends):  # noqa: F811
    luspool.write(main=WAITS)
    process = running("main.lus")
    assert process.pid in [place.pid for place in find_places()]
    if ends == "by itself":
        assert process.communicate(b"\n")[0] == b"over\n"
    else:
        process.send_signal(signal.SIGKILL if ends == "killed" else signal.SIGTERM)
        process.wait(60)
    assert process.pid not in [place.pid for place in find_places()]


def test_a_program_may_be_run_so_that_nobody_can_look(luspool, running):  # noqa: F811
    luspool.write(main=WAITS)
    luspool.environment["LUSPOOL_TOP"] = "0"
    process = running("main.lus")
    assert process.pid not in [place.pid for place in find_places()]


def test_a_program_that_is_looked_at_goes_on_as_ever(luspool, running):  # noqa: F811
    luspool.write(main="print('begun') for i = 1, 3 do print(io.read()) end")
    process = running("main.lus")
    for line in (b"a", b"b", b"c"):
        look(luspool, str(process.pid))
        process.stdin.write(line + b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == line + b"\n"
    assert process.wait(60) == 0


# live -------------------------------------------------------------------------------------------------------------


class Screen:
    """`luspool top` on a terminal."""

    def __init__(self, luspool, *arguments):  # noqa: F811
        self.terminal, side = pty.openpty()
        self.process = subprocess.Popen(
            [COMMAND, "top", "--every", "100ms", *arguments],
            cwd=luspool.directory,
            env={**luspool.environment, "TERM": "xterm", "COLUMNS": "150", "LINES": "30"},
            stdin=side,
            stdout=side,
            stderr=subprocess.PIPE,
        )
        os.close(side)
        self.text = b""

    def wait_for(self, text):
        """Until it shows this, after all that was waited for before."""
        while text not in self.text:
            assert select.select([self.terminal], [], [], 60)[0]
            self.text += os.read(self.terminal, 1 << 16)
        self.text = self.text.partition(text)[2]

    def rest(self):
        """What it still shows until its end; its exit status."""
        while True:
            try:
                data = os.read(self.terminal, 1 << 16)
            except OSError:  # the other side is closed
                break
            self.text += data
        return self.process.wait(60)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        os.close(self.terminal)


LEAVES_SCREEN = b"\x1b[?1049l"
SHOWS_CURSOR = b"\x1b[?25h"


@pytest.fixture
def screen(luspool):  # noqa: F811
    screens = []

    def start(*arguments):
        screens.append(Screen(luspool, *arguments))
        return screens[-1]

    yield start
    for one in screens:
        one.close()


def test_ctrl_c_ends_the_display_and_leaves_the_terminal_as_it_was(luspool, running, screen):  # noqa: F811
    luspool.write(main=WAITS)
    process = running("main.lus")
    shown = screen(str(process.pid))
    for _ in range(2):  # over and over
        shown.wait_for(b"waits for standard input")
    shown.process.send_signal(signal.SIGINT)
    assert shown.rest() == 0
    assert LEAVES_SCREEN in shown.text
    assert SHOWS_CURSOR in shown.text
    assert shown.process.stderr.read() == b""
    assert process.poll() is None


def test_the_display_ends_with_the_program(luspool, running, screen):  # noqa: F811
    luspool.write(main=WAITS)
    process = running("main.lus")
    shown = screen(str(process.pid))
    shown.wait_for(b"waits for standard input")
    process.communicate(b"\n")
    assert shown.rest() == 0
    assert shown.text.endswith(f"process {process.pid} has ended\r\n".encode())
    assert LEAVES_SCREEN in shown.text


def test_names_of_scripts_do_not_drive_the_terminal(luspool, running, screen):  # noqa: F811
    luspool.directory.joinpath("\x1b]0;evil\x07.lus").write_text(WAITS)
    process = running("\x1b]0;evil\x07.lus")
    shown = screen(str(process.pid))
    shown.wait_for(b"\\x1b]0;evil\\x07.lus")
    shown.process.send_signal(signal.SIGINT)
    assert shown.rest() == 0
    assert b"\x1b]0;" not in shown.text
