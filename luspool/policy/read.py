"""From the text of a policy file to what it says. Whatever is wrong is one error with its place, and nothing else."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec.structs import replace

from ..limit_options import LIMIT_OPTIONS
from ..permissions import Origin, Pledge, PledgeSet, PledgeSyntaxError, Rule, ValueKind
from .document import Document
from .model import ARGUMENT_WORD, SET_NAME, Entry, LimitEntry, Place, PolicyFile, PolicySet
from .positions import Path

_KEYS: Final = ("default", "set")
_SET_KEYS: Final = ("extends", "pledge", "allow", "limits")
_LIMITS: Final = {option.name: option for option in LIMIT_OPTIONS}
_KINDS: Final = {
    dict: "a table",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
}


def read_policy(data: bytes, name: str) -> PolicyFile:
    """What a policy file says; `name` is how messages call it. PolicyError."""
    return _Reader(Document(data, name)).file()


class _Reader:
    def __init__(self, document: Document) -> None:
        self._document = document

    def file(self) -> PolicyFile:
        top = self._document.data
        self._check_keys((), top, _KEYS)
        sets = self._typed(("set",), top.get("set", {}), dict)
        if not sets:
            line = "[set.NAME]"
            self._document.fail(0, f"the file has no set (a set begins with a line {line})")
        policy = PolicyFile({name: self._set(name, content) for name, content in sets.items()})
        for name in sets:
            self._check_extends(policy, name)
        self._check_cycles(policy)
        if "default" in top:
            default = self._typed(("default",), top["default"], str)
            self._check_known(("default",), default, sets)
            policy = PolicyFile(policy.sets, default)
        return policy

    def _set(self, name: str, content: object) -> PolicySet:
        path = ("set", name)
        if not SET_NAME.fullmatch(name):
            self._document.fail_at_key(path, f"{name!r} can't name a set (up to 100 letters, digits, '-' and '_')")
        table = self._typed(path, content, dict)
        self._check_keys(path, table, _SET_KEYS)
        limits = self._typed((*path, "limits"), table.get("limits", {}), dict)
        self._check_keys((*path, "limits"), limits, tuple(_LIMITS))
        return PolicySet(
            tuple(text for _, text in self._strings((*path, "extends"), table)),
            tuple(self._entry(at, text) for at, text in self._strings((*path, "pledge"), table)),
            tuple(self._entry(at, text) for at, text in self._strings((*path, "allow"), table)),
            {name: self._limit((*path, "limits", name), value) for name, value in limits.items()},
        )

    # --- pledges and limits --------------------------------------------------------------------------------------

    def _entry(self, path: Path, text: str) -> Entry:
        try:
            pledge = Pledge.parse(text, command_line=True)
            _check_may_be_given(pledge, is_allowed="allow" in path[2:3])
        except PledgeSyntaxError as error:
            offset = self._document.positions.inside(path, error.column - 1)
            self._document.fail(offset, f"{error.problem} ({error.advice})")
        entry = Entry(pledge, self._place(path))
        if (pledge.value or "").startswith(ARGUMENT_WORD) and pledge.record.value is not ValueKind.FUNCTION:
            offset = self._document.positions.inside(path, text.index("=") + 1)
            if pledge.record.value is not ValueKind.PATH:
                self._document.fail(offset, f'an argument stands for a path, and "{pledge.permission}" takes none')
            if entry.argument is None:
                advice = f'write "arg:1" alone for the first one, or "./{pledge.value}" for a file of that name'
                self._document.fail(offset, f'"{pledge.value}" names no argument ({advice})')
        return entry

    def _limit(self, path: Path, value: object) -> LimitEntry:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            self._document.fail_at_value(path, f"expected a number or a string, got {_kind(value)}")
        try:
            return LimitEntry(str(value), _LIMITS[str(path[-1])].parse(str(value)), self._place(path))
        except ValueError as error:
            self._document.fail_at_value(path, str(error))

    # --- names ---------------------------------------------------------------------------------------------------

    def _check_extends(self, policy: PolicyFile, name: str) -> None:
        for index, extended in enumerate(policy.sets[name].extends):
            self._check_known(("set", name, "extends", index), extended, policy.sets)

    def _check_known(self, path: Path, name: str, sets: Iterable[str]) -> None:
        if name not in sets:
            self._document.fail_at_value(path, f"there is no set {name!r} ({_known(name, tuple(sets))})")

    def _check_cycles(self, policy: PolicyFile) -> None:
        finished: set[str] = set()
        for name in policy.sets:
            trail = {name: iter(enumerate(policy.sets[name].extends))}
            while trail:
                current, rest = next(reversed(trail.items()))
                index, extended = next(rest, (0, None))
                if extended is None:
                    finished.add(current)
                    trail.popitem()
                elif extended in trail:
                    names = list(trail)
                    circle = " → ".join([*names[names.index(extended) :], extended])
                    self._document.fail_at_value(
                        ("set", current, "extends", index), f"the set {extended!r} extends itself ({circle})"
                    )
                elif extended not in finished:
                    trail[extended] = iter(enumerate(policy.sets[extended].extends))

    # --- types ---------------------------------------------------------------------------------------------------

    def _strings(self, path: Path, table: Mapping[str, Any]) -> list[tuple[Path, str]]:
        """The strings of an array, each with its path; none where the array is missing."""
        values = self._typed(path, table.get(str(path[-1]), []), list)
        paths = [(*path, index) for index in range(len(values))]
        return [(at, self._typed(at, value, str)) for at, value in zip(paths, values, strict=True)]

    def _typed(self, path: Path, value: Any, kind: type) -> Any:  # noqa: ANN401  it is what the file says
        if not isinstance(value, kind):
            self._document.fail_at_value(path, f"expected {_KINDS[kind]}, got {_kind(value)}{_advice(value, kind)}")
        return value

    def _check_keys(self, path: Path, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
        for key in table:
            if key not in known:
                self._document.fail_at_key((*path, key), f"unknown key {key!r} ({_known(key, known)})")

    def _place(self, path: Path) -> Place:
        return Place(*self._document.positions.place(self._document.positions.values[path]))


def _check_may_be_given(pledge: Pledge, *, is_allowed: bool) -> None:
    """PledgeSyntaxError for what no set of pledges takes."""
    if is_allowed and (pledge.rejected or pledge.permission == "seal"):
        raise PledgeSyntaxError(str(pledge), 1, "no permission to allow", 'put it in "pledge"')
    # Without its value: paths are bound only when the set is used.
    PledgeSet.root([Rule(replace(pledge, value=None), Origin.policy(""))])


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "a date or time")


def _advice(value: object, kind: type) -> str:
    return " (put it in brackets)" if isinstance(value, str) and kind is list else ""


def _known(word: str, known: tuple[str, ...]) -> str:
    """Advice for who wrote `word` in the place of one of these."""
    guesses = difflib.get_close_matches(word, known, 1) if len(word) <= 100 else []
    return f"did you mean {guesses[0]!r}?" if guesses else f"known are {', '.join(known)}"
