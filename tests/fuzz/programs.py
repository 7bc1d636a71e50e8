"""Hostile programs behind all walls: whatever they do, they end in time, see nothing, and leave nothing.

An execution is a whole program with workers, in host processes of its own, under small limits.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from random import Random

import psutil

from luspool import Limits, Runtime, StateLimits, TreeLimits
from luspool.scheduler.limits import MEASURES

from . import _hostile_programs, _round

SECRET = "the-secret-of-another-1b9e7c"  # noqa: S105  it is there to be looked for
LIMITS = Limits(
    StateLimits(memory=16 << 20, cpu=50_000_000, time=500_000_000, message=1 << 20, source=1 << 20),
    TreeLimits(states=30, depth=4, output=200_000, memory=128 << 20, cpu=500_000_000, time=1_500_000_000),
)
KINDS = {"returned", "exited", "error", "denied", "load", "deadlock", "unreceived", "usage", *MEASURES}
NEVER = ("internal error", "Traceback", "POBJECT", "lupa", 'File "', SECRET)
"""What no output of a hostile program may contain, unless it is in its own text."""


@contextmanager
def scene():
    """A secret beside the program's folder, which the program can read, and in the environment; where that is."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-programs-"))
    try:
        (folder / "secret").write_text(SECRET, encoding="utf-8")
        inside = folder / "inside"
        inside.mkdir()
        (inside / "link").symlink_to("../secret")
        os.environ["FUZZ_SECRET"] = SECRET
        yield inside
    finally:
        shutil.rmtree(folder)


def check(files: dict[str, str], hosts: int, threads: int) -> None:
    with scene() as folder:
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        pledges = ("load", f"fs:read={folder}")
        with Runtime({"f": lambda *values: values}, hosts=hosts, threads=threads, wall="strict", limits=LIMITS) as pool:
            before = os.getcwd()
            os.chdir(folder)
            try:
                result = pool.run("main.lus", pledges=(*pledges, "host:f"), stdin=b"one\ntwo\n" * 1000)
            finally:
                os.chdir(before)
    told = result.stdout + result.stderr
    text = (told + (result.failure or "").encode("utf-8", "surrogateescape")).decode("utf-8", "replace")
    _claim(result.kind in KINDS, f"it ended as {result.kind!r}: {result.failure}")
    _claim(len(told) <= LIMITS.tree.output, f"{len(told)} bytes of output")
    for word in NEVER:
        _claim(word not in text, f"{word!r} in: {text[-2000:]}")
    left = psutil.Process().children(recursive=True)
    _claim(not left, f"left behind: {left}")


def _claim(holds: bool, problem: str) -> None:
    if not holds:
        raise AssertionError(problem)


def execute(chance: Random) -> None:
    files = _hostile_programs.program(chance)
    hosts, threads = chance.choice(((1, 1), (1, 2), (2, 1), (2, 2)))
    story = "\n".join(f"-- {name}\n{text}" for name, text in files.items())
    _round.trying(f"-- {hosts} hosts, {threads} threads\n{story}")
    try:
        check(files, hosts, threads)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{hosts} hosts with {threads} threads\n{story}") from error


rounds = _round.endless(execute)
