"""Kills at random moments, of the command and of hosts: after --resume every item is there once."""

import subprocess
import sys
from pathlib import Path

STORM = Path(__file__).resolve().parents[2] / "scripts" / "storm-batch"


def test_a_short_storm():
    done = subprocess.run([sys.executable, STORM, "8", "100"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "100 items, each once, all right" in done.stdout
