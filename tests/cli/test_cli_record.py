"""`luspool run --audit`, `luspool audit observe` and `--shadow`, as a user meets them."""

import json
import os
import signal
from collections import Counter
from importlib.resources import files

import jsonschema
import pytest

VALIDATOR = jsonschema.Draft202012Validator(
    json.loads(files("luspool.audit").joinpath("record.schema.json").read_text())
)

MAIN = """
for i = 1, 3 do assert(io.open("data.txt")):close() end
print((pcall(io.open, "/etc/passwd")))
print((pcall(os.getenv, "HOME")))
load("return 1")()
local workers = {}
for i = 1, 4 do workers[i] = worker.create("worker.lus", i) end
for _, w in ipairs(workers) do while worker.receive(w) do end end
require "module"
"""
WORKER = """
for i = 1, 10 do
  pcall(io.open, "missing" .. ...)
  pcall(os.getenv, "W" .. i)
  worker.message(i)
end
"""


@pytest.fixture
def program(luspool):
    """A program that asks for 100 permissions and some, of which 100 in four workers."""
    luspool.write(main=MAIN, worker=WORKER, module="local language = os.getenv('LANG') return language")
    luspool.directory.joinpath("data.txt").write_text("data")
    return luspool


def read(luspool, name="log.jsonl", *, complete=True):
    """The lines of a log, by type. All are what the schema says, and what the last one says of them is right."""
    lines = [json.loads(line) for line in luspool.directory.joinpath(name).read_text("ascii").splitlines()]
    for line in lines:
        VALIDATOR.validate(line)
    assert len({line["run"] for line in lines}) == 1
    inner = [line for line in lines if line["type"] not in ("header", "footer")]
    assert [line["id"] for line in inner] == list(range(1, len(inner) + 1))
    assert lines[0]["type"] == "header"
    found = {kind: [line for line in lines if line["type"] == kind] for kind in VALIDATOR.schema["$defs"]}
    if complete:
        (footer,) = found["footer"]
        assert lines[-1] is footer
        counts = decisions(found, "decision")
        assert [footer[word] for word in WORDS] == [counts[(word,)] for word in WORDS]
        assert footer["decisions"] == counts.total()
        assert footer["states"] == len(found["state"])
        begun, ended = ([line["state"] for line in found[kind]] for kind in ("state", "end"))
        assert sorted(begun) == sorted(ended)
        assert len(set(begun)) == len(begun)
        assert begun[0] == 1
        for state in begun:
            ids = [line["id"] for line in inner if line["state"] == state]
            assert inner[ids[0] - 1]["type"] == "state"
            assert inner[ids[-1] - 1]["type"] == "end"
    return found


def decisions(found, *keys):
    """How many there are, by some of their keys."""
    counts = Counter()
    for line in found["decision"]:
        counts[tuple(line[key] for key in keys)] += line["count"]
    return counts


WORDS = ("allowed", "denied", "observed")
RIGHTS = ["-P", "load", "-P", "fs:read=.", "-P", "env=LANG"]


@pytest.mark.parametrize("layout", [(), ("--threads", "4"), ("--hosts", "3", "--placement", "spread")], ids=str)
@pytest.mark.parametrize("mechanism", ["signal", "hook"])
def test_all_decisions_of_all_states_are_in_the_log(program, layout, mechanism):
    program.environment["LUSPOOL_PREEMPTION"] = mechanism
    result = program("run", "--audit", "log.jsonl", *RIGHTS, *layout, "main.lus")
    assert (result.returncode, result.stdout, result.stderr) == (0, "false\nfalse\n", "")
    found = read(program)
    (header,) = found["header"]
    held = ["load", f"fs:read={program.directory}", "env=LANG"]
    assert (header["script"], header["mode"], header["held"], header["ceiling"]) == ("main.lus", "enforce", held, held)
    assert [line["parent"] for line in found["state"]] == [None, 1, 1, 1, 1]
    assert {line["outcome"] for line in found["end"]} == {"returned"}
    assert found["footer"][0]["status"] == 0
    of_root = decisions(found, "state", "line", "permission", "value", "decision")
    assert of_root[1, 2, "fs:read", "data.txt", "allowed"] == 3
    assert of_root[1, 3, "fs:read", "/etc/passwd", "denied"] == 1
    assert of_root[1, 4, "env", "HOME", "denied"] == 1
    of_workers = [line for line in found["decision"] if line["script"] == "worker.lus"]
    assert sum(line["count"] for line in of_workers if line["permission"] == "env") == 40
    assert sum(line["count"] for line in of_workers if line["permission"] == "fs:read") == 40
    assert {(line["origin"], line["inherited"]) for line in of_workers if line["rule"]} == {("-P fs:read=.", True)}


def test_what_a_cancelled_worker_had_asked_for_is_in_the_log(luspool):
    luspool.write(
        main='local w = worker.create("w.lus") worker.receive(w) os.exit(3)',
        w='pcall(os.getenv, "A") worker.message(1) while true do pcall(os.getenv, "B") end',
    )
    for options in ((), ("--hosts", "2", "--placement", "spread")):
        result = luspool("run", "--audit", "log.jsonl", *RIGHTS, "--threads", "2", *options, "main.lus")
        assert result.returncode == 3
        found = read(luspool)
        assert {line["outcome"] for line in found["end"]} == {"exited", "cancelled"}
        assert decisions(found, "script", "value", "decision")["w.lus", "A", "denied"] == 1
        assert found["footer"][0]["status"] == 3


@pytest.mark.parametrize(
    ("source", "options", "status", "outcome"),
    [
        ("io.open('/etc/passwd')", (), 77, "denied"),
        ("error('x')", (), 1, "error"),
        ("local t = {} while true do t[#t + 1] = ('x'):rep(1000) end", ("--memory", "1M"), 137, "memory"),
        ("while true do end", ("--cpu", "100ms"), 124, "cpu"),
        ("worker.receive(worker.create('w.lus'))", (), 70, "deadlock"),
        ("local a <", (), 126, "load"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "",
)
def test_how_a_state_has_ended_is_in_the_log(luspool, source, options, status, outcome):
    luspool.write(main=source, w="worker.peek()")
    assert luspool("run", "--audit", "log.jsonl", *RIGHTS, *options, "main.lus").returncode == status
    found = read(luspool)
    assert {line["state"]: line["outcome"] for line in found["end"]}[1] == outcome
    assert found["footer"][0]["status"] == status


def test_the_environment_names_a_file_too_and_an_old_one_is_replaced(program):
    program.environment["LUSPOOL_AUDIT"] = "log.jsonl"
    program.directory.joinpath("log.jsonl").write_text("old\n" * 10_000)
    program("run", *RIGHTS, "main.lus")
    read(program)


def test_bytes_of_names_that_are_no_text_are_in_the_log(luspool):
    luspool.write(main=b"pcall(io.open, '/none/\xff\\n\\0') pcall(io.open, '/none/\xff\\27')")
    luspool("run", "--audit", "log.jsonl", "main.lus")
    assert [line["value"] for line in read(luspool)["decision"]] == ["/none/\udcff\x1b"]


# a log that can't be written --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("none/log", "No such file or directory"),
        (".", "Is a directory"),
        ("main.lus", "would replace main.lus"),
        ("link", "would replace main.lus"),
        ("team.toml", "would replace "),
        ("other.toml", "would replace "),
        ("pipe", "nobody reads this pipe"),
    ],
)
def test_a_file_that_can_not_be_a_log_is_told_before_anything_runs(luspool, name, why):
    luspool.write(main="print('ran')")
    for policy in ("team.toml", "other.toml"):
        luspool.directory.joinpath(policy).write_text("[set.a]\n")
    luspool.directory.joinpath("link").symlink_to("main.lus")
    os.mkfifo(luspool.directory / "pipe")
    result = luspool("run", "--policy", "team.toml", "--audit", name, "--shadow", "other.toml", "main.lus")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"luspool: {'the' if 'replace' in why else 'cannot write the'} audit log {name}")
    assert why in result.stderr
    assert "\n" not in result.stderr.strip()
    assert luspool.directory.joinpath("main.lus").read_text() == "print('ran')"


def test_a_full_disk_ends_the_run(luspool):
    luspool.write(main="for i = 1, 1e9 do pcall(os.getenv, 'A' .. i) end")
    result = luspool("run", "--audit", "/dev/full", "main.lus")
    assert result.returncode == 125
    assert result.stderr.startswith("luspool: cannot write the audit log /dev/full: No space left on device (")


def test_a_pipe_that_nobody_reads_any_more_ends_the_run(luspool):
    luspool.write(main="print('go') for i = 1, 1e9 do pcall(os.getenv, 'A' .. i) end")
    reader, writer = os.pipe()
    run = luspool.start("run", "--audit", f"/dev/fd/{writer}", "main.lus", pass_fds=[writer])
    os.close(writer)
    assert run.stdout.readline() == b"go\n"
    os.close(reader)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 125
    assert b"nobody reads it any more" in errors


def test_a_slow_reader_of_the_log_gets_all_of_it(luspool):
    luspool.write(main="for i = 1, 3000 do pcall(os.getenv, 'A' .. i) end")
    reader, writer = os.pipe()
    run = luspool.start("run", "--audit", f"/dev/fd/{writer}", "main.lus", pass_fds=[writer])
    os.close(writer)
    with open(reader, "rb", buffering=0) as pipe:
        data = b""
        while piece := pipe.read(1000):
            data += piece
    assert run.wait(60) == 0
    run.communicate()
    luspool.directory.joinpath("log.jsonl").write_bytes(data)
    assert read(luspool)["footer"][0]["decisions"] == 3000


@pytest.mark.parametrize("killed", ["host", "command"])
def test_a_run_that_is_cut_off_leaves_what_was_recorded_and_no_last_line(luspool, killed):
    luspool.write(main="pcall(os.getenv, 'A') print('go') io.read()")
    run = luspool.start("run", "--hosts", "1", "--audit", "log.jsonl", "main.lus")
    assert run.stdout.readline() == b"go\n"
    log = luspool.directory / "log.jsonl"
    while b'"decision"' not in log.read_bytes():
        pass  # the state waits, and has sent its records
    (host,) = (pid for pid in luspool.processes() if pid != run.pid)
    os.kill(host if killed == "host" else run.pid, signal.SIGKILL)
    run.communicate(timeout=60)
    found = read(luspool, complete=False)
    assert not found["footer"]
    assert decisions(found, "value") == {("A",): 1}


@pytest.mark.parametrize("rights", [["-P", "fs:write=."], ["--allow", "all"]], ids=lambda words: words[-1])
def test_a_script_that_may_write_its_log_is_warned_of(luspool, rights):
    luspool.write(main="")
    luspool.directory.joinpath("other.toml").write_text("[set.a]\n")
    result = luspool("run", *rights, "--audit", "log.jsonl", "--shadow", "other.toml", "main.lus")
    log, other = luspool.directory / "log.jsonl", luspool.directory / "other.toml"
    assert f"luspool: warning: main.lus may write its own audit log, {log}: " in result.stderr
    assert f"luspool: warning: main.lus may write the policy that it is compared with, {other}: " in result.stderr
    assert f"(reject it with -P '~fs={log}')" in result.stderr or f"(reject it with -P ~fs={log})" in result.stderr
    silent = luspool("run", *rights, "-P", f"~fs={log}", "-P", f"~fs={other}", "--audit", "log.jsonl", "main.lus")
    assert silent.stderr == ""


# observe ----------------------------------------------------------------------------------------------------------


def test_observe_allows_what_may_be_pledged_and_says_what_was_not(program):
    result = program("audit", "observe", "-P", "load", "--allow", "all", "--audit", "log.jsonl", "main.lus")
    assert (result.returncode, result.stdout) == (0, "true\ntrue\n")
    assert result.stderr.endswith("luspool: log.jsonl has 99 decisions about 5 states: 7 allowed, 92 observed\n")
    found = read(program)
    assert (found["header"][0]["mode"], found["header"][0]["held"]) == ("observe", ["load"])
    by_decision = decisions(found, "permission", "decision")
    assert set(by_decision) == {("load", "allowed"), ("fs:read", "observed"), ("env", "observed")}
    assert {line["origin"] for line in found["decision"]} == {"-P load", "--allow all"}
    assert {line["reason"] for line in found["decision"]} == {"held", "unpledged"}


def test_observe_alone_allows_to_read_and_load_what_is_here(program):
    result = program("audit", "observe", "-q", "main.lus")
    assert (result.returncode, result.stdout, result.stderr) == (77, "false\nfalse\n", result.stderr)
    found = read(program, "audit.jsonl")
    assert found["header"][0]["ceiling"] == ["load", f"fs:read={program.directory}"]
    denied = {(line["permission"], line["value"]) for line in found["decision"] if line["decision"] == "denied"}
    assert {("fs:read", "/etc/passwd"), ("env", "HOME"), ("env", "LANG")} <= denied


# shadow -----------------------------------------------------------------------------------------------------------


def test_a_shadow_says_what_another_policy_would_have_decided(program):
    program.directory.joinpath("next.toml").write_text('[set.a]\npledge = ["load", "fs:read=data.txt"]\n')
    result = program("run", "--audit", "log.jsonl", "--shadow", "next.toml", *RIGHTS, "main.lus")
    assert (result.returncode, result.stdout) == (0, "false\nfalse\n")
    found = read(program)
    assert found["header"][0]["shadow"] == "next.toml:a"
    assert all("shadow" in line for line in found["decision"])
    both = decisions(found, "script", "permission", "value", "decision", "shadow")
    assert both["main.lus", "fs:read", "data.txt", "allowed", "allowed"] == 3
    assert both["main.lus", "fs:read", "worker.lus", "allowed", "denied"] == 4
    assert both["./module.lus", "env", "LANG", "allowed", "denied"] == 1
    assert ("worker.lus", "env", "W1", "denied", "denied") in both


def test_a_shadow_without_a_log_is_refused(program):
    result = program("run", "--shadow", "next.toml", "main.lus")
    assert (result.returncode, result.stdout) == (2, "")
    assert "--shadow needs --audit FILE" in result.stderr
