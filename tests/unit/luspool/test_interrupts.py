"""Signals raise where the program waits, and nowhere else."""

import os
import signal

import pytest

from luspool.errors import Interrupted
from luspool.interrupts import Interrupts


@pytest.fixture(autouse=True)
def _same_handlers_afterwards():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_interrupts_a_call_that_blocks():
    # Whether the signal falls into the read or just before it: nothing else ends the read.
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    reading, writing = os.pipe()
    with Interrupts() as interrupts:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        with pytest.raises(Interrupted) as caught, interrupts.blocking:
            os.read(reading, 1)
    os.close(reading)
    os.close(writing)
    assert caught.value.exit_status == 143


def test_a_signal_outside_waits_for_the_next_call_that_blocks():
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted) as caught, interrupts.blocking:
            pytest.fail("entered")
    assert caught.value.exit_status == 130


def test_further_signals_change_nothing_and_are_ignored_to_the_end():
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted), interrupts.blocking:
            pytest.fail("entered")
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted) as caught:
            interrupts.check()
    assert caught.value.exit_status == 130
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


def test_handlers_are_given_back_where_no_signal_came():
    before = signal.getsignal(signal.SIGTERM)
    with Interrupts():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_that_was_ignored_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Interrupts() as interrupts, interrupts.blocking:
        os.kill(os.getpid(), signal.SIGHUP)
