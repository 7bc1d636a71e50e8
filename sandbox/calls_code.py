"""Host calls of lua/load.lua: source text to Lua text, and the files that source comes from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from ..scheduler.limits import Excess
from .calls import RefusedError, Scalar, decode, encode
from .compiler import helper_names
from .files import allowed_file, naming, read_at_most
from .operations import Operation
from .syntax import SyntaxFault, TranslationStoppedError, fault_from_lua, translate

if TYPE_CHECKING:
    from .door import Door

_SHOWN: Final = 40
"""Characters of a source text that name it, as in Lua's own messages."""


class TooMuchSourceError(RefusedError):
    """A source text is larger than the state's limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(str(Excess("source", limit, limit)))


def read_source(door: Door, path: bytes) -> bytes:
    """The content of a source file that the state may read. OSError, DeniedError, TooMuchSourceError."""
    limit = door.limits.source
    name = decode(path)
    with _noting_absence(door, name), allowed_file(door.rights.about(name), name) as file:
        descriptor = file.open()
        try:
            source = read_at_most(descriptor, limit + 1)
        finally:
            os.close(descriptor)
    if len(source) > limit:
        raise TooMuchSourceError(limit)
    if door.shared.sources is not None:
        door.shared.sources.note(name, source)
    return source


@contextmanager
def _noting_absence(door: Door, name: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        if door.shared.sources is not None:
            door.shared.sources.note(name, None)
        raise


def _allow_load(door: Door) -> bool:
    door.rights.decide("load")
    return True


def _translate(door: Door, source: bytes, name: bytes) -> bytes:
    if len(source) > door.limits.source:
        door.port.exceed(Excess("source", door.limits.source, len(source)))
        raise TooMuchSourceError(door.limits.source)
    try:
        translation = translate(source, chunk_label(name), strict_globals=door.program.strict_globals, stop=door.stop)
    except SyntaxFault as fault:
        raise RefusedError(str(fault)) from None
    except TranslationStoppedError:
        raise RefusedError("the state is ending") from None
    door.helpers = helper_names(translation)
    return translation.lua


def _translation_helpers(door: Door) -> bytes | None:
    return door.helpers


def _explain(_: Door, message: bytes, source: bytes, name: bytes) -> bytes:
    """What Lua's compiler said of a translated chunk, in the form of the front end's own faults."""
    return encode(str(fault_from_lua(decode(message), source, chunk_label(name))))


def _read_source(door: Door, path: bytes) -> bytes:
    door.rights.decide("load")
    try:
        with naming(path):
            return read_source(door, path)
    except TooMuchSourceError:
        door.port.exceed(Excess("source", door.limits.source, door.limits.source))
        raise


def _readable(door: Door, path: bytes) -> bool:
    name = decode(path)
    with naming(path), _noting_absence(door, name), allowed_file(door.rights.about(name), name) as file:
        os.close(file.open())
    return True


def chunk_label(name: bytes) -> str:
    """A chunk's name as Lua's messages show it: `@path` and `=name` as given, source text by its first line."""
    if name[:1] in (b"@", b"="):
        return decode(name[1:])
    line, _, more = name.partition(b"\n")
    return f'[string "{decode(line[:_SHOWN])}{"..." if more or len(line) > _SHOWN else ""}"]'


CODE_CALLS: Final[Mapping[int, Callable[..., Scalar]]] = {
    Operation.ALLOW_LOAD: _allow_load,
    Operation.TRANSLATE: _translate,
    Operation.TRANSLATION_HELPERS: _translation_helpers,
    Operation.EXPLAIN: _explain,
    Operation.READ_SOURCE: _read_source,
    Operation.READABLE: _readable,
}
