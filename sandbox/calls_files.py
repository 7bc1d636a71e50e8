"""Host calls of lua/io.lua, lua/os.lua and `print`: open files, standard streams, environment variables and chance."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from ..scheduler.protocol import InputArrived
from .calls import Scalar, decode, encode
from .entries import open_for_writing
from .files import allowed_file, naming
from .open_files import OpenFile
from .operations import Operation
from .readers import NotYetError

if TYPE_CHECKING:
    from .door import Door

_STDIN: Final = 0
_OUTPUTS: Final = (1, 2)
_MAX_FILES: Final = 64
"""Files that one state may have open. Descriptors belong to the host, whose other states need some too. Guessed."""


def _getenv(door: Door, name: bytes) -> bytes | None:
    variable = decode(name)
    door.rights.decide("env", variable)
    value = door.shared.environment.get(variable)
    return None if value is None else encode(value)


def _random(_: Door) -> bytes:
    return os.urandom(16)


def _write(door: Door, stream: int, data: bytes) -> None:
    door.console.write(stream, data)


def _open(door: Door, path: bytes, mode: bytes) -> int:
    with naming(path):
        if len(door.files) >= _MAX_FILES:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return door.hold(_opened(door, decode(path), mode))


def _opened(door: Door, path: str, mode: bytes) -> OpenFile:
    """`mode` as C's fopen has it."""
    decide, most = door.rights.about(path), door.limits.memory
    updating = b"+" in mode
    match mode[:1]:
        case b"r" if not updating:
            with allowed_file(decide, path) as file:
                return OpenFile(file.open(), most=most)
        case b"w":
            flags = os.O_CREAT | os.O_TRUNC
        case b"a":
            flags = os.O_CREAT | os.O_APPEND
        case _:
            flags = 0
    opened = open_for_writing(decide, path, flags | (os.O_RDWR if updating else os.O_WRONLY))
    if opened.is_new:
        door.count_entry()
    if mode[:1] == b"a" and not updating:
        os.lseek(opened.descriptor, 0, os.SEEK_END)  # as C has it; else reading begins at the start
    return OpenFile(opened.descriptor, reads=updating, most=most, claim=door.port.claim_output)


def _file(door: Door, number: int) -> OpenFile:
    file = door.files.get(number)
    if file is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return file


def _read(door: Door, number: int, kind: bytes, size: int = 0) -> Scalar:
    """What was read, None at the end; True: standard input has nothing yet, wait."""
    if number != _STDIN:
        return _file(door, number).read(kind, size)
    door.console.flush()  # a prompt without a newline must be seen before its answer can be typed
    seen = door.port.input_seen()
    try:
        return door.console.input.read(kind, size)
    except NotYetError:
        door.condition = InputArrived(seen)
        return True


def _write_file(door: Door, number: int, data: bytes) -> None:
    if number in _OUTPUTS:
        door.console.write(number, data)
    elif number == _STDIN:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    else:
        _file(door, number).write(data)


def _flush(door: Door, number: int) -> bool:
    if number in _OUTPUTS:
        door.console.flush()
    elif number != _STDIN:
        _file(door, number).flush()
    return True


def _hold_back(door: Door, number: int, mode: bytes, size: int) -> bool:
    if number != _STDIN and number not in _OUTPUTS:  # those are the program's, not this state's alone
        _file(door, number).hold_back(mode, size)
    return True


def _seek(door: Door, number: int, whence: bytes, offset: int) -> int:
    if number == _STDIN or number in _OUTPUTS:
        raise OSError(errno.ESPIPE, os.strerror(errno.ESPIPE))
    return _file(door, number).seek(whence, offset)


def _close(door: Door, number: int) -> bool:
    file = _file(door, number)
    del door.files[number]
    file.close()
    return True


FILE_CALLS: Final[Mapping[int, Callable[..., Scalar]]] = {
    Operation.GETENV: _getenv,
    Operation.RANDOM: _random,
    Operation.WRITE: _write,
    Operation.FILE_OPEN: _open,
    Operation.FILE_READ: _read,
    Operation.FILE_WRITE: _write_file,
    Operation.FILE_FLUSH: _flush,
    Operation.FILE_HOLD_BACK: _hold_back,
    Operation.FILE_SEEK: _seek,
    Operation.FILE_CLOSE: _close,
}
