"""The walk through auditing in docs/auditing.md: its commands, one after another, print what it says."""

from __future__ import annotations

import re
from pathlib import Path

from .pages import printed, shown_commands

PAGE = Path(__file__).parents[2] / "docs/auditing.md"
DIRECTORY = "/srv/shop"
"""Where the page has it happen."""
CHANGING = [
    (r"\b[0-9a-f]{16}\b", "0123456789abcdef"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "2026-01-31 12:00:00"),
    (r"\b\d+\.\d{3} s\b", "0.123 s"),
]
"""What is new in every run, and what stands for it."""


def walk_through() -> str:
    _, text = PAGE.read_text(encoding="utf-8").split("\n## A walk through\n", 1)
    return text.split("\n## ", 1)[0]


def unchanging(text: str) -> str:
    for pattern, same in CHANGING:
        text = re.sub(pattern, same, text)
    return text


def test_its_commands_print_what_it_says(luspool):
    text = walk_through()
    for name, source in re.findall(r"`(\w+\.lus)`:\n\n```lua\n(.*?)```", text, re.DOTALL):
        luspool.directory.joinpath(name).write_text(source, encoding="utf-8")
    commands = list(shown_commands(text))
    for command, expected in commands:
        found = printed(command, luspool.directory, luspool.environment).replace(str(luspool.directory), DIRECTORY)
        assert unchanging(found) == unchanging(expected), command
    assert len(commands) > 12
    assert luspool.directory.joinpath("report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
