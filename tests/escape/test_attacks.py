"""No bytecode or native code is loaded, nothing of the inside is reached, no metamethod, handle or right is taken for
another's, wherever it is tried."""

from __future__ import annotations

import itertools

import pytest
from groups import GROUPS
from matrix import POSITIONS, cells, run, title

ATTACKS = tuple(itertools.chain.from_iterable(GROUPS.values()))


@pytest.mark.parametrize(("attack", "position"), cells(ATTACKS), ids=title)
def test_an_attack_ends_as_stated(attack, position, files):
    assert run(attack, position, files) == attack.expected(position)


@pytest.mark.parametrize("attack", ATTACKS, ids=title)
def test_exceptions_name_positions(attack):
    assert {*attack.where, *attack.never} <= set(POSITIONS)
    assert not attack.where.keys() & attack.never.keys()
