"""What is said of luspool's own faults."""

from __future__ import annotations

import traceback

from luspool.scheduler.faults import described


def innermost():
    raise KeyError("x")


def chained():
    try:
        innermost()
    except KeyError as error:
        raise ValueError("two\nlines") from error


def raised_by(func):
    try:
        func()
    except Exception as error:
        return error


def without_source(text):
    """What Python says, but for the lines that it has read from files, which lie deepest."""
    return [line for line in text.splitlines() if not line.startswith("    ")]


def test_it_is_what_python_says_without_the_source():
    error = raised_by(innermost)
    assert described(error).splitlines() == without_source("".join(traceback.format_exception(error)))


def test_what_an_error_came_of_is_said_first():
    text = described(raised_by(chained))
    first, second = text.split("\nThen came:\n\n")
    assert first.endswith("in innermost\nKeyError: 'x'\n")
    assert second.startswith("Traceback")
    assert second.endswith("in chained\nValueError: two\nlines\n")


def test_a_deep_recursion_is_shown_by_its_end():
    def deeper():
        deeper()

    lines = described(raised_by(deeper)).splitlines()
    assert len(lines) == 52
    assert lines[-2].endswith("deeper")


def test_errors_that_came_of_each_other_are_said_once():
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert described(one).count("ValueError: ") == 2
