"""Calls functions of the Lua library from Python, on plain values: in a bare interpreter, or in a state."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import lupa.lua55

from luspool.sandbox import Sandbox
from luspool.sandbox.codec import decode, encode

ROOT = Path(__file__).resolve().parents[2]
CONFTEST = ROOT / "tests/unit/sandbox/conftest.py"

SERVE = """
while true do
  local name, arguments, count = table.unpack(worker.peek())
  worker.message({pcall(calls[name], table.unpack(arguments, 1, count))})
end
"""


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


class StateCalls:
    """A state that calls what it is asked to, of the table `calls` that its script makes."""

    def __init__(self, source: str, *, text: bool = False) -> None:
        script = runpy.run_path(str(CONFTEST))["Script"]
        self._script = script(Sandbox({}, "/"), source + SERVE, {"is_worker": True})
        self._script.waits_for()
        self._text = text
        """Strings come back as text where they can; else as bytes."""

    def __call__(self, name: str, *arguments: Any) -> Any:
        self._script.port.inbox.append(encode([name, list(arguments), len(arguments)]))
        self._script.waits_for()
        ((succeeded, *results),) = decode(self._script.port.outbox.pop(), text=self._text)
        if not succeeded:
            problem = results[0]
            raise LibraryError(problem if isinstance(problem, str) else problem.decode("utf-8", "replace"))
        return results[0] if results else None

    def close(self) -> None:
        self._script.state.close()
