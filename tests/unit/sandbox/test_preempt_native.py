"""The native module alone: stops, memory limits and positions, below the states that are made with it."""

from __future__ import annotations

import random
import threading

import psutil
import pytest

from luspool.sandbox import codec
from luspool.sandbox.compiler import compile_script, lazy_part, new_interpreter
from luspool.sandbox.operations import Operation
from luspool.sandbox.preemption import StepEnd, choose

from .eaters import EAT, EATERS

try:
    NATIVE = choose("signal")
except ImportError as problem:
    pytest.skip(f"2026-11-24: the native module was not compiled here ({problem})", allow_module_level=True)

MILLISECOND = 1_000_000
LIMIT = 2 << 20
LARGE = bytes(8 << 20)
REPETITIONS = 200


class Native:
    """A state with as little of a host as its library needs; what it prints is kept."""

    def __init__(self, source, memory=0):
        self.written = b""
        self.inbox = []
        self.inside = threading.Event()
        self.on_write = self.inside.set
        self.chunk = compile_script(source.encode(), "main.lus", strict_globals=False)
        runtime, start, _, _, self.free = new_interpreter(
            self.door, is_worker=True, native=NATIVE.library, message_limit=1 << 20, memory_limit=memory
        )
        handle = start(runtime.compile(self.chunk.bytecode, mode="B"), self.chunk.helpers, None)
        self.stepper = NATIVE.stepper(runtime, handle, None, None, memory)

    def door(self, operation, *arguments):
        match operation:
            case Operation.PART:
                return lazy_part(arguments[0].decode())
            case Operation.WRITE:
                self.written += arguments[1]
                self.on_write()
            case Operation.ALLOW_LOAD:
                return True
            case Operation.TRANSLATE:
                return arguments[0]
            case Operation.GETENV:
                return LARGE
            case Operation.PEEK if self.inbox:
                return self.inbox.pop()
        return None

    def step(self, milliseconds=1, wanted=b"\0"):
        return StepEnd(self.stepper.step(milliseconds * MILLISECOND, bytearray(wanted)))

    def close(self):
        if self.free is not None:
            self.free()
            self.free = None  # refers to the interpreter, and that to the door
            self.stepper.close()


@pytest.fixture
def native():
    states = []

    def make(source, memory=0):
        states.append(Native(source, memory))
        return states[-1]

    yield make
    for state in states:
        state.close()


@pytest.fixture(autouse=True)
def no_memory_is_left():
    """No test leaves what a state has taken: one that is not freed holds up to 8 MB, and these tests make thousands."""
    before = psutil.Process().memory_info().rss
    yield
    assert psutil.Process().memory_info().rss < before + (100 << 20)


# --- Stops


ENDLESS = {
    "a loop": "print() while true do end",
    "a loop of pcall": "print() while true do pcall(error) end",
    "a loop in a pcall in a loop": "print() while true do pcall(function() while true do end end) end",
    "an error handler": "xpcall(error, function() print() while true do end end)",
    "a loop of error handlers": "print() while true do xpcall(error, function() error() end) end",
    "a coroutine": "coroutine.wrap(function() print() while true do end end)()",
    "a coroutine in a pcall": "while true do pcall(coroutine.wrap(function() print() while true do end end)) end",
    "many coroutines": "print() while true do coroutine.wrap(function() end)() end",
    "__index": "local t = setmetatable({}, {__index = function() print() while true do end end}) return t.x",
    "a sort comparator": "table.sort({1, 2, 3}, function() print() while true do end end)",
    "a loop of sorts": "print() while true do table.sort({1, 2, 3}, function(a, b) return a < b end) end",
    "a coroutine in a comparator": """
        table.sort({1, 2, 3}, coroutine.wrap(function() print() while true do end end))""",
    "a gsub callback": "string.gsub('abc', '.', function() print() while true do pcall(error) end end)",
    "__close": "do local x <close> = setmetatable({}, {__close = function() print() while true do end end}) end",
    "__close in coroutine.close": """
        local co = coroutine.create(function()
          local x <close> = setmetatable({}, {__close = function() print() while true do end end})
          coroutine.yield()
        end)
        coroutine.resume(co) coroutine.close(co)""",
    "tostring called by print": """
        print(setmetatable({}, {__tostring = function() print() while true do end end}))""",
    "tail calls": "print() local function f() return f() end f()",
    "recursion": "print() local function f() return 1 + f() end while true do pcall(f) end",
    "waits": "print() while true do worker.peek() end",
}


@pytest.mark.parametrize("source", ENDLESS.values(), ids=ENDLESS.keys())
def test_a_state_is_stopped_whatever_it_is_inside_of(source):
    for _ in range(REPETITIONS):
        state = Native(source)
        stopper = threading.Thread(target=lambda inside, stop: (inside.wait(30), stop()), args=(
            state.inside, state.stepper.stop,
        ))  # fmt: skip
        stopper.start()
        while (end := state.step()) == StepEnd.WAITING:
            pass
        stopper.join()
        assert (end, state.step()) == (StepEnd.STOPPED, StepEnd.STOPPED)
        state.close()


def test_a_stop_is_right_at_any_moment_of_a_step(native):
    for _ in range(REPETITIONS):
        state = native("while true do end")
        start = threading.Barrier(2)
        stopper = threading.Thread(target=lambda start, stop: (start.wait(), stop(), stop()), args=(
            start, state.stepper.stop,
        ))  # fmt: skip
        stopper.start()
        start.wait()
        assert state.step() == StepEnd.STOPPED
        stopper.join()


def test_a_stop_before_the_first_step_lets_nothing_run(native):
    state = native("print('ran')")
    state.stepper.stop()
    assert (state.step(), state.written, state.stepper.where()) == (StepEnd.STOPPED, b"", b"")


def test_a_stop_between_steps_lets_nothing_more_run(native):
    state = native("print('one') worker.peek() print('two')")
    assert state.step() == StepEnd.WAITING
    state.stepper.stop()
    assert (state.step(), state.written) == (StepEnd.STOPPED, b"one\n")


def test_a_stop_in_a_host_call_ends_the_step(native):
    state = native("print() while true do pcall(error) end")
    state.on_write = state.stepper.stop
    assert state.step() == StepEnd.STOPPED


def test_a_stop_is_seen_in_a_slice_that_is_long(native):
    state = native("print() while true do end")
    state.on_write = state.stepper.stop
    assert state.step(milliseconds=3_600_000) == StepEnd.STOPPED


def test_a_stop_after_the_end_and_after_closing_does_nothing(native):
    state = native("return")
    assert state.step() == StepEnd.FINISHED
    state.stepper.stop()
    state.stepper.close()
    state.stepper.stop()
    state.stepper.close()
    assert (state.stepper.used, state.stepper.where(), state.stepper.problem()) == (0, b"", b"")


NESTS = (
    "{}",
    "pcall(function() {} end)",
    "while true do pcall(function() {} end) end",
    "xpcall(error, function() {} end)",
    "coroutine.wrap(function() {} end)()",
    "local co = coroutine.create(function() coroutine.yield() {} end) while coroutine.resume(co) do end",
    "table.sort({{1, 2, 3}}, function() {} end)",
    "string.gsub('abc', '.', function() {} end)",
    "local t = setmetatable({{}}, {{__index = function() {} end}}) local x = t.x",
    "do local x <close> = setmetatable({{}}, {{__close = function() {} end}}) end",
    "local function f(n) if n > 0 then return 1 + f(n - 1) end {} end f(500)",
    "local function f(n) if n > 0 then return f(n - 1) end {} end f(500)",
    "load([==[{}]==])()",
)


def random_program(rng):
    """One of the programs here, deep inside of others."""
    program = rng.choice([*ENDLESS.values(), *EATERS.values()])
    for _ in range(rng.randrange(6)):
        nest = rng.choice([nest for nest in NESTS if "[==[" not in nest or "[==[" not in program])
        program = nest.format(program)
    return program


def run_and_stop_at_random(seed, programs, failures):
    """Steps programs one after the other, each stopped at a random moment by another thread."""
    rng = random.Random(seed)
    for _ in range(programs):
        program = random_program(rng)
        state = Native(program, rng.choice([LIMIT, 4 * LIMIT]))
        stopper = threading.Timer(rng.random() / 100, state.stepper.stop)
        stopper.start()
        while (end := state.step(rng.randrange(4), rng.choice([b"\0", b"\1"]))) in (StepEnd.WAITING, StepEnd.PREEMPTED):
            state.stepper.where()
        stopper.join()
        if end not in (StepEnd.FINISHED, StepEnd.STOPPED, StepEnd.OUT_OF_MEMORY):
            failures.append((program, end, state.stepper.problem()))
        state.close()


def test_programs_in_programs_are_stopped_at_random_on_two_threads():
    failures = []
    threads = [threading.Thread(target=run_and_stop_at_random, args=(seed, 60, failures)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


# --- Memory


@pytest.mark.parametrize("source", EATERS.values(), ids=EATERS.keys())
def test_who_needs_more_memory_is_ended_whatever_it_catches(native, source):
    for _ in range(3):
        state = native(source, LIMIT)
        while (end := state.step(wanted=b"\1")) == StepEnd.PREEMPTED:
            pass
        assert (end, state.step()) == (StepEnd.OUT_OF_MEMORY, StepEnd.OUT_OF_MEMORY)
        given = len(LARGE) if "LARGE" in source or "load" in source else 0  # by the host, which is never refused
        assert 0 < state.stepper.used <= LIMIT + given


@pytest.mark.parametrize("catcher", ["pcall(eat)", "coroutine.resume(coroutine.create(eat))", "xpcall(eat, print)"])
def test_no_instruction_is_executed_after_the_error_was_caught(native, catcher):
    state = native(f"{EAT} {catcher} print('survived')", LIMIT)
    assert (state.step(), state.written) == (StepEnd.OUT_OF_MEMORY, b"")


def test_memory_that_is_given_back_is_no_excess(native):
    state = native("for i = 1, 200 do local s = ('x'):rep(300000) end", LIMIT)
    assert state.step() == StepEnd.FINISHED


def test_a_limit_below_what_the_library_takes_ends_the_first_step(native):
    state = native("print({})", 1)
    assert (state.step(), state.written) == (StepEnd.OUT_OF_MEMORY, b"")


def test_a_negative_limit_is_refused(native):
    with pytest.raises(ValueError, match="-1 bytes"):
        native("return", -1)


def test_the_bytes_in_use_are_counted(native):
    state = native("worker.peek() big = ('x'):rep(1000000) worker.peek() big = nil collectgarbage() worker.peek()")
    seen = []
    for _ in range(3):
        assert state.step() == StepEnd.WAITING
        seen.append(state.stepper.used)
        state.inbox.append(codec.encode(True))
    assert 1_000_000 <= seen[1] - seen[0] < 1_100_000
    assert abs(seen[2] - seen[0]) < 50_000


# --- Positions


STOPPED_AT = {
    "the main chunk": ("print() while true do end", 2),
    "a function": ("local function f()\nprint() while true do end\nend\nf()", 3),
    "a coroutine": ("coroutine.wrap(function()\nprint() while true do end\nend)()", 3),
    "a coroutine in a coroutine": (
        "local co = coroutine.wrap(function()\nprint() while true do end\nend)\n"
        "coroutine.wrap(function()\nco() end)()", 3,
    ),
    "a sort comparator": ("table.sort({1, 2},\nfunction() print() while true do end end)", 3),
    "a gsub callback": ("string.gsub('a', '.',\nfunction() print() while true do end end)", 3),
    "an error handler": ("xpcall(error, function()\nprint() while true do end end)", 3),
    "a library function": ("local n\nos.exit()", 3),
    "a library function in a pcall": ("local n\npcall(\npcall, os.exit)", 3),
    "a coroutine of a library function": ("local co = coroutine.wrap(os.exit)\nco()", 3),
    "a library function's coroutine in a coroutine": (
        "local co = coroutine.wrap(os.exit)\ncoroutine.wrap(function()\nco() end)()", 4,
    ),
    "__close in coroutine.close": (
        "local co = coroutine.create(function()\n"
        "local x <close> = setmetatable({}, {__close = load('os.exit()', '=?')})\n"
        "coroutine.yield()\nend)\ncoroutine.resume(co)\ncoroutine.close(co)", 7,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("source", "line"), STOPPED_AT.values(), ids=STOPPED_AT.keys())
def test_where_a_state_was_stopped(native, source, line):
    state = native(f"\n{source}")
    if "os.exit" not in source:  # which stops a state itself
        state.on_write = state.stepper.stop
    assert (state.step(), state.stepper.where()) == (StepEnd.STOPPED, b"main.lus:%d" % line)
    assert (state.step(), state.stepper.where()) == (StepEnd.STOPPED, b"main.lus:%d" % line)


@pytest.mark.parametrize(
    ("source", "where"),
    [
        ("load('print() while true do end')()", b'[string "print() while true do end"]:1'),
        ("load('\\n print() while true do end', '@part.lus')()", b"part.lus:2"),
        ("load('print() while true do end', '=part')()", b"part:1"),
        # A name that is too long is cut; its line is not.
        ("load('print() while true do end', '@' .. ('x'):rep(10000))()", b"x" * 4110 + b":1"),
        # Functions that hide among the library's: a look at all of them would take minutes.
        (
            "load('local n = 0 local function f() n = n + 1 while n > 150000 do end return 1 + f() end f()', '=?')()",
            b"",
        ),
    ],
    ids=["text", "text with a file's name", "text with a name", "a long name", "functions that hide"],
)
def test_where_a_state_was_stopped_in_what_it_has_loaded(native, source, where):
    state = native(source)
    state.on_write = state.stepper.stop if "150000" not in source else (lambda: None)
    if "150000" in source:
        while state.step(100, b"\1") == StepEnd.PREEMPTED and state.stepper.used < 10 << 20:
            pass
        state.stepper.stop()
    assert (state.step(), state.stepper.where()) == (StepEnd.STOPPED, where)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("local t = {}\nfor i = 1, 1e9 do t[i] = {} end", 2),
        ("local s = 'x'\nwhile true do\ns = s .. s\nend", 3),
        ("local t = {}\npcall(function()\nfor i = 1, 1e9 do t[i] = function() return i end end\nend)", 3),
        ("local t = {}\nlocal co = coroutine.wrap(function()\nfor i = 1, 1e9 do t[i] = i .. '' end end)\nco()", 3),
    ],
    ids=["a loop", "a string", "in a pcall", "in a coroutine"],
)
def test_where_memory_ran_out(native, source, line):
    state = native(source, LIMIT)
    assert (state.step(), state.stepper.where()) == (StepEnd.OUT_OF_MEMORY, b"main.lus:%d" % line)


def test_where_a_slice_ended(native):
    state = native("local n = 0\nwhile true do n = n + 1 end")
    assert (state.step(wanted=b"\1"), state.stepper.where()) == (StepEnd.PREEMPTED, b"main.lus:2")


def test_a_step_that_ended_by_itself_was_ended_nowhere(native):
    state = native("local n = 0 for i = 1, 2000000 do n = n + i end worker.peek()")
    ends = []
    while (end := state.step(wanted=b"\1")) == StepEnd.PREEMPTED:
        ends.append(state.stepper.where())
    assert set(ends) <= {b"main.lus:1"}
    assert (end, state.stepper.where()) == (StepEnd.WAITING, b"")
    state.inbox.append(codec.encode(True))
    assert (state.step(), state.stepper.where()) == (StepEnd.FINISHED, b"")
