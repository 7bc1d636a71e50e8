"""docs/api.md: its examples print what the page says, and its parameters and names are those of the code."""

import contextlib
import inspect
import io
import re
from pathlib import Path

import pytest

import luspool

PAGE = (Path(__file__).parents[2] / "docs/api.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"## (\w+)\n(?:(?!\n## ).)*?```python\n(.*?)```\n\n```\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("code", "output"), [example[1:] for example in EXAMPLES], ids=[one[0] for one in EXAMPLES])
def test_an_example_prints_what_stands_below_it(code, output):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "api.md", "exec"), {})  # noqa: S102  it is our own
    assert printed.getvalue() == output


def test_no_example_is_overlooked():
    assert len(EXAMPLES) == PAGE.count("```python") == 4


@pytest.mark.parametrize(
    ("pattern", "function"),
    [
        (r"`Runtime\((functions.*?)\)` is", luspool.Runtime),
        (r"`runtime\.run\((\w.*?)\)` runs", luspool.Runtime.run),
        (r"`runtime\.submit\((\w.*?)\)` takes", luspool.Runtime.submit),
        (r"`ScriptExecutor\((.*?)\)` is", luspool.ScriptExecutor),
    ],
)
def test_the_parameters_are_those_of_the_code(pattern, function):
    shown = re.findall(r"(?:^|, )\*?(\w+)", re.search(pattern, PAGE).group(1))
    assert shown == [name for name in inspect.signature(function).parameters if name != "self"]


def test_asyncio_has_the_same_parameters():
    submit = inspect.signature(luspool.Runtime.submit).parameters
    assert inspect.signature(luspool.AsyncRuntime.submit).parameters == submit


@pytest.mark.parametrize("face", [luspool.Job, luspool.AsyncJob])
def test_the_page_has_all_that_a_job_can_do(face):
    members = {name for name in vars(face) if not name.startswith("_")}
    table = PAGE[PAGE.index("| of a `Job` |") : PAGE.index("- **Order.**")]
    assert members == set(re.findall(r"^\| `(\w+)", table, re.MULTILINE))


def test_the_page_has_all_public_names():
    assert [name for name in luspool.__all__ if not re.search(rf"\b{name}\b", PAGE)] == []
