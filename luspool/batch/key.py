"""Which items are the same, so that what is done need not be done again: by content, whatever their place in the input.

Two items have one key where everything is the same that a run depends on: the script's name and text, its arguments,
input, variables, rights and limits, and the version of luspool. What the script loads while it runs is not known
before; digests of it are kept with the outcome and compared afterwards (`still_holds`). Files that a script reads as
data are not looked at.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from hashlib import sha256

from .. import __version__
from ..source import SOURCE_MOST
from .item import Item
from .outcome import Source


def key_of(item: Item, source: bytes, rights: bytes, variables: tuple[str, ...], *, strict_globals: bool) -> bytes:
    """The key of an item whose script has this text, with these rights (`Rights.digest`) and variables (`Request`)."""
    parts: list[bytes] = [
        __version__.encode(),
        os.fsencode(item.script),
        source,
        item.stdin.encode("utf-8", "surrogateescape"),
        rights,
        b"strict" if strict_globals else b"",
        # One part for all, so that none is taken for an argument.
        b"\0".join(os.fsencode(f"{name}={value}") for name, value in sorted(zip(*[iter(variables)] * 2, strict=True))),
        *(os.fsencode(argument) for argument in item.arguments),
    ]
    return sha256(b"".join(len(part).to_bytes(8) + part for part in parts)).digest()


def still_holds(sources: Iterable[Source]) -> bool:
    """Whether all these files have the content that they had."""
    return all(_digest(source.path) == source.digest for source in sources)


def _digest(path: str) -> bytes | None:
    """Of a file's content, b"" where there is none. None: it can't be said."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except (OSError, ValueError):
        return None
    with open(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size > SOURCE_MOST:
            return None
        try:
            return sha256(file.read(SOURCE_MOST + 1)).digest()
        except OSError:
            return None
