"""docs/library.md is what the comments in sandbox/lua say, and leaves out no function that scripts have."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import lupa.lua55
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def generator():
    return SimpleNamespace(**runpy.run_path(str(ROOT / "scripts/library-docs")))


@pytest.fixture
def page_of(generator, tmp_path):
    def make(**files):
        for name, text in files.items():
            (tmp_path / f"{name}.lua").write_text(text, encoding="utf-8")
        return generator.page(tmp_path).removeprefix(generator.HEAD)

    return make


def entry(name, more=""):
    return f"--- `{name}()` → x\n--- Does it.\n---\n--- Errors: none.\n--- Pledge: none.\n{more}"


def test_the_page_is_up_to_date(generator):
    assert generator.PAGE.read_text(encoding="utf-8") == generator.page(), "run scripts/library-docs"


OUTSIDE = r"(io|os|file|package|fs)\..+|load|loadfile|dofile|require|print|warn|collectgarbage|debug\.traceback"
"""Functions that Lua has, too, and that reach the outside or differ from Lua's own."""


def test_every_function_beyond_lua_or_to_the_outside_has_an_entry_and_every_entry_a_function(generator):
    listed = (ROOT / "sandbox/inventory.txt").read_text().splitlines()
    names = [name for name, _, kind in (line.partition("\t") for line in listed) if kind == "function"]
    ours = {name.removeprefix("package.loaded.").replace("file:", "file.") for name in names}
    # A table with two paths is listed under one.
    in_lua = lupa.lua55.LuaRuntime().execute("""
        local names = {}
        for name, value in next, _G do
          names[#names + 1] = name
          for field in next, type(value) == "table" and value or {} do names[#names + 1] = name .. "." .. field end
        end
        return table.concat(names, " ")
    """)
    apart = {name for name in ours if name not in in_lua.split() or re.fullmatch(OUTSIDE, name)}
    wanted = {name for name in apart if re.fullmatch(r"[a-z]\w*(\.[a-z]\w*)*", name)}
    wanted = wanted - {"function"} | {"host.name"}  # any function, and any of those of an embedding program
    documented = [name for section in generator.collect(generator.LUA).values() for name in section.names]
    assert sorted(name.replace("file:", "file.") for name in documented) == sorted(wanted)


def test_sections_are_joined_across_files_and_sorted(page_of):
    files = {"a": "--- # Zeta\n\n" + entry("z1"), "b": "--- # Alpha\n--- Intro.\n\n" + entry("b.one")}
    page = page_of(**files, c="--- # Zeta\n--- Later intro.\n\n" + entry("z2"))
    assert re.findall(r"^#+ .*$", page, re.MULTILINE) == [
        "## Alpha",
        "### `b.one()` → x",
        "## Zeta",
        "### `z1()` → x",
        "### `z2()` → x",
    ]
    assert "- [Zeta](#zeta): `z1`, `z2`" in page
    assert "Later intro." in page


def test_the_last_paragraphs_are_set_apart(page_of):
    page = page_of(
        a="""
  --- # S

  --- `f(a, b?)`
  --- First.
  ---
  ---     code
  ---
  --- Errors: one,
  --- two.
  --- Pledge: `env`.
  local function f() end
"""
    )
    assert "First.\n\n    code\n\n- **Errors**: one, two.\n- **Pledge**: `env`.\n" in page


def test_other_comments_are_left_alone(page_of):
    page = page_of(a="--- # S\n\n--- Says `f()` and more.\nlocal x\n---- `g()`\n-- `h()`\n" + entry("k"))
    assert re.findall(r"### `(\w)", page) == ["k"]


@pytest.mark.parametrize(
    "text",
    ["--- # S\n\n--- `f()`\n--- Does it.\n--- Errors: none.\n", "--- # S\n\n--- `f()`\n", entry("f")],
    ids=["no pledge", "no text", "no section"],
)
def test_an_entry_that_is_not_whole_is_an_error(page_of, generator, text):
    with pytest.raises(generator.FormError):
        page_of(a=text)
