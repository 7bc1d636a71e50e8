"""Run the targets of tests/fuzz for a while each: scripts/fuzz [TARGET…] [--seconds N] [--seed N] [--only K] [--list]

A target is a module tests/fuzz/NAME.py with `rounds(seed)`, an endless generator: each `next` is one execution, which
raises AssertionError with its input where a claim fails; and perhaps with `close()`. Where it has `execute(chance)`,
one execution by itself, `--only` comes to it at once, and else by way of all those before it.

Every target runs in a process of its own, which may hang, crash or eat memory. The process writes the number of the
execution, and the input that it tries, to shared memory; so both are known whatever becomes of it. What hangs is made
to print where (faulthandler) and is then ended. Exit status 1 if there was a finding.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import mmap
import os
import resource
import select
import signal
import struct
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from types import ModuleType

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.fuzz import _round  # noqa: E402  found by the line above

INPUT_ROOM = 16 << 20
"""Bytes of the input that is being tried, and of the report of a finding."""
PATIENCE = 5.0
"""Seconds of processor time that a target has to end after Ctrl-C."""
MEMORY = 4 << 30
"""Bytes of address space of a target's process: what wants more has a bug, and must not take the machine with it."""

_PROGRESS = struct.Struct("QQQQ")  # executions done, inputs tried, length of the input, length of the report


class Progress:
    """What a target's process says, in memory that outlives it. Written by that process alone."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _PROGRESS.size + 2 * INPUT_ROOM)

    def read(self) -> tuple[int, int, int, int]:
        """Executions done, inputs tried, and the lengths of the last input and of the report."""
        return _PROGRESS.unpack_from(self._memory)

    def executed(self) -> None:
        done, tried, size, report = self.read()
        _PROGRESS.pack_into(self._memory, 0, done + 1, tried, size, report)

    def tries(self, data: bytes) -> None:
        """The listener of `_round.trying`."""
        done, tried, _, report = self.read()
        data = data[:INPUT_ROOM]
        self._memory[_PROGRESS.size : _PROGRESS.size + len(data)] = data
        _PROGRESS.pack_into(self._memory, 0, done, tried + 1, len(data), report)

    def found(self, report: bytes) -> None:
        done, tried, size, _ = self.read()
        report = report[:INPUT_ROOM]
        start = _PROGRESS.size + INPUT_ROOM
        self._memory[start : start + len(report)] = report
        _PROGRESS.pack_into(self._memory, 0, done, tried, size, len(report))

    @property
    def input(self) -> bytes:
        return self._memory[_PROGRESS.size : _PROGRESS.size + self.read()[2]]

    @property
    def report(self) -> bytes:
        start = _PROGRESS.size + INPUT_ROOM
        return self._memory[start : start + self.read()[3]]


@dataclass(frozen=True)
class Order:
    """What to do with one target."""

    target: str
    seed: int
    seconds: float
    limit: float
    only: int | None


def targets() -> list[str]:
    """Whatever is in the folder, but for tests and what targets share."""
    names = [path.stem for path in (ROOT / "tests/fuzz").glob("*.py")]
    return sorted(name for name in names if not name.startswith(("_", "test_", "conftest")))


def child(order: Order, progress: Progress) -> int:
    """Run the target in this process; the exit status is 1 for a finding."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable()
    # Between two executions, not in the midst of one, where it could look like a finding.
    signal.signal(signal.SIGINT, lambda *_: stop.append(True))
    _round.listen(progress.tries)
    target, stop = None, []
    try:
        target = importlib.import_module(f"tests.fuzz.{order.target}")
        execute(target, order, progress, stop)
    except BaseException:
        progress.found(traceback.format_exc().encode("utf-8", "backslashreplace"))
        return 1
    finally:
        getattr(target, "close", lambda: None)()
    return 0


def execute(target: ModuleType, order: Order, progress: Progress, stop: list[bool]) -> None:
    if order.only is not None and hasattr(target, "execute"):
        target.execute(_round.chance_of(order.seed, order.only))
        progress.executed()
        return
    deadline = time.monotonic() + order.seconds
    rounds = target.rounds(order.seed)
    while not stop and (time.monotonic() < deadline if order.only is None else progress.read()[0] < order.only):
        next(rounds)
        progress.executed()


def watch(pid: int, progress: Progress, limit: float) -> str | None:
    """Wait for the process, and end it if one input takes more than `limit` seconds of processor time; why, if so.

    Waiting is no work: ten times the limit may pass, since a busy machine makes everybody wait.
    """
    watched, process = os.pidfd_open(pid), psutil.Process(pid)
    try:
        last, since, used = progress.read(), time.monotonic(), 0.0
        while not select.select([watched], [], [], min(1.0, limit))[0]:
            now, spent = progress.read(), sum(process.cpu_times()[:2])
            if now != last:
                last, since, used = now, time.monotonic(), spent
            elif spent - used > limit or time.monotonic() - since > 10 * limit:
                end(pid, watched)
                return f"hangs: longer than {limit:g} s"
    finally:
        os.close(watched)
    return None


def end(pid: int, watched: int) -> None:
    """End the process, which says where it is (faulthandler) if it can."""
    os.kill(pid, signal.SIGABRT)
    if not select.select([watched], [], [], 10)[0]:
        os.kill(pid, signal.SIGKILL)


def fuzz(order: Order) -> tuple[str, bool, bool]:
    """The line of a target's end, whether there was a finding, and whether somebody wants to end it all."""
    progress, started, problem, stopped = Progress(), time.monotonic(), None, False
    sys.stdout.flush()
    pid = os.fork()  # this process has one thread
    if not pid:
        status = 1
        try:
            status = child(order, progress)
        finally:
            sys.stderr.flush()
            os._exit(status)
    try:
        problem = watch(pid, progress, order.limit)
    except KeyboardInterrupt:
        stopped = True
        os.kill(pid, signal.SIGINT)  # it ends its execution; from a terminal it has got this already
        watch(pid, progress, PATIENCE)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status < 0 and not problem and not stopped:
        problem = f"dies of {signal.Signals(-status).name}"
    if status > 0 and (progress.report or not stopped):
        said = progress.report.decode().strip()
        problem = next(
            (line for line in said.split("\n") if line.startswith("AssertionError")), said.rsplit("\n", 1)[-1]
        )
        problem = problem or f"ends with status {status}"
    took = time.monotonic() - started
    done = progress.read()[0]
    line = f"{order.target}: seed {order.seed}, {done} executions in {took:.0f} s, "
    if not problem:
        return f"{line}no finding", False, stopped
    number = order.only if order.only is not None else done + 1
    place = keep(order, number, progress)
    print(progress.report.decode(), file=sys.stderr)
    again = f"scripts/fuzz {order.target} --seed {order.seed} --only {number}"
    return f"{line}FINDING: {problem[:200]}\n  again: {again}\n  input: {place}", True, stopped


def keep(order: Order, number: int, progress: Progress) -> Path:
    """Write the input, and what was found, to files of which the first is given."""
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{order.target}-{order.seed}-{number}-"))
    (folder / "report.txt").write_bytes(progress.report)
    (folder / "input").write_bytes(progress.input)
    return folder / "input"


def main() -> int:
    known = targets()
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description="Try random input on what reads hostile input.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="which to run, one after the other (default: all)")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target (default: 60)")
    parser.add_argument("--seed", type=int, help="which executions (default: a random one, which is printed)")
    parser.add_argument("--only", type=int, metavar="K", help="only the execution of this number")
    parser.add_argument(
        "--limit", type=float, default=30.0, help="seconds of processor time for one input (default: 30)"
    )
    parser.add_argument("--list", action="store_true", help="print the targets")
    options = parser.parse_args()
    if unknown := sorted({*options.targets} - {*known}):
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(known)}")
    if options.only is not None and (options.seed is None or len(options.targets) != 1 or options.only < 1):
        parser.error("--only needs one target and its --seed, and counts from 1")
    if options.list:
        print("\n".join(known))
        return 0
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells have what runs in the background ignore it
    seed = SystemRandom().getrandbits(32) if options.seed is None else options.seed
    lines, found = [], False
    for target in options.targets or known:
        line, finding, stopped = fuzz(Order(target, seed, options.seconds, options.limit, options.only))
        lines.append(line)
        found |= finding
        if stopped:
            break
    print("\n".join(lines))
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
