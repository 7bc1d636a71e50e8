"""`luspool audit scan` as a user meets it."""

import json
import signal

import pytest


def test_a_script_of_which_all_is_known(luspool):
    luspool.write(main='worker.create("w.lus")', w='io.open("in.csv")')
    result = luspool("audit", "scan", "main.lus")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (
        "Looked at 2 scripts: main.lus, w.lus\n\n"
        "Permissions that can be asked for:\n"
        "  fs:read=in.csv  io.open at w.lus:1:1\n"
        "  fs:read=w.lus   worker.create at main.lus:1:1\n"
        "  load            worker.create at main.lus:1:1\n"
    )


def test_what_it_says_is_enough_to_run_the_script(luspool):
    luspool.write(
        main='require("m") worker.receive(worker.create("w.lus"))', m="return os.getenv('A')", w='io.open("x")'
    )
    found = json.loads(luspool("audit", "scan", "--json", "main.lus").stdout)
    assert found["unknown"] == []
    flags = [word for each in found["permissions"] for word in ("-P", each["pledge"])]
    result = luspool("run", *flags, "main.lus")
    assert (result.returncode, result.stderr) == (0, "")


def test_nothing_is_run(luspool):
    luspool.write(main='print("ran") os.exit(9)')
    assert "ran" not in luspool("audit", "scan", "main.lus").stdout


@pytest.mark.parametrize(
    ("source", "status", "said"),
    [
        ("io.open(...)", 1, ""),
        ("x = = 1", 126, "luspool: main.lus:1:5: expected an expression, got '='\n  x = = 1\n      ^\n"),
    ],
)
def test_the_exit_status_tells_whether_anything_is_unknown_or_wrong(luspool, source, status, said):
    luspool.write(main=source)
    result = luspool("audit", "scan", "main.lus")
    assert (result.returncode, result.stderr) == (status, said)


def test_a_script_from_standard_input(luspool):
    result = luspool("audit", "scan", "-", input="os.getenv('A')")
    assert "env=A  os.getenv at stdin:1:1" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("scan",), 2, "Usage: luspool audit scan"),
        (("scan", "--jsn", "a"), 2, "No such option"),
        (("scan", "none.lus"), 127, "no such script: none.lus"),
    ],
)
def test_wrong_command_lines(luspool, arguments, status, said):
    result = luspool("audit", *arguments)
    assert result.returncode == status
    assert said in result.stderr


def test_an_interrupt_is_no_fault_of_luspool(luspool):
    """While a script is read from standard input, of which more is to come."""
    process = luspool.start("audit", "scan", "-")
    process.stdin.write(b" " * (1 << 18))  # more than the pipe holds: when all is taken, it reads
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert (process.returncode, said.strip()) == (130, b"")
