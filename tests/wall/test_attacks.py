"""What native code in a host tries fails behind the wall, and would work without it."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

STOPPED = {"refused", "absent", "killed"}
SCRIPT = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "attack-table")))


NEEDED = (2, 7, 13, 18, 19, 21, 22, 23)
"""The capabilities without which an attack fails by itself (CAP_DAC_READ_SEARCH, CAP_SETUID … CAP_SYS_NICE)."""


def has_needed_rights() -> bool:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    effective = int(re.search(r"CapEff:\s*(\w+)", status)[1], 16)
    return all(effective >> capability & 1 for capability in NEEDED)


by_root = pytest.mark.skipif(
    not has_needed_rights(), reason="2026-11: without root's rights attacks fail by themselves: nothing to compare with"
)


@pytest.fixture(scope="module")
def documented():
    """The table in docs/security.md: what came of each attack, by wall and title."""
    _, rest = SCRIPT.PAGE.read_text(encoding="utf-8").split(SCRIPT.BEGIN)
    rows = [line.strip("| ").split(" | ") for line in rest.split(SCRIPT.END)[0].splitlines()[2:]]
    return {wall: {row[0]: row[at].strip("*") for row in rows} for at, wall in enumerate(SCRIPT.COLUMNS, 1)}


def test_every_attack_on_a_walled_host_fails(documented):
    found = SCRIPT.measure("wall")
    assert {title: result for title, result in found.items() if result not in STOPPED} == {}
    assert list(found) == list(documented["wall"]), "run scripts/attack-table"
    assert len(found) > 60


@by_root
def test_every_attack_works_where_no_wall_is():
    found = SCRIPT.measure("none")
    assert {title: result for title, result in found.items() if result not in ("works", "absent")} == {}


@by_root
@pytest.mark.parametrize("wall", ["small", "landlock", "seccomp"])
def test_each_kind_of_wall_alone_stops_what_the_documentation_says(documented, wall):
    told = documented[wall]
    # What this kernel lacks, or the one of the documentation, says nothing.
    compared = {title: result for title, result in SCRIPT.measure(wall).items() if result != "absent"}
    different = {title: result for title, result in compared.items() if told[title] not in (result, "absent")}
    assert different == {}, "run scripts/attack-table, if that is right"


def test_the_documentation_says_of_no_attack_that_it_works_behind_the_whole_wall(documented):
    assert set(documented["wall"].values()) <= STOPPED
