"""What holds for every engine: tasks end as they should, and each comes back once."""

import pytest

from luspool.audit.log import read_logs
from luspool.batch.outcome import Status
from luspool.errors import CannotWriteError, UsageError

from .conftest import Bench
from .ray_bench import RayBench

LOAD = ("load", "fs:read=.")


@pytest.fixture(params=["local", "ray"])
def bench(request, tmp_path):
    is_local = request.param == "local"
    bench = Bench(tmp_path) if is_local else RayBench(tmp_path, request.getfixturevalue("ray_server"))
    yield bench
    bench.close()


ENDS = {
    "print('fine')": (Status.COMPLETED, 0),
    "os.exit(9)": (Status.FAILED, 9),
    "error('boom')": (Status.FAILED, 1),
    "x = = 1": (Status.FAILED, 126),
    "io.open('/etc/passwd')": (Status.DENIED, 77),
    "while true do end": (Status.TIMEOUT, 124),
    "local t = {} for i = 1, math.huge do t[i] = ('x'):rep(1000) .. i end": (Status.MEMORY, 137),
    "while true do print(('x'):rep(10000)) end": (Status.FAILED, 123),
    "local w = worker.create('waits.lus') worker.receive(w)": (Status.DEADLOCK, 70),
    "worker.receive(worker.create('fails.lus'))": (Status.FAILED, 1),
}


def test_each_end_is_told(bench):
    for name, text in {"waits": "worker.peek()", "fails": "error('below')"}.items():
        bench.directory.joinpath(f"{name}.lus").write_text(text, encoding="utf-8")
    bench.open(lanes=2)
    limits = {"cpu": 3 * 10**8, "memory": 1 << 20, "output": 100_000}
    numbers = [bench.submit(source, held=LOAD, limits=limits) for source in ENDS]
    outcomes = bench.finish()
    for number, (source, end) in zip(numbers, ENDS.items(), strict=True):
        outcome = outcomes[number]
        assert (outcome.status, outcome.exit_status) == end, outcome
        assert bool(outcome.failure) is (outcome.status is not Status.COMPLETED and "os.exit" not in source)


def test_many_small_tasks_each_end_once(bench):
    bench.open(lanes=2)
    for number in range(1, 501):
        while not bench.engine.has_room:
            bench.collect()
        bench.submit(f"print({number})")
    outcomes = bench.finish()
    assert {number: outcome.stdout for number, outcome in outcomes.items()} == {
        number: b"%d\n" % number for number in range(1, 501)
    }


def test_tasks_with_different_rights_end_as_these_say(bench):
    bench.open(lanes=2)
    numbers = {bench.submit("print(os.getenv('A'))", held=held): held for held in [(), ("env=A",), ("env=B",)] * 3}
    outcomes = bench.finish()
    for number, held in numbers.items():
        assert outcomes[number].status is (Status.COMPLETED if held == ("env=A",) else Status.DENIED)


def test_what_was_used_is_told(bench):
    bench.open()
    outcome = bench.run("local t = {} for i = 1, 1e5 do t[i] = { i } end print(#t)")
    assert outcome.memory > 1_000_000
    assert 0 < outcome.cpu <= outcome.wall
    assert bench.run("print(1)").memory < 1_000_000


def test_output_is_kept_up_to_a_cap_and_counted_whole(bench):
    bench.open(output_kept=10)
    outcome = bench.run("for i = 1, 9 do print('line', i) end io.stderr:write('problem')")
    assert outcome.stdout == b"line\t1\nlin"
    assert (outcome.stdout_size, outcome.stderr, outcome.stderr_size) == (63, b"problem", 7)


def test_output_goes_to_files_as_a_whole(bench):
    bench.open(output_kept=0, results="out")
    for number in (1, 2):
        bench.submit(f"print(('x'):rep({number}00000)) io.stderr:write('e')")
    assert {outcome.stdout for outcome in bench.finish().values()} == {b""}
    for number in (1, 2):
        folder = bench.directory / "out" / str(number)
        assert folder.joinpath("stdout").read_bytes() == b"x" * number * 100_000 + b"\n"
        assert folder.joinpath("stderr").read_bytes() == b"e"


def test_output_that_can_not_be_written_is_told(bench):
    bench.directory.joinpath("out").write_text("a file", encoding="utf-8")
    bench.open(results="out")
    bench.submit("print(1)")
    with pytest.raises(CannotWriteError, match="cannot write to out/1"):
        bench.finish()


def test_what_is_decided_goes_to_a_log_for_each_task(bench):
    bench.open(lanes=2, audits=str(bench.directory / "logs"))
    numbers = [bench.submit(f"pcall(os.getenv, 'A{number}')") for number in range(20)]
    outcomes = bench.finish()
    logs = read_logs([outcomes[number].audit for number in numbers])
    for number, log in zip(numbers, logs, strict=True):
        assert [(one.value, one.decision) for one in log.decisions] == [(f"A{number - 1}", "denied")]
        assert (log.header.script, log.footer.status, log.doubts) == (f"{number}.lus", 0, ())
    bench.close()
    bench.engine = None
    files = bench.directory.joinpath("logs").rglob("*.*")
    assert sorted(map(str, files)) == sorted(outcome.audit for outcome in outcomes.values())


def test_a_log_that_was_cut_off_says_so(bench):
    bench.open(audits=str(bench.directory / "logs"))
    bench.submit("pcall(os.getenv, 'A') while true do end")
    while not bench.engine.running():
        bench.engine.wait(0.01)
    bench.engine.cancel()
    (outcome,) = bench.finish().values()
    (log,) = read_logs([outcome.audit])
    assert (outcome.status, log.footer) == (Status.CANCELLED, None)


def test_what_a_script_has_loaded_is_told(bench):
    for name in ("mod", "child"):
        bench.directory.joinpath(f"{name}.lus").write_text("return 1", encoding="utf-8")
    bench.open()
    outcome = bench.run("require('mod') pcall(require, 'none') worker.create('child.lus')", held=LOAD)
    found = {source.path.removeprefix("./"): bool(source.digest) for source in outcome.sources}
    assert found["mod.lus"]
    assert found["child.lus"]
    assert found["none.lus"] is False
    assert bench.run("print(1)", held=LOAD).sources == ()


def test_input_is_a_task_s_own(bench):
    bench.open()
    assert bench.run("print(io.read())", stdin="one\nleft over\n").stdout == b"one\n"
    assert bench.run("print(io.read('a'))", stdin="two").stdout == b"two\n"
    assert bench.run("print(io.read())").stdout == b"nil\n"
    # One that asks and does not wait for the answer.
    asks = "local w = worker.create('asks.lus') worker.receive(w) os.exit(0)"
    bench.directory.joinpath("asks.lus").write_text("worker.message(1) io.read()", encoding="utf-8")
    for _ in range(5):
        bench.run(asks, stdin="late\n" * 100, held=LOAD)
        assert bench.run("print(io.read())", stdin="mine\n", held=LOAD).stdout == b"mine\n"


def test_large_input_arrives_whole(bench):
    bench.open()
    assert bench.run("print(#io.read('a'))", stdin="x" * 3_000_000).stdout == b"3000000\n"


def test_variables_are_a_task_s_own(bench, monkeypatch):
    monkeypatch.setenv("MINE", "of the command")
    bench.open()
    show = "print(os.getenv('MINE'), os.getenv('OTHER'))"
    assert bench.run(show, held=("env",), environment={"MINE": "x", "OTHER": "y"}).stdout == b"x\ty\n"
    assert bench.run(show, held=("env",)).stdout == b"of the command\tnil\n"


def test_cancelling_gives_every_task_back_once(bench):
    bench.open(lanes=2)
    for _ in range(10):
        bench.submit("while true do end")
    while len(bench.engine.running()) < 2:
        bench.engine.wait(0.01)
    bench.engine.cancel()
    outcomes = list(bench.finish().values())
    assert sum(outcome is None for outcome in outcomes) == 8
    assert {outcome.status for outcome in outcomes if outcome} == {Status.CANCELLED}
    assert bench.engine.running() == []


def test_what_is_withdrawn_is_not_begun_and_the_rest_goes_on(bench):
    bench.open()
    first = bench.submit("while true do end", limits={"cpu": 2 * 10**9})
    second = bench.submit("print(2)")
    while not bench.engine.running():
        bench.engine.wait(0.01)
    bench.engine.withdraw()
    outcomes = bench.finish()
    assert outcomes[first].status is Status.TIMEOUT
    assert outcomes[second] is None


def test_somebody_outside_can_wake_the_engine(bench):
    bench.open()
    bench.submit("while true do end")
    bench.wake()
    assert bench.engine.wait(None) == []


def test_a_wish_that_can_not_be_met_ends_the_batch(bench, monkeypatch):
    monkeypatch.setenv("LUSPOOL_PREEMPTION", "nonsense")
    bench.open()
    bench.submit("print(1)")
    with pytest.raises(UsageError, match="LUSPOOL_PREEMPTION is 'nonsense'"):
        bench.finish()


def test_what_runs_is_told_until_it_has_ended(bench):
    bench.open(lanes=2)
    loop = bench.submit("while true do end", limits={"cpu": 10**9})
    while not bench.engine.running():
        bench.engine.wait(0.01)
    ((number, seconds),) = bench.engine.running()
    assert number == loop
    assert seconds >= 0
    bench.finish()
    assert bench.engine.running() == []
