"""Where items come from: paths, directories, patterns, lists of paths, and JSON lines."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

from msgspec.structs import replace

from ..errors import CannotLoadError, NotFoundError, UsageError
from ..permissions.decision import visible
from .item import Item
from .lines import LINE_MOST, LineError, read_lines

STANDARD_INPUT: Final = "-"
SUFFIXES: Final = (".lus", ".lua")
"""What a file in a directory is a script by."""

_PATH_MOST: Final = 4096


def items_of(inputs: Iterable[str], stdin: BinaryIO, *, separator: bytes = b"\n") -> Iterator[Item]:
    """The items that these words of a command line stand for, in order. UsageError, NotFoundError, CannotLoadError.

    Each is the path of a script; a directory, for all scripts beneath it; a pattern as of a shell (`**` for any
    directories), where there is no file of this name; or `-`: paths of scripts on `stdin`, one a line.
    """
    for word in inputs:
        if word == STANDARD_INPUT:
            yield from _listed(_pieces(stdin, separator), "stdin")
        else:
            yield from map(Item, _paths(word))


def items_in(path: str, stdin: BinaryIO) -> Iterator[Item]:
    """The items of a file of JSON lines; `-` is `stdin`. LineError, CannotLoadError, NotFoundError."""
    if path == STANDARD_INPUT:
        yield from read_lines(_pieces(stdin, b"\n"), "stdin")
        return
    try:
        with open(path, "rb") as file:
            yield from read_lines(_pieces(file, b"\n"), path)
    except FileNotFoundError as error:
        raise NotFoundError(f"no such file of items: {path}") from error
    except OSError as error:
        raise CannotLoadError(f"cannot read the items of {path}: {error.strerror}") from error


def with_arguments(items: Iterable[Item], arguments: tuple[str, ...]) -> Iterator[Item]:
    """The items, with these arguments for those that have none of their own."""
    return (replace(item, arguments=arguments) if arguments and not item.arguments else item for item in items)


def _paths(word: str) -> Iterator[str]:
    if os.path.isdir(word):
        return _beneath(word)
    if os.path.lexists(word):
        return iter((word,))
    if not glob.has_magic(word):
        raise NotFoundError(f"no such script: {word}")
    found = sorted(path for path in glob.iglob(word, recursive=True) if not os.path.isdir(path))
    if not found:
        raise UsageError(f"nothing matches {word}")
    return iter(found)


def _beneath(directory: str) -> Iterator[str]:
    """The scripts beneath it, by name; links to directories are not followed."""

    def unreadable(error: OSError) -> None:
        raise CannotLoadError(f"cannot look into {error.filename}: {error.strerror}") from error

    found = 0
    for folder, folders, files in os.walk(directory, onerror=unreadable):
        folders.sort()
        for name in sorted(files):
            if name.endswith(SUFFIXES):
                found += 1
                yield os.path.join(folder, name)
    if not found:
        raise UsageError(f"{directory} holds no script (a file that ends in {' or '.join(SUFFIXES)})")


def _listed(lines: Iterable[bytes], name: str) -> Iterator[Item]:
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        place = f"{name}:{number}"
        if len(line) > _PATH_MOST or b"\0" in line:
            raise LineError(place, f"{visible(os.fsdecode(line[:60]))!r} is no path")
        yield Item(os.fsdecode(line), place=place)


def _pieces(file: BinaryIO, separator: bytes) -> Iterator[bytes]:
    """What is between separators, without them; at most a little more than `LINE_MOST` bytes of it."""
    rest = bytearray()
    while chunk := file.read1(1 << 16) if hasattr(file, "read1") else file.read(1 << 16):
        rest += chunk
        *whole, last = bytes(rest).split(separator)
        yield from whole
        rest = bytearray(last)
        if len(rest) > LINE_MOST:
            break
    if rest:
        yield bytes(rest)
