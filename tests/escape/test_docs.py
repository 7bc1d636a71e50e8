"""The table in docs/security.md says what the tests of this folder hold, and its positions are all of theirs."""

from __future__ import annotations

from pathlib import Path

import matrix
from groups import BEGIN, END, GROUPS

PAGE = Path(__file__).parents[2] / "docs/security.md"


def test_the_table_is_what_the_attacks_state():
    written = PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]
    stated = {group: matrix.results(attacks, matrix.Attack.expected) for group, attacks in GROUPS.items()}
    assert written == matrix.table(stated), "run scripts/escape-table"


def test_the_page_names_every_position():
    text = PAGE.read_text(encoding="utf-8")
    assert all(position in text for position in matrix.POSITIONS)
