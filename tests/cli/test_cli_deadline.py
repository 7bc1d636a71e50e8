"""A run ends a second after its time at the latest, also where nobody can say so: the supervisor's own deadline.

Each of these takes that second.
"""

import os
import subprocess

import pytest

ENDLESS = 'while true do print(string.rep("x", 1000)) end'


@pytest.mark.parametrize("errors", [subprocess.PIPE, subprocess.STDOUT], ids=["told", "nobody_to_tell"])
def test_output_that_nobody_reads_does_not_keep_a_run_from_ending(luspool, errors):
    luspool.write(main=ENDLESS)
    process = luspool.start("run", "--timeout", "100ms", "main.lus", stderr=errors)
    assert process.wait(timeout=60) == 124  # its output is not read before
    said = process.communicate()[1]
    if errors is subprocess.PIPE:
        first, *_ = said.decode().splitlines()
        assert first.startswith("luspool: main.lus: time limit exceeded: more than 100 ms of wall time")
        assert first.endswith("(raise it with --timeout)")


def test_a_terminal_that_takes_nothing_does_not_keep_a_run_from_ending(luspool):
    luspool.write(main=ENDLESS)
    terminal, theirs = os.openpty()
    process = luspool.start("run", "--timeout", "100ms", "main.lus", stdout=theirs, stderr=theirs)
    os.close(theirs)
    assert process.wait(timeout=60) == 124
    process.communicate()
    os.close(terminal)
