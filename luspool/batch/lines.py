"""Items out of JSON lines: an object a line, which is checked as something from anywhere. Pure."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from ..errors import UsageError
from ..limit_options import LIMIT_OPTIONS
from ..permissions.decision import visible
from .item import Item

LINE_MOST: Final = 16 << 20
"""Bytes of a line at most. Guessed: a script's standard input is in it."""

_SHOWN: Final = 60
_LIMITS: Final = {option.name: option for option in LIMIT_OPTIONS}


class LineError(UsageError):
    """A line is no item: where, what is wrong with it, and what can be written."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{visible(place)}: {problem}")


def read_lines(lines: Iterable[bytes], name: str) -> Iterator[Item]:
    """The items of a file called `name`, a line at a time; empty lines are none. LineError at the first bad one."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _item(line, f"{name}:{number}")


def _item(line: bytes, place: str) -> Item:
    if len(line) > LINE_MOST:
        raise LineError(place, f"longer than {LINE_MOST >> 20} MiB, which is the most")
    data = _parsed(line, place)
    if not isinstance(data, dict):
        raise LineError(place, f'an object is needed, as in {{"script": "a.lus"}}, not {_named(data)}')
    for key in data:
        if key not in _FIELDS:
            near = difflib.get_close_matches(key, _FIELDS, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_FIELDS)}"
            raise LineError(place, f"unknown key {_shown(key)} ({hint})")
    if "script" not in data:
        raise LineError(place, 'no "script": name the file to run')
    fields = {_FIELDS[key][0]: _FIELDS[key][1](value, key, place) for key, value in data.items()}
    return Item(place=place, **fields)


def _parsed(line: bytes, place: str) -> object:
    try:
        return json.loads(line, object_pairs_hook=lambda pairs: _once(pairs, place))
    except json.JSONDecodeError as error:
        raise LineError(f"{place}:{error.colno}", f"no JSON: {error.msg}") from None
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise LineError(place, f"no JSON: {visible(what)}") from None


def _once(pairs: list[tuple[str, Any]], place: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise LineError(place, f"{_shown(key)} is there twice; which one counts?")
        found[key] = value
    return found


def _text(value: object, key: str, place: str) -> str:
    if not isinstance(value, str):
        raise LineError(place, f'"{key}" is a string, not {_named(value)}')
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise LineError(place, f'"{key}" has half a surrogate pair, which is no character') from None
    return value


def _script(value: object, key: str, place: str) -> str:
    path = _text(value, key, place)
    if not path or "\0" in path:
        raise LineError(place, f'"{key}" is {_shown(path)}, which is no path')
    return path


def _texts(value: object, key: str, place: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise LineError(place, f'"{key}" is a list of strings, not {_named(value)}')
    return tuple(_text(one, f"{key}[{number}]", place) for number, one in enumerate(value))


def _limits(value: object, key: str, place: str) -> dict[str, int]:
    if not isinstance(value, dict):
        raise LineError(place, f'"{key}" is an object, as in {{"timeout": "5s"}}, not {_named(value)}')
    return {name: _limit(name, text, place) for name, text in value.items()}


def _limit(name: str, value: object, place: str) -> int:
    if name not in _LIMITS:
        near = difflib.get_close_matches(name, _LIMITS, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_LIMITS)}"
        raise LineError(place, f"unknown limit {_shown(name)} ({hint})")
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise LineError(place, f'limit "{name}" is a string as of --{name}, or a whole number, not {_named(value)}')
    try:
        return _LIMITS[name].parse(str(value))
    except ValueError as error:
        raise LineError(place, f'limit "{name}": {visible(str(error))}') from None


def _environment(value: object, key: str, place: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise LineError(place, f'"{key}" is an object, as in {{"LANG": "C"}}, not {_named(value)}')
    for name in value:
        if not name or "=" in name or "\0" in name:
            raise LineError(place, f'"{key}": {_shown(name)} is no name of a variable')
    return {_text(name, key, place): _text(text, f"{key}.{name}", place) for name, text in value.items()}


_FIELDS: Final[dict[str, tuple[str, Callable[[object, str, str], Any]]]] = {
    "script": ("script", _script),
    "args": ("arguments", _texts),
    "stdin": ("stdin", _text),
    "pledges": ("pledges", _texts),
    "limits": ("limits", _limits),
    "env": ("environment", _environment),
}
"""By key: the field of an item, and its reader."""


def _named(value: object) -> str:
    kinds: dict[type, str] = {dict: "an object", list: "a list", str: "a string", bool: "a truth value"}
    return "null" if value is None else kinds.get(type(value), "a number")


def _shown(text: str) -> str:
    shown = visible(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
    return f'"{shown}"'
