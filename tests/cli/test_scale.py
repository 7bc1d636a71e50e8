"""Many states: what waits costs memory only, what has ended costs nothing.

Each program stops at a known point by reading a line from standard input; the test looks at the host process there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from luspool.sandbox.preemption import mechanism

KB = 1024
MOST = (64 if mechanism().name == "signal" and os.environ.get("LUSPOOL_HOSTS", "1") == "1" else 68) * KB
"""Of one waiting worker. Without the native module Lua's blocks come from the C library, which needs more for each; and
of several hosts two keep a record of it."""


class Run:
    """A running `luspool run`, and its host processes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")

    def go_on(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def memory(self) -> int:
        """Resident bytes of all hosts together."""
        return sum(host.memory_info().rss for host in self._hosts())

    def threads(self) -> int:
        """Of all hosts together."""
        return sum(host.num_threads() for host in self._hosts())

    def _hosts(self) -> list[psutil.Process]:
        return psutil.Process(self._process.pid).children()

    def end(self) -> int:
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self._process.wait(timeout=120)


@contextmanager
def running(folder: Path, threads: int, files: dict[str, str], *limits: str) -> Iterator[Run]:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    flags = ["--threads", str(threads), "-P", "load", "-P", "fs:read", *limits]
    process = subprocess.Popen(
        [sys.executable, "-m", "luspool", "run", *flags, "main.lus"],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Run(process)
        finally:
            process.kill()


def test_eight_waiting_workers_on_two_threads_answer_in_reverse_order(tmp_path: Path) -> None:
    main = """
        local ws = {}
        for i = 1, 8 do ws[i] = worker.create("echo.lus") end
        for i = 8, 1, -1 do
          worker.send(ws[i], i)
          print(worker.receive(ws[i]))
        end
    """
    with running(tmp_path, 2, {"main.lus": main, "echo.lus": "worker.message(worker.peek() * 10)"}) as run:
        assert [run.line() for _ in range(8)] == [str(i * 10) for i in range(8, 0, -1)]
        assert run.end() == 0


def test_ten_thousand_waiting_workers_take_little_memory_each_and_all_answer(tmp_path: Path) -> None:
    main = """
        local ws = {}
        for i = 1, 10000 do ws[i] = worker.create("wait.lus") end
        -- The run queue is first in, first out: when this one has answered, the others have all been run and wait.
        assert(worker.receive(worker.create("ready.lus")) == "ready")
        print("parked")
        io.read()
        for i = #ws, 1, -1 do worker.send(ws[i], i) end
        local sum = 0
        for i = 1, #ws do sum = sum + worker.receive(ws[i]) end
        print(sum)
        io.read()
    """
    small = main.replace("10000", "0")
    files = {"wait.lus": "while true do worker.message(worker.peek() * 2) end", "ready.lus": 'worker.message("ready")'}
    with running(tmp_path, 2, {"main.lus": small, **files}) as run:
        assert run.line() == "parked"
        base = run.memory()
    with running(tmp_path, 2, {"main.lus": main, **files}) as run:
        assert run.line() == "parked"
        each = (run.memory() - base) / 10_000
        assert 20 * KB < each <= MOST
        run.go_on()
        assert run.line() == str(2 * sum(range(1, 10_001)))
        assert (run.memory() - base) / 10_000 <= MOST  # they wait again
        assert run.end() == 0


def test_workers_fifty_deep_on_one_thread_answer(tmp_path: Path) -> None:
    main = """
        local n = tonumber((...)) or 0
        if n == 50 then return worker.message(worker.peek() .. n) end
        local w = worker.create("main.lus", n + 1)
        worker.send(w, n == 0 and "from " or worker.peek())
        local answer = worker.receive(w)
        if n == 0 then print(answer) else worker.message(answer .. ".") end
    """
    with running(tmp_path, 1, {"main.lus": main}) as run:
        assert run.line() == "from 50" + "." * 49
        assert run.end() == 0


def test_twenty_thousand_workers_one_after_the_other_leave_no_memory_and_no_thread(tmp_path: Path) -> None:
    main = """
        local sum = 0
        local function some(count)
          for i = 1, count do
            local w = worker.create("one.lus", i)
            sum = sum + worker.receive(w)
            assert(worker.receive(w) == nil and worker.status(w) == "dead")
          end
          print(sum)
          io.read()
        end
        some(2000)
        some(18000)
    """
    with running(tmp_path, 2, {"main.lus": main, "one.lus": "worker.message((...))"}) as run:
        assert run.line() == str(sum(range(1, 2001)))
        early, threads = run.memory(), run.threads()
        run.go_on()
        assert run.line() == str(sum(range(1, 2001)) + sum(range(1, 18_001)))
        assert run.memory() < early * 1.15
        assert run.threads() == threads
        run.go_on()
        assert run.end() == 0


@pytest.mark.parametrize(
    ("make", "same"),
    [
        ("string.rep('0123456789abcdef', 4 * 1024 * 1024)", "a == b and #b == 64 * 1024 * 1024"),
        ("many()", "#b == 1000000 and equal(a, b)"),
    ],
    ids=["64 MB string", "1,000,000 elements"],
)
def test_a_large_message_arrives(tmp_path: Path, make: str, same: str) -> None:
    main = f"""
        local function many()
          local t = {{}}
          for i = 1, 1000000 do t[i] = i end
          return t
        end
        local function equal(a, b)
          for i = 1, #a do if a[i] ~= b[i] then return false end end
          return true
        end
        local w = worker.create("echo.lus")
        local a = {make}
        worker.send(w, a)
        local b = worker.receive(w)
        print({same})
    """
    files = {"main.lus": main, "echo.lus": "worker.message(worker.peek())"}
    with running(tmp_path, 2, files, "--memory=1G", "--message=128M", "--total-memory=2G") as run:
        assert run.line() == "true"
        assert run.end() == 0
