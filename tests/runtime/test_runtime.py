"""`luspool.Runtime`: what a run gives, and what is refused."""

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import luspool


def test_a_run_gives_what_was_written_and_how_it_ended(run):
    result = run("print(...) io.stderr:write('aside')", None, "one", 2)
    assert result == luspool.RunResult("returned", 0, b"one\t2\n", b"aside", None)


def test_arguments_are_copied(run):
    cyclic = {"x": [1, 2.5, b"\xff", False, True]}
    cyclic["me"] = cyclic
    source = "local t = ... print(t.me == t, #t.x, t.x[2], t.x[3] == '\\xff', select('#', ...))"
    assert run(source, None, cyclic, None).stdout == b"true\t5\t2.5\ttrue\t2\n"


def test_input_is_read_to_its_end(run):
    text = b"line\n" * 100_000
    result = run("local n = 0 for line in io.lines() do n = n + #line end print(n)", stdin=text)
    assert result.stdout == b"400000\n"
    assert run("print(io.read())").stdout == b"nil\n"


def test_a_script_is_read_from_its_file(tmp_path):
    (tmp_path / "main.lus").write_text("print('from a file', ...)")
    with luspool.Runtime() as runtime:
        assert runtime.run(tmp_path / "main.lus", 1).stdout == b"from a file\t1\n"
        assert runtime.run(os.fspath(tmp_path / "main.lus")).stdout == b"from a file\n"


@pytest.mark.parametrize(
    ("source", "kind", "status", "failure"),
    [
        ("os.exit(3)", "exited", 3, None),
        ("error('broken')", "error", 1, "main.lus:1: broken\nstack traceback:\n\t"),
        ("os.getenv('HOME')", "denied", 77, "(grant it with -P env=HOME)"),
        ("x =", "load", 126, "main.lus:1:"),
        ("local t = {} while true do t[#t + 1] = ('x'):rep(1000) end", "memory", 137, "memory limit exceeded"),
        ("while true do end", "cpu", 124, "cpu limit exceeded"),
    ],
)
def test_how_a_script_may_end(run, source, kind, status, failure):
    limits = luspool.Limits(luspool.StateLimits(memory=4 << 20, cpu=100_000_000))
    result = run(source, limits=limits)
    assert (result.kind, result.status) == (kind, status)
    assert result.failure is None if failure is None else failure in result.failure


def test_the_errors_of_workers_and_deadlocks_are_told(run, tmp_path):
    (tmp_path / "worker.lus").write_text("error('broken')")
    (tmp_path / "waits.lus").write_text("worker.peek()")
    options = {"pledges": ["load", f"fs:read={tmp_path}"]}
    result = run(f"local w = worker.create('{tmp_path}/worker.lus')", **options)
    assert (result.kind, result.status) == ("unreceived", 1)
    assert result.failure.startswith(f"worker {tmp_path}/worker.lus failed, and nobody received its error")
    result = run(f"worker.receive(worker.create('{tmp_path}/waits.lus'))", **options)
    assert (result.kind, result.status) == ("deadlock", 70)
    assert result.failure.startswith("deadlock: every script waits")


def test_what_a_script_may_pledge_itself(run):
    source = "print(pledge('env=HOME', 'env=PATH'))"
    assert run(source, pledges=[], allow=["env=HOME"]).stdout == b"true\tfalse\n"


def test_scripts_read_the_environment_that_is_given_and_never_the_programs_own(monkeypatch):
    monkeypatch.setenv("SECRET", "the program's")
    source = "print(os.getenv('SECRET'), os.getenv('GIVEN'), os.getenv('PATH'))"
    with luspool.Runtime() as runtime:
        assert runtime.run("main.lus", source=source, pledges=["env"]).stdout == b"nil\tnil\tnil\n"
    with luspool.Runtime(environment={"GIVEN": "value", "PATH": "é\udcff"}) as runtime:
        assert runtime.run("main.lus", source=source, pledges=["env"]).stdout == b"nil\tvalue\t\xc3\xa9\xff\n"
        assert runtime.run("main.lus", source=source, pledges=["env=GIVEN"]).kind == "denied"


@pytest.mark.parametrize(
    "variable",
    [("", "x"), ("A=B", "x"), ("A\0", "x"), ("A", "\0"), ("A", 1), (b"A", "x"), ("A", "\ud800")],
)
def test_what_can_be_no_variable_is_refused(variable):
    with pytest.raises(luspool.UsageError, match="environment variable"):
        luspool.Runtime(environment=dict([variable]))


def test_a_call_that_is_wrong_is_an_error(run, tmp_path):
    with luspool.Runtime() as runtime:
        with pytest.raises(luspool.NotFoundError):
            runtime.run(tmp_path / "missing.lus")
        with pytest.raises(luspool.CannotLoadError):
            runtime.run(tmp_path)
        with pytest.raises(luspool.NotFoundError):
            runtime.run("-")
        with pytest.raises(luspool.UsageError, match="fs:read"):
            runtime.run("x", source="", pledges=["fs:raed"])
        with pytest.raises(luspool.UsageError, match=r"argument #2, field \.f: cannot copy a"):
            runtime.run("x", 1, {"f": print}, source="")
        with pytest.raises(luspool.UsageError, match="standard input is bytes, not str"):
            runtime.run("x", source="", stdin="text")
    for numbers in ({"threads": 0}, {"function_threads": 0}, {"limits": luspool.Limits(luspool.StateLimits(-1))}):
        with pytest.raises(luspool.UsageError):
            luspool.Runtime(**numbers)


async def sleeps():
    pass


def counts():
    yield 1


@pytest.mark.parametrize(
    ("name", "function", "problem"),
    [
        ("a.b", print, "can't be the name of a function"),
        ("", print, "can't be the name of a function"),
        ("f", 1, "is no function but a int"),
        ("f", sleeps, "is async or a generator"),
        ("f", counts, "is async or a generator"),
    ],
)
def test_what_cannot_be_a_function_is_refused(name, function, problem):
    with pytest.raises(luspool.UsageError, match=problem):
        luspool.Runtime({name: function})


def test_a_closed_runtime_takes_no_runs():
    with luspool.Runtime() as runtime:
        pass
    runtime.close()
    with pytest.raises(luspool.ClosedError):
        runtime.run("x", source="")


def test_closing_ends_the_runs_of_other_threads():
    begun = threading.Semaphore(0)
    runtime = luspool.Runtime({"begun": begun.release}, threads=1)
    with ThreadPoolExecutor(2) as threads:
        runs = [
            threads.submit(runtime.run, "x", source="host.begun() while true do end", pledges=["host"])
            for _ in range(2)
        ]
        for _ in runs:
            assert begun.acquire(timeout=60)
        runtime.close()
        for one in runs:
            with pytest.raises(luspool.ClosedError):
                one.result(60)


def test_runs_of_several_threads_at_a_time():
    with luspool.Runtime(threads=1) as runtime, ThreadPoolExecutor(4) as threads:
        results = threads.map(lambda number: runtime.run("x", number, source="print(...)").stdout, range(8))
        assert list(results) == [b"%d\n" % number for number in range(8)]


def test_a_host_that_dies_is_an_error():
    """As its own end by a signal is none of the script's."""
    with luspool.Runtime({"pid": os.getpid}, threads=1) as runtime:

        def kill_child():
            (child,) = (int(pid) for pid in children())
            os.kill(child, signal.SIGKILL)

        with (
            luspool.Runtime({"kill": kill_child}, threads=1) as killer,
            pytest.raises(luspool.HostFailedError, match="signal 9"),
        ):
            killer.run("x", source="host.kill() while true do end", pledges=["host"])
        assert runtime.run("x", source="print(host.pid())", pledges=["host"]).stdout == b"%d\n" % os.getpid()


def children():
    with open(f"/proc/self/task/{threading.main_thread().native_id}/children") as file:
        return file.read().split()


def test_a_program_that_is_over_its_time_ends(run):
    limits = luspool.Limits(tree=luspool.TreeLimits(time=50_000_000))
    result = run("while true do end", limits=limits)
    assert (result.kind, result.status) == ("time", 124)


def test_the_public_names_are_sorted_and_exist():
    assert luspool.__all__ == sorted(luspool.__all__)
    assert all(getattr(luspool, name).__name__ == name for name in luspool.__all__)
    assert set(luspool.__all__) <= set(dir(luspool))
    with pytest.raises(AttributeError):
        luspool.nothing  # noqa: B018


def test_importing_the_package_imports_nothing_of_the_runtime():
    code = "import sys, luspool; print(sorted(name for name in sys.modules if name.startswith(('luspool.', 'lupa'))))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"[]\n"


def test_a_run_may_leave_an_audit_log(tmp_path):
    log = tmp_path / "log.jsonl"
    with luspool.Runtime(functions={"f": lambda: 1}) as runtime:
        result = runtime.run("a.lus", source="host.f() host.g()", pledges=["host:f"], audit=log)
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        asked = [(line["value"], line["decision"]) for line in lines if line["type"] == "decision"]
        assert asked == [("f", "allowed"), ("g", "denied")]
        assert (lines[-1]["type"], lines[-1]["status"]) == ("footer", result.status)
        with pytest.raises(luspool.UsageError, match="Is a directory"):
            runtime.run("a.lus", source="", audit=tmp_path)
        with pytest.raises(luspool.CannotWriteError, match="No space left on device"):
            runtime.run("a.lus", source="", audit="/dev/full")


def test_a_script_that_is_too_long_is_told_in_words_of_the_interface(tmp_path):
    script = tmp_path / "long.lus"
    script.write_text("-" * 200, encoding="utf-8")
    limits = luspool.Limits(luspool.StateLimits(source=100))
    told = r"more than 100 bytes of source text \(raise it by StateLimits\(source=…\)\)$"
    with luspool.Runtime(limits=limits) as runtime, pytest.raises(luspool.CannotLoadError, match=told):
        runtime.run(script)


def test_threads_have_a_bound():
    with pytest.raises(luspool.UsageError, match="512 threads at most, not 1000000"):
        luspool.Runtime(threads=10**6)


def test_a_wish_that_can_not_be_met_is_an_error(run, monkeypatch):
    monkeypatch.setenv("LUSPOOL_PREEMPTION", "nonsense")
    with pytest.raises(luspool.UsageError, match="LUSPOOL_PREEMPTION is 'nonsense'"):
        run("print(1)")
