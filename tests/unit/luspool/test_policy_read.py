"""Policy files as text: what they say, and for each thing that can be wrong, where and what to do."""

import re
from pathlib import Path

import pytest

from luspool.errors import UsageError
from luspool.limit_options import LIMIT_OPTIONS
from luspool.permissions import Pledge
from luspool.policy import Entry, LimitEntry, Place, PolicyError, PolicyFile, PolicySet, read_policy


def read(text: str) -> PolicyFile:
    return read_policy(text.encode(), "p.toml")


WHOLE = """\
# what the nightly report needs
default = "report"

[set.base]
pledge = ["load", 'fs:read=a\\*b']

[set.report]
extends = ["base"]
pledge = [
    "fs:read=arg:1",   # the table
    "~fs=keys", "seal",
]
allow = ["env=HOME", "all"]
limits = { memory = "64M", timeout = 1.5, states = 100 }
"""


def entries(*texts: str) -> tuple[Entry, ...]:
    return tuple(Entry(Pledge.parse(text, command_line=True)) for text in texts)


def test_a_file_has_sets_a_default_pledges_and_limits():
    limits = {"memory": ("64M", 64 << 20), "timeout": ("1.5", 1_500_000_000), "states": ("100", 100)}
    base = PolicySet(pledges=entries("load", r"fs:read=a\*b"))
    report = PolicySet(
        ("base",),
        entries("fs:read=arg:1", "~fs=keys", "seal"),
        entries("env=HOME", "all"),
        {name: LimitEntry(*values) for name, values in limits.items()},
    )
    assert read(WHOLE) == PolicyFile({"base": base, "report": report}, "report")


def test_everything_has_its_place_also_with_line_ends_of_windows():
    for text in (WHOLE, WHOLE.replace("\n", "\r\n")):
        report = read(text).sets["report"]
        assert [entry.place for entry in report.pledges] == [Place(10, 5), Place(11, 5), Place(11, 17)]
        assert report.limits["timeout"].place == Place(14, 38)


def test_only_a_value_that_is_arg_and_a_number_is_an_argument():
    found = read('set.a.pledge = ["fs=arg:12", "fs=./arg:12", "fs=x/arg:1", "load", "fs"]').sets["a"].pledges
    assert [entry.argument for entry in found] == [12, None, None, None, None]


@pytest.mark.parametrize("option", LIMIT_OPTIONS, ids=lambda option: option.name)
def test_every_limit_of_the_command_has_its_key(option):
    found = read(f'set.a.limits.{option.name} = "unlimited"').sets["a"].limits
    assert found[option.name].value == option.parse("unlimited")


WRONG = {
    "no set": ("", 1, 1, r"the file has no set \(a set begins with a line \[set\.NAME\]\)"),
    "no set in a table of sets": ("set = {}", 1, 1, "the file has no set"),
    "not TOML": ("[set.a]\npledge = [", 2, 11, "invalid value"),
    "an escape": ('[set.a]\npledge = ["\\q"]', 2, 14, r"unescaped '\\' in a string"),
    "a key twice": ("[set.a]\npledge = []\npledge = []", 3, 12, "cannot overwrite a value"),
    "a table twice": ("[set.a]\n[set.a]", 2, 7, r"cannot declare \('set', 'a'\) twice"),
    "an unknown key": ("defualt = 1", 1, 1, r"unknown key 'defualt' \(did you mean 'default'\?\)"),
    "a key that nobody can guess": ("[set.a]\n[xyzzy]", 2, 2, r"unknown key 'xyzzy' \(known are default, set\)"),
    "an unknown key of a set": ("[set.a]\nplegde = []", 2, 1, r"unknown key 'plegde' \(did you mean 'pledge'\?\)"),
    "an unknown limit": ("[set.a.limits]\n memroy = 1", 2, 2, r"unknown key 'memroy' \(did you mean 'memory'\?\)"),
    "an inline one": ("[set.a]\nlimits = { cpus = 1 }", 2, 12, r"unknown key 'cpus' \(did you mean 'cpu'\?\)"),
    "a dotted one": ("set.a.limits.cpus = 1", 1, 14, r"unknown key 'cpus'"),
    "a quoted one": ('[set.a]\n"pl\\u0065dgE" = 1', 2, 1, r"unknown key 'pledgE'"),
    "a set that is none": ("set.a = 3", 1, 9, "expected a table, got a number"),
    "sets that are none": ('set = "a"', 1, 7, "expected a table, got a string"),
    "an array of sets": ("[[set.a]]", 1, 7, "expected a table, got an array"),
    "a bad name of a set": ('[set."a b"]', 1, 6, r"'a b' can't name a set"),
    "an empty name": ('[set.""]', 1, 6, "'' can't name a set"),
    "a pledge without brackets": ('[set.a]\npledge = "load"', 2, 10, r"expected an array, got a string \(put it in"),
    "a pledge that is no text": ("[set.a]\nallow = ['env', 1]", 2, 17, "expected a string, got a number"),
    "a date": ("[set.a]\nallow = 1979-05-27 07:32:00", 2, 9, "expected an array, got a date or time"),
    "a default that is no text": ("default = true\n[set.a]", 1, 11, "expected a string, got a boolean"),
    "a default that is no set": ("default = 'b'\n[set.a]", 1, 11, r"there is no set 'b' \(known are a\)"),
    "limits that are none": ("[set.a]\nlimits = []", 2, 10, "expected a table, got an array"),
    "a limit that is a boolean": ("set.a.limits.cpu = true", 1, 20, "expected a number or a string, got a boolean"),
    "a limit that is no duration": ("set.a.limits.cpu = '1 parsec'", 1, 20, "'1 parsec' is no duration; write"),
    "a limit that is negative": ("set.a.limits.states = -5", 1, 23, "'-5' is no number; write"),
    "a limit that is not finite": ("set.a.limits.cpu = inf", 1, 20, "'inf' is no duration; write"),
    "a limit that is too little": ("set.a.limits.memory = 1", 1, 23, "'1' is too little; the least is 256 KiB"),
    "an unknown permission": (
        "set.a.pledge = ['fs:raed=/x']",
        1,
        18,
        r'unknown permission .fs:raed. \(did you mean "fs:read"',
    ),
    "its column within a text": ("set.a.pledge = ['load', 'fs=*.x']", 1, 29, "a pattern that does not say in which"),
    "unless escapes hide it": ('set.a.pledge = ["fs=\\u002a.x"]', 1, 17, "a pattern that does not say in which"),
    "or many lines": ('set.a.pledge = ["""\nfs=*.x"""]', 1, 17, "a pattern that does not say in which"),
    "what nothing can grant": ("set.a.pledge = ['exec']", 1, 18, '"exec" cannot be granted here'),
    "nor allow": ("set.a.allow = ['network:tcp']", 1, 17, '"network:tcp" cannot be granted here'),
    "a rejection that is allowed": ("set.a.allow = ['~load']", 1, 17, r'no permission to allow \(put it in "pledge"\)'),
    "a seal that is allowed": ("set.a.allow = ['seal']", 1, 17, r'no permission to allow \(put it in "pledge"\)'),
    "an argument with a number 0": ("set.a.pledge = ['fs=arg:0']", 1, 21, r'"arg:0" names no argument \(write "arg:1"'),
    "with more behind it": ("set.a.pledge = ['fs=arg:1/*']", 1, 21, r'"arg:1/\*" names no argument'),
    "without a number": ("set.a.pledge = ['~fs=arg:']", 1, 22, '"arg:" names no argument'),
    "an argument that is no path": ("set.a.pledge = ['env=arg:1']", 1, 22, 'a path, and "env" takes none'),
    "an unknown set": ("[set.bass]\n[set.a]\nextends = ['base']", 3, 12, r"no set 'base' \(did you mean 'bass'\?\)"),
    "itself": ("set.a.extends = ['a']", 1, 18, r"the set 'a' extends itself \(a → a\)"),
    "a circle": (
        "set.x.extends = ['a']\nset.a.extends = ['c', 'b']\nset.b.extends = ['a']\nset.c.extends = []",
        3,
        18,
        r"the set 'a' extends itself \(a → b → a\)",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_shown_with_its_place(case):
    text, line, column, problem = WRONG[case]
    with pytest.raises(PolicyError) as raised:
        read(text)
    error = raised.value
    assert re.search(problem, error.problem), error.problem
    assert (error.line, error.column) == (line, column), error.problem
    source_line = text.split("\n")[line - 1]
    assert str(error) == f"p.toml:{line}:{column}: {error.problem}\n  {source_line}\n  {' ' * (column - 1)}^"


def test_an_error_is_a_wrong_command_line():
    assert issubclass(PolicyError, UsageError)


@pytest.mark.parametrize(
    ("data", "line", "column", "problem"),
    [
        (b"# caf\xe9", 1, 6, "the byte 0xe9, which is not UTF-8"),
        ("# ü\r\nx = '".encode() + b"\xff'", 2, 6, "the byte 0xff"),
        (b"\xef\xbb\xbf[set.a]", 1, 1, "invalid statement"),
        (b"x = " + b"9" * 5000, 1, 5, "a number that is too long"),
        (b"x = " + b"[" * 5000, 1, 1, "the file nests too deep"),
        (b"x = " + b"{a = " * 5000, 1, 1, "the file nests too deep"),
        (b"x." * 5000 + b"x = 1", 1, 1, "the file nests too deep"),
        (b"[" + b"x . " * 5000 + b"x]", 1, 1, "the file nests too deep"),
        (b"''." * 5000 + b"x = 1", 1, 1, "the file nests too deep"),
        (b"x = {" + b"x." * 5000 + b"x = 1}", 1, 1, "the file nests too deep"),
        (b"\0", 1, 1, "invalid statement"),
    ],
    ids=["latin-1", "after others", "mark", "number", "arrays", "tables", "key", "header", "quoted", "inline", "NUL"],
)
def test_bytes_that_are_no_toml_are_one_error_too(data, line, column, problem):
    with pytest.raises(PolicyError) as raised:
        read_policy(data, "p.toml")
    assert problem in raised.value.problem
    assert (raised.value.line, raised.value.column) == (line, column)
    assert all(shown.isprintable() for shown in str(raised.value).split("\n"))


def test_many_sets_that_extend_each_other_are_read_without_recursion():
    text = "\n".join(f"set.s{number}.extends = ['s{number + 1}', 's{number + 2}']" for number in range(3000))
    found = read(text + "\nset.s3000.pledge = ['load']\nset.s3001.pledge = ['env']")
    assert len(found.with_extended("s0")) == 3002
    assert found.with_extended("s3000") == (found.sets["s3000"],)


def test_the_documentation_has_every_key_and_its_example_is_one():
    text = Path(__file__).parents[3].joinpath("docs", "policies.md").read_text(encoding="utf-8")
    for key in ("default", "set.NAME", *(f"set.NAME.{key}" for key in ("extends", "pledge", "allow", "limits"))):
        assert f"| `{key}` |" in text
    example = text.split("```toml\n")[1].split("```")[0]
    assert list(read(example).sets) == ["base", "report"]
