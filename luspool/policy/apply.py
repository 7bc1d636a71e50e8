"""What one set of a policy file means for one run: bound rules with their origins, and limits."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from ..errors import UsageError
from ..limit_options import LIMIT_OPTIONS
from ..own_files import warnings_about
from ..permissions import Origin, Pledge, PledgeError, PledgeSet, PledgeSyntaxError, Rule
from ..permissions.paths import escape
from ..scheduler.limits import Limits
from ..source import STANDARD_INPUT, working_directory
from .document import PolicyError
from .model import Entry, LimitEntry, PolicyFile, PolicySet
from .read import read_policy

SIZE_MOST: Final = 1024 * 1024
"""Bytes of a policy file; guessed: more than anybody would write."""


class AppliedPolicy(Struct, frozen=True):
    """The rules of a set and of all that it extends, for one script with its arguments.

    `file` is as it was named, `name` that with the set, `path` the real path. `limits` are by the names of their
    options, as numbers; `limit_places` says where each was stated.
    """

    file: str
    name: str
    path: str
    held: tuple[Rule, ...]
    ceiling: tuple[Rule, ...]
    limits: Mapping[str, int]
    limit_places: Mapping[str, str]

    def stricter(self, given: Mapping[str, int]) -> dict[str, int]:
        """These limits together with those that flags give: of each that both state, the less."""
        both = {**self.limits, **given}
        return {name: min(value, self.limits.get(name, value)) for name, value in both.items()}

    def places_of(self, limits: Limits) -> dict[str, str]:
        """Where those of these limits were stated that have the policy's value, by their options' names."""
        options = (option for option in LIMIT_OPTIONS if self.limits.get(option.name) == option.get(limits))
        return {option.name: self.limit_places[option.name] for option in options}

    def warnings(self, pledges: PledgeSet, script: str) -> list[str]:
        """What is odd about running a script of this name with these pledges: one line each."""
        files = [("its own policy", self.file)]
        if script != STANDARD_INPUT:
            files.append(("its own source", script))
        return warnings_about(files, pledges, script)


def open_policy(chosen: str, arguments: Sequence[bytes]) -> AppliedPolicy:
    """The set that `FILE[:NAME]` chooses, for a script with these arguments. UsageError; PolicyError, which is one.

    Paths in the file are relative to the directory where the file really is, those of arguments to the working
    directory, as for the script itself.
    """
    name, set_name = _split(chosen)
    path, data = _read(name)
    policy = read_policy(data, name)
    return _Binder(name, data, path, arguments).apply(policy, _choose(policy, set_name, name))


def open_sets(chosen: str) -> tuple[PolicySet, ...]:
    """The set that `FILE[:NAME]` chooses and all that it extends, as they are written. UsageError; PolicyError."""
    name, set_name = _split(chosen)
    _, data = _read(name)
    policy = read_policy(data, name)
    return policy.with_extended(_choose(policy, set_name, name))


def _split(chosen: str) -> tuple[str, str]:
    file, colon, name = chosen.rpartition(":")
    return (file, name) if colon and "/" not in name else (chosen, "")


def _read(name: str) -> tuple[str, bytes]:
    try:
        # What is no file (a pipe, say) must not keep us waiting, and has no directory for paths to begin in.
        with open(name, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UsageError(f"the policy {name} is no regular file")
            path = os.path.realpath(name, strict=True)
            data = file.read(SIZE_MOST + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot read the policy {name or repr(name)}: {reason}") from error
    if len(data) > SIZE_MOST:
        raise UsageError(f"the policy {name} is larger than 1 MiB, which is the most")
    return path, data


def _choose(policy: PolicyFile, name: str, file: str) -> str:
    chosen = name or policy.default or (next(iter(policy.sets)) if len(policy.sets) == 1 else "")
    if chosen in policy.sets:
        return chosen
    if chosen:
        raise UsageError(f"the policy {file} has no set {chosen!r} (it has {', '.join(policy.sets)})")
    advice = f"name one as in --policy {file}:{next(iter(policy.sets))}, or put a default in the file"
    raise UsageError(f"the policy {file} has several sets and no default ({advice})")


class _Binder:
    def __init__(self, name: str, data: bytes, path: str, arguments: Sequence[bytes]) -> None:
        self._name = name
        self._lines = data.decode().replace("\r\n", "\n").split("\n")
        self._path = path
        self._arguments = arguments

    def apply(self, policy: PolicyFile, name: str) -> AppliedPolicy:
        sets = policy.with_extended(name)
        limits = strictest_limits(sets)
        return AppliedPolicy(
            self._name,
            f"{self._name}:{name}",
            self._path,
            tuple(rule for each in sets for entry in each.pledges for rule in self._rules(entry)),
            tuple(rule for each in sets for entry in each.allowed for rule in self._rules(entry)),
            {limit: entry.value for limit, entry in limits.items()},
            {limit: f"{self._name}:{entry.place.line}" for limit, entry in limits.items()},
        )

    def _rules(self, entry: Entry) -> list[Rule]:
        """The rule that an entry is; none where it is about an argument that the script does not get."""
        number = entry.argument
        where = f"{self._name}:{entry.place.line}"
        try:
            if number is None:
                return [Rule(entry.pledge.bind(os.path.dirname(self._path)), Origin.policy(where))]
            if number > len(self._arguments):
                return []
            pledge = self._of_argument(entry.pledge, os.fsdecode(self._arguments[number - 1]))
            return [Rule(pledge.bind(working_directory()), Origin.policy(f"{where}, arg:{number}"))]
        except PledgeError as error:
            raise self._error(entry, error) from None

    def _of_argument(self, pledge: Pledge, text: str) -> Pledge:
        """The pledge about the file that an argument names: its text is a path, whatever characters it has."""
        if not text:
            raise PledgeSyntaxError(str(pledge), 1, "this argument is empty", "name a file")
        path = escape(text)
        # Parsed, since an argument may hold what no pledge can.
        return replace(Pledge.parse(f"{pledge.permission}={path}"), rejected=pledge.rejected)

    def _error(self, entry: Entry, error: PledgeError) -> PolicyError:
        problem = f"{error.problem} ({error.advice})" if isinstance(error, PledgeSyntaxError) else str(error)
        if entry.argument is not None:
            problem = f"argument {entry.argument} of the script: {problem}"
        line, column = entry.place.line, entry.place.column
        return PolicyError(self._name, line, column, problem, self._lines[line - 1])


def strictest_limits(sets: Sequence[PolicySet]) -> dict[str, LimitEntry]:
    """Of each limit that sets state, the least, by the names of their options."""
    found: dict[str, LimitEntry] = {}
    for option in LIMIT_OPTIONS:
        stated = [each.limits[option.name] for each in sets if option.name in each.limits]
        if stated:
            found[option.name] = min(stated, key=lambda entry: entry.value)
    return found
