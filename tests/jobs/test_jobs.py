"""`Runtime.submit`: what goes between a job and its program, how it ends, and what others there are meanwhile."""

import errno
import os
import pickle
import resource
import signal
import threading

import pytest

import luspool
from luspool.scheduler.units import UNLIMITED

from .conftest import PATIENCE

ECHO = "while true do worker.message(worker.peek()) end"
LOOP = "while true do end"


def submit(runtime, source, *arguments, **options):
    return runtime.submit("main.lus", *arguments, source=source, **options)


def drain(job):
    """The messages that it still gives, and the error that ends them."""
    messages = []
    try:
        messages.extend(job)
    except luspool.LuspoolError as error:
        return messages, error
    return messages, None


# --- messages -----------------------------------------------------------------------------------------------------


def test_messages_are_received_in_order_and_the_result_says_the_rest(runtime, mechanism):
    job = submit(runtime, "print(...) for i = 1, 3 do worker.message(i) end", "a", 2)
    assert list(job) == [1, 2, 3]
    assert job.result(PATIENCE) == luspool.RunResult("returned", 0, b"a\t2\n", b"", None)
    assert job.status == luspool.JobStatus.ENDED
    assert (job.name, repr(job)) == ("main.lus", "<luspool.Job 'main.lus' ended>")


def test_everything_that_can_be_copied_goes_both_ways(runtime, mechanism):
    cyclic = {"list": [1, 2.5, None, "ü"], "bytes": b"\xff", "yes": True, "nested": {"a": {}}}
    cyclic["me"] = cyclic
    job = submit(runtime, ECHO)
    assert job.send(cyclic)
    back = job.receive(PATIENCE)
    assert back["me"] is back
    assert back is not cyclic
    assert back["list"] == {1: 1, 2: 2.5, 4: "ü"}  # what is nil is not there
    assert (back["bytes"], back["yes"], back["nested"]) == (b"\xff", True, {"a": {}})
    for value in (None, True, 0, -(2**63), 1.5, "", "text", b"\xff\x00", [1, [2]], {"k": [True]}):
        job.send(value)
        received = job.receive(PATIENCE)
        assert received == value
        assert type(received) is type(value)
    job.cancel()


def test_what_cannot_be_copied_is_refused_and_named(runtime):
    job = submit(runtime, ECHO)
    with pytest.raises(luspool.UsageError, match=r"cannot send this to main\.lus: message, field \.f\[2\]:"):
        job.send({"f": [1, print]})
    job.send_eof()
    with pytest.raises(luspool.UsageError, match="send after send_eof"):
        job.send(1)
    assert job.result(PATIENCE).kind == "returned"


def test_after_the_last_message_there_is_an_end_or_an_error(runtime):
    job = submit(runtime, "worker.message(1)")
    assert job.receive(PATIENCE) == 1
    for _ in range(2):
        with pytest.raises(luspool.EndOfMessagesError, match=r"main\.lus has ended, and all its messages are received"):
            job.receive(PATIENCE)
    job = submit(runtime, "worker.message(1) error('broken')")
    assert job.receive(PATIENCE) == 1
    for _ in range(2):
        with pytest.raises(luspool.ScriptError, match=r"main\.lus:1: broken"):
            job.receive(PATIENCE)
    received, error = drain(submit(runtime, "for i = 1, 1000 do worker.message(i) end error('x')"))
    assert received == list(range(1, 1001))
    assert isinstance(error, luspool.ScriptError)


def test_a_job_that_is_sent_no_more_takes_what_there_is_and_ends_as_a_worker_does(runtime, mechanism):
    job = submit(runtime, "pcall(function() while true do worker.message(worker.peek()) end end) print('never')")
    for number in range(100):
        assert job.send(number)
    job.send_eof()
    job.send_eof()
    assert list(job) == list(range(100))
    assert job.result(PATIENCE) == luspool.RunResult("returned", 0, b"", b"", None)
    assert job.send(1) is False


def test_one_that_is_sent_nothing_can_be_told_so_before_it_begins(runtime):
    first = submit(runtime, ECHO)
    job = submit(runtime, "print('begins') worker.peek() print('never')")
    job.send_eof()
    first.send_eof()
    assert job.result(PATIENCE).stdout == b"begins\n"


def test_a_sender_waits_for_room_on_either_side(runtime, mechanism):
    """Nothing is lost or reordered, and neither side holds much more than a mailbox."""
    limits = luspool.Limits(tree=luspool.TreeLimits(mailbox=1000))
    job = submit(runtime, "worker.peek() while true do worker.message(worker.peek()) end", limits=limits)

    def send_all():
        for number in range(300):
            job.send(number)
        job.send_eof()

    thread = threading.Thread(target=send_all)
    thread.start()
    core = job._core
    # Where both are full: the script waits for room, and so does the thread.
    core.until(lambda: (1,) if core._mail.waits_for_room and not core._mail.inbox.fits(1) else None, PATIENCE)
    with pytest.raises(TimeoutError, match=r"main\.lus: not in 0 s; it waits until its messages are received"):
        job.send("more", timeout=0)
    assert core._mail.outbox.used <= 1000
    assert core._mail.inbox.used <= 1000
    assert list(job) == list(range(1, 300))
    thread.join()


def test_one_that_sends_for_ever_waits_until_its_messages_are_received(runtime):
    limits = luspool.Limits(tree=luspool.TreeLimits(mailbox=10_000, output=UNLIMITED))
    job = submit(runtime, "local i = 0 while true do i = i + 1 worker.message(i) end", limits=limits)
    assert [job.receive(PATIENCE) for _ in range(2000)] == list(range(1, 2001))
    core = job._core
    core.until(lambda: (1,) if core._mail.waits_for_room else None, PATIENCE)
    assert core._mail.outbox.used <= 10_000
    job.cancel()
    received, error = drain(job)
    assert received == list(range(2001, 2001 + len(received)))
    assert len(received) < 2000
    assert isinstance(error, luspool.JobCancelledError)


def test_the_end_can_be_waited_for_without_receiving_anything(runtime):
    limits = luspool.Limits(tree=luspool.TreeLimits(mailbox=1000))
    job = submit(runtime, "for i = 1, 5000 do worker.message(i) end", limits=limits)
    assert job.result(PATIENCE).kind == "returned"
    assert list(job) == list(range(1, 5001))


def test_messages_count_as_output(runtime):
    limits = luspool.Limits(tree=luspool.TreeLimits(output=100_000))
    job = submit(runtime, "while true do worker.message(('x'):rep(1000)) end", limits=limits)
    with pytest.raises(luspool.LimitError, match="output limit exceeded") as caught:
        job.result(PATIENCE)
    assert caught.value.result.kind == "output"
    received, error = drain(job)
    assert isinstance(error, luspool.LimitError)
    assert set(received) == {"x" * 1000}
    assert len(received) < 100


def test_a_message_has_a_size_that_it_may_have(runtime, mechanism):
    job = submit(runtime, "worker.message(#worker.peek()) print(pcall(worker.message, ('x'):rep(5000000)))")
    with pytest.raises(luspool.UsageError, match="cannot send this"):
        job.send("x" * (17 << 20))
    job.send("x" * (15 << 20))
    assert job.receive(PATIENCE) == 15 << 20
    assert b"a message of more than 4 MiB" in job.result(PATIENCE).stdout


def test_workers_of_a_job_are_what_they_are_elsewhere(runtime, tmp_path):
    (tmp_path / "w.lus").write_text("worker.message(worker.peek() + 1)")
    source = f"""
        local w = worker.create('{tmp_path}/w.lus')
        worker.send(w, worker.peek()) worker.message(worker.receive(w))"""
    job = submit(runtime, source, pledges=["load", f"fs:read={tmp_path}"])
    job.send(1)
    assert list(job) == [2]


# --- ends ---------------------------------------------------------------------------------------------------------

LIMITS = luspool.Limits(luspool.StateLimits(memory=4 << 20, cpu=100_000_000))


@pytest.mark.parametrize(
    ("source", "error", "kind", "status", "text"),
    [
        ("error('broken')", "ScriptError", "error", 1, "main.lus:1: broken\nstack traceback:\n\t"),
        ("worker.create('w.lus')", "ScriptError", "unreceived", 1, "nobody received its error: w.lus:1: below"),
        ("os.getenv('HOME')", "PermissionDeniedError", "denied", 77, "(grant it with -P env=HOME)"),
        ("x =", "ScriptLoadError", "load", 126, "main.lus:1:"),
        ("local t = {} while true do t[#t + 1] = {t} end", "MemoryLimitError", "memory", 137, "memory limit"),
        (LOOP, "TimeLimitError", "cpu", 124, "cpu limit exceeded"),
        ("io.write(('x'):rep(2000))", "LimitError", "output", 123, "output limit exceeded"),
        ("worker.receive(worker.create('p.lus'))", "DeadlockError", "deadlock", 70, "p.lus:1 waits for"),
    ],
)
def test_an_end_that_is_no_good_one_is_an_error_with_all_that_is_known(  # noqa: PLR0913, PLR0917  the columns above
    runtime, tmp_path, monkeypatch, source, error, kind, status, text
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.lus").write_text("error('below')")
    (tmp_path / "p.lus").write_text("worker.peek()")
    limits = luspool.Limits(LIMITS.state, luspool.TreeLimits(output=1000)) if kind == "output" else LIMITS
    job = submit(runtime, f"io.stderr:write('x') {source}", limits=limits, pledges=["load", "fs:read=."])
    with pytest.raises(getattr(luspool, error)) as caught:
        job.result(PATIENCE)
    found = caught.value
    assert isinstance(found, luspool.JobError)
    assert (found.result.kind, found.result.status, type(found).exit_status) == (kind, status, status)
    assert text in str(found) == found.result.failure
    assert found.result.stderr == (b"" if kind == "load" else b"x")
    again = job.exception()
    assert again is not found
    copy = pickle.loads(pickle.dumps(found))  # noqa: S301  our own
    for other in (again, copy):
        assert (type(other), other.result, str(other)) == (type(found), found.result, str(found))


def test_an_exit_is_a_good_end_whatever_its_status(runtime):
    assert submit(runtime, "os.exit(3)").result(PATIENCE).status == 3
    assert submit(runtime, "os.exit(0)").exception(PATIENCE) is None


def test_errors_without_a_job_can_be_pickled_too():
    for name in luspool.__all__:
        kind = getattr(luspool, name)
        if isinstance(kind, type) and issubclass(kind, luspool.LuspoolError) and not issubclass(kind, luspool.JobError):
            copy = pickle.loads(pickle.dumps(kind("text")))  # noqa: S301  our own
            assert (type(copy), str(copy)) == (kind, "text")


def test_a_job_whose_process_dies_has_crashed_and_the_next_ones_run(runtime):
    job = submit(runtime, f"worker.message(1) {LOOP}")
    assert job.receive(PATIENCE) == 1
    (lane,) = runtime._crew._engine._lanes
    os.kill(lane.host.process.pid, signal.SIGKILL)
    with pytest.raises(luspool.CrashedError, match="SIGKILL") as caught:
        job.result(PATIENCE)
    assert isinstance(caught.value, luspool.HostFailedError)
    assert caught.value.result.kind == "crashed"
    assert submit(runtime, "print(1)").result(PATIENCE).stdout == b"1\n"


# --- cancelling and waiting ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [f"worker.message(1) {LOOP}", "worker.message(1) worker.peek()"])
def test_a_job_that_runs_is_cancelled_and_what_it_had_sent_is_there(runtime, source):
    job = submit(runtime, f"io.stderr:write('out\\n') {source}")
    job._core.until(lambda: (1,) if job._core._mail.outbox.used else None, PATIENCE)
    job.cancel()
    job.cancel()
    with pytest.raises(luspool.JobCancelledError) as caught:
        job.result(PATIENCE)
    assert (caught.value.result.kind, caught.value.result.status) == ("cancelled", 130)
    assert caught.value.result.stderr == b"out\n"
    assert job.receive(PATIENCE) == 1
    with pytest.raises(luspool.JobCancelledError):
        job.receive(PATIENCE)
    assert job.send(1) is False
    assert submit(runtime, "print(1)").result(PATIENCE).stdout == b"1\n"


def test_a_job_that_waits_for_its_turn_is_cancelled_at_once_and_never_begins(runtime, tmp_path):
    first = submit(runtime, f"worker.message(1) {LOOP}")
    first.receive(PATIENCE)
    waiting = [submit(runtime, "host.begun()", pledges=["host"]) for _ in range(20)]
    assert {job.status for job in waiting} == {"queued"}
    for job in waiting[:19]:
        job.cancel()
        assert job.status == "ended"
        assert job.exception(0).result.kind == "cancelled"
    with waiting[19]:
        pass
    assert isinstance(waiting[19].exception(0), luspool.JobCancelledError)
    with pytest.raises(TimeoutError, match="it is running"):
        first.result(0)
    first.cancel()
    assert submit(runtime, "print(1)").result(PATIENCE).stdout == b"1\n"


def test_a_timeout_says_what_the_job_waits_for(runtime):
    job = submit(runtime, "worker.message(1) worker.peek()")
    job.receive(PATIENCE)
    job._core.until(lambda: (1,) if job._core._mail.waits_for_mail else None, PATIENCE)
    with pytest.raises(TimeoutError, match=r"main\.lus: not in 0 s; it waits for a message \(send, send_eof\)"):
        job.result(0)
    with pytest.raises(TimeoutError, match="not in nan s"):
        job.receive(timeout=float("nan"))
    with pytest.raises(TimeoutError, match="it is queued"):
        submit(runtime, "").receive(0)
    job.cancel()


def test_many_threads_share_a_job(runtime):
    """Each message arrives once."""
    job = submit(runtime, ECHO)
    received, lock = [], threading.Lock()

    def receive():
        for message in job:
            with lock:
                received.append(message)

    def send(first):
        for number in range(first, first + 30):
            job.send(number)

    receivers = [threading.Thread(target=receive) for _ in range(4)]
    senders = [threading.Thread(target=send, args=(1000 * number,)) for number in range(4)]
    for thread in (*receivers, *senders):
        thread.start()
    for thread in senders:
        thread.join()
    job.send_eof()
    for thread in receivers:
        thread.join()
    assert sorted(received) == [1000 * number + at for number in range(4) for at in range(30)]


# --- what a runtime is to its jobs --------------------------------------------------------------------------------


def test_jobs_run_in_order_and_as_many_at_a_time_as_the_runtime_says():
    order, begun = [], threading.Semaphore(0)
    go = threading.Event()

    def began(number):
        order.append(number)
        begun.release()
        assert go.wait(PATIENCE)

    with luspool.Runtime({"began": began}, jobs=2) as runtime:
        jobs = [submit(runtime, "host.began(...)", number, pledges=["host"]) for number in range(6)]
        for _ in range(2):
            assert begun.acquire(timeout=PATIENCE)
        assert [job.status for job in jobs] == ["running"] * 2 + ["queued"] * 4
        go.set()
        for job in jobs:
            job.result(PATIENCE)
    assert set(order[:2]) == {0, 1}
    assert set(order[2:4]) <= {2, 3, 4}
    assert sorted(order) == list(range(6))


def test_jobs_with_other_rights_get_hosts_of_their_own_and_nobody_waits_for_ever(runtime, monkeypatch):
    """One job at a time: those of one kind keep coming, and one of another has its turn all the same."""
    monkeypatch.setattr("luspool.batch.local._PASSED_MOST", 5)
    common = [submit(runtime, "print(1)") for _ in range(3)]
    other = submit(runtime, "print(os.getenv('X'))", pledges=["env=X"])
    passed = 0
    while other.status == "queued":
        common.append(submit(runtime, "print(1)"))
        common[-1].result(PATIENCE)
        passed += 1
        assert passed < 1000
    assert other.result(PATIENCE).stdout == b"nil\n"


def test_functions_are_called_and_one_job_sees_nothing_of_another():
    with luspool.Runtime({"add": lambda a, b: a + b}, environment={"A": "a"}, jobs=1) as runtime:
        one = submit(runtime, "x = 1 print(host.add(1, 2), os.getenv('A'))", pledges=["host:add", "env=A"])
        other = submit(runtime, "print(x, pcall(host.add, 1, 2))", pledges=["host:add", "env=A"])
        assert one.result(PATIENCE).stdout == b"3\ta\n"
        assert other.result(PATIENCE).stdout == b"nil\ttrue\t3\n"
        denied = submit(runtime, "host.add(1, 2)", pledges=["host:ad"])
        assert isinstance(denied.exception(PATIENCE), luspool.PermissionDeniedError)
        missing = submit(runtime, "print(pcall(host.none))", pledges=["host"])
        assert b"there is no function host.none" in missing.result(PATIENCE).stdout


def test_a_function_may_outlive_its_job_and_its_reply_reaches_no_other():
    begun, go = threading.Event(), threading.Event()

    def stay():
        begun.set()
        assert go.wait(PATIENCE)
        return "late"

    with luspool.Runtime({"stay": stay, "now": lambda: "now"}, jobs=1) as runtime:
        job = submit(runtime, "host.stay()", pledges=["host"])
        assert begun.wait(PATIENCE)
        job.cancel()
        assert isinstance(job.exception(PATIENCE), luspool.JobCancelledError)
        other = submit(runtime, "print(host.now())", pledges=["host"])
        assert other.result(PATIENCE).stdout == b"now\n"
        go.set()


def test_limits_only_narrow(runtime):
    wide = luspool.Limits(luspool.StateLimits(memory=1 << 40, cpu=10**18), luspool.TreeLimits(output=1 << 40))
    with luspool.Runtime(limits=LIMITS) as narrow:
        job = submit(narrow, LOOP, limits=wide)
        assert isinstance(job.exception(PATIENCE), luspool.TimeLimitError)


def test_input_and_files(runtime, tmp_path):
    (tmp_path / "main.lus").write_text("print(io.read('a'), ...)")
    assert runtime.submit(tmp_path / "main.lus", 1, stdin=b"in").result(PATIENCE).stdout == b"in\t1\n"


def test_a_submission_that_is_wrong_is_an_error(runtime, tmp_path):
    with pytest.raises(luspool.NotFoundError):
        runtime.submit(tmp_path / "missing.lus")
    with pytest.raises(luspool.UsageError, match="argument #1: cannot copy"):
        submit(runtime, "", print)
    with pytest.raises(luspool.UsageError, match="fs:read"):
        submit(runtime, "", pledges=["fs:raed"])
    with pytest.raises(luspool.UsageError, match="at least one job at a time, not 0"):
        luspool.Runtime(jobs=0)
    with luspool.Runtime(hosts=2) as several, pytest.raises(luspool.UsageError, match="a job has one process"):
        submit(several, "")
    assert threading.active_count() == 1


def test_closing_ends_all_jobs():
    runtime = luspool.Runtime(jobs=1)
    jobs = [submit(runtime, f"worker.message(1) {LOOP}") for _ in range(3)]
    assert jobs[0].receive(PATIENCE) == 1
    waiting = threading.Thread(target=jobs[2].exception)
    waiting.start()
    runtime.close()
    runtime.close()
    waiting.join()
    for job in jobs:
        with pytest.raises(luspool.ClosedError, match=r"the luspool\.Runtime of this job was closed"):
            job.result(PATIENCE)
    with pytest.raises(luspool.ClosedError):
        submit(runtime, "")


def test_a_function_may_close_the_runtime_that_it_is_called_by():
    closed = threading.Event()

    def close():
        runtime.close()
        closed.set()

    runtime = luspool.Runtime({"close": close}, jobs=1)
    job = submit(runtime, "host.close()", pledges=["host"])
    assert isinstance(job.exception(PATIENCE), luspool.ClosedError)
    assert closed.wait(PATIENCE)
    runtime.close()


def test_a_runtime_that_is_forgotten_does_what_it_was_given_and_is_gone():
    jobs = [submit(luspool.Runtime(jobs=1), "worker.message(1) worker.message(worker.peek())") for _ in range(2)]
    for job in jobs:
        job.send("on")
        assert list(job) == [1, "on"]
    for thread in threading.enumerate():
        if thread.name == "luspool-jobs":
            thread.join(PATIENCE)


def test_where_no_process_can_be_started_the_jobs_say_so(runtime, monkeypatch):
    monkeypatch.setattr("luspool.batch.local.host_command", lambda: ["/bin/false"])
    job = submit(runtime, "")
    with pytest.raises(luspool.HostFailedError, match="no process that runs scripts can be started"):
        job.result(PATIENCE)
    monkeypatch.undo()
    assert submit(runtime, "print(1)").result(PATIENCE).stdout == b"1\n"


def test_where_a_job_can_not_be_cancelled_all_are_told_why_and_the_next_ones_run(runtime, monkeypatch):
    job = submit(runtime, "worker.message(1) while true do end")
    assert job.receive(PATIENCE) == 1

    def cancel_one(engine, number):
        raise OSError(errno.EIO, "oops")

    monkeypatch.setattr("luspool.batch.local.LocalEngine.cancel_one", cancel_one)
    job.cancel()
    with pytest.raises(luspool.HostFailedError, match="oops"):
        job.result(PATIENCE)
    monkeypatch.undo()
    assert submit(runtime, "print(1)").result(PATIENCE).stdout == b"1\n"


def test_where_no_descriptors_are_left_what_runs_goes_on_and_the_others_wait_or_say_so():
    with luspool.Runtime(jobs=2) as runtime:
        job = submit(runtime, "worker.message(1) worker.message(worker.peek())")
        assert job.receive(PATIENCE) == 1
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1, hard))
        try:
            others = [submit(runtime, "", pledges=["env=A"]) for _ in range(3)]
            job.send("on")
            assert list(job) == ["on"]
            assert job.exception(PATIENCE) is None
            errors = [other.exception(PATIENCE) for other in others]
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert {type(error) for error in errors} == {luspool.HostFailedError}
        assert submit(runtime, "print(1)").result(PATIENCE).stdout == b"1\n"


def test_a_process_that_sends_what_is_no_message_is_ended(runtime):
    job = submit(runtime, "worker.message(1) worker.peek()")
    core = job._core
    assert job.receive(PATIENCE) == 1
    with core.changed:
        core._mail.outbox.put(b"nonsense")
    with pytest.raises(luspool.HostFailedError, match="has sent what is no message"):
        job.receive(PATIENCE)
    assert isinstance(job.exception(PATIENCE), luspool.JobCancelledError)


def test_what_there_is_to_know_of_how_a_job_is_run_is_a_warning_where_it_is_waited_for(runtime):
    job = submit(runtime, "worker.message(1)")
    job._core.until(job._core.ended, PATIENCE)
    job._core.notice("there is no wall")
    with pytest.warns(RuntimeWarning, match="there is no wall"):
        assert job.receive() == 1
    job.result()  # once is enough


def test_a_host_that_sends_more_than_its_script_may_is_ended(runtime):
    """The host counts what is sent; should a script rule there, the program counts as well."""
    job = submit(runtime, "worker.message(1) worker.peek() worker.message(('x'):rep(100)) worker.peek()")
    assert job.receive(PATIENCE) == 1
    with job._core.changed:
        job._core._mail._most = 200
    job.send("on")
    with pytest.raises(luspool.CrashedError, match="more messages than its limit on output allows"):
        job.result(PATIENCE)
    assert submit(runtime, "print(1)").result(PATIENCE).stdout == b"1\n"


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"stdin": "text"}, "standard input is bytes, not str"),
        ({"script": "\ud800.lus"}, r"the name '\\ud800\.lus' has half a surrogate pair"),
        ({"source": "print('\ud800')"}, r"the source of main\.lus has half a surrogate pair"),
        ({"limits": luspool.Limits(luspool.StateLimits(cpu=1e9))}, r"a limit of 1000000000\.0 \(cpu\)"),
        ({"limits": luspool.Limits(tree=luspool.TreeLimits(memory=-1))}, r"a limit of -1 \(memory\)"),
    ],
)
def test_what_is_wrong_with_a_job_is_told_to_who_submits_it_and_no_other_feels_it(wrong, problem):
    with luspool.Runtime(jobs=2) as runtime:
        other = runtime.submit("other.lus", source="worker.message(worker.peek())")
        with pytest.raises(luspool.UsageError, match=problem):
            runtime.submit(**{"script": "main.lus", "source": "", **wrong}).result(PATIENCE)
        other.send("on")
        assert other.receive(PATIENCE) == "on"
