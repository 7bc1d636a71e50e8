"""What it may take to read a script, and what becomes of Ctrl-C meanwhile."""

from __future__ import annotations

import os
import signal

import pytest

from luspool import reading
from luspool.audit.scan import scan
from luspool.check import check_scripts
from luspool.errors import CannotLoadError, Interrupted
from luspool.reading import bounded_reading
from luspool.sandbox import check

SLOW = b"x = a" + b" and a" * 60_000
"""Lua's compiler takes ten seconds of processor time for it; four times that for the double."""


@pytest.fixture
def little_time(monkeypatch, tmp_path):
    monkeypatch.setattr(reading, "PROCESSOR_SECONDS", 0.05)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def handlers_are_as_before():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGPROF)]
    yield
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGPROF)] == before
    assert signal.getitimer(signal.ITIMER_PROF) == (0, 0)


def test_a_script_that_takes_too_long_is_a_fault_and_the_next_is_looked_at(little_time, capfd):
    """Also one that another script runs, for a scan and for a check of the syntax."""
    said = "slow.lus: took too long to read: more than 0.05 s of processor time"
    little_time.joinpath("slow.lus").write_bytes(SLOW)
    little_time.joinpath("main.lus").write_text("dofile('slow.lus') os.getenv('A')")
    found = scan(["main.lus"])
    assert (found.faults, found.fault_status) == ([said], 126)
    assert {use.pledge for use in found.uses} == {"load", "fs:read=slow.lus", "env=A"}
    assert check_scripts(["slow.lus", "main.lus"], strict_globals=False, verbosity=1) == 126
    assert capfd.readouterr().err == f"luspool: {said}\nluspool: main.lus: no syntax errors\n"


def test_an_interrupt_ends_the_compiler_and_is_not_taken_for_a_fault():
    def read_interrupted():
        with bounded_reading("slow.lus") as stop:
            os.kill(os.getpid(), signal.SIGINT)
            check(SLOW, "slow.lus", stop=stop)

    with pytest.raises(Interrupted):
        read_interrupted()


def test_an_interrupt_after_the_last_question_is_not_lost():
    with pytest.raises(Interrupted), bounded_reading("main.lus"):
        os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with bounded_reading("main.lus") as stop:
            os.kill(os.getpid(), signal.SIGINT)
            check(b"", "main.lus", stop=stop)
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_goes_wrong_with_the_reading_is_told_as_it_is():
    with pytest.raises(CannotLoadError, match="mine"), bounded_reading("main.lus"):
        raise CannotLoadError("mine")
