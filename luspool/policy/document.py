"""A TOML text as data, and errors that show where in it something is wrong."""

from __future__ import annotations

import re
import tomllib
from contextlib import suppress
from typing import Any, Final, NoReturn

from ..errors import UsageError
from .positions import Path, Positions

_POSITION: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)\Z")
_LONG_NUMBER: Final = re.compile(r"[0-9_]{4300}")
"""Beyond, Python refuses to read a number, and does not say where it stands."""


class PolicyError(UsageError):
    """What is wrong with a policy file, and where: `file:line:column: problem`, the line, and a caret below it."""

    def __init__(self, name: str, line: int, column: int, problem: str, source_line: str) -> None:
        from ..sandbox.syntax import SyntaxFault  # noqa: PLC0415  it costs time, and is of use only where there is one

        shown = str(SyntaxFault(name, line, column, problem, source_line))
        super().__init__(shown.replace("\n", "\n  "))
        self.line = line
        self.column = column
        self.problem = problem


class Document:
    """The data of a TOML text, and the places of all that is in it. `name` is the file's, for messages."""

    def __init__(self, data: bytes, name: str) -> None:
        """PolicyError where `data` is no TOML."""
        self.name = name
        text = self._decoded(data).replace("\r\n", "\n")
        try:
            # First, for what nests too deep: a key takes `tomllib` time and memory by the square of its parts.
            with suppress(ValueError, IndexError):  # of what is no TOML, that says more
                self.positions = Positions(text)
            self.data: dict[str, Any] = tomllib.loads(text)
        except RecursionError:
            raise self._error(text, 1, 1, "the file nests too deep") from None
        except ValueError as error:
            raise self._syntax_error(text, error) from None

    def fail(self, offset: int, problem: str) -> NoReturn:
        """PolicyError at this offset of the text."""
        line, column = self.positions.place(offset)
        raise PolicyError(self.name, line, column, problem, self.positions.line(line))

    def fail_at_key(self, path: Path, problem: str) -> NoReturn:
        """PolicyError at the last key of this path."""
        self.fail(self.positions.keys[path], problem)

    def fail_at_value(self, path: Path, problem: str) -> NoReturn:
        """PolicyError at the value of this path."""
        self.fail(self.positions.values[path], problem)

    def _decoded(self, data: bytes) -> str:
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            before = data[: error.start].decode("utf-8").replace("\r\n", "\n")
            line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
            problem = f"the byte {data[error.start]:#04x}, which is not UTF-8 (a policy file is text in UTF-8)"
            raise self._error(data.decode("utf-8", "surrogateescape"), line, column, problem) from None

    def _syntax_error(self, text: str, error: ValueError) -> PolicyError:
        message = str(error)
        position = _POSITION.search(message)
        if position is None:
            number = _LONG_NUMBER.search(text)
            offset, problem = (number.start() if number else 0), "a number that is too long"
        elif position[1]:
            problem = message[: position.start()]
            return self._error(text, int(position[1]), int(position[2]), _lower(problem))
        else:
            offset, problem = len(text.rstrip("\n")), message[: position.start()]
        line, column = text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
        return self._error(text, line, column, _lower(problem))

    def _error(self, text: str, line: int, column: int, problem: str) -> PolicyError:
        lines = text.replace("\r\n", "\n").split("\n")
        return PolicyError(self.name, line, column, problem, lines[line - 1] if line <= len(lines) else "")


def _lower(problem: str) -> str:
    """As our own messages begin."""
    return problem[:1].lower() + problem[1:]
