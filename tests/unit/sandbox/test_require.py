"""require and the other loaders, on files: pledges, one instance per state, errors that name the module."""

from __future__ import annotations

import pytest


@pytest.fixture
def modules(tmp_path, printed):
    """Runs a script that may load and read from a directory of modules, which `package.path` names."""

    def run(source, held=None, **files):
        for name, text in files.items():
            path = tmp_path / f"{name.replace('__', '/')}.lus"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        held = ("load", f"fs:read={tmp_path}") if held is None else held
        text = f"package.path = '{tmp_path}/?.lus;{tmp_path}/?/init.lus' " + source
        return "\n".join(printed(text, held=held)).replace(str(tmp_path), "")

    return run


def test_a_module_runs_once_with_its_name_and_file(modules):
    source = "print(require('a') == require('a'), (select(2, require('a'))))"
    assert modules(source, a="print(...) return {}") == "a\t/a.lus\ntrue\tnil"


def test_dots_are_directories_and_init_is_found(modules):
    assert modules("print(require('a.b'), require('c'))", a__b="return 'b'", c__init="return 'c'").startswith("b\tc")


def test_lus_syntax_is_understood_in_modules(modules):
    assert modules("require('a')", a="local t = {x = {y = 1}} print(`$(t?.x.y)`)") == "1"


def test_a_syntax_fault_names_module_file_and_place(modules):
    text = modules("print(pcall(require, 'a'))", a="local x = = 1")
    assert text.startswith("false\terror loading module 'a' from file '/a.lus':\n\t/a.lus:1:11: ")


def test_an_error_while_a_module_runs_is_its_own_and_it_runs_again(modules):
    text = modules("print(pcall(require, 'a')) print(pcall(require, 'a'))", a="print('run') error('inside', 0)")
    assert text.splitlines() == ["run", "false\tinside"] * 2


def test_a_module_that_may_not_be_looked_at_is_denied_not_missing(modules, lus):
    text = modules("print(pcall(require, 'a'))", held=("load",), a="return 1")
    assert 'permission "fs:read" denied' in text
    assert lus("require('a')", held=("load",)).failure().kind == "denied"


@pytest.mark.parametrize("call", ["require('a')", "load('')", "loadfile('a')", "dofile('a')", "worker.create('a')"])
def test_every_loader_needs_load(lus, call):
    failure = lus(call, held=("fs:read",)).failure()
    assert failure.kind == "denied"
    assert 'permission "load" denied' in failure.message


@pytest.mark.parametrize("call", ["require('a')", "loadfile('/a')", "dofile('/a')", "worker.create('/a')"])
def test_every_loader_of_files_needs_to_read_them(lus, call):
    failure = lus(call, held=("load",)).failure()
    assert failure.kind == "denied"
    assert 'permission "fs:read" denied' in failure.message


def test_no_loader_takes_bytecode(tmp_path, printed):
    (tmp_path / "binary.lus").write_bytes(b"\x1bLua\x55")
    source = f"""
        package.path = "{tmp_path}/?.lus"
        print(load("\\27Lua")) print(load(string.char(27), "x", "b")) print(load(function() return nil end))
        local n = 0 print(load(function() n = n + 1 return n <= 4 and ("\\27Lua"):sub(n, n) or nil end))
        print(loadfile("{tmp_path}/binary.lus")) print(pcall(dofile, "{tmp_path}/binary.lus"))
        print(pcall(require, "binary"))"""
    text = "\n".join(printed(source, held=("load", "fs:read")))
    assert text.count("attempt to load a binary chunk") == 6


def test_chunks_never_get_the_interpreters_own_globals(printed):
    source = """
        print(load("return _ENV == _G")(), load("return _ENV", "c", "t", nil)())
        print(load("return load('return _G')()", "c", "t", {load = load})() == _G)"""
    assert printed(source, held=("load",)) == ["true\tnil", "true"]


def test_searchers_take_a_name_only(printed):
    source = "print(pcall(package.searchers[1], {})) print(pcall(package.searchers[2], nil))"
    lines = printed(source, held=("load",))
    assert all("string expected" in line for line in lines)
