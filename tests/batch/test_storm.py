"""Kills at random moments, of the command, hosts and Ray workers: after --resume every item is there once."""

import subprocess
import sys
from pathlib import Path

import pytest

STORM = Path(__file__).resolve().parents[2] / "scripts" / "storm-batch"


@pytest.mark.parametrize("arguments", [("8", "100"), ("--engine", "ray", "6", "100")], ids=["local", "ray"])
def test_a_short_storm(arguments):
    done = subprocess.run([sys.executable, STORM, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "100 items, each once, all right" in done.stdout
