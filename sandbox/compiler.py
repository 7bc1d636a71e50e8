"""Chunks, compiled once per host: the guarded library that every state is born with, and scripts by content.

Bytecode made here, from text that the front end emitted, is the only bytecode that is ever loaded; what a script hands
in is text and is loaded as such. Loading bytecode instead of source makes a birth about ten times cheaper, and
mode "B" makes the state use the bytes in place, so they must outlive it: the library lives as long as this module,
and each state keeps its `Chunk`.
"""

from __future__ import annotations

import os
import struct
import threading
from collections import OrderedDict
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import lupa.lua55
from msgspec import Struct

from . import operations
from .syntax import CompileError, Stop, Translation, compile_lua, fault_from_lua, translate

_LUA: Final = os.path.join(os.path.dirname(__file__), "lua")
_CORE: Final = ("raw", "kinds", "coroutines", "base", "mail")
"""The parts that every state is born with; boot.lua joins them. Every other file is a lazy part."""
_PORTABLE: Final = ("codec", "portable")
"""Some more, where the native module is missing."""
_CACHE_BYTES: Final = 16 << 20
"""Bytes of source and bytecode kept per host. Guessed: hundreds of ordinary scripts."""


def _runtime(max_memory: int | None = None) -> Any:  # noqa: ANN401 - lupa has no types
    """An interpreter with no Python object in its globals but lupa's own table, which boot.lua removes.

    Its memory is counted unless `max_memory` is None; 0: not bounded as yet.
    """
    return lupa.lua55.LuaRuntime(
        encoding=None,
        register_eval=False,
        register_builtins=False,
        unpack_returned_tuples=False,
        max_memory=max_memory,
    )


_LARGEST_MESSAGE: Final = (1 << 31) - 1
"""Bytes. The codec writes lengths as 32 bits."""

_PADDING: Final = bytes(1 << 14)
"""Behind the core's bytecode. Lua 5.5 takes the absent line table of a stripped function in a fixed buffer for one that
begins where the function ends, and adds up a byte per instruction when it is asked for a line: with this, it never
leaves the buffer. (No function there has as many instructions; the lines are nonsense, and lua/coroutines.lua knows
the library's functions by their missing source instead.)"""


@cache
def library() -> Mapping[str, bytes]:
    """The text of every part by its name, read at the first call: behind a host's wall there are no files to read."""
    texts = {}
    for name in os.listdir(_LUA):
        if name.endswith(".lua"):
            with open(os.path.join(_LUA, name), "rb") as file:
                texts[name.removesuffix(".lua")] = file.read()
    return texts


def _source(part: str) -> bytes:
    return operations.as_lua() + library()[part]


_SEEDS: Final = struct.Struct("=qq")
"""What a state's `math.random` begins with."""

_core_lock: Final = threading.Lock()


def _core(*, portable: bool) -> bytes:
    """The core as one chunk: each part a function in the table `core`, then boot.lua.

    States use these bytes in place, so all must get the same: under a lock, since a cache lets two threads that come
    first at the same time both compile, and drops the one's bytes for the other's.
    """
    with _core_lock:
        return _compiled_core(portable)


@cache
def _compiled_core(portable: bool) -> bytes:
    text = [operations.as_lua(), b"local core <const> = {}\n"]
    for part in (*_CORE, *_PORTABLE) if portable else _CORE:
        text += [b"core.%s = function(...)\n" % part.encode(), library()[part], b"\nend\n"]
    text += [b"return (function(...)\n", library()["boot"], b"\nend)(core, ...)"]
    return compile_lua(b"".join(text), b"=luspool", Stop(), strip=True) + _PADDING


@cache
def lazy_part(name: str) -> bytes:
    """Bytecode of a part of the library that a state fetches when it first needs it. KeyError for any other name."""
    if name in (*_CORE, *_PORTABLE, "boot") or name not in library():
        raise KeyError(name)
    return compile_lua(_source(name), b"=luspool", Stop(), strip=True)


def new_interpreter(  # noqa: PLR0913  all by name
    door: object,
    *,
    is_worker: bool,
    is_job: bool = False,
    native: bytes | None,
    message_limit: int,
    memory_limit: int,
    is_audited: bool = False,
) -> tuple[Any, Any, Any, Any, Any]:
    """A new interpreter with the guarded library in it: the runtime, and boot.lua's start, drive, waiting_at, free.

    `is_job`: it exchanges messages with the program that runs it. `native` is the path of the native module, where
    there is one (see `preemption`). Where there is none and the state `is_audited`, the door is told the script's
    position with every call that asks for permissions. Limits are in bytes.
    """
    runtime = _runtime(0 if native is None else None)  # the native module counts for itself
    start, drive, waiting_at, free = runtime.execute(
        _core(portable=native is None),
        door,
        is_worker,
        is_job,
        is_audited,
        native,
        min(message_limit, _LARGEST_MESSAGE),
        memory_limit,
        *_SEEDS.unpack(os.urandom(_SEEDS.size)),
        mode="B",
    )
    return runtime, start, drive, waiting_at, free


class Chunk(Struct, frozen=True):
    """A compiled script: bytecode, and the run-time helpers that its main function is made with (None: none)."""

    bytecode: bytes
    helpers: bytes | None


class ChunkCache:
    """Scripts compiled once per content, name and rule for globals. Thread-safe; bounded, least recently used goes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._chunks: OrderedDict[tuple[bytes, str, bool], Chunk] = OrderedDict()
        self._size = 0

    def get(self, source: bytes, name: str, *, strict_globals: bool, stop: Stop) -> Chunk:
        """The chunk for a source, as `compile_script`. Two threads may compile the same source once each."""
        key = (source, name, strict_globals)
        with self._lock:
            if (chunk := self._chunks.get(key)) is not None:
                self._chunks.move_to_end(key)
                return chunk
        chunk = compile_script(source, name, strict_globals=strict_globals, stop=stop)
        with self._lock:
            if key not in self._chunks:
                self._chunks[key] = chunk
                self._size += len(source) + len(chunk.bytecode)
            while self._size > _CACHE_BYTES and len(self._chunks) > 1:
                (old_source, _, _), old = self._chunks.popitem(last=False)
                self._size -= len(old_source) + len(old.bytecode)
        return chunk


def compile_script(source: bytes, name: str, *, strict_globals: bool, stop: Stop | None = None) -> Chunk:
    """Lus source to bytecode; raises `SyntaxFault` for whatever is wrong with it, `TranslationStoppedError`."""
    compiled: dict[bytes, bytes] = {}

    def is_lua(text: bytes, stop: Stop) -> bool:
        try:
            compiled[text] = compile_lua(text, chunk_name(name), stop)
        except CompileError:
            return False
        return True

    stop = stop or Stop()
    translation = translate(source, name, strict_globals=strict_globals, stop=stop, is_lua=is_lua)
    bytecode = compiled.get(translation.lua)
    try:
        bytecode = bytecode or compile_lua(translation.lua, chunk_name(name), stop)
    except CompileError as error:
        raise fault_from_lua(str(error), source, name) from None
    return Chunk(bytecode, helper_names(translation))


def helper_names(translation: Translation) -> bytes | None:
    """The names of a translation's run-time helpers as load.lua's `bind` takes them."""
    return ",".join(translation.helpers).encode() if translation.helpers else None


def chunk_name(path: str) -> bytes:
    """How Lua is told that a chunk comes from a file: messages then begin with the path."""
    return b"@" + path.encode("utf-8", "surrogateescape")
