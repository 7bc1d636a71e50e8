"""Many small scripts, 1 KB each and no two alike, and what stock Lua runs them in: for `bench` and `bench-batch`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

SIZE: Final = 1024
_PLAIN: Final = """
local total, words = 0, {{}}
for i = 1, {count} do
  total = total + i * i % 7
  words[#words + 1] = string.format("%d:%s", i, i % 2 == 0 and "even" or "odd")
end
table.sort(words)
assert(#words == {count})
print({number}, total, words[1])
"""
WAYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "failed": "error('this is item {number}')",
        "denied": "io.open('/etc/passwd')",
        "timeout": "while true do end",
        "memory": "local t = {{}} for i = 1, math.huge do t[i] = {{ i }} end",
        "deadlock": "local w = worker.create('wait.lus') worker.receive(w)",
    }
)
"""By the status of a batch: what makes a script fail in this way, after it has printed its line."""

SANDBOX: Final = (
    "bwrap --unshare-all --die-with-parent --ro-bind /usr /usr --symlink usr/lib /lib --symlink usr/lib64 /lib64"
)
"""A command that runs the one behind it in a sandbox."""


def make(folder: Path, items: int, failing: int) -> dict[str, str]:
    """Scripts, of which one in `failing` fails in one way or another (0: none); what is to become of each."""
    expected = {}
    folder.mkdir()
    for number in range(items):
        status = "completed"
        if failing and number % failing == failing - 1:
            status = list(WAYS)[number // failing % len(WAYS)]
        text = _PLAIN.format(number=number, count=20) + WAYS.get(status, "").format(number=number)
        name = f"{number:06}.lua"
        folder.joinpath(name).write_text(f"{text}\n--{'x' * (SIZE - len(text) - 3)}", encoding="utf-8")
        expected[name] = status
    return expected
