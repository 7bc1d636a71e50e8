"""Host calls of lua/io.lua, lua/os.lua and `print`: files, standard streams, environment variables, chance."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from ..scheduler.protocol import InputArrived
from .calls import RefusedError, Scalar, decode, encode
from .files import allowed_file, naming
from .operations import Operation
from .readers import NotYetError, OpenFile

if TYPE_CHECKING:
    from .door import Door

_STDIN: Final = 0
_OUTPUTS: Final = (1, 2)
_MAX_FILES: Final = 64
"""Files that one state may have open. Descriptors belong to the host, whose other states need some too. Guessed."""


def _getenv(door: Door, name: bytes) -> bytes | None:
    variable = decode(name)
    door.decide("env", variable)
    value = door.shared.environment.get(variable)
    return None if value is None else encode(value)


def _random(_: Door) -> bytes:
    return os.urandom(16)


def _write(door: Door, stream: int, data: bytes) -> None:
    door.console.write(stream, data)


def _open(door: Door, path: bytes, mode: bytes) -> int:
    if mode not in (b"r", b"rb"):
        raise RefusedError(f"{decode(path)}: files can only be opened for reading here", errno.EACCES)
    with naming(path), allowed_file(door.decide, decode(path)) as file:
        if len(door.files) >= _MAX_FILES:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        opened = OpenFile(file.open_for_reading())
    number = max(door.files, default=max(_OUTPUTS)) + 1
    door.files[number] = opened
    return number


def _file(door: Door, number: int) -> OpenFile:
    file = door.files.get(number)
    if file is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return file


def _read(door: Door, number: int, kind: bytes, size: int = 0) -> Scalar:
    """What was read, None at the end; True: standard input has nothing yet, wait."""
    if number != _STDIN:
        return _file(door, number).reader.read(kind, size)
    door.console.flush()  # a prompt without a newline must be seen before its answer can be typed
    seen = door.port.input_seen()
    try:
        return door.console.input.read(kind, size)
    except NotYetError:
        door.condition = InputArrived(seen)
        return True


def _write_file(door: Door, number: int, data: bytes) -> None:
    if number not in _OUTPUTS:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    door.console.write(number, data)


def _flush(door: Door, _: int) -> None:
    door.console.flush()


def _seek(door: Door, number: int, whence: bytes, offset: int) -> int:
    if number == _STDIN or number in _OUTPUTS:
        raise OSError(errno.ESPIPE, os.strerror(errno.ESPIPE))
    return _file(door, number).seek(whence, offset)


def _close(door: Door, number: int) -> bool:
    _file(door, number).close()
    del door.files[number]
    return True


FILE_CALLS: Final[Mapping[int, Callable[..., Scalar]]] = {
    Operation.GETENV: _getenv,
    Operation.RANDOM: _random,
    Operation.WRITE: _write,
    Operation.FILE_OPEN: _open,
    Operation.FILE_READ: _read,
    Operation.FILE_WRITE: _write_file,
    Operation.FILE_FLUSH: _flush,
    Operation.FILE_SEEK: _seek,
    Operation.FILE_CLOSE: _close,
}
