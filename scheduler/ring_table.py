"""The rings and boards of the hosts of one program, while they are on their way to those that will use them."""

from __future__ import annotations

import os
from typing import Final

from .board import BoardReader, create_board
from .ring import RingEnd, create_ring

_HOST_BYTES: Final = 4 * 1024 * 1024
_LEAST: Final = 64 * 1024
_MOST: Final = 1024 * 1024
"""A host's rings in one direction take `_HOST_BYTES` together, if that leaves each between these. See `ring`."""


class RingTable:
    """Descriptors, owned until they are taken. For one thread."""

    __slots__ = ("_boards", "_capacity", "_ends")

    def __init__(self, hosts: int) -> None:
        self._capacity = min(_MOST, max(_LEAST, _HOST_BYTES // max(1, hosts - 1)))
        self._boards: dict[int, int] = {}
        """The reading descriptor of each host's board."""
        self._ends: dict[tuple[int, int], tuple[RingEnd, RingEnd]] = {}
        """What the first host of the key is to get for its link with the second: a writer's end and a reader's."""

    def add_host(self, host: int) -> tuple[int, BoardReader]:
        """The writing descriptor of a new host's board, which the caller is to send, and a reader. OSError."""
        ends = create_board()
        self._boards[host] = ends.reader
        try:
            return ends.writer, BoardReader(os.dup(ends.reader))
        except OSError:
            os.close(ends.writer)
            raise

    def take(self, host: int, other: int) -> tuple[int, ...]:
        """The descriptors with which `host` is to learn of `other`: the caller owns them. Once for each. OSError."""
        board = os.dup(self._boards[other])
        try:
            if (host, other) not in self._ends:
                self._create(host, other)
        except OSError:
            os.close(board)
            raise
        writer, reader = self._ends.pop((host, other))
        return (*writer, *reader, board)

    def _create(self, host: int, other: int) -> None:
        out_writer, out_reader = create_ring(self._capacity)
        try:
            in_writer, in_reader = create_ring(self._capacity)
        except OSError:
            out_writer.close()
            out_reader.close()
            raise
        self._ends[host, other] = (out_writer, in_reader)
        self._ends[other, host] = (in_writer, out_reader)

    def remove_host(self, host: int) -> None:
        """A host is gone: nobody is to learn of it any more."""
        board = self._boards.pop(host, None)
        if board is not None:
            os.close(board)
        for key in [key for key in self._ends if host in key]:
            for end in self._ends.pop(key):
                end.close()

    def close(self) -> None:
        """Give back everything."""
        for host in tuple(self._boards):
            self.remove_host(host)
