"""Commands that a page of the documentation shows, with what it says that they print."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .conftest import COMMAND


def shown_commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command behind a `$` in the blocks of code of a page, and the lines below it, in the order of the page."""
    for block in re.findall(r"^```\n(\$ .*?)^```$", text, re.DOTALL | re.MULTILINE):
        yield from re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)


def shown_files(text: str, heading: str) -> list[str]:
    """The Lus programs of a section, in its order."""
    section = text.split(f"\n## {heading}\n")[1].partition("\n## ")[0]
    return re.findall(r"^```lua\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


def printed(command: str, directory: Path, environment: dict[str, str]) -> str:
    """What a shell prints for a command, errors included; `luspool` in it is the one under test."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=directory,
        env={**environment, "PATH": f"{Path(COMMAND).parent}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    return done.stdout
