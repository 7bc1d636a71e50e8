"""Every target of the folder, for a number of executions that is always the same; scripts/fuzz runs them for long."""

import importlib
import itertools
from pathlib import Path

import pytest

from . import _round

FOLDER = Path(__file__).parent
TARGETS = sorted(path.stem for path in FOLDER.glob("*.py") if not path.name.startswith(("_", "test_", "conftest")))
SEED, EXECUTIONS = 20261126, 25
OF_PROGRAMS = 6
"""Executions that start processes, and take a second each."""


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_finds_nothing_in_its_first_executions(name):
    target = importlib.import_module(f".{name}", __package__)
    try:
        for _ in itertools.islice(target.rounds(SEED), OF_PROGRAMS if name == "programs" else EXECUTIONS):
            pass
    finally:
        getattr(target, "close", lambda: None)()


@pytest.mark.parametrize("seed", [1, 2])
def test_an_execution_depends_on_its_seed_and_number_alone(seed):
    """What `--only` repeats is what was run: both draw the same from chance."""
    drawn = []
    rounds = _round.endless(lambda chance: drawn.append(chance.random()))(seed)
    for _ in range(3):
        next(rounds)
    assert drawn == [_round.chance_of(seed, number).random() for number in (1, 2, 3)]


def test_a_failing_input_is_made_as_small_as_it_can_be():
    def check(data):
        if b"x" in data and b"y" in data:
            raise AssertionError("both")

    with pytest.raises(AssertionError, match=r"both\ninput: b'xy'\Z"):
        _round.require(check, b"abcx" * 20 + b"defy" * 20)
