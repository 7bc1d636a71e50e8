"""`luspool run --trace` as a user meets it."""

import os
import select
import signal
import stat
from contextlib import contextmanager

import pytest

from ..cli.conftest import luspool  # noqa: F401  a fixture
from .trace_format import count, read, read_cut

RIGHTS = ["-P", "load", "-P", "fs:read=."]
MAIN = """
local a, b = worker.create("w.lus", 1), worker.create("w.lus", 2)
worker.send(a, "x")
worker.send(b, "y")
print(worker.receive(a))
print(worker.receive(b))
pcall(worker.receive, b)
"""
WORKER = """
worker.message(worker.peek() .. ...)
if ... == 2 then error("boom") end
"""


@pytest.fixture
def program(luspool):  # noqa: F811
    luspool.write(main=MAIN, w=WORKER)
    return luspool


def trace(luspool, *arguments, status=0):  # noqa: F811
    result = luspool("run", "--trace", "trace.json", *arguments, errors="surrogateescape")
    assert result.returncode == status, result.stderr
    return read(luspool.directory.joinpath("trace.json").read_text())


def shape(events):
    """What does not depend on when it was, with one process that runs scripts, in the order of the trace.

    A step that took long is the same as another, and what is counted now and then is left out.
    """
    begun, numbers, lines = {}, {}, []
    for event in events:
        if event["ph"] == "B":
            begun[event["tid"]] = event["args"]
        elif event["ph"] == "E":
            begun.pop(event["tid"]).update(event["args"])
    for event in events:
        if event["ph"] in "MCE" or event["cat"] == "run":
            continue
        words = [event["ph"].replace("B", "X"), event["name"]]
        words += [f"{name}={value}" for name, value in event.get("args", {}).items()]
        if "id" in event:
            words.append(f"#{numbers.setdefault((event['cat'] == 'state', event['id']), len(numbers) + 1)}")
        lines.append(" ".join(words))
    return lines


def test_the_trace_of_a_small_program_has_this_shape(program):
    events = trace(program, "--threads", "1", "--slice", "0", *RIGHTS, "main.lus")
    assert shape(events) == [
        "X main.lus state=1 end=waits for a message from its workers",
        "b main.lus (1) #1",
        "i create state=1 worker=2",
        "s birth #2",
        "i create state=1 worker=3",
        "s birth #3",
        "s message #4",
        "s message #5",
        "b waits for a message from its workers #1",
        "X w.lus state=2 end=returned",
        "b w.lus (2) #6",
        "f birth #2",
        "f message #4",
        "s message #7",
        "e waits for a message from its workers #1",
        "e w.lus (2) end=returned #6",
        "X main.lus state=1 end=waits for a message from its workers",
        "f message #7",
        "b waits for a message from its workers #1",
        "X w.lus state=3 end=error",
        "b w.lus (3) #8",
        "f birth #3",
        "f message #5",
        "s message #9",
        "e waits for a message from its workers #1",
        "i failed: error state=3 error=w.lus:3: boom",
        "e w.lus (3) end=error #8",
        "X main.lus state=1 end=returned",
        "f message #9",
        "e main.lus (1) end=returned #1",
    ]


def test_processes_and_threads_are_named_and_the_run_is_told(program):
    events = trace(program, "--threads", "2", *RIGHTS, "main.lus")
    names = [event["args"]["name"] for event in events if event.get("name") in ("process_name", "thread_name")]
    assert {"luspool", "supervisor", "host 1", "executor 1"} <= set(names)
    (begin,) = [event for event in events if event.get("name") == "run"]
    assert (begin["args"]["script"], begin["args"]["hosts"], begin["args"]["threads"]) == ("main.lus", 1, 2)
    assert events[-1]["args"] == {"status": 0}


@pytest.mark.parametrize("layout", [("--threads", "4"), ("--hosts", "3", "--placement", "spread")], ids=str)
@pytest.mark.parametrize("mechanism", ["signal", "hook"])
def test_every_message_and_birth_is_an_arrow_however_states_are_placed(luspool, layout, mechanism):  # noqa: F811
    luspool.environment["LUSPOOL_PREEMPTION"] = mechanism
    luspool.write(
        main="""
        local w = {}
        for i = 1, 6 do w[i] = worker.create("w.lus") end
        for j = 1, 50 do for i = 1, 6 do worker.send(w[i], j) end end
        for i = 1, 6 do for j = 1, 50 do assert(worker.receive(w[i]) == j) end end
        """,
        w='local deeper = worker.create("d.lus") for i = 1, 50 do worker.message(worker.peek()) end',
        d="return",
    )
    events = trace(luspool, *layout, *RIGHTS, "main.lus")
    assert count(events, ph="s", cat="message") == 600
    assert count(events, ph="s", cat="birth") == 12
    assert count(events, ph="i", name="create") == 12
    ended = [event["args"]["end"] for event in events if event["ph"] == "e" and "args" in event]
    assert ended == ["returned"] * 13
    hosts = {event["pid"] for event in events if event["ph"] in "XB"}
    assert len(hosts) == (3 if "--hosts" in layout else 1)
    across = {}
    for event in events:
        if event["ph"] in "sf" and event["cat"] == "message":
            across.setdefault(event["id"], set()).add(event["pid"])
    assert any(len(pids) == 2 for pids in across.values()) is (len(hosts) > 1)


def test_full_mailboxes_cancelled_workers_and_handles_that_are_lost_leave_no_arrow_without_an_end(luspool):  # noqa: F811
    luspool.write(
        main="""
        local talks, hears = worker.create("talks.lus"), worker.create("hears.lus")
        for i = 1, 100 do worker.receive(talks) worker.send(hears, ("x"):rep(1000)) end
        worker.cancel(talks)
        worker.send(talks, 1)
        for i = 1, 200 do worker.create("dead.lus") end
        """,
        talks='while true do worker.message(("x"):rep(1000)) end',
        hears="for i = 1, 100 do worker.peek() end while true do worker.peek() end",
        dead="worker.message(1)",
    )
    events = trace(luspool, "--mailbox", "5K", *RIGHTS, "main.lus")
    assert count(events, ph="b", name="waits for room for a message to its parent") > 0
    assert count(events, ph="s", cat="message") >= 200


@pytest.mark.parametrize(
    ("source", "options", "status", "end"),
    [
        ("io.open('/etc/passwd')", (), 77, "denied"),
        ("local t = {} while true do t[#t + 1] = ('x'):rep(1000) end", ("--memory", "1M"), 137, "memory"),
        ("while true do end", ("--cpu", "100ms"), 124, "cpu"),
        ("worker.receive(worker.create('w.lus'))", (), 70, "deadlock"),
        ("os.exit(3)", (), 3, "exited"),
        ("local a <", (), 126, "load"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "",
)
def test_how_a_state_has_ended_is_in_the_trace(luspool, source, options, status, end):  # noqa: F811
    luspool.write(main=source, w="worker.peek()")
    events = trace(luspool, *RIGHTS, *options, "main.lus", status=status)
    (life,) = [event for event in events if event["ph"] == "e" and event["name"] == "main.lus (1)"]
    assert life["args"]["end"] == end
    assert events[-1]["args"] == {"status": status}


def test_a_state_that_does_not_come_out_of_a_call_has_an_end_all_the_same(luspool):  # noqa: F811
    luspool.write(
        main="""
        local t = setmetatable({}, {__mode = "k"})
        local x = t
        for i = 1, 100000 do local y = {} t[x] = y x = y end
        collectgarbage()
        """
    )
    events = trace(luspool, "--cpu", "300ms", "main.lus", status=124)
    assert count(events, ph="B", name="main.lus") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_leaves_a_whole_trace_of_what_went_on(luspool, number):  # noqa: F811
    luspool.write(main="print('begun') local w = worker.create('w.lus') while true do end", w="worker.peek()")
    with started(luspool, "run", "--trace", "trace.json", *RIGHTS, "--threads", "2", "main.lus") as running:
        assert running.stdout.readline() == b"begun\n"
        wait_for(luspool, running, '"ph":"B"')
        running.send_signal(number)
        assert running.wait(60) == 128 + number
    events = read(luspool.directory.joinpath("trace.json").read_text())
    ends = {event["name"]: event["args"]["end"] for event in events if event["ph"] == "e" and "args" in event}
    assert ends == {"main.lus (1)": "unknown", "w.lus (2)": "unknown"}
    assert count(events, ph="b", name="waits for a message from its parent") == 1
    assert events[-1]["args"] == {"status": None}


@contextmanager
def started(luspool, *arguments):  # noqa: F811
    """A run that is ended whatever happens."""
    with luspool.start(*arguments) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(luspool, process, text):  # noqa: F811
    """Until this is in the trace, which is read now and then; not in a loop that takes the processor from the run."""
    path = luspool.directory.joinpath("trace.json")
    end = os.pidfd_open(process.pid)
    try:
        while not path.exists() or text not in path.read_text():
            assert not select.select([end], [], [], 0.02)[0], "it has ended"
    finally:
        os.close(end)


def test_of_a_run_that_is_killed_all_lines_but_the_last_are_whole(luspool):  # noqa: F811
    luspool.write(main="while true do local w = worker.create('w.lus') worker.receive(w) end", w="worker.message(1)")
    with started(luspool, "run", "--trace", "trace.json", *RIGHTS, "main.lus") as running:
        wait_for(luspool, running, '"ph":"X"')
        running.kill()
    events = read_cut(luspool.directory.joinpath("trace.json").read_text())
    assert count(events, ph="X") > 0
    while luspool.processes():  # its hosts have noticed, and end
        os.sched_yield()


def test_a_host_that_dies_ends_what_it_had_begun_and_the_trace_goes_on(luspool):  # noqa: F811
    luspool.write(
        main="""
        local w = worker.create("w.lus")
        pcall(worker.receive, w)
        print("died")
        print(worker.receive(worker.create("x.lus")))
        """,
        w="while true do end",
        x="worker.message('fine')",
    )
    arguments = ("--hosts", "2", "--placement", "spread", *RIGHTS)
    with started(luspool, "run", "--trace", "trace.json", *arguments, "main.lus") as running:
        wait_for(luspool, running, '"ph":"B"')
        begun = read_cut(luspool.directory.joinpath("trace.json").read_text())
        (victim,) = {event["pid"] for event in begun if event["ph"] == "B" and event["name"] == "w.lus"}
        os.kill(victim, signal.SIGKILL)
        assert running.stdout.readline() == b"died\n"
        assert running.stdout.readline() == b"fine\n"
        assert running.wait(60) == 0
    events = read(luspool.directory.joinpath("trace.json").read_text())
    (end,) = [event for event in events if event["ph"] == "E" and event["pid"] == victim]
    assert end["args"]["end"] == "unknown"
    (fine,) = [event for event in events if event["ph"] == "b" and event["name"].startswith("x.lus")]
    assert end["ts"] < fine["ts"]


# the file ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("none/trace", "No such file or directory"),
        (".", "Is a directory"),
        ("main.lus", "would replace main.lus"),
        ("pipe", "nobody reads this pipe"),
    ],
)
def test_a_file_that_can_not_be_a_trace_is_told_before_anything_runs(luspool, name, why):  # noqa: F811
    luspool.write(main="print('ran')")
    os.mkfifo(luspool.directory / "pipe")
    result = luspool("run", "--trace", name, "main.lus")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"luspool: {'the' if 'replace' in why else 'cannot write the'} trace {name}")
    assert why in result.stderr
    assert "\n" not in result.stderr.strip()


def test_an_audit_log_is_no_trace(luspool):  # noqa: F811
    luspool.write(main="print('ran')")
    result = luspool("run", "--trace", "same", "--audit", "same", "main.lus")
    assert (result.returncode, result.stdout) == (2, "")
    assert "would replace same" in result.stderr


def test_a_full_disk_ends_the_run(luspool):  # noqa: F811
    luspool.write(main="for i = 1, 1e9 do worker.receive(worker.create('w.lus')) end", w="return")
    result = luspool("run", "--trace", "/dev/full", *RIGHTS, "main.lus")
    assert result.returncode == 125
    assert result.stderr == (
        "luspool: cannot write the trace /dev/full: No space left on device (the run was ended, since it is to be "
        "traced)\n"
    )


def test_a_reader_that_leaves_ends_the_run(luspool):  # noqa: F811
    luspool.write(main="while true do worker.receive(worker.create('w.lus')) end", w="return")
    pipe = luspool.directory / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with started(luspool, "run", "--trace", "pipe", *RIGHTS, "main.lus") as running:
        assert select.select([reader], [], [], 60)[0]
        assert os.read(reader, 1) == b"["
        os.close(reader)
        assert running.wait(60) == 125
        assert b"nobody reads it any more" in running.stderr.read()


def test_the_environment_names_a_file_too_and_an_old_one_is_replaced(luspool):  # noqa: F811
    luspool.environment["LUSPOOL_TRACE"] = "trace.json"
    luspool.directory.joinpath("trace.json").write_text("old\n" * 10_000)
    luspool.write(main="print(os.getenv('LUSPOOL_TRACE'))")
    assert luspool("run", "-P", "env", "main.lus").stdout == "nil\n"
    path = luspool.directory / "trace.json"
    read(path.read_text())
    assert stat.S_ISREG(path.stat().st_mode)


def test_what_scripts_call_themselves_and_say_can_not_leave_its_place(luspool):  # noqa: F811
    name = '"},\n{\x1b[2J\u202e\udcff.lus'
    luspool.directory.joinpath(name).write_text(
        'error(\'\\u{1b}"}]\\n\\xff\' .. ("x"):rep(1e6))', "utf-8", "surrogateescape"
    )
    events = trace(luspool, name, status=1)
    (failed,) = [event for event in events if event.get("name") == "failed: error"]
    text = failed["args"]["error"]
    assert text.isprintable()
    assert len(text) < 1000
    assert all(event["name"].isprintable() for event in events if "name" in event)
