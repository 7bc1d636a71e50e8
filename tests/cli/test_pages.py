"""Examples of single pages of the documentation mean what the page says: lines of Lus, a policy, an item of a batch."""

from __future__ import annotations

import re
from pathlib import Path

from luspool.policy.read import read_policy

DOCS = Path(__file__).resolve().parents[2] / "docs"


def page(name):
    return (DOCS / name).read_text(encoding="utf-8")


def block(name, kind):
    """The first block of code of this kind."""
    return re.search(rf"^```{kind}\n(.*?)^```$", page(name), re.DOTALL | re.MULTILINE).group(1)


def test_what_stands_behind_an_arrow_in_the_library_is_what_the_line_gives(luspool):
    examples = re.findall(r"^    (\S.*?) +--> (.*)$", page("library.md"), re.MULTILINE)
    lines = []
    for code, result in examples:
        # A list is compared as such, anything else as it is printed, with its line ends spelt out.
        is_list = result.startswith("{ ")
        written = f"tojson({code})" if is_list else rf"(tostring({code}):gsub('\r', '\\r'):gsub('\n', '\\n'))"
        lines.append(f"print({written} == {f'tojson({result})' if is_list else f'[=[{result}]=]'})")
    luspool.write(main="\n".join(lines))
    done = luspool("run", "main.lus")
    assert (done.stdout.splitlines(), done.stderr) == (["true"] * len(examples), "")
    assert len(examples) > 10


def test_pledges_are_answered_as_the_page_of_permissions_says(luspool):
    script = block("permissions.md", "lua")
    flags = re.match(r"-- luspool run (.*) main\.lus\n", script).group(1).split()
    shown = re.findall(r"^(pledge\(.*\)) +--> ((?:true|false)(?:, (?:true|false))*)", script, re.MULTILINE)
    luspool.write(main="\n".join(f"print({call})" for call, _ in shown))
    done = luspool("run", *flags, "main.lus")
    assert (done.stdout.splitlines(), done.stderr) == ([answer.replace(", ", "\t") for _, answer in shown], "")
    assert len(shown) == script.count("\n") - 1


def test_the_policy_of_the_page_is_one():
    policy = read_policy(block("policies.md", "toml").encode(), "team.toml")
    assert policy.default == "report"
    assert policy.sets.keys() == {"base", "report"}


def test_the_item_of_the_page_is_run_as_it_says(luspool):
    line = re.search(r'^\{"script".*$', page("batch.md"), re.MULTILINE).group()
    (luspool.directory / "data").mkdir()
    (luspool.directory / "data/may.csv").write_text("1,2\n", encoding="utf-8")
    luspool.write(report="print(io.open('data/' .. ...):read())")
    (luspool.directory / "items.jsonl").write_text(f"{line}\n", encoding="utf-8")
    assert luspool("batch", "--items", "items.jsonl", "--allow", "fs:read=data").returncode == 0
    assert luspool("batch", "results", "--output").stdout == "1,2\n"
