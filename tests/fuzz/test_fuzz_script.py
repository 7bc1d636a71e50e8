"""scripts/fuzz: what becomes of a target that finds something, hangs, dies, or is to end."""

import os
import runpy
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from . import _round

SCRIPT = Path(__file__).parents[2] / "scripts/fuzz.py"


@pytest.fixture
def fuzz(monkeypatch, tmp_path):
    """Runs a target made of one function, which is called with the number of the execution."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("sys.path", [*sys.path])  # the script puts the root of the repository there
    script = SimpleNamespace(**runpy.run_path(str(SCRIPT)))

    def run(deed, *, limit=0.5, only=None):
        def rounds(seed):
            for number in range(1, 1000):
                deed(number)
                yield

        target = SimpleNamespace(rounds=rounds)
        monkeypatch.setattr("importlib.import_module", lambda name: target)
        line, found, _ = script.fuzz(script.Order("some", 7, 100.0, limit, only))
        kept = [path.read_bytes() for path in tmp_path.glob("*/input")]
        return line, found, kept

    return run


def leave(number):
    """As Ctrl-C does it in the process of the target."""
    _round.trying(str(number))
    if number == 5:
        os.kill(os.getpid(), signal.SIGINT)


def test_without_a_finding_the_line_says_how_much_was_done(fuzz):
    line, found, kept = fuzz(leave)
    assert line.startswith("some: seed 7, 5 executions in ")
    assert (line.endswith(" s, no finding"), found, kept) == (True, False, [])


def refuse(number):
    _round.trying(f"input {number}")
    assert number < 3, "a claim"


def spin(number):
    _round.trying(f"input {number}")
    while number == 3:
        pass


def die(number):
    _round.trying(f"input {number}")
    if number == 3:
        os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.parametrize(
    ("deed", "problem"),
    [(refuse, "AssertionError: a claim"), (spin, "hangs: longer than 0.5 s"), (die, "dies of SIGSEGV")],
)
def test_a_finding_has_its_execution_and_its_input(fuzz, deed, problem):
    line, found, kept = fuzz(deed)
    assert f"FINDING: {problem}" in line
    assert "\n  again: scripts/fuzz some --seed 7 --only 3\n  input: " in line
    assert (found, kept) == (True, [b"input 3"])


def test_one_execution_is_repeated_by_way_of_those_before_it(fuzz):
    line, found, _ = fuzz(refuse, only=2)
    assert (line.split(" in ")[0], found) == ("some: seed 7, 2 executions", False)
