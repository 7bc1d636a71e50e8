"""Kills at random moments: after --resume every item is there once. And a batch of many items at a terminal."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def run_script(name, *arguments):
    return subprocess.run([sys.executable, SCRIPTS / name, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [("8", "100"), ("--engine", "ray", "6", "100")], ids=["local", "ray"])
def test_a_short_storm(arguments):
    done = run_script("storm-batch", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "100 items, each once, all right" in done.stdout


def test_many_items_at_a_terminal():
    done = run_script("soak-batch", "2000")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wrong: []" in done.stdout
