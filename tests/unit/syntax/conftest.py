"""Running emitted text in a bare state."""

from collections.abc import Callable
from pathlib import Path

import pytest
from lupa import lua55

from luspool.sandbox.syntax import translate

ROOT = Path(__file__).parents[3]
LANGUAGE = (ROOT / "sandbox/lua/language.lua").read_bytes()
HARNESS = (ROOT / "tests/lua/language_harness.lua").read_bytes()


@pytest.fixture
def run() -> Callable[[str], str]:
    """Translates and runs a script; gives what it printed, one line a call, and its error as the last line."""

    def run_script(source: str) -> str:
        translation = translate(source.encode(), "script")
        runtime = lua55.LuaRuntime(encoding=None)
        harness = runtime.eval(b"load")(HARNESS, b"=harness")
        return harness(LANGUAGE, translation.lua, " ".join(translation.helpers).encode()).decode()

    return run_script
