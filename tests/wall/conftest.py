"""Runs Python in processes of their own: a wall never comes down again."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

HERE = Path(__file__).parent
START = f"import sys; sys.path[:0] = [{str(HERE.parents[1])!r}, {str(HERE)!r}]\n"


@pytest.fixture
def python():
    """Runs code in a process that finds luspool and the modules of this folder; what it prints. It must end well."""

    def run(code: str, environment: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            [sys.executable, "-I", "-c", START + textwrap.dedent(code)],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def folder():
    """An empty directory that every user may read; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)  # noqa: S103 - for a process that becomes another user
        yield Path(name)
