"""Runs real programs on real hosts, of which some die at an exact place in an exact manner, under a supervisor in here.

A doomed host is executed with a prelude: Python text that replaces a function by one that dies before or after it.
So nothing here depends on timing, and nobody sleeps.
"""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from luspool.host_command import host_command
from luspool.permissions import Origin, Pledge, PledgeSet, Rule
from luspool.request import Request
from luspool.scheduler import wire
from luspool.scheduler.blame import USUAL, RestartPolicy
from luspool.scheduler.fleet import HANG_SECONDS, Fleet, FleetOptions
from luspool.scheduler.limits import Limits
from luspool.scheduler.process import HostProcess
from luspool.scheduler.supervisor import Supervisor, Surroundings

LONGEST = 30
"""Seconds after which a program counts as hanging."""

PRELUDE = """
import os, resource, signal, sys, threading, time
from luspool import host_process
from luspool.scheduler import (
    courier, dispatcher, letters, link, port, ring, spread, spread_dispatcher, wire,
)

def limit(kind, value):
    if resource.getrlimit(kind)[0] == resource.RLIM_INFINITY:  # there is no wall yet, which would refuse it
        resource.setrlimit(kind, (value, value))

def die():
    limit(resource.RLIMIT_CORE, 0)
    signal_here = lambda number: signal.pthread_kill(threading.get_ident(), number)
    {manner}

def place(owner, name, when, is_after):
    real = getattr(owner, name)
    def wrapped(*arguments):
        if not is_after and when(*arguments):
            die()
        result = real(*arguments)
        if is_after and when(*arguments):
            die()
        return result
    setattr(owner, name, wrapped)

def before(owner, name, when=lambda *_: True):
    place(owner, name, when, False)

def after(owner, name, when=lambda *_: True):
    place(owner, name, when, True)

def nth(number):
    calls = []
    return lambda *_: calls.append(1) or len(calls) == number
"""


HANG = 1.5
"""Seconds of silence after which a host counts as hanging where one does."""


@dataclass(frozen=True)
class Manner:
    """A way to die: what it is called, the code of it, and what is said of it."""

    name: str
    code: str
    how: str


MANNERS = (
    Manner("SIGKILL", "signal_here(signal.SIGKILL)", "was ended by signal 9 (SIGKILL)"),
    Manner("SIGSEGV", "signal_here(signal.SIGSEGV)", "was ended by signal 11 (SIGSEGV)"),
    Manner("hang (SIGSTOP)", "signal_here(signal.SIGSTOP)", f"was ended, because it did not answer for {HANG} s"),
    Manner("exit(3)", "os._exit(3)", "exited with status 3"),
    Manner(
        "no memory (SIGABRT)",
        "sys.setswitchinterval(100)\n"  # no other thread is to go on meanwhile
        "    limit(resource.RLIMIT_DATA, 1 << 30)\n"
        "    kept = []\n"
        "    try:\n"
        "        while True:\n"
        "            kept.append(bytes(1 << 28))  # which nobody touches\n"
        "    except MemoryError:\n"
        "        os.abort()",  # as C code does that gets no memory
        "was ended by signal 6 (SIGABRT)",
    ),
)
KILL = MANNERS[0]


class Recorder:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.output = bytearray()
        self.failures: list[wire.Failed] = []
        self.deadlocks: list[wire.Deadlocked] = []
        self.deaths: list[str] = []

    def started(self) -> None:
        pass

    def notice(self, text: str) -> None:
        raise AssertionError(text)

    def write(self, stream: int, data: bytes) -> None:
        self.output += data

    def failed(self, report: wire.Failed) -> None:
        self.failures.append(report)

    def deadlocked(self, report: wire.Deadlocked) -> None:
        self.deadlocks.append(report)

    def stuck(self, report: wire.Stuck) -> None:
        raise AssertionError(report)

    def host_died(self, text: str, details: bytes) -> None:
        self.deaths.append(text + details.decode())

    def read_input(self) -> bytes:
        return b""

    @property
    def lines(self) -> list[str]:
        return self.output.decode().splitlines()


@dataclass
class Scene:
    """How a program is run."""

    hosts: int = 2
    threads: int = 1
    doomed: dict[int, tuple[str, Manner]] = field(default_factory=dict)
    """Preludes of hosts and how they die, by the order of their start; 0 is that of the root."""
    policy: RestartPolicy = USUAL
    hang_seconds: float = HANG_SECONDS
    limits: Limits = field(default_factory=Limits)
    spreads: bool = True
    arguments: tuple[bytes, ...] = ()


class TooLongError(AssertionError):
    """A wait did not end."""


def _too_long(number: int, frame: FrameType | None) -> None:
    raise TooLongError(f"nothing happened for {LONGEST} s")


@contextmanager
def alarm(seconds: float = LONGEST):
    """TooLongError in this thread after so long."""
    before = signal.signal(signal.SIGALRM, _too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def with_prelude(prelude: str) -> list[str]:
    """How to execute a host that runs this Python text before its own program."""
    usual = host_command()
    at = usual.index("-c") + 1
    head, tail = usual[at].split("from luspool.host_process", 1)
    return [*usual[:at], "\n".join([head, prelude, f"from luspool.host_process{tail}"]), *usual[at + 1 :]]


def command(prelude: str, manner: Manner) -> list[str]:
    """How to execute a host that dies in this manner where its prelude says."""
    return with_prelude("\n".join([PRELUDE.format(manner=manner.code), prelude]))


def request(arguments: tuple[bytes, ...]) -> bytes:
    """main.lus of the working directory, which may read it and create workers."""
    here = os.getcwd()
    rules = [
        Rule(Pledge.parse(text, command_line=True).bind(here), Origin.flag("-P", text))
        for text in ("load", "fs:read=.")
    ]
    source = Path("main.lus").read_bytes()
    return Request.of("main.lus", source, arguments, PledgeSet.root(rules, []), strict_globals=False).pack()


class Stage:
    """A program on its hosts, from its start on."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.listener = Recorder()
        self.processes: list[HostProcess] = []
        """All that were ever started, in their order."""
        self.ended: wire.TreeEnded | None = None

    def start_host(self) -> HostProcess:
        doom = self.scene.doomed.get(len(self.processes))
        self.processes.append(HostProcess.start(host_command() if doom is None else command(*doom)))
        return self.processes[-1]

    @contextmanager
    def fleet(self):
        scene = self.scene
        start = wire.Start.of(scene.threads, 10_000_000, scene.limits, request(scene.arguments), spreads=scene.spreads)
        options = FleetOptions(
            scene.hosts, self.start_host, "main.lus", scene.limits.tree.output, scene.policy, scene.hang_seconds
        )
        with ExitStack() as stack:
            first = stack.enter_context(self.start_host())
            yield stack.enter_context(Fleet(first, start, self.listener, options))

    def run(self) -> Stage:
        """To the end. Whatever the supervisor raises."""
        with alarm(), self.fleet() as fleet, open(os.devnull, "rb") as nothing:
            supervisor = Supervisor(fleet, self.listener, Surroundings(nullcontext(), nothing.fileno()))
            self.ended = supervisor.run()
            supervisor.close()
        return self


def write(**scripts: str) -> None:
    """Make scripts in the working directory: `write(main="…")` makes main.lus."""
    for name, text in scripts.items():
        Path(f"{name}.lus").write_text(text, encoding="utf-8")
