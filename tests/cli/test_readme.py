"""README.md: its commands print what it says, and its programs are those of the examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .pages import printed, shown_commands, shown_files

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [(command, output) for command, output in shown_commands(README) if command != "scripts/test"]


@pytest.mark.parametrize(("command", "output"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_a_command_prints_what_stands_below_it(luspool, command, output):
    # Of a clone's own environment, which is here the one of the tests.
    command = re.sub(r"(\.\./\.\./)?scripts/run", "luspool run", command)
    found = printed(command, ROOT, luspool.environment)
    # The portable mechanism does not know in which line there was no memory left.
    found = found.replace("greedy.lus: memory", "greedy.lus:3: memory")
    shown = output.removesuffix("…\n")
    assert found.startswith(shown)
    assert found == shown or output.endswith("…\n")


def test_the_programs_are_those_of_the_example():
    plugins = ROOT / "examples/plugins"
    files = ["main.lus", "plugins/count.lus", "plugins/greedy.lus", "plugins/curious.lus"]
    shown = shown_files(README, "A program")
    assert shown == [plugins.joinpath(name).read_text(encoding="utf-8") for name in files]
    assert sum(text.count("\n") for text in shown) <= 20


def test_no_command_is_overlooked():
    assert len(COMMANDS) == 3
