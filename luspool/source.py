"""Reads scripts that the command line, or a caller of the Python interface, names."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

from .errors import CannotLoadError, NotFoundError
from .scheduler.limits import Excess
from .scheduler.units import format_size

SOURCE_MOST = 32 * 1024 * 1024
"""Bytes of a main script at most, whatever the limit. One of this size takes seconds to load."""

STANDARD_INPUT = "-"

_SIMILAR = 0.75
"""How alike a name must be to be suggested, from 0 to 1; guessed: a letter or two wrong."""


def display_name(path: str) -> str:
    """What a script is called in messages."""
    return "stdin" if path == STANDARD_INPUT else path


def read_script(
    path: str,
    interruptible: AbstractContextManager[object],
    limit: int = SOURCE_MOST,
    advice: str = "raise it with --source",
) -> bytes:
    """The bytes of a script, at most `limit`; `-` is standard input. CannotLoadError, NotFoundError.

    `interruptible` is entered around the reads: the script may come from a pipe or a terminal. `advice` is for who
    has a script that is larger than the limit.
    """
    try:
        if path == STANDARD_INPUT:
            return _read_all(0, display_name(path), interruptible, limit, advice)
        with interruptible:
            fd = os.open(path, os.O_RDONLY)
        try:
            return _read_all(fd, path, interruptible, limit, advice)
        finally:
            os.close(fd)
    except FileNotFoundError as error:
        raise NotFoundError(_not_found(path)) from error
    except IsADirectoryError as error:
        raise CannotLoadError(f"{path} is a directory; name a script in it") from error
    except OSError as error:
        raise CannotLoadError(f"cannot read the script {display_name(path)}: {error.strerror}") from error


def _read_all(fd: int, name: str, interruptible: AbstractContextManager[object], limit: int, advice: str) -> bytes:
    data = bytearray()
    most = min(limit, SOURCE_MOST)
    while len(data) <= most:
        with interruptible:
            piece = os.read(fd, 64 * 1024)
        if not piece:
            return bytes(data)
        data += piece
    if most < SOURCE_MOST:
        raise CannotLoadError(f"{name}: {Excess('source', limit, limit)} ({advice})")
    raise CannotLoadError(f"the script {name} is larger than {format_size(SOURCE_MOST)}, which is the most")


def working_directory() -> str:
    """Where relative paths begin, for as long as a run lasts. CannotLoadError: it was removed, or can't be reached."""
    try:
        return os.getcwd()
    except OSError as error:
        raise CannotLoadError(
            f"cannot find the working directory: {error.strerror} (change to one that exists)"
        ) from error


def _not_found(path: str) -> str:
    import difflib  # noqa: PLC0415  only here, where nobody waits for a start

    folder, name = os.path.split(path)
    try:
        others = [each for each in os.listdir(folder or ".") if each != name]  # which a link to nowhere is among
        near = difflib.get_close_matches(name, others, 1, _SIMILAR)
    except OSError:
        near = []
    hint = (
        f"did you mean {os.path.join(folder, near[0])}?" if near else f"the working directory is {working_directory()}"
    )
    return f"no such script: {path} ({hint})"
