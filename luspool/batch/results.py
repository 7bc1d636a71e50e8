"""The files of `--results DIR`: all that an item has written, by its number."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ..errors import CannotWriteError

_STREAMS: Final[Mapping[int, str]] = MappingProxyType({1: "stdout", 2: "stderr"})


class ResultFiles:
    """The files of one item, empty at first. CannotWriteError where that can't be."""

    def __init__(self, directory: str, number: int) -> None:
        self._folder = os.path.join(directory, str(number))
        self._files: dict[int, int] = {}
        try:
            os.makedirs(self._folder, exist_ok=True)
            for stream, name in _STREAMS.items():
                path = os.path.join(self._folder, name)
                self._files[stream] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        except OSError as error:
            self.close()
            raise CannotWriteError(f"cannot write to {error.filename}: {error.strerror}") from error

    def write(self, stream: int, data: bytes) -> None:
        """Append to the file of stream 1 or 2."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._files[stream], rest) :]
        except OSError as error:
            path = os.path.join(self._folder, _STREAMS[stream])
            raise CannotWriteError(f"cannot write to {path}: {error.strerror}") from error

    def close(self) -> None:
        """Repeatable."""
        for fd in self._files.values():
            os.close(fd)
        self._files = {}
