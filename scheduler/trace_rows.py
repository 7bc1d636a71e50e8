"""What hosts tell of their scheduling for a trace: rows, as bytes and back. Pure.

Many rows go in one batch: their numbers, `Row._fields` in order and 8 bytes each, and the texts, each once, to which
some of these numbers point. What a host sends is not trusted: `unpack_rows` checks the form, and who reads the rows
what they say.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Final, NamedTuple

__all__ = ["ROWS", "TEXT", "Kind", "Row", "RowError", "pack_rows", "unpack_rows"]

ROWS: Final = 1024
"""Of one batch at most. With more, what it costs by itself would not be any less that could be felt. Guessed."""
TEXT: Final = 200
"""Characters of one text; longer ones are cut."""


class Kind(IntEnum):
    """What a row says, and which fields it has beside `kind` and `at`; all others are 0 and empty.

    An edge of the tree, from a parent to a child, is named by the child; messages each way are numbered from 1.
    """

    BEGAN = 1
    """`state` was made on `thread`, from the script `text`."""
    RAN = 2
    """A step of `state` on `thread` took `number` nanoseconds from `at` on. `text` is its script, `detail` how it
    ended: as a `Condition` or the step result is called, or as in `ENDED`."""
    RUNS = 3
    """A step that began at `at` goes on, and has for a while: `state`, `thread`, `text` as in `RAN`."""
    STOPPED = 4
    """Its end: `state`, `thread`, `detail` as in `RAN`."""
    FAILED = 5
    """A step of `state` on `thread` has ended with an error of the kind `text`: `detail`."""
    WAITS = 6
    """`state` waits, for the condition `text`."""
    READY = 7
    """The wait of `state` is over."""
    ENDED = 8
    """`state` will have no further step. `text` is as of `Port.ending`."""
    CREATED = 9
    """`state` has created `child`, on `thread`."""
    TOLD_PARENT = 10
    """`state`, which is `child`, has sent its message `number` to its parent, on `thread`."""
    TOLD_CHILD = 11
    """`state` has sent the message `number` to `child`, on `thread`."""
    HEARD_CHILD = 12
    """`state` has received the message `number` of `child`, on `thread`."""
    HEARD_PARENT = 13
    """`state`, which is `child`, has received the message `number` of its parent, on `thread`."""
    COUNTED = 14
    """Of what `text` names there were `number`."""


class Row(NamedTuple):
    """Times are nanoseconds of the system's monotonic clock. Threads are the executors of a host, from 1 upwards."""

    kind: int
    at: int
    state: int = 0
    thread: int = 0
    child: int = 0
    number: int = 0
    text: str = ""
    detail: str = ""


_FIELDS: Final = len(Row._fields)
_SIZE: Final = 8 * _FIELDS
_KINDS: Final = frozenset(Kind)


class RowError(ValueError):
    """These are no rows."""


def pack_rows(rows: Iterable[Row]) -> tuple[tuple[str, ...], bytes]:
    """A batch: its texts, and its numbers. At most `ROWS`."""
    texts: dict[str, int] = {"": 0}
    numbers = array("q")
    for kind, at, state, thread, child, number, text, detail in rows:
        first = texts.setdefault(text, len(texts))
        numbers.extend((kind, at, state, thread, child, number, first, texts.setdefault(detail, len(texts))))
    return tuple(map(_cut, texts)), numbers.tobytes()


def unpack_rows(texts: tuple[str, ...], numbers: bytes) -> Iterator[Row]:
    """What `pack_rows` made. RowError: texts of another length, no rows, a kind that there is not, a text that there is
    not, or a number below 0."""
    if len(numbers) % _SIZE or len(numbers) > ROWS * _SIZE:
        raise RowError(f"{len(numbers)} bytes are no rows of a trace")
    if any(len(text) > TEXT + 1 for text in texts):
        raise RowError("a text that is too long for a trace")
    values = memoryview(numbers).cast("q").tolist()
    if values and min(values) < 0:
        raise RowError(f"a number {min(values)} in a trace")
    for start in range(0, len(values), _FIELDS):
        *fields, text, detail = values[start : start + _FIELDS]
        if fields[0] not in _KINDS or max(text, detail) >= len(texts):
            raise RowError(f"a row {values[start : start + _FIELDS]} in a trace with {len(texts)} texts")
        kind, at, state, thread, child, number = fields
        yield Row(kind, at, state, thread, child, number, texts[text], texts[detail])


def _cut(text: str) -> str:
    return f"{text[:TEXT]}…" if len(text) > TEXT else text
