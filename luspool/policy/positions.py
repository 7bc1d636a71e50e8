"""Where each key and value of a TOML text stands. The standard library's reader, `tomllib`, tells only what they are.

The text is to be one that `tomllib` accepts, so this reads no more than it takes to walk over it: strings, brackets,
and runs of anything else. A property test compares what it finds with the data of `tomllib`.

A path is the keys and indices that lead to a value: `("set", "base", "pledge", 0)`.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from typing import Final, TypeAlias

Path: TypeAlias = "tuple[str | int, ...]"

_BLANK: Final = re.compile(r"(?:[ \t\n]++|#[^\n]*+)*+")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]++")
_STRING: Final = re.compile(
    r'''"""(?:[^"\\]|\\[\s\S]|"{1,2}(?!"))*+"{3,5}'''
    r"""|'{3}[\s\S]*?'{3}'{0,2}"""
    r'''|"(?:[^"\\]|\\.)*+"'''
    r"""|'[^']*+'"""
)
_OTHER: Final = re.compile(r"[^,\]}\n#]++")
"""Numbers, dates (which may hold a space) and booleans."""

_DEEPEST: Final = 100
"""Parts of one dotted key. Each is kept with all before it, here and in `tomllib`. Guessed; a policy needs four."""


class Positions:
    """Offsets in `text` by path: of keys, and of values (of a table with a header: of its name there)."""

    def __init__(self, text: str) -> None:
        """ValueError or IndexError for a text that is no TOML, if at all; RecursionError where it nests too deep.

        However deep or wrong it is, that is found in time by its length.
        """
        self.text = text
        self.keys: dict[Path, int] = {}
        self.values: dict[Path, int] = {}
        self._last_index: dict[Path, int] = {}
        """Of each array of tables."""
        self._line_starts = [0, *(end.end() for end in re.finditer("\n", text))]
        self._at = 0
        self._document()

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, from 1, in characters."""
        number = bisect_right(self._line_starts, offset)
        return number, offset - self._line_starts[number - 1] + 1

    def line(self, number: int) -> str:
        """The text of a line."""
        lines = self.text.split("\n")
        return lines[number - 1] if number <= len(lines) else ""

    def inside(self, path: Path, index: int) -> int:
        """The offset of a character of the string at `path`; of its opening quote where escapes hide which it is."""
        start = self.values[path]
        string = _STRING.match(self.text, start)
        is_plain = string is not None and "\\" not in string[0] and not string[0].startswith(('"""', "'''"))
        return start + 1 + index if is_plain else start

    def _document(self) -> None:
        table: Path = ()
        self._skip()
        while self._at < len(self.text):
            if self.text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip()

    def _skip(self) -> None:
        """Go over blanks, line ends and comments."""
        blank = _BLANK.match(self.text, self._at)
        self._at = blank.end() if blank else self._at

    def _take(self, mark: str) -> bool:
        self._skip()
        if not self.text.startswith(mark, self._at):
            return False
        self._at += len(mark)
        return True

    def _header(self) -> Path:
        is_array = self._take("[[") or not self._take("[")
        path: Path = ()
        keys = self._dotted_key()
        self._take("]]" if is_array else "]")
        for number, (key, offset) in enumerate(keys, 1):
            path = self._named(path, key, offset)
            if is_array and number == len(keys):
                self._last_index[path] = self._last_index.get(path, -1) + 1
            if path in self._last_index:
                path = (*path, self._last_index[path])
                self.values.setdefault(path, offset)
        return path

    def _pair(self, table: Path) -> None:
        path = table
        for key, offset in self._dotted_key():
            path = self._named(path, key, offset)
        self._take("=")
        self._skip()
        self._value(path)

    def _named(self, table: Path, key: str, offset: int) -> Path:
        path = (*table, key)
        self.keys.setdefault(path, offset)
        self.values.setdefault(path, offset)
        return path

    def _dotted_key(self) -> list[tuple[str, int]]:
        keys = [self._key()]
        while self._take("."):
            keys.append(self._key())
            if len(keys) > _DEEPEST:
                raise RecursionError
        return keys

    def _key(self) -> tuple[str, int]:
        self._skip()
        start = self._at
        if bare := _BARE_KEY.match(self.text, start):
            self._at = bare.end()
            return bare[0], start
        quoted = _STRING.match(self.text, start)
        if quoted is None:
            raise ValueError(f"no key at offset {start}")
        self._at = quoted.end()
        return tomllib.loads(f"key = {quoted[0]}")["key"], start

    def _value(self, path: Path) -> None:
        self.values[path] = self._at
        if self.text[self._at] == "[":
            self._at += 1
            index = 0
            while not self._take("]"):
                self._value((*path, index))
                self._take(",")
                index += 1
        elif self.text[self._at] == "{":
            self._at += 1
            while not self._take("}"):
                self._pair(path)
                self._take(",")
        else:
            found = _STRING.match(self.text, self._at) or _OTHER.match(self.text, self._at)
            if found is None:
                raise ValueError(f"no value at offset {self._at}")
            self._at = found.end()
