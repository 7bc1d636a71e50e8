"""Audit logs of jobs: one file each, and a job whose log can't be kept ends alone."""

import asyncio
import os
import resource

import pytest

import luspool
from luspool.audit.log import read_logs

from .conftest import PATIENCE

ASKS = "pcall(os.getenv, 'HOME') worker.message(1) pcall(os.getenv, ...)"


def decisions(file):
    (log,) = read_logs([str(file)])
    return log, [(one.permission, one.value, one.decision) for one in log.decisions]


def test_what_a_job_asks_for_is_in_its_log(runtime, mechanism, tmp_path):
    jobs = [
        runtime.submit("main.lus", name, source=ASKS, pledges=["env=HOME"], audit=tmp_path / name)
        for name in ("A", "B")
    ]
    plain = runtime.submit("main.lus", source="print(1)", pledges=["env=HOME"])
    for job, name in zip(jobs, ("A", "B"), strict=True):
        assert list(job) == [1]
        assert job.result(PATIENCE).status == 0
        assert job.audit == str(tmp_path / name)
        log, found = decisions(job.audit)
        assert found == [("env", "HOME", "allowed"), ("env", name, "denied")]
        assert (log.header.script, log.header.arguments, log.footer.status, log.doubts) == ("main.lus", 1, 0, ())
    assert plain.result(PATIENCE).stdout == b"1\n"
    assert plain.audit is None


def test_a_log_is_named_by_where_the_program_was_when_it_submitted(runtime, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = runtime.submit("main.lus", source="worker.peek()")
    job = runtime.submit("main.lus", "A", source=ASKS, audit="log.jsonl")
    os.mkdir("elsewhere")
    monkeypatch.chdir("elsewhere")
    first.send(1)
    assert job.result(PATIENCE).status == 0
    assert decisions(tmp_path / "log.jsonl")[1] == [("env", "HOME", "denied"), ("env", "A", "denied")]


def test_a_log_that_cannot_be_opened_is_the_fault_of_that_job_alone(runtime, tmp_path):
    waits = runtime.submit("main.lus", source="worker.message(worker.peek())")
    bad = runtime.submit("main.lus", source="print(1)", audit=tmp_path / "none" / "log")
    good = runtime.submit("main.lus", source="print(2)", audit=tmp_path / "log")
    waits.send(5)
    assert list(waits) == [5]
    with pytest.raises(luspool.CannotWriteError, match="No such file or directory"):
        bad.result(PATIENCE)
    assert good.result(PATIENCE).stdout == b"2\n"


def test_a_log_that_would_replace_its_script_is_refused(runtime, tmp_path):
    script = tmp_path / "main.lus"
    script.write_text("print(1)", encoding="utf-8")
    job = runtime.submit(script, audit=script)
    with pytest.raises(luspool.CannotWriteError, match="would replace"):
        job.result(PATIENCE)
    assert script.read_text(encoding="utf-8") == "print(1)"


def test_a_log_that_cannot_be_begun_ends_that_job_alone(runtime):
    bad = runtime.submit("main.lus", "A", source=ASKS, audit="/dev/full")
    with pytest.raises(luspool.CannotWriteError, match="No space left on device"):
        bad.result(PATIENCE)
    assert runtime.submit("main.lus", source="print(3)").result(PATIENCE).stdout == b"3\n"


@pytest.mark.parametrize("end", ["worker.peek()", "while true do end", ""])
def test_a_log_that_cannot_be_written_any_more_ends_that_job_alone(tmp_path, end):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with luspool.Runtime(jobs=2) as runtime:
        other = runtime.submit("main.lus", source="worker.message(1) worker.message(worker.peek())")
        assert other.receive(PATIENCE) == 1
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            source = f"for i = 1, 3000 do pcall(os.getenv, 'X' .. i) end {end}"
            bad = runtime.submit("main.lus", source=source, audit=tmp_path / "log")
            with pytest.raises(luspool.CannotWriteError, match="File too large"):
                bad.result(PATIENCE)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        other.send(7)
        assert list(other) == [7]
        assert runtime.submit("main.lus", source="print(3)").result(PATIENCE).stdout == b"3\n"


def test_asyncio_jobs_have_logs_too(tmp_path):
    async def main():
        async with luspool.AsyncRuntime() as runtime:
            job = runtime.submit("main.lus", "A", source=ASKS, audit=tmp_path / "log")
            result = await job.result()
            return job.audit, result.status

    assert asyncio.run(main()) == (str(tmp_path / "log"), 0)
    assert len(decisions(tmp_path / "log")[1]) == 2
