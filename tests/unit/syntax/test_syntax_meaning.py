"""What each construct of Lus does when it runs."""

from pathlib import Path

import pytest

CASES = Path(__file__).parents[2] / "corpus/meaning.txt"


def _cases():
    """The table's cases: a fact, a script, and what it prints."""
    for case in CASES.read_text().removeprefix("### ").split("\n\n### "):
        fact, rest = case.split("\n", 1)
        script, expected = rest.split("\n---\n")
        yield pytest.param(script, expected.rstrip("\n"), id=fact)


@pytest.mark.parametrize(("script", "expected"), list(_cases()))
def test_a_script_prints_what_its_constructs_mean(run, script, expected):
    assert run(script) == expected


def test_a_global_of_the_script_wins_over_the_word_wherever_it_is_used(run):
    source = "x = catch(1)\nfunction catch(x) return x end\nfrom = print\nlocal a from(catch(2)) print(catch 'c')"
    assert run(source).startswith("error: script:1: attempt to call a nil value (global 'catch')")
