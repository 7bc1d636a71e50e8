"""Slices: a script can't see that it was interrupted, and is interrupted only when somebody else wants the thread."""

from __future__ import annotations

from pathlib import Path

import pytest

from luspool.sandbox import preemption_hook
from luspool.sandbox.preemption import mechanism
from luspool.scheduler.protocol import Ended, Preempted, Returned, Slice

CORPUS = sorted((Path(__file__).parents[2] / "preemption").glob("*.lus"))
MILLISECOND = 1_000_000
HOGS = {
    "a loop": "while true do end",
    "a loop of pcall": "while true do pcall(error) end",
    "a coroutine": "coroutine.wrap(function() while true do end end)()",
    "a coroutine in a pcall in a coroutine": """
        coroutine.wrap(function() pcall(coroutine.wrap(function() while true do end end)) end)()""",
    "__index": "local t = setmetatable({}, {__index = function() while true do end end}) print(t.x)",
    "__close": "do local x <close> = setmetatable({}, {__close = function() while true do end end}) end",
    "tail calls": "local function f() return f() end f()",
    "a list without end": """
        local function index(_, i) return i end
        table.sum(setmetatable({}, {__len = function() return 1 << 62 end, __index = index}))""",
    "functions of the library": "while true do table.sortby(('a b c'):rep(99):split(), string.len) end",
    "many short coroutines": "while true do coroutine.wrap(function() end)() end",
}


def outcome_and_slices(lus, program, time_slice):
    """What a program did, and how often it was preempted."""
    script = lus(program.read_bytes(), path=program.name, held=("load",), arguments=("one", 2, None))
    preempted = 0
    while isinstance(result := script.state.step(time_slice), Preempted):
        preempted += 1
    assert isinstance(result, Ended)
    return (result.outcome, script.port.written), preempted


@pytest.mark.parametrize("program", CORPUS, ids=lambda path: path.stem)
def test_a_program_does_the_same_whatever_its_slices(lus, program):
    whole, none = outcome_and_slices(lus, program, Slice(0, bytearray(b"\1")))
    assert (whole[0], none) == (Returned(), 0)
    assert whole[1][1]  # it has printed something to compare
    for milliseconds in (1, 10):
        sliced, _ = outcome_and_slices(lus, program, Slice(milliseconds * MILLISECOND, bytearray(b"\1")))
        assert sliced == whole


def test_the_corpus_is_long_enough_to_be_interrupted(lus):
    counts = [outcome_and_slices(lus, program, Slice(MILLISECOND, bytearray(b"\1")))[1] for program in CORPUS]
    assert len(counts) > 5
    assert sum(counts) > len(counts)


@pytest.mark.parametrize("source", HOGS.values(), ids=HOGS.keys())
def test_what_never_ends_gives_way_again_and_again(lus, source):
    script = lus(source)
    assert [script.state.step(Slice(MILLISECOND, bytearray(b"\1"))) for _ in range(5)] == [Preempted()] * 5


def test_nobody_is_interrupted_for_nothing(lus):
    script = lus("local n = 0 for i = 1, 2000000 do n = n + i end print(n)")
    assert script.state.step(Slice(MILLISECOND, bytearray(b"\0"))) == Ended(Returned())


@pytest.mark.parametrize(
    "source",
    [
        *HOGS.values(),
        "table.sort({1, 2}, function() while true do end end)",
        "string.gsub('abc', '.', function() while true do pcall(error) end end)",
        "xpcall(error, function() while true do end end)",
        "tostring(setmetatable({}, {__tostring = function() while true do end end}))",
    ],
)
def test_a_state_can_be_stopped_inside_of_anything(lus, source):
    script = lus(f"print('inside') {source}")
    assert script.end_when_stopped().kind == "stopped"
    assert script.port.lines == ["inside"]


@pytest.mark.skipif(mechanism().name != "hook", reason="2026-11: only the portable hook has such looks")
def test_a_full_stack_is_not_gone_through_at_every_look(lus, monkeypatch):
    """Setting a hook takes as long as the stack is deep: done at each look, a stack overflow took half a minute."""
    settings = []

    class Counting:
        def __getattr__(self, name):
            if name == "lua_sethook":
                settings.append(name)
            return getattr(real, name)

    real = preemption_hook._lua
    monkeypatch.setattr(preemption_hook, "_lua", Counting())
    script = lus("local function f() return 1 + f() end print((pcall(f)))")
    assert isinstance(script.state.step(Slice(0, bytearray(1))), Ended)
    assert script.port.lines == ["false"]
    assert len(settings) < 30
