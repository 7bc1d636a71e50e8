"""Pages can be followed: links and their anchors lead somewhere; files, commands and options are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from luspool.commands import _luspool as command_line

BATCH = command_line.commands["batch"]
"""Of which `run` need not be said."""
ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")])
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@cache
def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def links(page: Path) -> list[str]:
    """Where it leads within the tree."""
    return re.findall(r"\]\((?!https?://)([^)\s]+)\)", re.sub(r"`[^`\n]+`", "", prose(page)))


@cache
def anchors(page: Path) -> set[str]:
    """The anchors of its headings, as code hosts make them."""
    titles = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@cache
def code(page: Path) -> str:
    """Its blocks of code and what stands in backquotes."""
    text = page.read_text(encoding="utf-8")
    return "\n".join([*re.findall(r"^```.*?^```$", text, re.DOTALL | re.MULTILINE), *re.findall(r"`([^`\n]+)`", text)])


@each_page
def test_links_lead_to_files_and_headings(page):
    for target in links(page):
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@each_page
def test_files_of_the_tree_that_are_named_are_there(page):
    rooms = "luspool|permissions|sandbox|scheduler|scripts|tests|docs|examples"
    for name in re.findall(rf"(?<![\w./-])(?:\.\./\.\./)?((?:{rooms})/[\w./*-]*[\w*])", code(page)):
        assert list(ROOT.glob(name)), name


@each_page
def test_commands_and_their_options_are_there(page):
    named = r"(?:^|[`$(| ]|\.venv/bin/)luspool ((?:audit |batch )?[a-z]\w*\b[^\n`|]*)"
    for line in re.findall(named, code(page), re.MULTILINE):
        words = re.sub(r"\s#.*", "", line).split()
        command: click.Command = command_line
        while words and isinstance(command, click.Group) and words[0] in command.commands:
            command = command.commands[words.pop(0)]
        assert command is not command_line, line
        command = command.commands["run"] if command is BATCH and words else command
        known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
        for option in re.findall(r"(?<!\S)(--[a-z][a-z-]+)", " ".join(words).partition(" -- ")[0]):
            assert option in {*known, "--help"}, line


def test_every_page_can_be_come_to_from_the_first():
    found, new = set(), {ROOT / "README.md"}
    while new:
        found |= new
        targets = {(page, target.partition("#")[0]) for page in new for target in links(page)}
        new = {(page.parent / path).resolve() for page, path in targets if path.endswith(".md")} - found
    assert set(PAGES) - found == set()


def test_every_script_is_named_on_a_page():
    scripts = {path.name for path in (ROOT / "scripts").iterdir() if path.is_file() and not path.suffix}
    named = set(re.findall(r"scripts/([\w-]+)", " ".join(map(code, PAGES))))
    assert scripts - named == set()


def commands(command: click.Command, words: tuple[str, ...] = ("luspool",)) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield " ".join(words), command
        return
    for name, below in command.commands.items():
        yield from commands(below, (*words, name))


@pytest.mark.parametrize(
    ("name", "command"), [*commands(command_line)], ids=[name for name, _ in commands(command_line)]
)
def test_every_command_and_each_of_its_options_is_on_a_page(name, command):
    pages = " ".join(map(code, PAGES))
    assert name.removeprefix("luspool ").removesuffix(" run") in pages
    for option in command.params:
        assert isinstance(option, click.Argument) or any(one in pages for one in option.opts), option.opts


@pytest.mark.parametrize(
    ("name", "modules"),
    [
        ("scheduler.md", "scheduler/*.py"),
        ("architecture.md", "luspool/*.py"),
        ("architecture.md", "sandbox/*.py"),
        ("architecture.md", "sandbox/lua/*.lua"),
        ("architecture.md", "sandbox/native/*.c"),
    ],
)
def test_every_module_is_in_a_table_of_the_page_on_its_room(name, modules):
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\|.*", page, re.MULTILINE))))
    assert {path.stem for path in ROOT.glob(modules)} - {"__init__", "__main__"} - named == set()
