"""What lies in shared memory, rings and boards: both ends in this process, and a watch on what they leave behind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from luspool.scheduler.ring import RingReader, RingWriter, create_ring


def _holdings() -> tuple[list[str], int]:
    """Open descriptors, and mappings of anonymous memory."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        return sorted(os.listdir("/proc/self/fd")), sum("memfd:" in line for line in maps)


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    before = _holdings()
    yield
    assert _holdings() == before


@pytest.fixture
def holdings() -> Callable[[], tuple[list[str], int]]:
    return _holdings


@pytest.fixture
def make_ring() -> Iterator[Callable[..., tuple[RingWriter, RingReader]]]:
    made: list[RingWriter | RingReader] = []

    def make(capacity: int, record_limit: int = 1 << 20) -> tuple[RingWriter, RingReader]:
        ours, theirs = create_ring(capacity)
        writer, reader = RingWriter(ours, record_limit), RingReader(theirs, record_limit)
        made.extend((writer, reader))
        return writer, reader

    yield make
    for end in made:
        end.close()
