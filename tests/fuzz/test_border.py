"""A bounded run of the fuzzer of the border around a host process, and of its own promises."""

import os

import pytest

from . import border

EXECUTIONS = {"fleet": 6, "sole": 6, "moved": 12, "spread": 8, "ring": 60, "link": 60, "board": 60}


@pytest.mark.parametrize("part", EXECUTIONS)
def test_whatever_a_host_says_the_others_and_the_supervisor_stay_sound(part):
    before = sorted(os.listdir("/proc/self/fd"))
    for seed in range(EXECUTIONS[part]):
        border.execute_part(part, seed)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_claim_that_fails_says_how_to_do_it_again(monkeypatch):
    def fail(_chance):
        raise ValueError("no")

    monkeypatch.setitem(border.PARTS, "ring", fail)
    with pytest.raises(AssertionError, match=r"tests\.fuzz\.border\.execute_part\('ring', 7\): ValueError: no"):
        border.execute_part("ring", 7)
