"""Golden tests: each folder under tests/golden is a case, run by the installed command in that folder.

command           the arguments of `luspool`, as a shell would split them
directory         where it is run, relative to the case's folder (that one if absent)
stdin             standard input (empty if absent)
stdout            expected output; `stdout.unordered` instead: the same lines in any order
stderr, status    expected diagnostics and exit status (nothing and 0 if absent); `$CASE` stands for the folder
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.parent for path in GOLDEN.glob("*/command"))


def expected(case: Path, name: str, default: str = "") -> str:
    file = case / name
    return file.read_text(encoding="utf-8").replace("$CASE", str(case)) if file.exists() else default


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_prints_what_the_case_says(case: Path) -> None:
    arguments = shlex.split((case / "command").read_text(encoding="utf-8"))
    done = subprocess.run(
        [sys.executable, "-m", "luspool", *arguments],
        cwd=case / expected(case, "directory").strip(),
        input=expected(case, "stdin"),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.stderr == expected(case, "stderr")
    if (case / "stdout.unordered").exists():
        assert sorted(done.stdout.splitlines()) == sorted(expected(case, "stdout.unordered").splitlines())
    else:
        assert done.stdout == expected(case, "stdout")
    assert done.returncode == int(expected(case, "status", "0"))


def test_there_are_cases() -> None:
    assert len(CASES) > 15
