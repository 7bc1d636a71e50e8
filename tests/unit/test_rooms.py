"""The rooms import each other in one direction only, and relatively."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ALLOWED = {
    "permissions": set(),
    "scheduler": set(),
    "sandbox": {"permissions", "scheduler.protocol", "scheduler.limits", "scheduler.units", "scheduler.faults"},
    "luspool": {"permissions", "scheduler", "sandbox"},
}
MODULES = [path for room in ALLOWED for path in sorted((ROOT / room).glob("**/*.py"))]


def imports(path: Path) -> list[str]:
    """What a module imports from outside its own room, as seen from the package `luspool`."""
    found = []
    room_depth = len(path.relative_to(ROOT).parts) - 1  # 1 for a module of a room, 2 for one of a folder in it
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level > room_depth:
            found += [f"{node.module}.{name.name}" if node.module else name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.append(node.module or "")
        elif isinstance(node, ast.Import):
            found += [name.name for name in node.names]
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_from_the_rooms_that_its_own_may_know(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    for name in imports(path):
        assert not name.startswith("luspool"), f"{name}: rooms import each other relatively"
        for other in ALLOWED.keys() - {"luspool"}:
            if room != "luspool" and (name == other or name.startswith(f"{other}.")):
                assert any(name == allowed or name.startswith(f"{allowed}.") for allowed in ALLOWED[room]), name


def test_the_modules_of_every_room_are_seen() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in MODULES} == ALLOWED.keys()
    assert len(MODULES) > 50
