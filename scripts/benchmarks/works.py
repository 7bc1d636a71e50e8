"""What is measured: the works by group, who does them, and what is to be reached."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, Unpack

from measure import NUMBER, Command, Contender, Goal, Measure, Printed, Sampler, Shape, Slope, Work
from small_scripts import SANDBOX, make

HERE: Final = Path(__file__).resolve().parent
LUA: Final = str(HERE / "lua")
LUSPOOL: Final = str(Path(sys.executable).with_name("luspool"))

_UNLIMITED: Final = tuple(
    word
    for limit in ("cpu", "total-cpu", "output", "timeout", "total-memory", "states")
    for word in (f"--{limit}", "unlimited")
)
_RUN: Final = (LUSPOOL, "run", "-q", "-P", "load", "-P", "fs:read=.", "--depth", "2000", *_UNLIMITED)
_ACROSS: Final = ("--hosts", "2", "--threads", "1", "--placement", "spread")

PROCESSOR: Final[Measure] = "processor"
MEMORY: Final[Measure] = "memory"

OURS: Final = "luspool"
ACROSS: Final = "luspool, 2 hosts"
ONE_THREAD: Final = "luspool, 1 thread"
BARE: Final = "bare lupa"
REFERENCE: Final = "lus"
"""The name under which the reference implementation is expected as a further peer."""


@dataclass
class Peers:
    """Those that take part: who is installed, and who was named in addition."""

    added: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By name: a command that runs the Lus file that comes behind it."""
    is_smoke: bool = False
    """Next to nothing is to be done."""
    missing: dict[str, str] = field(default_factory=dict)
    """By executable: how to install what was not found. Filled while works are made."""

    def lus(self, *program: str, **shape: Unpack[Shape]) -> list[Contender]:
        """Those added, with a program of the directory `lua` and its arguments."""
        return [Contender(name, Slope((*command, *program), LUA, **shape)) for name, command in self.added.items()]

    def installed(self, executable: str, install: str, name: str, sampler: Callable[[], Sampler]) -> list[Contender]:
        """A contender that needs something, if that is there."""
        if shutil.which(executable) is None:
            self.missing[executable] = install
            return []
        return [Contender(name, sampler())]

    def node(self, work: str, *arguments: str) -> list[Contender]:
        command = ("node", str(HERE / "node" / "peer.mjs"), work, *arguments)
        return self.installed("node", "apt install nodejs", "Node worker_threads", lambda: Slope(command, LUA))

    def erlang(self, *work: str, **shape: Unpack[Shape]) -> list[Contender]:
        return self.installed(*_ERLANG, lambda: Slope((*_erlang("+P", "1000000"), *work), LUA, **shape))


_ERLANG: Final = ("erl", "apt install erlang-base", "Erlang")


def _erlang(*flags: str) -> tuple[str, ...]:
    """The command; a work and its arguments come behind it."""
    return ("erl", "-noshell", *flags, "-pa", _erlang_folder(), "-run", "works", "main")


@cache
def _erlang_folder() -> str:
    """Where the compiled program is."""
    folder = temporary_folder()
    subprocess.run(["erlc", "-o", folder, str(HERE / "erlang" / "works.erl")], check=True)
    return folder


_kept: Final[list[tempfile.TemporaryDirectory[str]]] = []


def luspool(*program: str, flags: Sequence[str] = (), **shape: Unpack[Shape]) -> Slope:
    """A program of the directory `lua` and its arguments, under `luspool run`. `shape` as of `Slope`."""
    return Slope((*_RUN, *flags, *program), LUA, **shape)


def python(program: str, *arguments: str, **shape: Unpack[Shape]) -> Slope:
    """A program of the directory `python`."""
    return Slope((sys.executable, str(HERE / "python" / program), *arguments), LUA, **shape)


def temporary_folder() -> str:
    """One that is removed when the program ends."""
    _kept.append(tempfile.TemporaryDirectory(prefix="luspool-bench-"))
    return _kept[-1].name


# --- the groups ------------------------------------------------------------------------------------------------------


def cpu(peers: Peers) -> list[Work]:
    """One state that computes."""
    works = []
    for name in ("loop", "fib", "sieve", "nbody", "strings", "tables", "methods"):
        program = f"{name}.lua"
        contenders = [
            Contender(OURS, luspool(program, NUMBER, of=PROCESSOR)),
            Contender(BARE, python("bare.py", program, NUMBER, of=PROCESSOR)),
            *peers.lus(program, NUMBER, of=PROCESSOR),
        ]
        works.append(Work(name, contenders, [Goal(OURS, BARE, 0.97)]))
    contenders = [
        Contender(OURS, luspool("catch.lus", NUMBER, of=PROCESSOR)),
        Contender("bare lupa's pcall", python("bare.py", "pcall.lua", NUMBER, of=PROCESSOR)),
        *peers.lus("catch.lus", NUMBER, of=PROCESSOR),
    ]
    works.append(Work("catch", contenders, [Goal(OURS, "bare lupa's pcall", 0.5)]))
    return works


def create(peers: Peers) -> list[Work]:
    """From a worker's creation to its end."""
    contenders = [
        Contender(OURS, luspool("create.lus", NUMBER)),
        Contender(ACROSS, luspool("create.lus", NUMBER, flags=_ACROSS)),
        Contender("multiprocessing.Process", python("messages.py", "create", NUMBER)),
        *peers.node("create", NUMBER),
        *peers.erlang("create", NUMBER),
        *peers.lus("create.lus", NUMBER),
    ]
    goals = [
        Goal(OURS, "multiprocessing.Process", 20),
        Goal(OURS, "Node worker_threads", 200),
        Goal(OURS, REFERENCE, 1),
    ]
    return [Work("create, first message, end", contenders, goals)]


_KINDS: Final = {
    "integers": "integer",
    "small tables": "table",
    "strings of 1 KB": "text",
    "arrays of 1,000": "array",
    "strings of 1 MB": "block",
}


def one_way(peers: Peers) -> list[Work]:
    """Messages from a worker to its parent."""
    works = []
    for name, kind in _KINDS.items():
        is_small = kind in {"integer", "table"}
        contenders = [
            Contender(OURS, luspool("one_way.lus", NUMBER, kind)),
            Contender(ONE_THREAD, luspool("one_way.lus", NUMBER, kind, flags=("--threads", "1"))),
            Contender(ACROSS, luspool("one_way.lus", NUMBER, kind, flags=_ACROSS)),
            Contender("multiprocessing.Queue", python("messages.py", "queue_one_way", NUMBER, kind)),
            Contender("multiprocessing.Pipe", python("messages.py", "pipe_one_way", NUMBER, kind)),
            *peers.node("one_way", NUMBER, kind),
            *peers.erlang("one_way", NUMBER, kind),
            *peers.lus("one_way.lus", NUMBER, kind),
        ]
        goals = [Goal(ACROSS, "multiprocessing.Queue", 3)]
        if is_small:
            goals += [Goal(OURS, "multiprocessing.Queue", 10), Goal(OURS, "Node worker_threads", 1.3)]
        goals.append(Goal(OURS, REFERENCE, 2 if is_small else 1))
        if kind == "block":
            contenders.append(Contender("memcpy, three times", python("messages.py", "copies", NUMBER)))
            goals.append(Goal(OURS, "memcpy, three times", 1))
        works.append(Work(f"one way, {name}", contenders, goals))
    return works


def round_trip(peers: Peers) -> list[Work]:
    """A number to a worker and back."""
    contenders = [
        Contender(OURS, luspool("round_trip.lus", NUMBER)),
        Contender(ONE_THREAD, luspool("round_trip.lus", NUMBER, flags=("--threads", "1"))),
        Contender(ACROSS, luspool("round_trip.lus", NUMBER, flags=_ACROSS)),
        Contender("multiprocessing.Queue", python("messages.py", "queue_round_trip", NUMBER)),
        Contender("multiprocessing.Pipe", python("messages.py", "pipe_round_trip", NUMBER)),
        Contender("asyncio.Queue", python("messages.py", "asyncio_round_trip", NUMBER)),
        *peers.node("round_trip", NUMBER),
        *peers.erlang("round_trip", NUMBER),
        *peers.lus("round_trip.lus", NUMBER),
    ]
    goals = [
        Goal(OURS, "multiprocessing.Queue", 5),
        Goal(OURS, "Node worker_threads", 2),
        Goal(OURS, REFERENCE, 1),
        Goal(ACROSS, "multiprocessing.Pipe", 1),
    ]
    return [Work("round trip", contenders, goals)]


def many(peers: Peers) -> list[Work]:
    """Many workers: a token that goes through 1,000, and 10,000 and 100,000 that wait."""
    ring = [
        Contender(OURS, luspool("ring.lus", NUMBER, per=2000)),
        *peers.erlang("ring", NUMBER, per=2000),
        *peers.lus("ring.lus", NUMBER, per=2000),
    ]
    works = [Work("a hop through 1,000 workers", ring)]
    for number in (10_000, 100_000):
        shape: Shape = {"of": MEMORY, "first": number // 10, "many": number}
        waiting = [
            Contender(OURS, luspool("waiting.lus", NUMBER, **shape)),
            *peers.erlang("waiting", NUMBER, **shape),
            *peers.lus("waiting.lus", NUMBER, **shape),
        ]
        works.append(Work(f"a waiting worker of {number:,}", waiting, [Goal(OURS, most=64 * 1024)], unit="B"))
    return works


def scaling(peers: Peers) -> list[Work]:
    """Work for one processor, and for two: what it takes, by worker."""
    works = []
    for workers in (1, 2, 4):
        arguments = (str(workers), NUMBER)
        contenders = [
            Contender(OURS, luspool("scaling.lus", *arguments, per=workers)),
            Contender("luspool, 2 hosts", luspool("scaling.lus", *arguments, flags=_ACROSS, per=workers)),
            Contender(ONE_THREAD, luspool("scaling.lus", *arguments, flags=("--threads", "1"), per=workers)),
            Contender("ProcessPoolExecutor", python("pool.py", *arguments, per=workers)),
            *peers.lus("scaling.lus", *arguments, per=workers),
        ]
        goals = [Goal(OURS, ONE_THREAD, 1.9)] if workers == 2 else []
        works.append(Work(f"{workers} that compute, a share", contenders, goals))
    return works


def fairness(peers: Peers) -> list[Work]:
    """An echo beside four endless loops on two threads: how long a message takes there and back."""
    trips = "3" if peers.is_smoke else "1000"
    ours = (sys.executable, str(HERE.parent / "bench-fairness"), "--json", trips)
    works = []
    for key in ("p50", "p99", "p99.9"):
        contenders = [
            Contender(OURS, Printed(ours, key)),
            *peers.installed(*_ERLANG, lambda key=key: Printed((*_erlang("+S", "2"), "latency", trips, "4"), key)),
        ]
        works.append(Work(f"beside loops, {key}", contenders, [Goal(OURS, most=0.05)] if key == "p99" else []))
    return works


def start(peers: Peers) -> list[Work]:
    """A program that prints a line."""
    contenders = [
        Contender(OURS, Command((*_RUN, "hello.lus"), LUA)),
        Contender("python -c pass", Command((sys.executable, "-c", "pass"), LUA)),
        *peers.installed("lua5.4", "apt install lua5.4", "lua5.4", lambda: Command(("lua5.4", "hello.lus"), LUA)),
        *(Contender(name, Command((*command, "hello.lus"), LUA)) for name, command in peers.added.items()),
    ]
    return [Work("hello", contenders, [Goal(OURS, "python -c pass", 0.2)])]


def costs(peers: Peers) -> list[Work]:
    """What luspool's own services cost a program."""
    files = temporary_folder()
    for number in range(1, 10_001):
        Path(files, str(number)).touch()
    opens = ("-P", f"fs:read={files}", "opens.lus", files)
    log = str(Path(temporary_folder(), "audit.jsonl"))
    loop = ("loop.lua", "1" if peers.is_smoke else "500")
    talk = ("one_way.lus", "1" if peers.is_smoke else "50000", "table")

    def of(name: str, program: Sequence[str], most: float, **ways: Sequence[str]) -> Work:
        """`ways` are flags by name, the first of them without what is to cost no more than `most` times as much."""
        contenders = [
            Contender(way.replace("_", " "), Command((*_RUN, *flags, *program), LUA, PROCESSOR))
            for way, flags in ways.items()
        ]
        without, *others = contenders
        return Work(name, contenders, [Goal(one.name, without.name, 1 / most) for one in others])

    return [
        of("10,000 files, audited", opens, 1.05, without=(), with_a_log=("--audit", log)),
        of("a loop, walled in", loop, 1.03, without=("--wall", "off"), with_walls=("--wall", "strict")),
        of("messages, walled in", talk, 1.03, without=("--wall", "off"), with_walls=("--wall", "strict")),
        of("a loop, in slices", loop, 1.03, without=("--slice", "0"), by_signals=()),
        Work(
            "a loop, counted",
            [
                Contender("by signals", Command((*_RUN, *loop), LUA, PROCESSOR)),
                Contender("by a hook", Command(("env", "LUSPOOL_PREEMPTION=hook", *_RUN, *loop), LUA, PROCESSOR)),
            ],
        ),
    ]


_JOBS: Final = str(len(os.sched_getaffinity(0)))
_BATCH: Final = (LUSPOOL, "batch", "run", "-j", _JOBS, "-q", "--cpu", "100ms", "--memory", "1M")


def batch(peers: Peers) -> list[Work]:
    """Small scripts: what one takes, of many; and of some, where each has a process of its own."""
    folder = temporary_folder()
    many, some = (3, 3) if peers.is_smoke else (3_000, 100)
    make(Path(folder, "many"), many, 0)
    make(Path(folder, "some"), some, 0)
    missing = [name for name in ("bwrap", "lua5.4") if shutil.which(name) is None]
    peers.missing.update(dict.fromkeys(missing, "apt install bubblewrap lua5.4"))

    def others(scripts: str, count: int) -> list[Contender]:
        if missing:
            return []
        inside = f"{SANDBOX} --ro-bind {scripts} {scripts} lua5.4"
        xargs = Command(("sh", "-c", f"ls {scripts}/* | xargs -P {_JOBS} -n 1 {inside}"), folder, per=count)
        parallel = Command(("sh", "-c", f"ls {scripts}/* | parallel -j {_JOBS} {inside}"), folder, per=count)
        return [
            Contender("xargs, bwrap, lua5.4", xargs),
            *peers.installed("parallel", "apt install parallel", "parallel, bwrap, lua5.4", lambda: parallel),
        ]

    warm = Contender("luspool, warm", Command((*_BATCH, "many"), folder, per=many))
    cold = Contender("luspool, a host each", Command((*_BATCH, "--isolate", "some"), folder, per=some))
    return [
        Work(f"a script of {many:,}", [warm, *others("many", many)], [Goal(warm.name, "xargs, bwrap, lua5.4", 5)]),
        Work(f"a script of {some}, a process each", [cold, *others("some", some)]),
    ]


def growth(peers: Peers) -> list[Work]:
    """How costs grow with the size of messages, and with how many others there are; a batch with its start."""
    works = []
    for size in (10, 1_000, 100_000, 1_000_000):
        contenders = [
            Contender(OURS, luspool("one_way.lus", NUMBER, str(size))),
            Contender("multiprocessing.Queue", python("messages.py", "queue_one_way", NUMBER, str(size))),
            *peers.lus("one_way.lus", NUMBER, str(size)),
        ]
        name = f"one way, strings of {size:,} bytes"
        works.append(Work(name, contenders, series="the size of messages", amount=size))
    for live in (10, 100) if peers.is_smoke else (10, 100, 1_000, 10_000):
        contenders = [
            Contender(OURS, luspool("create.lus", NUMBER, str(live))),
            *peers.lus("create.lus", NUMBER, str(live)),
        ]
        works.append(Work(f"create beside {live:,}", contenders, series="the workers that live", amount=live))
    folder = temporary_folder()
    for items in (3, 6) if peers.is_smoke else (1_000, 10_000, 30_000):
        make(Path(folder, str(items)), items, 0)
        contenders = [Contender(OURS, Command((*_BATCH, str(items)), folder, per=items))]
        works.append(Work(f"a script of {items:,}", contenders, series="the items of a batch", amount=items))
    return works


GROUPS: Final[dict[str, Callable[[Peers], list[Work]]]] = {
    "cpu": cpu,
    "create": create,
    "one-way": one_way,
    "round-trip": round_trip,
    "many": many,
    "scaling": scaling,
    "fairness": fairness,
    "start": start,
    "batch": batch,
    "costs": costs,
    "growth": growth,
}
