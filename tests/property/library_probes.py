"""Calls functions of the Lua library from Python, on plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lupa.lua55

from luspool.sandbox.codec import decode, encode

ROOT = Path(__file__).resolve().parents[2]


class LibraryError(Exception):
    """What a library function raised."""


def _load():
    runtime = lupa.lua55.LuaRuntime(encoding=None, unpack_returned_tuples=True)
    harness = (ROOT / "tests/lua/library_harness.lua").read_bytes()
    return runtime.execute(harness, lambda name: (ROOT / "sandbox/lua" / f"{name.decode()}.lua").read_bytes())


_CALL, _ = _load()


def call(name: str, *arguments: Any) -> Any:
    answer = _CALL(name.encode(), encode(*arguments))
    if not isinstance(answer, bytes):
        raise LibraryError(answer[1].decode("utf-8", "replace"))
    return decode(answer)[0]
