"""The rings and boards of the hosts of one program, while they are on their way to those that will use them."""

from __future__ import annotations

import os
from contextlib import ExitStack
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
        self._ends: dict[tuple[int, int], tuple[RingEnd, RingEnd, int]] = {}
        """What the first host of the key is to get of the second: a writer's end, a reader's, the board."""

    def add_host(self, host: int) -> tuple[int, BoardReader]:
        """The writing descriptor of a new host's board, which the caller is to send, and a reader.

        With it there is all that this host and the others are to get of each other. OSError; then nothing was added.
        """
        with ExitStack() as undo:
            undo.callback(self.remove_host, host)
            board = create_board()
            undo.callback(os.close, board.writer)
            others = tuple(self._boards)
            self._boards[host] = board.reader
            for other in others:
                self._link(host, other)
            reader = BoardReader(os.dup(board.reader))
            undo.pop_all()
        return board.writer, reader

    def take(self, host: int, other: int) -> tuple[int, ...]:
        """The descriptors with which `host` is to learn of `other`: the caller owns them. Once for each."""
        writer, reader, board = self._ends.pop((host, other))
        return (*writer, *reader, board)

    def _link(self, host: int, other: int) -> None:
        with ExitStack() as undo:
            boards = []
            for board in (self._boards[other], self._boards[host]):
                boards.append(os.dup(board))
                undo.callback(os.close, boards[-1])
            out_writer, out_reader = create_ring(self._capacity)
            undo.callback(out_writer.close)
            undo.callback(out_reader.close)
            in_writer, in_reader = create_ring(self._capacity)
            undo.pop_all()
        self._ends[host, other] = (out_writer, in_reader, boards[0])
        self._ends[other, host] = (in_writer, out_reader, boards[1])

    def remove_host(self, host: int) -> None:
        """A host is gone: nobody is to learn of it any more."""
        board = self._boards.pop(host, None)
        if board is not None:
            os.close(board)
        for key in [key for key in self._ends if host in key]:
            writer, reader, other = self._ends.pop(key)
            writer.close()
            reader.close()
            os.close(other)

    def close(self) -> None:
        """Give back everything."""
        for host in tuple(self._boards):
            self.remove_host(host)
