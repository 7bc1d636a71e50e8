"""The matrix of escape attempts: attacks as data, the positions they are made from, and what runs one cell.

An attack is the body of a Lua function. What it returns, or the error that it raises, is the cell's result. Every cell
is a state of its own, run against the fake scheduler's side of tests/unit/sandbox.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import lupa.lua55

from luspool.sandbox import Sandbox, codec
from luspool.scheduler.protocol import Ended, Exited, Failure, Waiting

_spec = importlib.util.spec_from_file_location("fake_port", Path(__file__).parents[1] / "unit/sandbox/conftest.py")
assert _spec
assert _spec.loader
_fakes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fakes)


@dataclass(frozen=True)
class Attack:
    """`result` is what each position gives but those in `where`; one in `never` has none, for the reason given."""

    title: str
    code: str
    result: str
    where: Mapping[str, str] = field(default_factory=dict)
    never: Mapping[str, str] = field(default_factory=dict)

    def expected(self, position: str) -> str:
        return self.where.get(position, self.result)


# Each calls `attempt`, which makes the attack and writes down its result.
POSITIONS = {
    "main chunk": "attempt()",
    "worker": "attempt()",
    "coroutine": "coroutine.wrap(attempt)()",
    "`__close`": "do local x <close> = setmetatable({}, {__close = attempt}) end",
    "handler of `xpcall`": "xpcall(error, attempt)",
    "handler of `catch`": "catch[attempt] error()",
    "`__tostring`, by `print`": "print(setmetatable({}, {__tostring = function() attempt() return '' end}))",
    "`__tostring`, by `%s`": "string.format('%s', setmetatable({}, {__tostring = function() attempt() return '' end}))",
    "`__json`, by `tojson`": "tojson(setmetatable({}, {__json = function() attempt() return 1 end}))",
    "`__index`, by `table.unpack`": "table.unpack(setmetatable({}, {__index = function() attempt() end}), 1, 1)",
    "`__len`, by `table.concat`": "table.concat(setmetatable({}, {__len = function() attempt() return 0 end}))",
    "comparison, by `table.sort`": "local n table.sort({2, 1}, function() if not n then n = 1 attempt() end end)",
    "callback of `string.gsub`": "string.gsub('x', 'x', function() attempt() end)",
    "reader of `load`": "load(function() attempt() end)",
}
# Lua can't suspend what runs here, so whatever has to wait is an error.
IN_C = (
    "handler of `xpcall`",
    "`__index`, by `table.unpack`",
    "comparison, by `table.sort`",
    "callback of `string.gsub`",
)

BEGIN = """
local write, tostring, pcall, select, format, concat = io.write, tostring, pcall, select, string.format, table.concat
local function settle(ok, ...)
  local values = {...}
  for i = 1, select("#", ...) do values[i] = tostring(values[i]) end
  write("\\nRESULT ", ok and "" or "error: ", concat(values, " "), "\\n")
end
local function attack() %s end
local function attempt() settle(pcall(attack)) end
%s
"""
FILES = ("binary.lus", "binary/init.lus", "text.lus", "secret/key")


def prepare(directory: Path) -> None:
    """Lays out what attacks read: bytecode under two names, a script, and a file that only some rights open."""
    bytecode = lupa.lua55.LuaRuntime(encoding=None).execute(b"return string.dump(function() return 'ran' end)")
    for name in FILES:
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_bytes(bytecode if name.startswith("binary") else b"return 'text'")


def run(attack: Attack, position: str, directory: Path) -> str:
    """Makes the attack from the position in a new state; its result, without the script's position."""
    source = BEGIN % (attack.code.replace("DIR", str(directory)), POSITIONS[position])
    sandbox = Sandbox({"SECRET": "s3cret"}, str(directory))
    held = ("load", f"fs:read={directory}")
    script = _fakes.Script(
        sandbox, source, {"directory": str(directory), "held": held, "is_worker": position != "main chunk"}
    )
    try:
        return _tidy(_end(sandbox, script, directory), directory)
    finally:
        script.state.close()


def _end(sandbox: Sandbox, script: object, directory: Path) -> str:
    port = script.port
    port.inbox.append(codec.encode((directory / "binary.lus").read_bytes()))
    step = script.step()
    if isinstance(step, Waiting):
        return "waits"
    assert isinstance(step, Ended)
    results = re.findall(r"^RESULT (.*(?:\n\t.*)*)$", port.output, re.MULTILINE)
    for child in port.children.values():
        results.append(f"its worker: {_outcome(sandbox, child)}")
    if isinstance(step.outcome, Exited):
        results.append(f"the state ends with status {step.outcome.status}")
    assert not (isinstance(step.outcome, Failure) and step.outcome.kind in ("internal", "memory")), step.outcome
    return "; ".join(results)


def _outcome(sandbox: Sandbox, program: object) -> str:
    state = sandbox.new_state(program, _fakes.FakePort(is_worker=True))
    try:
        step = state.step(_fakes.Slice(0, bytearray(1)))
        assert isinstance(step, Ended)
        return step.outcome.message if isinstance(step.outcome, Failure) else "returned"
    finally:
        state.close()


def _tidy(text: str, directory: Path) -> str:
    text = text.replace(str(directory), "DIR")
    text = re.sub(r"main\.lus:\d+(: )?", "", text)
    return re.sub(r"\s*\n\t\s*", " ", re.sub(r"0x[0-9a-f]+", "0x…", text)).split("\n")[0].strip()


def cells(attacks: Sequence[Attack]) -> list[tuple[Attack, str]]:
    return [(attack, position) for attack in attacks for position in POSITIONS if position not in attack.never]


def title(value: object) -> str:
    """How a test names its attack and its position."""
    return value.title if isinstance(value, Attack) else str(value)


def table(results: Mapping[str, Sequence[Mapping[str, str]]]) -> str:
    """Markdown: for each attack its results by position, in as few lines as tell them. Given group -> attacks' results.

    Each attack's mapping begins with the key "" for its title; a position that can't exist has a result in parentheses.
    """
    lines = ["| attack | result | from |", "|---|---|---|"]
    for group, attacks in results.items():
        lines.append(f"| **{group}** | | |")
        for found in attacks:
            by_result: dict[str, list[str]] = {}
            for position in POSITIONS:
                by_result.setdefault(found[position], []).append(position)
            most = max(by_result, key=lambda result: len(by_result[result]))
            lines.append(f"| {found['']} | {_cell(most)} | {_everywhere(by_result)} |")
            lines += [f"| | {_cell(r)} | {', '.join(where)} |" for r, where in by_result.items() if r != most]
    return "\n".join(lines) + "\n"


def _everywhere(by_result: Mapping[str, Sequence[str]]) -> str:
    return "everywhere" if len(by_result) == 1 else "elsewhere"


def _cell(result: str) -> str:
    if result.startswith("("):
        return result
    kind, text = ("refused", result[7:]) if result.startswith("error: ") else ("gives", result)
    return f"{kind}: `{text}`".replace("|", "\\|")


def results(attacks: Sequence[Attack], run_cell: Callable[[Attack, str], str]) -> list[dict[str, str]]:
    """What `table` is given of a group: each cell's result is `run_cell`'s."""
    return [
        {"": attack.title}
        | {
            position: f"({attack.never[position]})" if position in attack.never else run_cell(attack, position)
            for position in POSITIONS
        }
        for attack in attacks
    ]
