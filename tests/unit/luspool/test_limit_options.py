"""The table of limits: complete, readable in both directions, and clear about what it refuses."""

from pathlib import Path

import pytest

from luspool.limit_options import LIMIT_OPTIONS, limits_from, parse_slice
from luspool.scheduler.limits import Limits, StateLimits, TreeLimits
from luspool.scheduler.units import UNLIMITED


def test_every_limit_has_one_option_and_every_option_a_name_of_its_own():
    of_state = sorted(option.field for option in LIMIT_OPTIONS if not option.is_of_tree)
    of_tree = sorted(option.field for option in LIMIT_OPTIONS if option.is_of_tree)
    assert of_state == sorted(StateLimits.__struct_fields__)
    assert of_tree == sorted(TreeLimits.__struct_fields__)
    assert len({option.name for option in LIMIT_OPTIONS}) == len(LIMIT_OPTIONS)


def test_limits_that_are_not_named_keep_their_defaults():
    assert limits_from({}) == Limits()
    expected = Limits(StateLimits(cpu=5, message=0), TreeLimits(cpu=7, time=9))
    assert limits_from({"cpu": 5, "message": 0, "total-cpu": 7, "timeout": 9}) == expected


@pytest.mark.parametrize("option", LIMIT_OPTIONS, ids=lambda option: option.name)
def test_each_value_goes_where_it_is_found_again(option):
    assert option.get(limits_from({option.name: 1234})) == 1234


@pytest.mark.parametrize("option", LIMIT_OPTIONS, ids=lambda option: option.name)
def test_what_help_shows_can_be_typed(option):
    default = option.get(Limits())
    assert option.parse(option.unit.format(default)) == default
    assert option.parse("unlimited") == UNLIMITED


@pytest.mark.parametrize("option", [option for option in LIMIT_OPTIONS if option.least], ids=lambda option: option.name)
def test_too_little_is_refused_with_the_least(option):
    with pytest.raises(ValueError, match=f"'0' is too little; the least is {option.unit.format(option.least)}"):
        option.parse("0")
    assert option.parse(option.unit.format(option.least)) == option.least


@pytest.mark.parametrize("text", ["", "-1", "x", "1e9", "nan", "1 parsec", "٣"])
@pytest.mark.parametrize("option", LIMIT_OPTIONS, ids=lambda option: option.name)
def test_what_is_no_value_is_refused_with_the_forms(option, text):
    with pytest.raises(ValueError, match=r"is no (size|duration|number); write .*, or unlimited"):
        option.parse(text)


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("unlimited", 0), ("1ms", 1_000_000), ("2", 2_000_000_000)])
def test_a_slice_has_a_length_or_no_end(text, value):
    assert parse_slice(text) == value


@pytest.mark.parametrize("text", ["10us", "1ns", "0.0001"])
def test_a_slice_too_short_to_get_anything_done_is_refused(text):
    with pytest.raises(ValueError, match="is too short; the least is 1 ms, and 0"):
        parse_slice(text)


@pytest.mark.parametrize("option", LIMIT_OPTIONS, ids=lambda option: option.name)
def test_the_documentation_has_it_with_its_default(option):
    text = Path(__file__).parents[3].joinpath("docs", "command-line.md").read_text(encoding="utf-8")
    default = option.unit.format(option.get(Limits()))
    assert f"| `--{option.name} {option.unit.metavar}` | {default} |" in text
