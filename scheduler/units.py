"""Sizes and durations as people write them: `64M`, `1.5s`, `unlimited`; and back.

A size is bytes: a whole number, alone or with K, M, G or T (powers of 1024, upper or lower case, `KiB` and `KB` too). A
duration is a number with `ns`, `us`, `ms`, `s`, `m` or `h`, alone it is seconds; it becomes nanoseconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from msgspec import Struct

UNLIMITED: Final = 2**63 - 1
"""Stands for "no limit": an ordinary number to compare with, which nothing reaches."""

_SIZES: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_DURATIONS: Final = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "": 1_000_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_SIZE: Final = re.compile(r"(\d{1,18}(?:\.\d{1,9})?) ?([kmgt]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_DURATION: Final = re.compile(r"(\d{1,18}(?:\.\d{1,9})?) ?([a-z]*)", re.ASCII)


def parse_size(text: str) -> int:
    """Bytes. ValueError, with the forms that are understood, for anything else."""
    if text == "unlimited":
        return UNLIMITED
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no size; write bytes as in 4096, 64K, 64M or 1.5G, or unlimited")
    return _scaled(match[1], _SIZES[match[2].lower()])


def parse_duration(text: str) -> int:
    """Nanoseconds. ValueError, with the forms that are understood, for anything else."""
    if text == "unlimited":
        return UNLIMITED
    match = _DURATION.fullmatch(text)
    if match is None or match[2] not in _DURATIONS:
        raise ValueError(f"{text!r} is no duration; write it as in 500ms, 5s, 1.5m or 2h, or unlimited")
    return _scaled(match[1], _DURATIONS[match[2]])


def parse_count(text: str) -> int:
    """A whole number. ValueError for anything else."""
    if text == "unlimited":
        return UNLIMITED
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise ValueError(f"{text!r} is no number; write it as in 1000, or unlimited")
    return int(text)


def _scaled(number: str, factor: int) -> int:
    # By integers: a float would round a large size.
    whole, _, fraction = number.partition(".")
    return min(UNLIMITED, int(whole) * factor + (int(fraction) * factor // 10 ** len(fraction) if fraction else 0))


def format_size(size: int) -> str:
    """As `parse_size` reads it, for people: `64 MiB`, `1.5 KiB`, `12 bytes`."""
    if size == UNLIMITED:
        return "unlimited"
    for unit, factor in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= factor:
            return f"{_short(size / factor)} {unit}"
    return "1 byte" if size == 1 else f"{size} bytes"


def format_duration(nanoseconds: int) -> str:
    """As `parse_duration` reads it, for people: `1.02 s`, `5 m`, `500 ms`."""
    if nanoseconds == UNLIMITED:
        return "unlimited"
    for unit, factor in (("h", 3_600_000_000_000), ("m", 60_000_000_000)):
        if nanoseconds >= factor and not nanoseconds % factor:
            return f"{nanoseconds // factor} {unit}"
    for unit, factor in (("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)):
        if nanoseconds >= factor:
            return f"{_short(nanoseconds / factor)} {unit}"
    return f"{nanoseconds} ns"


def format_count(count: int) -> str:
    """As `parse_count` reads it."""
    return "unlimited" if count == UNLIMITED else str(count)


def _short(number: float) -> str:
    """With as many places as tell something: 1.02, 12.5, 300."""
    return f"{number:.2f}".rstrip("0").rstrip(".") if number < 100 else f"{number:.0f}"


class Unit(Struct, frozen=True):
    """How amounts of a kind are written. `metavar` stands for one in help texts; `name` is what is counted."""

    metavar: str
    name: str
    parse: Callable[[str], int]
    format: Callable[[int], str]


SIZE: Final = Unit("SIZE", "bytes", parse_size, format_size)
TIME: Final = Unit("TIME", "nanoseconds", parse_duration, format_duration)
COUNT: Final = Unit("N", "count", parse_count, format_count)
