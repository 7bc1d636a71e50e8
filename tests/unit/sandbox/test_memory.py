"""A state that needs more memory than it may have is ended, whatever it catches, with either mechanism."""

import psutil
import pytest

from luspool.sandbox import codec
from luspool.sandbox.preemption import mechanism
from luspool.scheduler.protocol import Ended, Failure, Preempted, Slice, Waiting

from .eaters import EAT, EATERS

LIMIT = 2 << 20
EVERY_SLICE = Slice(1_000_000, bytearray(b"\1"))

NEAR_THE_LIMIT = {
    "prints": "print(('y'):rep(n))",
    "writes": "io.write(('y'):rep(n), n)",
    "messages": "worker.message({('y'):rep(n), n})",
    "inbox": "local m = worker.peek() t[#t + 1] = m",
    "waits": "coroutine.wrap(function() return worker.peek() end)()",
    "environment": "t[#t + 1] = os.getenv('HOME') .. #t",
    "loads": "load('return ' .. n)()",
    "parts": "fromjson('[1]') vector.create(8) table.sort{n, 1}",
    "errors": "coroutine.wrap(function() error({n}) end)()",
    "formats": "t[#t + 1] = ('%s'):format(setmetatable({}, {__tostring = function() return ('y'):rep(n) end}))",
}


# Without the native module, Lua's own "too many results to unpack" is an error like any other; nothing grows.
NOT_HERE = {"what the host gives", "many results"}


@pytest.mark.parametrize("eater", sorted(EATERS.keys() - NOT_HERE))
def test_who_needs_more_memory_is_ended_whatever_it_catches(lus, eater):
    script = lus(EATERS[eater], limits={"memory": LIMIT}, held=("load",))
    while isinstance(result := script.state.step(EVERY_SLICE), Preempted):
        pass
    assert isinstance(result, Ended)
    assert result.outcome.kind == "memory"
    assert "memory limit exceeded: more than 2 MiB of memory" in result.outcome.message


@pytest.mark.parametrize("call", NEAR_THE_LIMIT.values(), ids=NEAR_THE_LIMIT.keys())
def test_a_host_call_may_come_when_memory_is_almost_used_up(lus, call):
    """The heap is filled to some bytes below the limit, a few more each time, and then the host is called."""
    source = f"""
        local size = ... local t, n, s = {{}}, 0, ("x"):rep(size)
        local function fill() while true do n = n + 1 t[#t + 1] = s .. n end end
        while true do pcall(fill) n = 0 pcall(function() {call} end) end
    """
    kinds = set()
    for size in range(10, 2000, 123):
        script = lus(source, limits={"memory": LIMIT}, held=("load", "env"), is_worker=True, arguments=(size,))
        script.port.inbox.extend([b"\1" * 5000] * 20)
        result = script.step()
        assert isinstance(result, Ended)
        kinds.add(result.outcome.kind)
    assert kinds == {"memory"}


def test_a_state_that_waits_with_a_full_heap_is_resumed(lus):
    source = """
        local t = {}
        repeat t[#t + 1] = ("x"):rep(1000) .. #t until collectgarbage("count") > 1000
        for i = 1, 50 do worker.message(worker.peek()) end
    """
    script = lus(source, limits={"memory": 1100 << 10}, is_worker=True)
    for _ in range(50):
        script.waits_for()
        script.port.inbox.append(codec.encode(1))
    outcome = script.end()
    assert not isinstance(outcome, Failure) or outcome.kind == "memory"


def test_a_script_that_stays_below_its_limit_is_not_ended(printed):
    source = """
        for i = 1, 300 do local s = ("x"):rep(300000) .. i end
        for i = 1, 20 do local t = {} for j = 1, 10000 do t[j] = {} end end
        print("done", pcall(error, "some memory"))
    """
    assert printed(source, limits={"memory": LIMIT}) == ["done\tfalse\tsome memory"]


@pytest.mark.parametrize("limit", [700, 900, 1200, 1600, 2000])  # KB
def test_large_strings_that_are_garbage_do_not_count(printed, limit):
    """Lua's string buffers fail without collecting garbage, and its collector hardly counts what they make."""
    source = "for i = 1, 100 do local s = ('x'):rep(300000) end print('done')"
    assert printed(source, limits={"memory": limit << 10}) == ["done"]


HONEST = {
    "concat": """
        local t = {} for i = 1, 1000 do t[i] = ("x"):rep(1000) end
        for i = 1, 200 do local u = table.concat(t) u = nil end""",
    "format": 'local s = ("x"):rep(1000000) for i = 1, 100 do local u = ("%s%s"):format(s, s) end',
    "upper and reverse": """
        local s = ("x"):rep(2000000)
        for i = 1, 20 do local u = s:upper() u = nil local v = s:reverse() v = nil end""",
    "rep beside tables": """
        local t = {} repeat t[#t + 1] = {} until collectgarbage("count") > 4000
        for i = 1, 3000 do local s = ("z"):rep(50000) .. i end""",
    "rep of one": 'local s = ("x"):rep(2000000) for i = 1, 20 do local u = s:rep(1) u = nil end',
    "pack": 'local s = ("x"):rep(2000000) for i = 1, 20 do local u = string.pack("s4", s) u = nil end',
    "interpolation": 'local s = ("x"):rep(1000000) for i = 1, 40 do local u = `$s$i` u = nil end',
    "join": """
        local t = {} for i = 1, 2000 do t[i] = ("x"):rep(1000) end
        for i = 1, 20 do local u = string.join(t, ",") u = nil end""",
    "paths": 'local s = ("x"):rep(2000000) for i = 1, 20 do local u = fs.path.join(s, "y") u = nil end',
    "tojson": 'local s = ("x"):rep(1000000) for i = 1, 20 do local u = tojson { s, s } u = nil end',
    "tocsv": 'local s = ("x"):rep(1000000) for i = 1, 20 do local u = tocsv { { s, s } } u = nil end',
    "vectors": 'local v = vector.create(2000000) for i = 1, 20 do local u = v:unpack(0, "c2000000") u = nil end',
    "transcode": """
        local s = ("x"):rep(1000000)
        for i = 1, 20 do local u = s:transcode("latin-1", "utf-16le") u = nil end""",
    "gsub": 'local s = ("x"):rep(10000) for i = 1, 30 do local u = s:gsub("x", ("y"):rep(100)) end',
}


@pytest.mark.parametrize("source", HONEST.values(), ids=HONEST.keys())
def test_half_of_the_memory_can_be_used_however_large_its_garbage(printed, source):
    assert printed(f"{source} print('done')", limits={"memory": 8 << 20}) == ["done"]


def test_a_large_string_that_did_not_fit_ends_the_state_whoever_catches_that(lus):
    source = """
        pcall(function() local t, s = {}, ('x'):rep(3000000) while true do t[#t + 1] = s:upper() end end)
        print('goes on')
    """
    script = lus(source, limits={"memory": 8 << 20})
    assert script.failure().kind == "memory"
    assert script.port.output == ""


@pytest.mark.parametrize("catcher", ["pcall(eat)", "coroutine.resume(coroutine.create(eat))", "xpcall(eat, print)"])
def test_nothing_is_done_after_the_error_was_caught(lus, catcher):
    script = lus(f"{EAT} {catcher} print('survived')", limits={"memory": LIMIT})
    assert script.failure().kind == "memory"
    assert script.port.output == ""


@pytest.mark.skipif(mechanism().library is None, reason="the native module gives memory back (2026-11-27)")
def test_what_states_held_goes_back_to_the_system_also_from_between_those_that_stay(lus):
    scripts = [lus("worker.peek()", is_worker=True) for _ in range(3000)]
    for script in scripts:
        assert isinstance(script.step(), Waiting)
    most = psutil.Process().memory_info().rss
    for number, script in enumerate(scripts):
        if number % 50 != 49:
            script.state.close()
    assert psutil.Process().memory_info().rss < most - (40 << 20)


def test_a_waiting_worker_holds_what_it_needs_and_no_more(lus):
    """What each of 100,000 has; a table of the library that doubles for one more name is seen here."""
    script = lus("while true do worker.message(worker.peek() * 2) end", is_worker=True)
    assert isinstance(script.step(), Waiting)
    assert script.state.memory() <= (47 << 10 if mechanism().name == "signal" else 51 << 10)
