"""A state's standard streams: whole lines out, so that the lines of many states don't mix; input as it is asked for."""

from __future__ import annotations

from typing import Final

from ..scheduler.protocol import Port
from .readers import MOST, Reader

_LONGEST_HELD: Final = 1 << 16
"""Bytes of an unfinished line that are held back; a longer line goes out in pieces. Guessed: any terminal line fits."""


class Console:
    """Line buffering per stream (1 output, 2 errors): what ends with a newline is on its way when `write` returns.

    The rest of a line is held until the line is whole, or the state waits or ends (`flush`).
    """

    __slots__ = ("_input", "_most", "_port", "held")

    def __init__(self, port: Port, most: int = MOST) -> None:
        self._port = port
        self._most = most
        """As `Reader` has it."""
        self.held: dict[int, bytes] | None = None
        """By stream: the beginnings of lines that wait for their ends. None: `flush` would find nothing."""
        self._input: Reader | None = None

    def write(self, stream: int, data: bytes) -> None:
        """Send up to the last newline, hold the rest."""
        held = self.held.pop(stream, b"") if self.held else b""
        end = data.rfind(b"\n") + 1
        if held and (end or len(held) + len(data) > _LONGEST_HELD):
            data, end, held = held + data, len(held) + end, b""
        if end == 0 and len(held) + len(data) > _LONGEST_HELD:
            end = len(data)
        if end:
            self._port.write(stream, data[:end] if end < len(data) else data)
        if rest := held + data[end:]:
            if self.held is None:
                self.held = {}
            self.held[stream] = rest

    def flush(self) -> None:
        """Send what is held."""
        if self.held:
            for stream, rest in self.held.items():
                self._port.write(stream, rest)
            self.held = None

    @property
    def input(self) -> Reader:
        """Standard input. Taken by the line, so that states that share it each get whole lines."""
        if self._input is None:
            self._input = Reader(lambda: self._port.read_input(None), self._most)
        return self._input
