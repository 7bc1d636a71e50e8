"""Sizes, durations and what is said about a limit that was exceeded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luspool.scheduler.limits import MEASURES, Excess, StateLimits, TreeLimits
from luspool.scheduler.units import (
    UNLIMITED,
    format_count,
    format_duration,
    format_size,
    parse_count,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("4096", 4096), ("64K", 65536), ("64kib", 65536), ("1.5G", 3 << 29), ("2 MB", 2 << 20), ("1b", 1)],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("0", 0), ("5", 5_000_000_000), ("1.5s", 1_500_000_000), ("500ms", 500_000_000), ("2h", 7_200_000_000_000)],
)
def test_durations(text, nanoseconds):
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize("parse", [parse_size, parse_duration, parse_count])
@pytest.mark.parametrize("text", ["", "-1", "1e3", "0x10", "M", "5 apples", "٣", "1.", "1\n", "9" * 40, "Unlimited"])
def test_what_is_no_amount_is_refused_with_the_forms_that_are(parse, text):
    with pytest.raises(ValueError, match=r"write (it|bytes) as in .* or unlimited"):
        parse(text)


@pytest.mark.parametrize("parse", [parse_size, parse_duration, parse_count])
def test_unlimited(parse):
    assert parse("unlimited") == UNLIMITED


def test_what_is_more_than_a_limit_can_be_is_unlimited():
    assert parse_size("999999999T") == parse_duration("999999999999999h") == UNLIMITED


@given(st.integers(0, 10**18 - 1))
def test_formatted_amounts_can_be_read_again_and_are_near(amount):
    assert abs(parse_size(format_size(amount).replace(" bytes", "").replace(" byte", "")) - amount) <= amount / 100
    assert abs(parse_duration(format_duration(amount)) - amount) <= amount / 100
    assert parse_count(format_count(amount)) == amount


def test_every_limit_that_can_be_exceeded_has_words():
    names = {*StateLimits.__struct_fields__, *TreeLimits.__struct_fields__}
    assert names == MEASURES.keys() | {"mailbox"}


def test_an_excess_says_what_there_was_and_what_is_allowed():
    assert str(Excess("cpu", 10**9, 1_020_000_000)) == ("cpu limit exceeded: 1.02 s of processor time, 1 s allowed")
    assert str(Excess("memory", 1 << 26, 1 << 26)) == "memory limit exceeded: more than 64 MiB of memory"
    assert str(Excess("states", 3, 4, is_of_tree=True)) == (
        "states limit exceeded: 4 states, 3 allowed for the whole program"
    )


@given(*[st.builds(StateLimits, *[st.integers(0, UNLIMITED)] * 5)] * 2)
def test_the_stricter_of_two(one, other):
    both = one.within(other)
    for name in StateLimits.__struct_fields__:
        assert getattr(both, name) == min(getattr(one, name), getattr(other, name))
