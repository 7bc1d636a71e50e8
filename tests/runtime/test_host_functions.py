"""Functions of the embedding program, from scripts in processes of their own."""

import threading

import pytest

import luspool

PATIENCE = 60


def test_arguments_go_and_results_come_back_as_copies(run, mechanism):
    seen = []

    def f(*arguments):
        seen.append(arguments)
        return {"list": [1, 2], "text": "ü"}, b"\xff"

    source = """
        local t = {x = 1} t.t = t
        local r, b = host.f(t, nil, 'text', 1.5)
        print(r.list[2], r.text, b == '\\xff', host.f ~= nil)"""
    result = run(source, {"f": f})
    assert result.failure is None
    assert result.stdout.decode() == "2\tü\ttrue\ttrue\n"
    (arguments,) = seen
    assert arguments[0]["t"] is arguments[0]
    assert arguments[1:] == (None, "text", 1.5)


def test_a_function_needs_its_pledge(run):
    called = []
    result = run("pcall(host.other) host.f()", {"f": called.append, "other": called.append}, pledges=["host:o"])
    assert (result.kind, result.status) == ("denied", 77)
    assert "(grant it with -P host:f)" in result.failure
    assert not called


def test_all_covers_functions(run):
    assert run("print(host.f())", {"f": lambda: 1}, pledges=["all"]).stdout == b"1\n"


def test_a_worker_has_what_its_parent_has(run, tmp_path):
    (tmp_path / "worker.lus").write_text("worker.message(host.f(...)) host.g()")
    source = f"""
        pledge('host:f')
        local w = worker.create('{tmp_path}/worker.lus', 7)
        print(worker.receive(w)) print(catch worker.receive(w))"""
    result = run(source, {"f": lambda x: x + 1, "g": print}, pledges=["host", "load", "fs:read"])
    lines = result.stdout.decode().splitlines()
    assert lines[0] == "8"
    assert 'narrowed by "host:f"' in lines[1]


def test_names_that_are_not_there_are_told_to_those_who_may_call_them(run):
    result = run("print(pcall(host.nope))", {"f": print})
    assert result.stdout.decode().startswith("false\tmain.lus:1: there is no function host.nope")
    result = run("print(pcall(host.nope))", {"f": print}, pledges=["host:f"])
    assert "permission \"host\" denied for 'nope'" in result.stdout.decode()


def test_an_exception_is_the_scripts_to_catch(run, mechanism):
    def f():
        raise KeyError("x")

    result = run("print(pcall(host.f)) host.f()", {"f": f})
    assert result.stdout == b"false\tmain.lus:1: KeyError: 'x'\n"
    assert result.kind == "error"
    assert result.failure.startswith("main.lus:1: KeyError: 'x'\nstack traceback:")


def test_a_result_that_cannot_be_copied_is_an_error_that_names_the_place(run):
    result = run("print(pcall(host.f))", {"f": lambda: {"a": [object()]}})
    assert result.stdout.startswith(b"false\tmain.lus:1: result, field .a[1]: cannot copy")


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("host.f(('x'):rep(2000000))", "message"),
        ("local ok, e = pcall(host.f, ('x'):rep(5000000)) print(e)", "returned"),
        ("host.f(('x'):rep(900000)) print('fits')", "returned"),
    ],
)
def test_huge_arguments(run, source, kind):
    message = 1_000_000 if "2000000" in source else 16 << 20
    limits = luspool.Limits(luspool.StateLimits(message=message))
    result = run(source, {"f": len}, limits=limits)
    assert result.kind == kind
    assert b"fits" in result.stdout or b"more than 4 MiB" in result.stdout or kind == "message"


def test_a_huge_result_meets_the_limits_of_the_state(run, mechanism):
    """One that is larger than a message may be is an error, and one that does not fit into the heap is its end."""
    result = run("print(pcall(host.f))", {"f": lambda: "x" * (17 << 20)})
    assert b"message is larger than the limit" in result.stdout
    limits = luspool.Limits(luspool.StateLimits(memory=4 << 20))
    assert run("local x = host.f() print(#x)", {"f": lambda: "x" * (8 << 20)}, limits=limits).kind == "memory"


def test_a_slow_function_holds_no_executor(run, tmp_path, mechanism):
    """On one thread: the function returns only when the other worker has gone on."""
    went_on = threading.Event()
    (tmp_path / "slow.lus").write_text("worker.message(host.slow())")
    source = f"""
        local slow = worker.create('{tmp_path}/slow.lus')
        while not host.has_begun() do end
        host.go_on() print(worker.receive(slow))"""
    begun = threading.Event()

    def slow():
        begun.set()
        assert went_on.wait(PATIENCE)
        return "at last"

    functions = {"slow": slow, "has_begun": lambda: begun.wait(PATIENCE), "go_on": went_on.set}
    rights = ["host", "load", f"fs:read={tmp_path}"]
    assert run(source, functions, threads=1, pledges=rights).stdout == b"at last\n"


def test_a_worker_is_cancelled_during_its_call(run, tmp_path, mechanism):
    """The program goes on; the function ends in its own time, and nobody hears of its result."""
    begun, cancelled = threading.Event(), threading.Event()
    (tmp_path / "calls.lus").write_text("host.stay() host.never()")
    source = f"""
        local w = worker.create('{tmp_path}/calls.lus')
        host.wait_begun() worker.cancel(w) print(worker.status(w)) host.cancelled()
        for i = 1, 100 do host.cancelled() end"""
    never = []

    def stay():
        begun.set()
        assert cancelled.wait(PATIENCE)

    functions = {
        "stay": stay,
        "wait_begun": lambda: begun.wait(PATIENCE),
        "cancelled": cancelled.set,
        "never": never.append,
    }
    result = run(source, functions, pledges=["host", "load", f"fs:read={tmp_path}"])
    assert (result.kind, result.stdout) == ("returned", b"dead\n")
    assert not never


@pytest.fixture
def stay(monkeypatch):
    """A function that returns only after the run, which does not wait for it."""
    monkeypatch.setattr("luspool.runtime.FUNCTIONS_GRACE_SECONDS", 0.0)
    gate = threading.Event()
    yield lambda *_: gate.wait()
    threads = [thread for thread in threading.enumerate() if thread.name == "luspool-function"]
    assert all(thread.daemon for thread in threads)
    gate.set()
    for thread in threads:
        thread.join(PATIENCE)


def test_a_function_that_never_returns_keeps_no_run_from_its_end(run, stay):
    limits = luspool.Limits(luspool.StateLimits(time=50_000_000))
    result = run("host.stay()", {"stay": stay}, limits=limits)
    assert (result.kind, result.status) == ("time", 124)
    assert "main.lus:1: time limit exceeded" in result.failure


def test_a_program_whose_root_waits_for_a_function_is_not_deadlocked(run, tmp_path):
    (tmp_path / "waits.lus").write_text("worker.peek()")
    source = f"worker.create('{tmp_path}/waits.lus') print(host.f())"
    result = run(source, {"f": lambda: 1}, pledges=["host", "load", f"fs:read={tmp_path}"])
    assert (result.kind, result.stdout) == ("returned", b"1\n")


def test_a_function_may_run_scripts_that_call_functions(run):
    """On the same runtime, deeper than there are threads for functions."""
    source = "local depth = ... print(depth) if depth > 0 then io.write(host.deeper(depth - 1)) end"
    with luspool.Runtime(
        {"deeper": lambda depth: runtime.run("x", depth, source=source, pledges=["host"]).stdout},
        threads=1,
        function_threads=1,
    ) as runtime:
        assert runtime.run("x", 3, source=source, pledges=["host"]).stdout == b"3\n2\n1\n0\n"


def test_many_workers_call_at_a_time(run, tmp_path, mechanism):
    (tmp_path / "calls.lus").write_text(
        "local n = ... for i = 1, 5 do assert(host.double(n) == 2 * n) end worker.message(host.double(n))"
    )
    source = f"""
        local workers, sum = {{}}, 0
        for i = 1, 200 do workers[i] = worker.create('{tmp_path}/calls.lus', i) end
        for i = 1, 200 do sum = sum + worker.receive(workers[i]) end
        print(sum)"""
    rights = ["host", "load", f"fs:read={tmp_path}"]
    result = run(source, {"double": lambda x: 2 * x}, pledges=rights)
    assert (result.failure, result.stdout) == (None, b"40200\n")


def test_calls_and_preemption_beside_endless_loops(run, tmp_path, mechanism):
    (tmp_path / "loop.lus").write_text("while true do end")
    source = f"""
        local loops = {{}}
        for i = 1, 3 do loops[i] = worker.create('{tmp_path}/loop.lus') end
        for i = 1, 50 do assert(host.same(i) == i) end
        for i = 1, 3 do worker.cancel(loops[i]) end
        print('done')"""
    rights = ["host", "load", f"fs:read={tmp_path}"]
    assert run(source, {"same": lambda x: x}, threads=1, pledges=rights).stdout == b"done\n"


def test_a_script_that_calls_and_gives_up_for_ever_is_ended_by_the_memory_of_its_tree(run, tmp_path, stay):
    """What is called can't be called back, but it counts until there is a reply."""
    (tmp_path / "calls.lus").write_text("worker.message('here') host.stay(('x'):rep(100000))")
    source = f"""
        while true do
          local w = worker.create('{tmp_path}/calls.lus')
          worker.receive(w)
          worker.cancel(w)
        end"""
    limits = luspool.Limits(tree=luspool.TreeLimits(memory=8 << 20))
    rights = ["host", "load", f"fs:read={tmp_path}"]
    result = run(source, {"stay": stay}, pledges=rights, limits=limits, threads=1)
    assert result.kind == "memory"


def test_the_command_has_no_functions(tmp_path):
    from luspool.scheduler.callees import NoFunctions, no_such_function  # noqa: PLC0415
    from luspool.scheduler.wire import Call  # noqa: PLC0415

    callees = NoFunctions()
    callees.begin(Call(1, "f", b""))
    assert callees.take_reply().payload == no_such_function("f").payload
    assert callees.take_reply() is None
