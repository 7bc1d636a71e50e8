"""Paths that were used, as the values of pledges, with comments on whatever these grant beyond them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final, TypeAlias

from msgspec import Struct

from ..permissions.paths import escape
from ..policy.model import ARGUMENT_WORD
from .report_words import at_most, counted

OFFER_LEAST: Final = 3
"""Files of one directory for which a pattern is offered; guessed: fewer are as well read one by one."""
LINES_MOST: Final = 20
"""Lines of one list in a comment; guessed at what anybody reads. It says how many more there are."""
_UNSAYABLE: Final = "?"
"""In a pattern, for a character that a pledge can't have."""

GONE: Final = "not there now"
"""In the comment on a path that may have been a directory, for all that can be seen."""

Value: TypeAlias = "tuple[str, tuple[str, ...]]"
"""The value of a pledge, and the comment on it."""


class Found(Struct, frozen=True):
    """A real path that was used, and how often and where, in words."""

    path: str
    note: str


class PathText(Struct, frozen=True):
    """Writes paths and patterns into a policy that will lie in the directory `base`; None: anywhere."""

    base: str | None

    def text(self, value: str) -> str:
        """A canonical value, relative to the policy if it lies beneath."""
        if self.base is None:
            return value
        base = escape(self.base)
        if value == base:
            return "."
        rest = value.removeprefix(f"{base.rstrip('/')}/")
        is_pattern_without_directory = not set("*?").isdisjoint(rest.split("/")[0])
        # And `arg:1` is no file.
        return f"./{rest}" if is_pattern_without_directory or rest.startswith(ARGUMENT_WORD) else rest

    def canonical(self, text: str) -> str:
        """The canonical value that `text` gave this text for."""
        return os.path.normpath(os.path.join(escape(self.base or "/"), text))

    def of_path(self, path: str, behind: str = "") -> str:
        """The value that stands for a path, and for what lies `behind` it."""
        return self.text("".join(char if char.isprintable() else _UNSAYABLE for char in escape(path)) + behind)


def leads_text(path: str) -> str:
    """For the comment on a real path that a link is in by now: a policy is about what that leads to. Else ""."""
    try:
        leads_to = os.path.realpath(path)
    except (ValueError, RecursionError):  # a NUL, or links without end: nothing is granted by that
        leads_to = path
    return "" if leads_to == path else f"; leads to {leads_to} by now"


def arranged(permission: str, found: Sequence[Found], paths: PathText, *, patterns: bool) -> Iterator[Value]:
    """Values of `permission` that grant these paths. With `patterns`, offers are granted rather than told."""
    within = _within(found)
    beneath: dict[str, list[Found]] = {}
    for each in found:
        if each.path in within:
            beneath.setdefault(within[each.path], []).append(each)
    top = sorted((each for each in found if each.path not in within), key=lambda each: os.path.split(each.path))
    for directory, group in groupby(top, lambda each: os.path.dirname(each.path)):
        files = []
        for each in group:
            if each.path in beneath or (_is_said(each.path) and os.path.isdir(each.path)):
                yield paths.of_path(each.path), _of_directory(each, beneath.get(each.path, ()), paths)
            else:
                files.append(each)
        offer = _offered(directory, files, paths)
        values = [(paths.of_path(each.path), _of_file(each)) for each in files]
        if offer is None:
            yield from values
        elif patterns:
            yield _with_pattern(offer, values)
        else:
            yield from _with_offer(permission, offer, values)


def _of_directory(directory: Found, beneath: Sequence[Found], paths: PathText) -> tuple[str, ...]:
    used = [f"{paths.of_path(each.path)}, {each.note}" for each in sorted(beneath, key=lambda each: each.path)]
    lines = [f"  used beneath: {line}" for line in at_most(LINES_MOST, used)]
    return f"a directory, with all beneath it; {_note(directory)}", *lines


class _Offer(Struct, frozen=True):
    """A pattern that would grant some files, and what else it would."""

    pattern: str
    more: str


def _offered(directory: str, files: Sequence[Found], paths: PathText) -> _Offer | None:
    if len(files) < OFFER_LEAST or directory == "/":
        return None
    ends = {os.path.splitext(each.path)[1] for each in files}
    end = ends.pop() if len(ends) == 1 else ""
    if end and _is_said(end):
        return _Offer(paths.of_path(directory, f"/*{escape(end)}"), "all that is named so beneath that directory")
    # A pattern, which a path that can't be said becomes, grants nothing beneath it.
    return _Offer(paths.of_path(directory, "" if _is_said(directory) else "/*"), "all else beneath that directory")


def _with_pattern(offer: _Offer, values: Sequence[Value]) -> Value:
    used = at_most(LINES_MOST, [f"{value}, {comment[0]}" for value, comment in values])
    first = f"in the place of {counted(len(values), 'file')}, with {offer.more}"
    return offer.pattern, (first, *(f"  used: {line}" for line in used))


def _with_offer(permission: str, offer: _Offer, values: Sequence[Value]) -> Iterator[Value]:
    *first, (value, comment) = values
    yield from first
    offered = (
        f'offered: "{permission}={offer.pattern}" would grant these {counted(len(values), "file")}, with {offer.more}'
    )
    yield value, (*comment, offered)


def _of_file(found: Found) -> tuple[str, ...]:
    if not _is_said(found.path):
        return (f"each {_UNSAYABLE} stands for any character; {found.note}",)
    return (_note(found) if os.path.lexists(found.path) else f"{found.note}; {GONE}",)


def _note(found: Found) -> str:
    return found.note + leads_text(found.path)


def _within(found: Sequence[Found]) -> dict[str, str]:
    """Of the paths that lie beneath another one of these, and are granted with it: the topmost such path."""
    within: dict[str, str] = {}
    topmost = "/"  # which is not granted for what lies beneath it
    for path in sorted((each.path for each in found), key=lambda path: path.split("/")):  # what is beneath comes next
        if topmost != "/" and path.startswith(f"{topmost}/"):
            within[path] = topmost
        elif _is_said(path):
            topmost = path
    return within


def _is_said(path: str) -> bool:
    """Whether a pledge can say the path, and so grants what is beneath it."""
    return path.isprintable()
