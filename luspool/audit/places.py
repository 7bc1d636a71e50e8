"""From offsets in a source to places."""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import accumulate
from typing import Final

from .findings import Place

_NEWLINE: Final = re.compile(rb"\r\n|\n\r|\n|\r")


class Places:
    """Lines and columns of one source. A column counts characters where a line is UTF-8, else bytes.

    A line is read once, however many places of it are asked for: a script may be one line of a megabyte.
    """

    def __init__(self, source: bytes, path: str) -> None:
        self._source = source
        self._path = path
        self._starts = [0, *(newline.end() for newline in _NEWLINE.finditer(source))]
        self._characters: dict[int, list[int]] = {}
        """By line, where it is not ASCII: the offset of each of its characters."""

    def place(self, offset: int) -> Place:
        """The place of a byte of the source."""
        line = bisect_right(self._starts, offset)
        start = self._starts[line - 1]
        if line not in self._characters:
            end = self._starts[line] if line < len(self._starts) else len(self._source)
            self._characters[line] = _character_offsets(self._source[start:end])
        offsets = self._characters[line]
        column = bisect_right(offsets, offset - start) if offsets else offset - start + 1
        return Place(self._path, line, column)


def _character_offsets(line: bytes) -> list[int]:
    if line.isascii():
        return []
    text = line.decode("utf-8", "surrogateescape")
    lengths = (1 if char <= "\x7f" else len(char.encode("utf-8", "surrogateescape")) for char in text)
    return [0, *accumulate(lengths)]
