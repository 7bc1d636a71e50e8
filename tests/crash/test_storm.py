"""A short storm (`scripts/storm-hosts`): kills at random moments while messages go through all of it."""

import re
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "storm-hosts"


def test_twenty_kills_at_random_moments_lose_nothing_and_double_nothing():
    done = subprocess.run([SCRIPT, "20", "60"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    kills, lost, doubled = map(int, re.search(r"(\d+) kills .*, (\d+) lost, (\d+) doubled", done.stdout).groups())
    assert kills >= 20
    assert lost == doubled == 0
