"""What both directions of the codec share: the values that messages carry, the numbers of the format, the errors."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final, TypeAlias

from msgspec import Struct

Value: TypeAlias = Any
"""None, bool, int, float, str, bytes, bytearray, list, tuple, dict, `Entries` or `EnumValue`, nested as one likes."""

VERSION: Final = 1
ONE: Final = 0
LIST: Final = 1
MAX_VALUES: Final = 65535
CHUNK: Final = 120
"""Values per run, and entries per block of pairs; part of the format (lua/codec.lua says why this many)."""

ENUM_KIND: Final = 1
VECTOR_KIND: Final = 2


class Code(IntEnum):
    """What the values of a run are."""

    INT1 = 1
    INT2 = 2
    INT4 = 3
    INT8 = 4
    FLOAT = 5
    SHORT = 6
    LONG = 7
    BOOL = 8
    NEW = 9
    REF = 10
    OBJECT = 11
    NIL = 12


WIDTHS: Final = (0, 1, 2, 4, 8, 8, 1, 4, 1, 0, 4, 8, 0)
"""The least number of bytes of a value in a run, by code."""

UNITS: Final = "?bhiqd??B?IQ?"
"""The `struct` letter of a run's values, by code, for those of fixed width."""


class CodecError(ValueError):
    """These bytes are no message; `offset` (from 0) is where that showed."""

    def __init__(self, problem: str, offset: int) -> None:
        super().__init__(f"malformed message: {problem} at offset {offset}")
        self.offset = offset


class CopyError(ValueError):
    """This value can't be sent; the text says which part of it, and why."""


class Limits(Struct, frozen=True):
    """Bounds on an encoded message: its bytes, and how many tables deep the nearest way to any table is."""

    max_bytes: int = 256 << 20
    max_depth: int = 10_000_000

    def __post_init__(self) -> None:
        if not 0 <= self.max_bytes < 1 << 32:
            raise ValueError(f"max_bytes must be below 2**32, not {self.max_bytes}")


DEFAULT_LIMITS: Final = Limits()


class EnumValue(Struct, frozen=True):
    """A value of a Lus enum: the enum's names, all different, and this value's position, from 1."""

    names: tuple[str, ...]
    position: int

    def __post_init__(self) -> None:
        if not 1 <= self.position <= len(self.names):
            raise ValueError(f"position {self.position} is not in 1 to {len(self.names)}")

    def __hash__(self) -> int:
        # Not of all names: hashing a message's 10,000 values of an enum with 10,000 names must not take their product.
        return hash((self.name, self.position))

    @property
    def name(self) -> str:
        """The name of this value within its enum."""
        return self.names[self.position - 1]


class Entries(Struct, frozen=True, eq=False):
    """A table that no dict can hold, as its (key, value) pairs. Equal only to itself, so that it can be a key."""

    pairs: list[tuple[Value, Value]]
