"""`luspool batch` as a user meets it."""

import csv
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading

import pytest

WAITS = "while not io.open('go') do end print('went')"
"""Until there is a file of this name, which it may look for with READ."""
READ = ("-P", "fs:read=.")
ENDS = {
    "ok": ("print('fine', ...)", "completed", 0),
    "bad": ("error('boom')", "failed", 1),
    "denied": ("io.open('/etc/passwd')", "denied", 77),
    "loop": ("while true do end", "timeout", 124),
    "memory": ("local t = {} for i = 1, math.huge do t[i] = ('x'):rep(1000) .. i end", "memory", 137),
    "syntax": ("x = = 1", "failed", 126),
}


def export(luspool, *arguments):
    done = luspool("batch", "export", *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def statuses(luspool, *arguments):
    return {record["script"]: record["status"] for record in export(luspool, *arguments)}


def test_every_end_is_in_the_ledger_and_in_the_summary(luspool):
    luspool.write(**{name: text for name, (text, _, _) in ENDS.items()})
    done = luspool("batch", ".", "--cpu", "300ms", "--memory", "1M", "--arg", "one")
    assert done.returncode == 1
    assert done.stdout == ""
    records = export(luspool)
    assert {record["script"]: (record["status"], record["exit_status"]) for record in records} == {
        f"./{name}.lus": (status, exit_status) for name, (_, status, exit_status) in ENDS.items()
    }
    assert [record["number"] for record in records] == list(range(1, 7))
    assert next(record["stdout"] for record in records if record["status"] == "completed") == "fine\tone\n"
    assert "  1  completed" in done.stderr
    assert "1  failed: boom (./bad.lus)" in done.stderr
    assert "luspool: denied: item 2, ./denied.lus one: permission \"fs:read\" denied for '/etc/passwd'" in done.stderr


def test_scripts_that_may_write_the_policy_or_the_ledger_are_warned_of(luspool):
    luspool.write(a="")
    luspool.directory.joinpath("team.toml").write_text('set.a.pledge = ["fs:write=./*.toml"]')
    done = luspool("batch", "a.lus", "--policy", "team.toml", "--allow", "fs:write=batch.db", "--ledger", "batch.db")
    warnings = [line.split(": ")[2] for line in done.stderr.splitlines() if "warning" in line]
    assert warnings == [
        f"a script may write {what}, {luspool.directory}/{name}"
        for what, name in (("the ledger of the batch", "batch.db"), ("the policy of the batch", "team.toml"))
    ]
    assert "warning" not in luspool("batch", "a.lus").stderr


def test_all_that_complete_is_a_success(luspool):
    luspool.write(a="print(1)", b="print(2)")
    done = luspool("batch", "a.lus", "b.lus")
    assert done.returncode == 0
    assert luspool("batch", "results", "--output").stdout == "1\n2\n"
    assert "2  completed" in luspool("batch", "status").stdout
    assert json.loads(luspool("batch", "status", "--json").stdout)["items"] == {"completed": 2}


def test_items_of_json_lines_have_what_they_ask_for(luspool):
    luspool.write(a="print(io.read(), os.getenv('A'), ...)", loop="while true do end", plain="print(os.getenv('A'))")
    lines = [
        {"script": "a.lus", "args": ["x", "y"], "stdin": "in\n", "pledges": ["env=A"], "env": {"A": "b"}},
        {"script": "loop.lus", "limits": {"cpu": "50ms"}},
        {"script": "plain.lus", "env": {"A": "b"}},
    ]
    text = "\n".join(map(json.dumps, lines))
    done = luspool("batch", "--items", "-", "--allow", "env", input=text)
    assert done.returncode == 1
    assert [record["status"] for record in export(luspool)] == ["completed", "timeout", "denied"]
    assert export(luspool)[0]["stdout"] == "in\tb\tx\ty\n"


def test_a_bad_line_is_told_and_nothing_is_run(luspool):
    luspool.write(a="print(1)")
    luspool.directory.joinpath("items").write_text('{"script": "a.lus"}\n{"scrip": "a.lus"}\n', encoding="utf-8")
    done = luspool("batch", "--items", "items")
    assert done.returncode == 2
    assert done.stderr == 'luspool: items:2: unknown key "scrip" (did you mean script?)\n'
    assert "has no runs" in luspool("batch", "status").stderr


@pytest.mark.parametrize(
    ("arguments", "status", "problem"),
    [
        ((), 2, "Usage"),
        (("--retries", "1"), 2, "nothing to run"),
        (("none.lus",), 127, "no such script: none.lus"),
        (("a.lus", "-P", "nonsense"), 2, "nonsense"),
        (("a.lus", "--halt", "later"), 2, "never, soon,fail=N"),
        (("a.lus", "--ledger", "a.lus"), 2, "a.lus is no ledger of luspool's"),
        (("a.lus", "--ledger", "none/x"), 125, "cannot use the ledger none/x"),
        (("-", "--items", "-"), 2, "can be read once"),
        (("a.lus", "--policy", "none.toml"), 2, "none.toml"),
        (("status",), 2, "there is no ledger luspool-batch.sqlite"),
        (("results", "--status", "fine", "--ledger", "a.lus"), 2, "'fine' is no status"),
    ],
)
def test_what_is_wrong_is_told(luspool, arguments, status, problem):
    luspool.write(a="print('a script that is longer than the first page of any database')" * 100)
    done = luspool("batch", *arguments)
    assert done.returncode == status
    assert problem in done.stderr
    assert "Traceback" not in done.stderr


def test_a_script_that_is_not_there_fails_alone(luspool):
    luspool.write(a="print(1)")
    done = luspool("batch", "-", input="a.lus\nnone.lus\n")
    assert done.returncode == 1
    assert statuses(luspool) == {"a.lus": "completed", "none.lus": "failed"}
    assert export(luspool)[1]["exit_status"] == 127


def test_the_exports_are_for_other_programs(luspool):
    luspool.write(a="print('x,y')", b="os.exit(3)")
    luspool("batch", "a.lus", "b.lus", "-q")
    rows = list(csv.DictReader(luspool("batch", "export", "--format", "csv").stdout.splitlines()))
    assert [(row["script"], row["status"]) for row in rows] == [("a.lus", "completed"), ("b.lus", "failed")]
    _, *lines = luspool("batch", "export", "--format", "joblog").stdout.splitlines()
    assert [(line.split("\t")[0], line.split("\t")[6]) for line in lines] == [("1", "0"), ("2", "3")]
    assert [record["number"] for record in export(luspool, "--status", "failed")] == [2]


def test_a_line_of_json_for_each_item(luspool):
    luspool.write(a="print(1)", b="error('boom')")
    done = luspool("batch", "a.lus", "b.lus", "--json", "-q")
    records = {record["script"]: record for record in map(json.loads, done.stdout.splitlines())}
    assert records["a.lus"]["status"] == "completed"
    assert records["b.lus"]["failure"].startswith("b.lus:1: boom")


def test_resuming_skips_what_is_done_by_content(luspool):
    luspool.write(a="print(1)", b="error('boom')", c="require('m')", m="return 1")
    flags = ("-P", "load", "-P", "fs:read=.", "--json", "-q")
    luspool("batch", "a.lus", "b.lus", "c.lus", *flags)

    def run_again(*arguments):
        return sorted(json.loads(line)["script"] for line in luspool("batch", *arguments, *flags).stdout.splitlines())

    # In another order, and with a new one.
    luspool.write(d="print(4)")
    assert run_again("c.lus", "d.lus", "b.lus", "a.lus", "--resume") == ["d.lus"]
    assert sorted(record["status"] for record in export(luspool)) == ["completed"] * 3 + ["failed"]
    assert run_again("a.lus", "b.lus", "c.lus", "--retry-failed") == ["b.lus"]
    luspool.write(m="return 2")
    assert run_again("a.lus", "b.lus", "c.lus", "--resume") == ["c.lus"]
    assert run_again("a.lus", "b.lus", "--arg", "x", "--resume") == ["a.lus", "b.lus"]
    assert run_again("a.lus", "b.lus", "--memory", "1M", "--resume") == ["a.lus", "b.lus"]
    # The same item twice is two items.
    assert run_again("a.lus", "a.lus", "a.lus", "--resume") == ["a.lus"] * 2


def test_an_audit_log_for_each_item_is_named_in_the_ledger(luspool):
    luspool.write(a="pcall(os.getenv, 'A')", b="io.open('/etc/passwd')", c="x = = 1")
    done = luspool("batch", "a.lus", "b.lus", "c.lus", "--audit", "logs", "--json", "-q")
    records = {record["script"]: record["audit"] for record in map(json.loads, done.stdout.splitlines())}
    assert records == {record["script"]: record["audit"] for record in export(luspool)}
    logs = luspool.directory.resolve() / "logs"
    assert sorted(map(str, logs.glob("*/*.jsonl"))) == sorted(records.values())
    assert records["a.lus"].startswith(f"{logs}/1/")
    assert records["b.lus"] in luspool("batch", "results").stdout
    report = luspool("audit", "report", "--json", *sorted(records.values()))
    assert [(run["script"], run["denied"], run["status"]) for run in json.loads(report.stdout)["runs"]] == [
        ("a.lus", 1, 0),
        ("b.lus", 1, 77),
        ("c.lus", 0, 126),
    ]


def test_resuming_with_an_audit_runs_again_what_has_no_log(luspool):
    luspool.write(a="print(1)", b="error('boom')")
    flags = ("--json", "-q", "--resume")

    def run_again(*arguments):
        return sorted(json.loads(line)["script"] for line in luspool("batch", *arguments, *flags).stdout.splitlines())

    assert run_again("a.lus") == ["a.lus"]
    assert run_again("a.lus", "b.lus", "--audit", "logs") == ["a.lus", "b.lus"]
    # In another order, whose numbers are those of others before: no log takes the place of another.
    before = {record["script"]: record["audit"] for record in export(luspool)}
    luspool.write(c="print(3)")
    assert run_again("c.lus", "b.lus", "a.lus", "--audit", "logs") == ["c.lus"]
    after = {record["script"]: record["audit"] for record in export(luspool)}
    assert {script: after[script] for script in before} == before
    assert all(map(os.path.exists, after.values()))
    os.remove(after["b.lus"])
    assert run_again("a.lus", "b.lus") == []
    assert run_again("a.lus", "b.lus", "--audit", "logs") == ["b.lus"]


def test_where_audit_logs_can_not_be_or_could_be_changed_is_said_before_anything_runs(luspool):
    luspool.write(a="print(1)")
    done = luspool("batch", "a.lus", "--audit", "a.lus")
    said = f"luspool: cannot keep audit logs in {luspool.directory}/a.lus: File exists\n"
    assert (done.returncode, done.stderr) == (2, said)
    assert not luspool.directory.joinpath("luspool-batch.sqlite").exists()
    done = luspool("batch", "a.lus", "--audit", "logs", "-P", "fs:write", "-q")
    assert f"a script may write the audit logs of the batch, {luspool.directory}/logs: " in done.stderr


def test_failed_items_are_tried_again(luspool):
    luspool.write(a="error('boom')")
    done = luspool("batch", "a.lus", "--retries", "2", "--retry-delay", "1ms")
    assert done.returncode == 1
    assert [record["tries"] for record in export(luspool)] == [3]
    assert len(re.findall("to be tried again", done.stderr)) == 2


@pytest.mark.parametrize(("halt", "most"), [("soon,fail=2", 8), ("now,fail=10%", 8), ("never", 20)])
def test_failures_halt_the_batch(luspool, halt, most):
    luspool.write(**{f"s{number:02}": "error('boom')" for number in range(20)})
    done = luspool("batch", ".", "--halt", halt, "-j", "2")
    assert done.returncode == 1
    words = [record["status"] for record in export(luspool)]
    assert 2 <= words.count("failed") <= most
    # Two may end at once.
    after = re.findall(r"halted after (\d+) failed", done.stderr)
    assert after == [] if halt == "never" else len(after) == 1 and 2 <= int(after[0]) <= 3, done.stderr
    assert ("--resume goes on" in done.stderr) is (halt != "never")
    luspool("batch", ".", "--resume", "-q")
    assert [record["status"] for record in export(luspool)] == ["failed"] * 20


def test_a_script_of_which_processes_die_is_not_run_any_more(luspool):
    # The processes are killed from outside: no script can do that.
    luspool.write(loop="while true do end", ok="print(1)")
    items = ["loop.lus", "loop.lus", "loop.lus", "ok.lus"]
    process = luspool.start("batch", *items, "-j", "1", "--crashes", "2", stdin=subprocess.DEVNULL)
    read_until(process.stderr, "crashed: item 1, loop.lus", lambda: kill_hosts(luspool, process))
    read_until(process.stderr, "crashed: item 2, loop.lus", lambda: kill_hosts(luspool, process))
    said = process.stderr.read().decode()
    process.stdout.close()
    process.stderr.close()
    assert process.wait() == 1
    assert [record["status"] for record in export(luspool)] == ["quarantined", "crashed", "quarantined", "completed"]
    assert [record["crashes"] for record in export(luspool)] == [1, 1, 0, 0]
    assert "quarantined: not run: too many processes have died of this script" in said


def kill_hosts(luspool, process):
    """Every process of a command but itself, if it uses much processor time: it runs a loop."""
    for pid in luspool.processes():
        if pid != process.pid and busy(pid):
            os.kill(pid, signal.SIGKILL)


def busy(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return int(file.read().rpartition(")")[2].split()[11]) > 50
    except OSError:
        return False


def read_until(stream, text, meanwhile=None):
    """What comes, up to the end of a line with this text."""
    said = ""
    while True:
        while meanwhile is not None and not select.select([stream], [], [], 0.02)[0]:
            meanwhile()
        line = stream.readline().decode()
        assert line, f"{text!r} was never said: {said}"
        said += line
        if text in line:
            return said


# --- signals ----------------------------------------------------------------------------------------------------------


def started(luspool, *arguments):
    """A command whose item `a.lus` waits and runs; the others are behind it, and not in its host, which might begin one
    before it hears that it is not to."""
    luspool.write(a=WAITS, first="print('up')", b="print(2)", c="print(3)")
    process = luspool.start(
        "batch",
        "first.lus",
        "a.lus",
        "b.lus",
        "c.lus",
        "-j",
        "1",
        "--json",
        "--halt",
        "soon,fail=100%",
        *READ,
        *arguments,
        stdin=subprocess.DEVNULL,
    )
    read_until(process.stdout, "first.lus")
    return process


def ended(process):
    process.stdout.close()
    process.stderr.close()
    return process.wait()


def test_the_first_ctrl_c_lets_what_runs_come_to_its_end(luspool):
    process = started(luspool)
    process.send_signal(signal.SIGINT)
    read_until(process.stderr, "interrupted: 1 running")
    luspool.directory.joinpath("go").touch()
    assert "--resume goes on" in process.stderr.read().decode()
    assert ended(process) == 130
    assert [record["status"] for record in export(luspool)] == ["completed", "completed", "pending", "pending"]
    assert json.loads(luspool("batch", "status", "--json").stdout)["state"] == "interrupted"
    assert luspool("batch", "first.lus", "a.lus", "b.lus", "c.lus", "-q", "--resume", *READ).returncode == 0
    assert [record["status"] for record in export(luspool)] == ["completed"] * 4


@pytest.mark.parametrize("numbers", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM,), (signal.SIGHUP,)])
def test_the_second_ctrl_c_and_other_signals_end_everything(luspool, numbers):
    process = started(luspool)
    for number in numbers:
        process.send_signal(number)
        read_until(process.stderr, "interrupted: ")
    process.stderr.read()
    assert ended(process) == 128 + numbers[0]
    assert [record["status"] for record in export(luspool)] == ["completed", "cancelled", "pending", "pending"]
    luspool.directory.joinpath("go").touch()
    luspool("batch", "first.lus", "a.lus", "b.lus", "c.lus", "-q", "--resume", *READ)
    assert [record["status"] for record in export(luspool)] == ["completed"] * 4


def test_a_command_that_is_killed_is_resumed(luspool):
    process = started(luspool)
    process.kill()
    process.communicate()
    luspool.directory.joinpath("go").touch()
    done = luspool("batch", "first.lus", "a.lus", "b.lus", "c.lus", "--resume", "-q", *READ)
    assert done.returncode == 0
    assert [record["status"] for record in export(luspool)] == ["completed"] * 4


# --- on a terminal ----------------------------------------------------------------------------------------------------


def test_on_a_terminal_the_progress_is_drawn_and_nothing_of_a_script_drives_it(luspool):
    luspool.write(a="print(1)", evil="error('\\27[2Jboom')")
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))
    shown = bytearray()

    def read():
        try:
            while data := os.read(main, 4096):
                shown.extend(data)
        except OSError:
            return  # the other end is closed

    reader = threading.Thread(target=read)
    reader.start()
    luspool.environment["TERM"] = "xterm"
    process = luspool.start("batch", "a.lus", "evil.lus", stdin=terminal, stdout=subprocess.PIPE, stderr=terminal)
    os.close(terminal)
    process.communicate()
    reader.join()
    os.close(main)
    assert process.returncode == 1
    assert b"of 2 done" in shown
    assert b"\x1b[2J" not in shown
    assert rb"\x1b[2Jboom" in shown
