"""Runs the command `luspool` as a user does, and sees to it that nothing of it is left behind."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

COMMAND = str(Path(sys.executable).with_name("luspool"))
MARK = "LUSPOOL_TEST_RUN"
PATIENCE = 300
"""Seconds until a command that hangs is called failed. On a machine with much else to do a start alone takes many."""


class Luspool:
    """The command in a directory of its own. Its processes are known by a mark in their environment."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {**os.environ, MARK: uuid.uuid4().hex}

    def write(self, **scripts: str | bytes) -> None:
        """Make scripts: `write(main="…")` makes main.lus."""
        for name, text in scripts.items():
            self.directory.joinpath(f"{name}.lus").write_bytes(text if isinstance(text, bytes) else text.encode())

    def __call__(self, *arguments: str, **options) -> subprocess.CompletedProcess:
        """Run it to its end, with its output as text."""
        options = {"stdin": subprocess.DEVNULL, "encoding": "utf-8", **options}
        if "input" in options:
            del options["stdin"]
        return subprocess.run(
            [COMMAND, *arguments],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            **options,
        )

    def start(self, *arguments: str, **options) -> subprocess.Popen:
        """Start it, with pipes to all its streams."""
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen([COMMAND, *arguments], cwd=self.directory, env=self.environment, **options)

    def processes(self) -> list[int]:
        """Those that are alive, of all that were ever started here."""
        mark = f"{MARK}={self.environment[MARK]}".encode()
        alive = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in folder.joinpath("environ").read_bytes():
                    alive.append(int(folder.name))
            except OSError:
                continue  # it ended meanwhile, or is a zombie
        return alive


@pytest.fixture
def luspool(tmp_path):
    command = Luspool(tmp_path)
    yield command
    assert command.processes() == []
