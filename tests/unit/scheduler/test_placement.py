"""Who is given what: from loads alone, at given times."""

import pytest

from luspool.scheduler.board import Load
from luspool.scheduler.placement import ARRIVAL, Placement

BUSY, ASLEEP = Load(idle=0, ready=0), Load(idle=1, ready=0)


@pytest.mark.parametrize(
    ("own", "other", "given"),
    [
        (Load(0, 7), ASLEEP, 4),  # eight here with the one that runs: four each
        (Load(0, 1), ASLEEP, 1),
        (Load(0, 0), ASLEEP, 0),  # who runs here is not given away
        (Load(0, 1), BUSY, 0),  # one more there would be as unfair as one more here
        (Load(0, 2), BUSY, 1),
        (Load(0, 7), Load(0, 7), 0),
        (Load(0, 2), Load(0, 9), 0),
        (Load(1, 1), Load(2, 0), 1),  # two threads each, one awake: another was just notified, or both are late
    ],
)
def test_half_of_the_difference_is_given(own, other, given):
    assert Placement().surplus(2, own, other, now=0) == given


def test_what_was_given_is_the_others_until_its_board_must_show_it():
    placement = Placement()
    placement.gave(2, 4, now=0)
    placement.gave(2, 1, now=10)
    assert placement.surplus(2, Load(0, 7), ASLEEP, now=10 + ARRIVAL - 1) == 1  # 7 and who runs, against 5
    assert placement.surplus(2, Load(0, 7), ASLEEP, now=10 + ARRIVAL) == 4
    assert placement.surplus(3, Load(0, 7), ASLEEP, now=10) == 4, "another host was given nothing"


def test_a_host_that_is_gone_is_forgotten():
    placement = Placement()
    placement.gave(2, 9, now=0)
    placement.forget(2)
    placement.forget(2)
    assert placement.surplus(2, Load(0, 7), ASLEEP, now=1) == 4


def test_states_created_one_after_another_end_up_evenly_spread_although_boards_are_late():
    """Three hosts with one thread; a board is read as it was 2 ms ago; a state is created each millisecond."""
    placement, here, there = Placement(), 0, {2: [0], 3: [0]}
    for millisecond in range(31):
        now, here = millisecond * 1_000_000, here + 1
        for host, past in there.items():
            seen = past[max(0, len(past) - 3)]
            other = Load(0, seen - 1) if seen else ASLEEP
            surplus = placement.surplus(host, Load(0, here - 1), other, now)
            placement.gave(host, surplus, now) if surplus else None
            here -= surplus
            past.append(past[-1] + surplus)
    counts = [here, there[2][-1], there[3][-1]]
    assert sum(counts) == 31
    assert max(counts) - min(counts) <= 2, counts


def test_spreading_goes_around_all_hosts_and_gives_nothing_later():
    placement = Placement()
    assert {placement.home_of_new((1, 2, 3)) for _ in range(5)} == {1}
    placement.spreads = True
    assert [placement.home_of_new((1, 2, 3)) for _ in range(4)] == [2, 3, 1, 2]
    assert placement.surplus(2, Load(0, 9), ASLEEP, now=0) == 0
