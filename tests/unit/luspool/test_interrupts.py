"""Signals raise where the program waits, and nowhere else."""

import os
import signal
import threading
import time

import pytest

from luspool.errors import Interrupted, OverdueError
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


def test_a_deadline_interrupts_a_call_that_blocks_and_every_one_after_it():
    reading, writing = os.pipe()
    with Interrupts() as interrupts:
        interrupts.set_deadline(0.01, "too late")
        with pytest.raises(OverdueError, match="too late") as caught, interrupts.blocking:
            os.read(reading, 1)
        with pytest.raises(OverdueError), interrupts.blocking:
            pytest.fail("entered")
    os.close(reading)
    os.close(writing)
    assert caught.value.exit_status == 124


def test_a_deadline_that_passes_outside_waits_for_the_next_call_that_blocks():
    with Interrupts() as interrupts:
        interrupts.set_deadline(3600, "too late")
        os.kill(os.getpid(), signal.SIGALRM)
        with pytest.raises(OverdueError), interrupts.blocking:
            pytest.fail("entered")


def test_a_deadline_that_is_cleared_is_forgotten_also_when_it_has_passed():
    with Interrupts() as interrupts:
        interrupts.set_deadline(3600, "too late")
        os.kill(os.getpid(), signal.SIGALRM)
        interrupts.clear_deadline()
        os.kill(os.getpid(), signal.SIGALRM)  # a last one that was on its way
        with interrupts.blocking:
            assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_signal_outweighs_a_deadline():
    with Interrupts() as interrupts:
        interrupts.set_deadline(3600, "too late")
        os.kill(os.getpid(), signal.SIGALRM)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted), interrupts.blocking:
            pytest.fail("entered")


def test_no_timer_and_no_handler_is_left():
    before = signal.getsignal(signal.SIGALRM)
    with Interrupts() as interrupts:
        interrupts.set_deadline(3600, "too late")
        assert signal.getsignal(signal.SIGALRM) is not before
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_signal_that_python_does_not_look_at_is_sent_again():
    """As one that falls just before a call that blocks: its handler in C has run, and nothing interrupts the call."""
    reading, writing = os.pipe()
    with Interrupts() as interrupts:

        def elsewhere():
            # A thread takes the signal, so that the main thread's call is not interrupted by it.
            time.sleep(0.05)
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

        other = threading.Thread(target=elsewhere)
        other.start()
        with pytest.raises(Interrupted) as caught, interrupts.blocking:
            os.read(reading, 1)
        other.join()
    os.close(reading)
    os.close(writing)
    assert caught.value.exit_status == 143


def test_nothing_of_it_is_left():
    before = sorted(os.listdir("/proc/self/fd")), threading.active_count()
    for _ in range(20):
        with Interrupts():
            pass
    assert (sorted(os.listdir("/proc/self/fd")), threading.active_count()) == before
    assert signal.set_wakeup_fd(-1) == -1
