"""docs/embedding.md: its example prints what the page says, and its parameters are those of the code."""

import contextlib
import inspect
import io
import re
from pathlib import Path

import pytest

import luspool

PAGE = (Path(__file__).parents[2] / "docs/embedding.md").read_text(encoding="utf-8")


def test_the_example_prints_what_stands_below_it():
    code, output = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", PAGE, re.DOTALL).groups()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "embedding.md", "exec"), {})  # noqa: S102  it is our own
    assert printed.getvalue() == output


@pytest.mark.parametrize(
    ("pattern", "function"),
    [(r"`Runtime\((.*?)\)` is", luspool.Runtime), (r"`runtime\.run\((.*?)\)` runs", luspool.Runtime.run)],
)
def test_the_parameters_are_those_of_the_code(pattern, function):
    shown = re.findall(r"(?:^|, )\*?(\w+)", re.search(pattern, PAGE).group(1))
    assert shown == [name for name in inspect.signature(function).parameters if name != "self"]
