"""The language front end under random programs, and under texts that are nearly programs.

Claims: any bytes are a translation, or a `SyntaxFault` with a place inside the text, soon and at any depth of nesting;
what Lua accepts is accepted, and unchanged but for the ambiguous words; parsed and emitted it is the same bytecode;
the translation has the text's lines, and Lua finds in it only what is Lua's to find (limits, labels), with a place; a
program does what it does when it is written in Lua by hand, errors and their lines included.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from random import Random

from lupa import lua55

from luspool.sandbox.syntax import SyntaxFault, fault_from_lua, translate
from luspool.sandbox.syntax.faults import Problem
from luspool.sandbox.syntax.translate import rewrite

from ._lus_expressions import Pair
from ._lus_programs import Programs
from ._lus_texts import large, mutated, soup
from ._round import claim, endless, require, trying

ROOT = Path(__file__).resolve().parents[2]
NEWLINE = re.compile(rb"\r\n|\n\r|\n|\r")
LUAS_OWN = re.compile(
    rb"too many|label|goto|too many C levels|needs too many registers|const variable|multiple to-be-closed|overflow"
    rb"|too long|not declared|too large|outside a loop|jumps into"
)
"""What only Lua's compiler finds in a translation. All else that it says of one is a finding."""
SETTINGS = b"""
local convert, protected, hook, limit = tostring, pcall, debug.sethook, ...
function tostring(v)
  local kind = type(v)
  if kind == "function" or kind == "table" and not getmetatable(v) then return kind end
  return convert(v)
end
local function plain(ok, e, ...)
  if ok or type(e) ~= "string" then return ok, e, ... end
  return ok, (e:gsub("^(script:%d+): .*", "%1"))
end
function pcall(...) return plain(protected(...)) end
TIRED = false
hook(function() TIRED = true error("tired", 0) end, "", limit)
"""
INSTRUCTIONS = 1_000_000


@functools.cache
def _lua():
    runtime = lua55.LuaRuntime(encoding=None)
    problem = b"function(text) return (select(2, load(text, '=t', 't'))) end"
    dump = b"function(text) return string.dump(assert(load(text, '=t', 't'))) end"
    return runtime.eval(problem), runtime.eval(dump)


def problem_of(text: bytes) -> bytes | None:
    """What Lua's compiler has to say against a text."""
    return _lua()[0](text)


def _check_source(source: bytes) -> None:
    problem = problem_of(_without_first_line(source))
    try:
        translation = translate(source, "t")
    except SyntaxFault as fault:
        # A text too deep to be read may be Lua: the limits differ by what the running state uses.
        claim(problem is not None or "levels" in fault.message, f"Lua accepts what is refused: {fault}")
        _check_place(fault, source)
        return
    lines = len(NEWLINE.findall(translation.lua)) - translation.uses_runtime
    assert lines == len(NEWLINE.findall(source)), f"{lines} lines after translation"
    found = problem_of(translation.lua)
    if problem is None and not re.search(rb"\b(?:catch|from)\b", source):
        _check_unchanged(source, translation.lua)
    if found is None:
        return
    # A plain text that Lua refuses comes back as it is, and Lua's own words are right for it.
    assert LUAS_OWN.search(found), f"Lua finds {found!r} in {translation.lua!r}"
    _check_place(fault_from_lua(found.decode("latin-1"), source, "t"), source)


def _check_place(fault: SyntaxFault, source: bytes) -> None:
    lines = NEWLINE.split(source)
    assert 1 <= fault.line <= len(lines), f"line {fault.line} of {len(lines)}: {fault}"
    assert 1 <= fault.column <= len(lines[fault.line - 1]) + 1, f"column {fault.column}: {fault}"
    assert str(fault).count("\n") == 2, f"not three lines: {fault}"


def _without_first_line(source: bytes) -> bytes:
    """As Lua's own loader of files skips it."""
    text = source.removeprefix(b"\xef\xbb\xbf")
    text = re.sub(rb"\A#[^\r\n]*", b"", text)
    return (b"global *; " if re.search(rb"\bglobal\b", text) else b"") + text


def _check_unchanged(source: bytes, lua: bytes) -> None:
    text = _without_first_line(source)
    assert lua == text, f"plain Lua becomes {lua!r}"
    try:
        emitted, helpers = rewrite(text)
    except Problem as problem:
        claim("levels" in problem.message, f"plain Lua is not read: {problem.message}")
        return
    assert not helpers, f"plain Lua needs {helpers}"
    dump = _lua()[1]
    assert dump(emitted) == dump(text), f"plain Lua is emitted as {emitted!r}"


def _check_large(chance: Random) -> None:
    source = large(chance)
    trying(source)
    _check_source(source)


@functools.cache
def _scripts() -> tuple[bytes, str, str]:
    """The harness, and what stands before a program in Lus, and in Lua."""
    harness = (ROOT / "tests/lua/language_harness.lua").read_bytes()
    shared, reference = (
        " ".join(line for line in part.splitlines() if not line.startswith("--"))
        for part in (ROOT / "tests/fuzz/_reference.lua").read_text().split("--reference\n")
    )
    return harness, shared + " ", f"{shared} {reference} "


def _outcome(lua: bytes, helpers: tuple[str, ...]) -> str | None:
    """What a text prints, without the words of Lua's errors, which name variables; None: it takes too long."""
    runtime = lua55.LuaRuntime(encoding=None)
    runtime.execute(SETTINGS, INSTRUCTIONS)
    language = (ROOT / "sandbox/lua/language.lua").read_bytes()
    printed = runtime.eval(b"load")(_scripts()[0], b"=harness")(language, lua, " ".join(helpers).encode())
    if runtime.eval(b"TIRED"):
        return None
    return re.sub(r"^error: (script:\d+): .*", r"error: \1", printed.decode("utf-8", "replace"), flags=re.MULTILINE)


def check_program(program: Pair) -> None:
    """The program does in Lus what it does in Lua."""
    _, shared, reference = _scripts()
    told = f"\n{program.lus}\nin Lua:\n{program.lua}"
    wanted = _outcome((reference + program.lua).encode(), ())
    assert wanted is None or not wanted.startswith("load: "), f"the generator is wrong: {wanted}{told}"
    try:
        translation = translate((shared + program.lus).encode(), "script")
    except SyntaxFault as fault:
        raise AssertionError(f"{fault}{told}") from None
    got = _outcome(translation.lua, translation.helpers)
    if wanted is None or got is None:
        return
    assert got == wanted, f"it says\n{got}\nand not\n{wanted}{told}\nemitted:\n{translation.lua.decode()}"


def execute(chance: Random) -> None:
    """A program, and a handful of texts."""
    program = Programs(chance).program(chance.randint(1, 6))
    trying(program.lus)
    check_program(program)
    for _ in range(4):
        require(_check_source, mutated(chance))
    require(_check_source, soup(chance))
    if chance.random() < 0.03:
        _check_large(chance)


rounds = endless(execute)
