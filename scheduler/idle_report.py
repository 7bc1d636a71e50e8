"""What a host that has nothing to do tells the coordinator, and how it is written down."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

_PAIR: Final = struct.Struct("=QQ")


class Report(Struct, frozen=True):
    """True when it was made, all at one moment.

    `sent` and `received` count letters by host. `commands` are those carried out of the coordinator, `asks` what it was
    asked for. `is_timed`: some state here has less time than the root.
    """

    sent: Mapping[int, int]
    received: Mapping[int, int]
    commands: int
    asks: int
    is_timed: bool


def pack_counts(counts: Mapping[int, int]) -> bytes:
    """Counts by host, 16 bytes each."""
    return b"".join(_PAIR.pack(host, count) for host, count in counts.items())


def unpack_counts(data: bytes) -> dict[int, int]:
    """What `pack_counts` made. ValueError when it is not."""
    try:
        return dict(_PAIR.iter_unpack(data))
    except struct.error as error:
        raise ValueError(f"{len(data)} bytes are no counts") from error
