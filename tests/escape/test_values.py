"""Values: no metamethod, handle or right is taken for another's, wherever it is tried."""

from __future__ import annotations

import pytest
from attacks_values import ATTACKS
from matrix import POSITIONS, cells, run, title


@pytest.mark.parametrize(("attack", "position"), cells(ATTACKS), ids=title)
def test_an_attack_ends_as_stated(attack, position, files):
    assert run(attack, position, files) == attack.expected(position)


def test_exceptions_name_positions():
    for attack in ATTACKS:
        assert {*attack.where, *attack.never} <= set(POSITIONS), attack.title
        assert not attack.where.keys() & attack.never.keys(), attack.title
