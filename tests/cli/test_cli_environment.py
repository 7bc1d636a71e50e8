"""Scripts read of the command's environment what was granted by name; host processes have none of the rest."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

READS = "for _, name in ipairs{...} do print(name, select(2, pcall(os.getenv, name))) end"


@pytest.mark.parametrize("hosts", ["1", "2"])
def test_a_script_and_its_workers_read_what_was_granted(luspool, hosts):
    luspool.environment.update(ALPHA="one", BETA="two", EMPTY="")
    luspool.write(
        main="print(os.getenv('ALPHA'), os.getenv('EMPTY') == '', os.getenv('NONE')) print((pcall(os.getenv, 'BETA'))) "
        "local w = worker.create('worker.lus') print(worker.receive(w))",
        worker="worker.message(os.getenv('ALPHA') .. tostring(pcall(os.getenv, 'BETA')))",
    )
    rights = ["-P", "load", "-P", "fs:read=.", "-P", "env=ALPHA", "-P", "env=EMPTY", "-P", "env=NONE"]
    done = luspool("run", "--hosts", hosts, "--placement", "spread", *rights, "main.lus")
    assert done.stderr == ""
    assert done.stdout == "one\ttrue\tnil\nfalse\nonefalse\n"


def test_our_own_settings_are_not_for_scripts(luspool):
    luspool.environment["LUSPOOL_THREADS"] = "1"
    luspool.write(main=READS)
    assert luspool("run", "-P", "env", "main.lus", "LUSPOOL_THREADS").stdout == "LUSPOOL_THREADS\tnil\n"


def test_a_host_process_has_no_secret_in_its_environment(luspool):
    luspool.environment["SECRET"] = "of the user"  # noqa: S105
    luspool.write(main="print('here') io.read()")
    with luspool.start("run", "-P", "env", "main.lus") as command:
        assert command.stdout.readline() == b"here\n"
        hosts = [pid for pid in luspool.processes() if pid != command.pid]
        assert hosts
        for pid in hosts:
            assert b"SECRET" not in Path(f"/proc/{pid}/environ").read_bytes()
        command.send_signal(signal.SIGTERM)
