"""Scripts and all that they load and start, looked at without running anything."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext

from ..errors import CANNOT_LOAD, CannotLoadError, LuspoolError
from ..reading import bounded_reading
from ..sandbox import Stop, SyntaxFault
from ..sandbox import check as check_syntax
from ..sandbox.syntax.record import record
from ..scheduler.limits import StateLimits
from ..source import STANDARD_INPUT, display_name, read_script
from .findings import ANYTHING, Place, ScanResult, ScriptFindings, Target, Unknown, Use
from .script import scan_script


def scan(scripts: Sequence[str], *, strict_globals: bool = False) -> ScanResult:
    """What these scripts, and those that they run by constant names, can ask for. Each is read once.

    Relative paths begin at the working directory, as when a script is run from there.
    """
    scanner = _Scanner(strict_globals)
    for script in scripts:
        scanner.add_root(script)
    scanner.follow_all()
    return scanner.result()


class _Scanner:
    def __init__(self, strict_globals: bool) -> None:
        self._strict_globals = strict_globals
        self._seen: set[str] = set()
        """Real paths."""
        self._scripts: list[str] = []
        self._uses: list[Use] = []
        self._unknowns: list[Unknown] = []
        self._faults: list[str] = []
        self._fault_status = 0
        self._targets: deque[Target] = deque()

    def add_root(self, path: str) -> None:
        if not self._is_new(path):
            return
        try:
            source = _read(path)
        except CannotLoadError as error:
            self._add_fault(str(error), error)
        else:
            self._add(display_name(path), source)

    def follow_all(self) -> None:
        while self._targets:
            self._follow(self._targets.popleft())

    def result(self) -> ScanResult:
        return ScanResult(self._scripts, self._uses, self._unknowns, self._faults, self._fault_status)

    def _follow(self, target: Target) -> None:
        """Every path that is tried has to be readable, up to the one that is there."""
        for path in target.paths:
            if len(target.paths) > 1:
                self._uses.append(Use("fs:read", path, target.function, target.place))
            if os.path.isfile(path):
                self._add_target(path, target)
                return
        tried = ", ".join(target.paths)
        self._add_unknown(target, f"{tried}: no such file, so what would be run is not known")

    def _add_target(self, path: str, target: Target) -> None:
        if path == STANDARD_INPUT:  # which for a script is a file of that name
            path = os.path.join(os.curdir, path)
        if not self._is_new(path):
            return
        try:
            source = _read(path)
        except CannotLoadError as error:
            self._add_unknown(target, str(error))
        else:
            self._add(path, source)

    def _add_unknown(self, target: Target, why: str) -> None:
        self._unknowns.append(Unknown(target.function, why, ANYTHING, target.place))

    def _is_new(self, path: str) -> bool:
        """Whether this file has not been met yet, by whatever name."""
        name = path if path == STANDARD_INPUT else os.path.realpath(path)
        is_new = name not in self._seen
        self._seen.add(name)
        return is_new

    def _add(self, path: str, source: bytes) -> None:
        self._scripts.append(path)
        try:
            with bounded_reading(path) as stop:
                check_syntax(source, path, strict_globals=self._strict_globals, stop=stop)
                findings = self._findings(path, source, stop)
        except SyntaxFault as fault:
            self._add_fault(str(fault), None)
            return
        except CannotLoadError as error:
            self._add_fault(str(error), error)
            return
        self._uses.extend(findings.uses)
        self._unknowns.extend(findings.unknowns)
        self._targets.extend(findings.targets)

    def _findings(self, path: str, source: bytes, stop: Stop) -> ScriptFindings:
        try:
            return scan_script(record(source, path, stop), path, stop)
        except SyntaxFault as fault:
            # Lua takes it, since it reads a word of Lus as a name there. Nobody means that.
            why = f"the script can't be looked into from here on: {fault.message}"
            unknown = Unknown(path, why, ANYTHING, Place(path, fault.line, fault.column))
            return ScriptFindings((), (unknown,), ())

    def _add_fault(self, text: str, error: LuspoolError | None) -> None:
        self._faults.append(text)
        self._fault_status = self._fault_status or (error.exit_status if error else CANNOT_LOAD)


def _read(path: str) -> bytes:
    """A script as `run` takes it by default: what is larger is no script that somebody looks at."""
    return read_script(path, nullcontext(), StateLimits().source, "the most that is looked into")
