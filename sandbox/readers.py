"""Reading as Lua's io library does it: lines, numbers, counts, everything, over any source of bytes."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final

MOST: Final = 256 << 20
"""Bytes that one read may give, whatever a state's limits. Guessed: more than anybody reads in one piece."""
_MAX_NUMERAL: Final = 200
"""Characters of a numeral that are looked at (Lua's L_MAXLENNUM)."""
_SPACE: Final = b" \t\n\r\f\v"
_DIGITS: Final = frozenset(b"0123456789")
_HEX_DIGITS: Final = frozenset(b"0123456789abcdefABCDEF")


class NotYetError(Exception):
    """The source has nothing now and will have more; what was read so far stays in the reader."""


class Reader:
    """Buffered reading. `fill()` gives the next bytes, b"" at the end, or None for "not yet".

    `most`: bytes that one read may give, about; more is an OSError, with so many in the buffer. They lie in the host's
    memory before they are the state's, whose limit does not count them there.

    One thread at a time. A read that ends with `NotYetError` has consumed nothing but white space before a numeral, and
    can be tried again.
    """

    __slots__ = ("_buffer", "_ended", "_fill", "_most")

    def __init__(self, fill: Callable[[], bytes | None], most: int = MOST) -> None:
        self._fill = fill
        self._most = min(most, MOST)
        self._buffer = bytearray()
        self._ended = False

    @property
    def buffered(self) -> int:
        """Bytes taken from the source and not yet read."""
        return len(self._buffer)

    def discard(self) -> None:
        """Forget what is buffered: the source's position was changed."""
        self._buffer.clear()
        self._ended = False

    def look_again(self) -> None:
        """Ask the source once more, though it was at its end: a file grows."""
        self._ended = False

    def read(self, kind: bytes, size: int = 0) -> bytes | None:
        """One item: b"l" line, b"L" line with its end, b"a" all, b"n" numeral text, b"b" up to `size` bytes.

        None at the end of the source (never for b"a"), and for b"n" where no numeral stands.
        """
        match kind:
            case b"l" | b"L":
                return self._line(keep_end=kind == b"L")
            case b"a":
                while self._more():
                    pass
                return self._take(len(self._buffer))
            case b"n":
                return _Numeral(self).read()
            case _:
                return self._bytes(size)

    def _line(self, *, keep_end: bool) -> bytes | None:
        searched = 0
        while (at := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if not self._more():
                return self._take(len(self._buffer)) if self._buffer else None
        line = self._take(at + 1)
        return line if keep_end else line[:-1]

    def _bytes(self, size: int) -> bytes | None:
        while len(self._buffer) < max(size, 1):
            if not self._more():
                break
        if size == 0:
            return b"" if self._buffer else None
        return self._take(min(size, len(self._buffer))) or None

    def peek(self, offset: int) -> int | None:
        """The byte `offset` places ahead, or None behind the end."""
        while len(self._buffer) <= offset:
            if not self._more():
                return None
        return self._buffer[offset]

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def take(self, size: int) -> bytes:
        """Consume `size` bytes that `peek` has seen."""
        return self._take(size)

    def skip(self, characters: bytes) -> None:
        """Consume all of these that come next."""
        while True:
            self._buffer = self._buffer.lstrip(characters)
            if self._buffer or not self._more():
                return

    def _more(self) -> bool:
        if self._ended:
            return False
        if len(self._buffer) > self._most:
            raise OSError(errno.EFBIG, f"More than {self._most} bytes in one read")
        piece = self._fill()
        if piece is None:
            raise NotYetError
        if not piece:
            self._ended = True
            return False
        self._buffer += piece
        return True


class _Numeral:
    """The longest prefix that may be a numeral, as Lua's `l_read_numeral` takes it; a malformed one is consumed too."""

    __slots__ = ("_at", "_overlong", "_reader")

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._at = 0
        self._overlong = False

    def read(self) -> bytes | None:
        self._reader.skip(_SPACE)  # by the piece: there may be megabytes of it
        self._accept(frozenset(b"+-"))
        digits = _DIGITS
        count = 0
        exponent = frozenset(b"eE")
        if self._accept(frozenset(b"0")):
            if self._accept(frozenset(b"xX")):
                digits, exponent = _HEX_DIGITS, frozenset(b"pP")
            else:
                count = 1
        count += self._run(digits)
        if self._accept(frozenset(b".")):
            count += self._run(digits)
        if count > 0 and self._accept(exponent):
            self._accept(frozenset(b"+-"))
            self._run(_DIGITS)
        text = self._reader.take(self._at)
        return text if count > 0 and not self._overlong else None

    def _next(self) -> int:
        found = self._reader.peek(self._at)
        return -1 if found is None else found

    def _accept(self, any_of: frozenset[int]) -> bool:
        if self._next() not in any_of:
            return False
        if self._at == _MAX_NUMERAL:
            self._overlong = True
            return False
        self._at += 1
        return True

    def _run(self, digits: frozenset[int]) -> int:
        count = 0
        while self._accept(digits):
            count += 1
        return count
