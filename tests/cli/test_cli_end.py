"""However a run is ended from outside, it ends at once, says little, and leaves nothing behind."""

import os
import select
import signal

import pytest

SPINNING = {
    "in_lua": 'print("up") while true do end',
    # Again and again: a search that takes long ends by itself.
    "in_c": 'print("up") while true do pcall(string.find, string.rep("a", 5000), string.rep("a*", 50) .. "b") end',
    "in_a_wait": 'print("up") io.read("l")',
    "in_a_full_pipe": 'print("up") while true do print(string.rep("x", 1000)) end',
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("script", SPINNING.values(), ids=SPINNING)
def test_a_signal_ends_the_run_with_its_status_whatever_the_script_does(luspool, script, number):
    luspool.write(main=script)
    process = luspool.start("run", "main.lus")
    assert process.stdout.readline() == b"up\n"
    process.send_signal(number)
    process.send_signal(number)  # an impatient user's second Ctrl-C makes no difference
    # Only when it has ended: reading its output would let it out of a write that blocks.
    assert process.wait(timeout=60) == 128 + number
    assert process.communicate()[1] == b""


def test_a_signal_before_anything_runs_is_as_good_as_one_later(luspool):
    luspool.write(main="while true do end")
    process = luspool.start("run", "-")
    while not luspool.processes()[1:]:
        assert process.poll() is None  # it starts its host, and waits for a script that never comes
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert process.communicate()[1] == b""


def test_an_ignored_signal_stays_ignored(luspool):
    luspool.write(main='print("up") print(io.read("l"))')
    process = luspool.start(
        "run", "main.lus", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN), bufsize=0
    )
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGHUP)
    output, _ = process.communicate(b"still here\n", timeout=60)
    assert (process.returncode, output) == (0, b"still here\n")


@pytest.mark.parametrize("script", SPINNING.values(), ids=SPINNING)
def test_hosts_do_not_outlive_their_supervisor(luspool, script):
    luspool.write(main=script)
    process = luspool.start("run", "main.lus")
    assert process.stdout.readline() == b"up\n"
    sentinels = [os.pidfd_open(host) for host in set(luspool.processes()) - {process.pid}]
    assert sentinels
    process.kill()
    process.communicate()
    for sentinel in sentinels:
        gone = select.poll()
        gone.register(sentinel, select.POLLIN)
        assert gone.poll(60_000)
        os.close(sentinel)


def test_the_death_of_the_only_host_is_told_as_luspools_own_fault(luspool):
    luspool.write(main=SPINNING["in_lua"])
    process = luspool.start("run", "--hosts", "1", "main.lus")
    assert process.stdout.readline() == b"up\n"
    (host,) = set(luspool.processes()) - {process.pid}
    os.kill(host, signal.SIGSEGV)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 125
    assert said.splitlines()[0] == (
        b"luspool: internal error: the process that ran the scripts was ended by signal 11 (SIGSEGV) "
        b"before they were done"
    )


def test_os_exit_does_not_wait_for_a_worker_that_cannot_be_stopped(luspool):
    luspool.write(
        main='local w = worker.create("w.lus") worker.receive(w) os.exit(5)', w='worker.message("up") while true do end'
    )
    assert luspool("run", "--threads", "2", "-P", "load", "-P", "fs:read", "main.lus").returncode == 5
