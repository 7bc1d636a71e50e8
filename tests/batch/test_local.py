"""Tasks on hosts that stay: every kind of end, and nothing that goes from one task to the next."""

import os
import signal
import sys
from pathlib import Path

import pytest

from luspool.audit.log import read_logs
from luspool.batch import local
from luspool.batch.outcome import Status
from luspool.errors import CannotWriteError, HostFailedError
from luspool.scheduler.callees import NoFunctions

from .conftest import PATIENCE

LOAD = ("load", "fs:read=.")
WAITS = "worker.peek()"


@pytest.fixture(params=["signal", "hook"])
def mechanism(request, monkeypatch):
    monkeypatch.setenv("LUSPOOL_PREEMPTION", request.param)


@pytest.mark.usefixtures("mechanism")
@pytest.mark.parametrize(
    ("source", "status", "exit_status"),
    [
        ("print('fine')", Status.COMPLETED, 0),
        ("os.exit(0)", Status.COMPLETED, 0),
        ("os.exit(9)", Status.FAILED, 9),
        ("error('boom')", Status.FAILED, 1),
        ("x = = 1", Status.FAILED, 126),
        ("io.open('/etc/passwd')", Status.DENIED, 77),
        ("while true do end", Status.TIMEOUT, 124),
        ("local t = {} for i = 1, math.huge do t[i] = {i} end", Status.MEMORY, 137),
        ("while true do print(('x'):rep(10000)) end", Status.FAILED, 123),
        ("local w = worker.create('waits.lus') worker.receive(w)", Status.DEADLOCK, 70),
        ("worker.receive(worker.create('fails.lus'))", Status.FAILED, 1),
        ("worker.create('fails.lus')", Status.FAILED, 1),
        ("for i = 1, 20 do worker.create('loops.lus') end os.exit(4)", Status.FAILED, 4),
    ],
)
def test_each_end_is_told_and_the_host_goes_on(bench, source, status, exit_status):
    for name, text in {"waits": WAITS, "fails": "error('below')", "loops": "while true do end"}.items():
        bench.directory.joinpath(f"{name}.lus").write_text(text, encoding="utf-8")
    bench.open()
    # A loop that creates objects has to reach its limit of memory first.
    limits = {"cpu": 10**10 if status is Status.MEMORY else 10**8, "memory": 1 << 20, "output": 100_000}
    for _ in range(2):
        outcome = bench.run(source, held=LOAD, limits=limits)
        assert (outcome.status, outcome.exit_status) == (status, exit_status), outcome
        assert bool(outcome.failure) is (status is not Status.COMPLETED and "os.exit" not in source)
    assert bench.run("print(1)", held=LOAD, limits=limits).stdout == b"1\n"
    assert len(bench.hosts) == 1


def read_log(outcome):
    """The audit log of an outcome; where it lies, and its decisions in short."""
    (log,) = read_logs([outcome.audit])
    folder = Path(outcome.audit).parent
    assert Path(outcome.audit).name == f"{log.header.run}.jsonl"
    return log, folder, [(one.state, one.permission, one.value, one.decision, one.count) for one in log.decisions]


@pytest.mark.usefixtures("mechanism")
def test_what_is_decided_goes_to_a_log_for_each_task(bench):
    """On one host: of states that have ended, that wait, and that are in the midst of a step when all is over."""
    bench.directory.joinpath("waits.lus").write_text("pcall(os.getenv, 'W') worker.peek()", encoding="utf-8")
    bench.directory.joinpath("loops.lus").write_text("worker.message(1) while true do end", encoding="utf-8")
    logs = bench.directory / "logs"
    bench.open(audits=str(logs))
    first = bench.run("for i = 1, 3 do io.open('1.lus') end worker.create('waits.lus')", "x", held=LOAD)
    source = "worker.receive(worker.create('loops.lus')) pcall(io.open, '/etc/passwd') os.exit(9)"
    second = bench.run(source, held=LOAD)
    third = bench.run("print(1)", held=LOAD)
    assert [one.exit_status for one in (first, second, third)] == [0, 9, 0]
    log, folder, decisions = read_log(first)
    path = str(bench.directory.resolve() / "1.lus")
    assert (log.header.script, log.header.arguments, log.header.held) == (
        "1.lus",
        1,
        ("load", f"fs:read={bench.directory}"),
    )
    assert (folder, log.decisions[0].resolved) == (logs / "1", path)
    assert decisions[0] == (1, "fs:read", "1.lus", "allowed", 3)
    assert decisions[-1] == (2, "env", "W", "denied", 1)
    assert {end.state: end.outcome for end in log.ends} == {1: "returned", 2: "cancelled"}
    assert (log.footer.status, log.footer.states, log.footer.decisions, log.doubts) == (0, 2, len(decisions) + 2, ())
    log, _, decisions = read_log(second)
    assert decisions[-1] == (1, "fs:read", "/etc/passwd", "denied", 1)
    assert {end.state: end.outcome for end in log.ends} == {1: "exited", 2: "cancelled"}
    assert (log.footer.status, log.footer.denied) == (9, 1)
    log, _, decisions = read_log(third)
    assert (decisions, log.footer.states, log.footer.status) == ([], 1, 0)
    assert len(bench.hosts) == 1


def test_each_try_has_a_log_of_its_own_and_one_that_was_cut_off_says_so(bench):
    bench.open(audits=str(bench.directory / "logs"))
    outcome = die(bench, "pcall(os.getenv, 'A') print('up') while true do end")
    log, folder, _ = read_log(outcome)
    assert (outcome.status, log.footer) == (Status.CRASHED, None)
    bench.count = 0
    log, same, _ = read_log(bench.run("print(1)"))
    assert (same, log.footer.status) == (folder, 0)
    assert len(list(folder.iterdir())) == 2


def test_a_log_that_can_not_be_written_is_told(bench):
    bench.directory.joinpath("logs").mkdir()
    bench.directory.joinpath("logs", "1").write_text("a file", encoding="utf-8")
    bench.open(audits="logs")
    bench.submit("print(1)")
    with pytest.raises(CannotWriteError, match="cannot write to logs/1: File exists"):
        bench.finish()


# --- from one task to the next ----------------------------------------------------------------------------------------


def test_nothing_of_a_task_is_seen_by_the_next(bench):
    bench.open()
    stain = """
    x, print, string.format = 1, nil, nil
    getmetatable("").mark = 1
    package.loaded.mark = 1
    math.randomseed(7)
    collectgarbage("stop")
    io.output():setvbuf("full")
    io.write("held back")
    """
    look = """
    print(x, ("").mark, package.loaded.mark, type(string.format), collectgarbage("isrunning"))
    """
    bench.run(stain)
    assert bench.run(look).stdout == b"nil\tnil\tnil\tfunction\ttrue\n"
    assert len({bench.run("print(math.random(0))").stdout for _ in range(5)}) == 5
    assert len(bench.hosts) == 1


def test_numbers_and_clocks_begin_anew(bench):
    bench.directory.joinpath("waits.lus").write_text(WAITS, encoding="utf-8")
    bench.open()
    loop = "local n = 0 for i = 1, 3e6 do n = n + 1 end print(n)"
    limits = {"cpu": 4 * 10**8, "total-cpu": 4 * 10**8}
    # Together they take more than one may.
    assert {bench.run(loop, limits=limits).status for _ in range(10)} == {Status.COMPLETED}
    many = "for i = 1, 4 do worker.create('waits.lus') end"
    assert {bench.run(many, held=LOAD, limits={"states": 5}).status for _ in range(5)} == {Status.COMPLETED}


def test_open_files_are_closed_and_memory_is_returned(bench):
    bench.directory.joinpath("text").write_text("text", encoding="utf-8")
    bench.open()
    opens = "t = {} for i = 1, 50 do t[i] = io.open('text') end print(#t)"
    eats = "local t = {} for i = 1, 30 do t[i] = ('x'):rep(1 << 20) end print(#t)"
    bench.run(opens, held=LOAD, wall="off")
    host = bench.hosts[0].pid
    held = sorted(os.listdir(f"/proc/{host}/fd"))
    for _ in range(20):
        assert bench.run(opens, held=LOAD, wall="off").stdout == b"50\n"
        assert bench.run(eats, held=LOAD, wall="off").stdout == b"30\n"
    assert sorted(os.listdir(f"/proc/{host}/fd")) == held
    assert len(os.listdir(f"/proc/{host}/task")) == 3  # commands, the executor, the timekeeper
    assert len(bench.hosts) == 1


# --- which host -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", [1, 2])
def test_tasks_with_different_rights_never_share_a_host(bench, lanes):
    bench.open(lanes=lanes)
    rights = [(), ("load",), ("env=A",), ("env=B",)]
    for _ in range(3):
        for held in rights:
            bench.submit("print(1)", held=held)
    outcomes = bench.finish()
    assert {outcome.status for outcome in outcomes.values()} == {Status.COMPLETED}
    # Not one for each task: those with the same rights are run together. The last ones may be, by two.
    assert len(rights) <= len(bench.hosts) < len(rights) + lanes


@pytest.mark.parametrize("wall", ["strict", "best-effort", "off"])
def test_tasks_behind_different_walls_never_share_a_host(bench, wall):
    bench.open()
    bench.run("print(1)")
    bench.run("print(1)", wall=wall)
    bench.run("print(1)", wall=wall, limits={"total-memory": 1 << 30})
    bench.run("print(1)", wall=wall, limits={"total-memory": 1 << 29})
    assert len(bench.hosts) == 3


def test_isolated_tasks_have_a_host_each(bench):
    bench.open(lanes=2, tasks_per_host=1)
    for _ in range(5):
        bench.submit("print(1)")
    assert len(bench.finish()) == 5
    assert len([host for host in bench.hosts if host.wait(0) is not None]) >= 5


def test_a_host_is_replaced_after_so_many_tasks(bench):
    bench.open(tasks_per_host=3)
    for _ in range(7):
        bench.submit("print(1)")
    assert len(bench.finish()) == 7
    assert len(bench.hosts) == 3


def test_what_one_host_could_be_the_next_one_can(bench, monkeypatch):
    """A host that says otherwise has fallen to its script, and the batch goes on."""
    bench.open(tasks_per_host=1)
    first = bench.submit("print(1)")
    outcomes = bench.finish()
    assert outcomes[first].status is Status.COMPLETED
    monkeypatch.setenv("LUSPOOL_PREEMPTION", "nonsense")  # what an honest host would say
    for _ in range(3):  # one may be in a host that was started before
        last = bench.submit("print(2)")
    outcome = bench.finish()[last]
    assert outcome.status is Status.CRASHED
    assert "says what can't be: LUSPOOL_PREEMPTION is 'nonsense'" in outcome.failure


def test_a_host_that_has_grown_is_replaced(bench, monkeypatch):
    monkeypatch.setattr(local, "_GROWTH", -(1 << 40))  # any size is too much then
    bench.open()
    for _ in range(3):
        bench.run("print(1)")
    assert len(bench.hosts) == 3


def test_tasks_with_other_rights_follow_each_other_while_lanes_are_unused(bench):
    """Only one host is needed at a time; that of the first task does not stand in the way of the second."""
    bench.open(lanes=3)
    for held in ((), ("env",), ("env=A",), ("env=B",), ()):
        assert bench.run("print(1)", held=held).stdout == b"1\n"
    assert len(bench.hosts) <= 5


def test_spare_hosts_are_kept_for_other_rights_and_the_one_unused_for_longest_is_given_up(bench):
    bench.open(lanes=1, spare_hosts=1)
    for held, hosts in (((), 1), (("env",), 2), ((), 2), (("env=A",), 3), ((), 3), (("env=A",), 3), (("env",), 4)):
        assert bench.run("print(1)", held=held).stdout == b"1\n"
        assert len(bench.hosts) == hosts


def test_nobody_waits_for_ever_for_those_with_other_rights(bench, monkeypatch):
    monkeypatch.setattr(local, "_PASSED_MOST", 3)
    bench.open(lanes=1)
    bench.run("print(1)")
    bench.submit("print(1)")
    other = bench.submit("print(2)", held=("env",))
    passed, ended = 0, {}
    while other not in ended:
        bench.submit("print(1)")
        passed += 1
        ended.update({done.number: done.outcome for done in bench.engine.wait(PATIENCE)})
        assert passed < 100
    assert ended[other].stdout == b"2\n"
    bench.finish(passed + 2 - len(ended))


# --- ahead ------------------------------------------------------------------------------------------------------------

LOOPS = {"cpu": 10**9}


def ahead(bench):
    """Of all hosts, what they have and have not begun as far as is known."""
    return sum(lane.host.ahead for lane in bench.engine._lanes)


def with_some_ahead(bench, first="while true do end", count=4, **options):
    """A task that runs, and others that its host has already."""
    bench.open(lanes=1)
    running = bench.submit(first, **options)
    others = [bench.submit(f"print({number})", **options) for number in range(count)]
    while not ahead(bench):
        bench.engine.wait(0.01)
    assert [number for number, _ in bench.engine.running()] == [running]
    return running, others


def test_what_a_host_has_ahead_begins_in_turn(bench):
    running, others = with_some_ahead(bench, limits=LOOPS)
    outcomes = bench.finish()
    assert outcomes[running].status is Status.TIMEOUT
    assert [outcomes[number].stdout for number in others] == [b"%d\n" % number for number in range(4)]
    assert len(bench.hosts) == 1


def test_what_a_host_has_ahead_is_withdrawn(bench):
    running, others = with_some_ahead(bench, limits=LOOPS)
    bench.engine.withdraw()
    outcomes = bench.finish()
    assert outcomes[running].status is Status.TIMEOUT
    assert [outcomes[number] for number in others] == [None] * 4
    assert bench.run("print(1)", limits=LOOPS).stdout == b"1\n"
    assert len(bench.hosts) == 1


def test_what_a_host_has_ahead_is_cancelled_alone(bench):
    running, others = with_some_ahead(bench, limits=LOOPS)
    bench.engine.cancel_one(others[0])
    outcomes = bench.finish()
    assert outcomes[running].status is Status.TIMEOUT
    assert outcomes[others[0]] is None
    assert [outcomes[number].stdout for number in others[1:]] == [b"1\n", b"2\n", b"3\n"]


def test_cancelling_ends_what_runs_and_begins_nothing_of_what_is_ahead(bench):
    running, others = with_some_ahead(bench)
    bench.engine.cancel()
    outcomes = bench.finish()
    assert outcomes[running].status is Status.CANCELLED
    assert [outcomes[number] for number in others] == [None] * 4


def test_a_host_that_dies_takes_along_only_what_runs(bench):
    running, others = with_some_ahead(bench)
    os.kill(bench.hosts[0].pid, signal.SIGKILL)
    outcomes = bench.finish()
    assert outcomes[running].status is Status.CRASHED
    assert [outcomes[number].stdout for number in others] == [b"%d\n" % number for number in range(4)]
    assert len(bench.hosts) == 2


def test_what_waits_behind_a_long_task_is_run_by_a_host_that_has_nothing_to_do(bench):
    bench.open(lanes=2)
    for _ in range(2):
        bench.submit("print(1)")
    bench.finish()
    bench.count = 10
    long = bench.submit("while true do end")
    others = [bench.submit("print(2)") for _ in range(12)]
    while len(bench.outcomes) < len(others):
        bench.collect()
    assert {bench.outcomes[number].stdout for number in others} == {b"2\n"}
    bench.engine.cancel_one(long)
    bench.collect()
    assert bench.outcomes[long].status is Status.CANCELLED


def test_input_that_comes_too_late_is_not_that_of_the_next(bench):
    bench.directory.joinpath("asks.lus").write_text("worker.message(1) io.read()", encoding="utf-8")
    bench.open(lanes=1)
    asks = "local w = worker.create('asks.lus') worker.receive(w) os.exit(0)"
    numbers = []
    for _ in range(20):
        bench.submit(asks, stdin="late\n" * 100, held=LOAD)
        numbers.append(bench.submit("print(io.read(), io.read())", stdin="mine\n", held=LOAD))
    outcomes = bench.finish()
    assert {outcomes[number].stdout for number in numbers} == {b"mine\tnil\n"}
    assert len(bench.hosts) == 1


def test_nothing_is_given_ahead_where_something_is_asked_when_a_task_begins(bench):
    bench.open(lanes=1, results="out")
    bench.submit("while true do end", limits=LOOPS)
    for _ in range(3):
        bench.submit("print(1)", limits=LOOPS)
    while len(bench.outcomes) < 4:
        assert not ahead(bench)
        bench.collect()


# --- deaths -----------------------------------------------------------------------------------------------------------


def die(bench, source="print('up') while true do end", **options):
    """A task whose host is killed once it is seen to run."""
    number = bench.submit(source, **options)
    while not bench.engine.running():
        bench.engine.wait(0.01)
    os.kill(bench.hosts[-1].pid, signal.SIGKILL)
    return bench.finish()[number]


def test_a_task_whose_host_dies_has_crashed_and_the_next_one_runs(bench):
    bench.open()
    outcome = die(bench)
    assert (outcome.status, outcome.exit_status) == (Status.CRASHED, 125)
    assert "SIGKILL" in outcome.failure
    assert bench.run("print(1)").status is Status.COMPLETED
    assert len(bench.hosts) == 2


def test_the_death_of_an_idle_host_is_nobody_s_fault(bench):
    bench.open()
    bench.run("print(1)")
    os.kill(bench.hosts[0].pid, signal.SIGKILL)
    while bench.engine._lanes:
        bench.engine.wait(0.01)
    assert bench.run("print(2)").stdout == b"2\n"


def test_a_host_that_is_inside_one_long_call_is_replaced(bench):
    bench.open()
    long = "string.format('%q', ('\\0'):rep(1000):rep(40000))"
    outcome = bench.run(long, limits={"cpu": 10**8, "memory": 1 << 30, "total-memory": 2 << 30})
    assert (outcome.status, outcome.exit_status) == (Status.TIMEOUT, 124)
    assert bench.run("print(1)").stdout == b"1\n"


def test_a_task_that_has_ended_while_a_worker_is_inside_a_long_call_has_its_own_end(bench):
    bench.directory.joinpath("long.lus").write_text(
        "worker.message(1) string.format('%q', ('\\0'):rep(1000):rep(40000))", encoding="utf-8"
    )
    bench.open()
    source = "local w = worker.create('long.lus') worker.receive(w) os.exit(5)"
    outcome = bench.run(source, held=LOAD, limits={"memory": 1 << 30, "total-memory": 2 << 30})
    assert (outcome.status, outcome.exit_status) == (Status.FAILED, 5)
    assert bench.run("print(1)", held=LOAD).stdout == b"1\n"


def test_a_host_that_stops_is_ended_when_the_time_is_over(bench):
    bench.open()
    number = bench.submit("while true do end", limits={"timeout": 5 * 10**8})
    while not bench.engine.running():
        bench.engine.wait(0.01)
    os.kill(bench.hosts[0].pid, signal.SIGSTOP)
    outcome = bench.finish()[number]
    assert (outcome.status, outcome.exit_status) == (Status.TIMEOUT, 124)


def test_hosts_that_can_not_be_started_end_the_batch(bench):
    bench.command = [sys.executable, "-c", "raise SystemExit('no luck')"]
    bench.open()
    bench.submit("print(1)")
    with pytest.raises(HostFailedError, match=r"no process that runs scripts can be started: .*no luck"):
        bench.finish()


def test_hosts_that_are_killed_while_they_start_are_replaced(bench):
    bench.open()
    bench.submit("print(1)")
    for count in range(1, 6):
        while len(bench.hosts) < count:
            bench.engine.wait(0.01)
        bench.hosts[-1].kill()
    assert bench.finish()[1].stdout == b"1\n"
    assert len(bench.hosts) == 6


# --- ends from outside ------------------------------------------------------------------------------------------------


def test_one_task_is_cancelled_and_the_others_go_on(bench):
    bench.open(lanes=1)
    running = bench.submit("print('begun') while true do end")
    waiting = [bench.submit("print(1)") for _ in range(3)]
    while not bench.engine.running():
        bench.engine.wait(0.01)
    bench.engine.cancel_one(waiting[1])
    bench.engine.cancel_one(running)
    bench.engine.cancel_one(running)
    bench.engine.cancel_one(99)
    outcomes = bench.finish()
    assert outcomes[waiting[1]] is None
    assert (outcomes[running].status, outcomes[running].kind) == (Status.CANCELLED, "cancelled")
    assert [outcomes[number].stdout for number in (waiting[0], waiting[2])] == [b"1\n"] * 2


def test_a_task_that_nobody_wants_any_more_is_not_begun(bench):
    bench.open(lanes=1, callees=lambda number: NoFunctions() if number % 2 else None)
    for _ in range(4):
        bench.submit("print(1)")
    outcomes = bench.finish()
    assert [outcomes[number] is None for number in (1, 2, 3, 4)] == [False, True, False, True]
