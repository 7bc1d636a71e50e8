"""Globs and paths of the library beside twins in Python."""

from __future__ import annotations

import posixpath
import re
import runpy
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luspool.sandbox import Sandbox

CONFTEST = Path(__file__).resolve().parents[1] / "unit/sandbox/conftest.py"
CHARACTERS = "ab*?\\."

CALLED = """
for line in string.gmatch((...), "[^\\n]*\\n") do
  local glob = line:sub(1, -2)
  print(table.concat(fs.list(directory, glob), " "))
end
"""
PATHS = """
for line in string.gmatch((...), "[^\\n]*\\n") do
  local path = fs.path
  local parts = {}
  for part in line:sub(1, -2):gmatch("[^|]*") do parts[#parts + 1] = part end
  local joined = path.join(table.unpack(parts))
  print(joined, path.name(joined), path.parent(joined), path.join(table.unpack(path.split(joined))),
    path.join(path.parent(joined), path.name(joined)))
end
"""


@pytest.fixture(scope="module")
def run():
    """What a script prints, given lines of text."""
    make = runpy.run_path(str(CONFTEST))["Script"]

    def call(source, lines, held=()):
        text = "".join(f"{line}\n" for line in lines).encode()
        script = make(Sandbox(), source, {"held": held, "arguments": (text,)})
        script.end()
        script.state.close()
        return script.port.output.split("\n")[:-1]

    return call


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A directory of all names of up to three of the characters."""
    made = tmp_path_factory.mktemp("names")
    for length in (1, 2, 3):
        for letters in product(CHARACTERS, repeat=length):
            name = "".join(letters)
            if name not in (".", ".."):
                (made / name).touch()
    return made


def components(path):
    """Whether it is absolute, and what is in it but for what changes nothing."""
    return path.startswith("/"), [part for part in path.split("/") if part not in ("", ".")]


def regex(glob):
    """The glob as a regular expression, element by element."""
    elements = re.findall(r"\\.|.", glob)
    return re.compile("".join({"*": ".*", "?": "."}.get(one, re.escape(one[-1])) for one in elements))


@settings(max_examples=30)
@given(st.lists(st.text(CHARACTERS, max_size=8), min_size=1, max_size=20))
def test_a_glob_finds_what_a_regular_expression_finds(run, directory, globs):
    names = sorted(path.name for path in directory.iterdir())
    expected = [" ".join(name for name in names if regex(glob).fullmatch(name)) for glob in globs]
    assert run(f"directory = '{directory}' {CALLED}", globs, (f"fs:read={directory}",)) == expected


@settings(max_examples=100)
@given(st.lists(st.lists(st.text("ab/.", max_size=6), min_size=1, max_size=4), min_size=1, max_size=20))
def test_paths_are_taken_apart_and_joined_as_python_does(run, cases):
    for case, line in zip(cases, run(PATHS, ["|".join(case) for case in cases]), strict=True):
        parts = [part for part in case if part]
        joined, name, parent, again, rejoined = line.split("\t")
        assert joined == (posixpath.join(*parts) if parts else "")
        stripped = joined.rstrip("/")
        assert name == (posixpath.basename(stripped) or ("/" if joined else ""))
        place = posixpath.dirname(stripped) or ("/" if joined and not stripped else ".")
        assert parent == (place.rstrip("/") or "/")  # POSIX leaves open what two slashes at the beginning are
        for path in (again, rejoined):
            assert components(path) == components(joined)
