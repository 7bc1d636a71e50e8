"""Every program of tests/hogs beside an honest worker: it is ended for a limit, and its neighbour is unharmed.

`scripts/show-hogs` runs the same and says how long after its limit each was ended.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from luspool.scheduler.limits import MEASURES

HOGS = Path(__file__).parents[1] / "hogs"
NAMES = sorted(path.stem for path in HOGS.glob("*.lus"))


def test_there_are_hogs():
    assert len(NAMES) > 35


@pytest.mark.parametrize("hog", NAMES)
def test_a_hog_is_ended_and_its_neighbour_works_on(hog):
    flags = ["--threads", "2", "-P", "load", "-P", "fs:read=.", "--timeout", "60s"]
    done = subprocess.run(
        [sys.executable, "-m", "luspool", "run", *flags, "program/main.lus", hog, "200ms"],
        cwd=HOGS,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=100,
        check=False,
    )
    said = [line.removeprefix("main: ") for line in done.stdout.splitlines() if line.startswith("main: ")]
    assert said[0] == "begin", done.stderr
    _, caught, problem = said[1].split("\t")
    assert caught == "false"
    assert any(f"{kind} limit exceeded" in problem for kind in MEASURES), problem
    assert said[2:] == ["honest"]
