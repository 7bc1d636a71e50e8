"""What `luspool run` and `luspool check` say and return: one case for each way a program or a command line can end."""

import pytest

BOOM = 'worker.message(1) error("boom")'


@pytest.mark.parametrize(
    ("script", "status", "message"),
    [
        ("", 0, ""),
        ("return 7", 0, ""),
        ("os.exit(3)", 3, ""),
        ("os.exit(300)", 44, ""),
        ("os.exit(-1)", 255, ""),
        ("os.exit(true)", 0, ""),
        ("os.exit(false)", 1, ""),
        ('error("boom")', 1, "luspool: main.lus:1: boom\n  stack traceback:"),
        ("\n\nlocal x = nil + 1", 1, "luspool: main.lus:3: attempt to perform arithmetic on a nil value"),
        ("error({})", 1, "luspool: main.lus: "),
        ('worker.create("main.lus")', 77, "(grant it with -P load)"),
        ('io.open("/etc/passwd")', 77, "(grant it with -P fs:read=/etc/passwd)"),
        (
            "local x = = 2",
            126,
            "luspool: main.lus:1:11: expected an expression, got '='\n  local x = = 2\n            ^",
        ),
        ("worker.peek()", 1, "main.lus:1:"),
    ],
)
def test_a_program_that_ends_by_itself(luspool, script, status, message):
    luspool.write(main=script)
    result = luspool("run", "main.lus")
    assert (result.returncode, result.stdout) == (status, "")
    assert message in result.stderr
    assert bool(result.stderr) == bool(message)
    assert "Traceback (most recent call last)" not in result.stderr


def test_an_error_of_a_worker_that_nobody_receives_is_reported_and_counts(luspool):
    luspool.write(main='worker.create("w.lus") print("done")', w=BOOM)
    result = luspool("run", "-P", "load", "-P", "fs:read", "main.lus")
    assert (result.returncode, result.stdout) == (1, "done\n")
    assert "luspool: worker w.lus failed, and nobody received its error: w.lus:1: boom" in result.stderr


def test_what_the_root_did_outweighs_an_error_that_nobody_received(luspool):
    luspool.write(main='local w = worker.create("w.lus") worker.receive(w) os.exit(9)', w=BOOM)
    assert luspool("run", "-P", "load", "-P", "fs:read", "main.lus").returncode == 9


def test_a_deadlock_is_reported_at_once_with_scripts_and_lines(luspool):
    luspool.write(main='local w = worker.create("w.lus")\nworker.receive(w)', w="\n\nworker.peek()")
    result = luspool("run", "-P", "load", "-P", "fs:read", "main.lus")
    assert result.returncode == 70
    assert result.stderr.splitlines() == [
        "luspool: deadlock: every script waits, and none can ever go on",
        "  main.lus:2 waits for a message from its worker (w.lus:3)",
        "  w.lus:3 waits for a message from its parent (main.lus:2)",
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["run", "nain.lus"], 127, "luspool: no such script: nain.lus (did you mean main.lus?)"),
        (["run", "."], 126, "luspool: . is a directory; name a script in it"),
        (["run", "main.lus/x"], 126, "luspool: cannot read the script main.lus/x: Not a directory"),
        (["run", "-P", "fs:raed", "main.lus"], 2, "unknown permission 'fs:raed' (did you mean \"fs:read\"?)"),
        (["run", "-P", "exec", "main.lus"], 2, '"exec" cannot be granted here'),
        (["run", "-P", "fs:read=*.pem", "main.lus"], 2, "luspool: pledge 'fs:read=*.pem', column"),
        (["run", "--threads", "0", "main.lus"], 2, "Invalid value for '--threads'"),
        (["run", "--threads", "many", "main.lus"], 2, "Invalid value for '--threads'"),
        (["run", "--memory", "lots", "main.lus"], 2, "Invalid value for '--memory': 'lots' is no size; write bytes as"),
        (["run", "--memory", "1", "main.lus"], 2, "'1' is too little; the least is 256 KiB"),
        (["run", "--timeout", "5 parsec", "main.lus"], 2, "Invalid value for '--timeout': '5 parsec' is no duration"),
        (["run", "--depth", "-1", "main.lus"], 2, "Invalid value for '--depth': '-1' is no number"),
        (["run", "--slice", "1us", "main.lus"], 2, "'1us' is too short; the least is 1 ms"),
        (["run", "--source", "3", "main.lus"], 126, "source limit exceeded: more than 3 bytes of source text"),
        (["run", "--threds", "2", "main.lus"], 2, "Try 'luspool run --help'."),
        (["rn", "main.lus"], 2, "luspool: No such command 'rn'."),
        (["check", "none.lus"], 127, "luspool: no such script: none.lus"),
    ],
)
def test_a_command_line_that_cannot_be_carried_out(luspool, arguments, status, message):
    luspool.write(main="print('ran')")
    result = luspool(*arguments)
    assert (result.returncode, result.stdout) == (status, "")
    assert message in result.stderr
    assert "Traceback (most recent call last)" not in result.stderr


def test_a_line_of_ten_megabytes_is_a_script_like_any_other(luspool):
    luspool.write(main='print(#"' + "x" * 10_000_000 + '")', broken="x" * 10_000_000)
    assert luspool("run", "--source", "10M", "main.lus").stdout == "10000000\n"
    result = luspool("run", "--source", "10M", "broken.lus")
    assert result.returncode == 126
    assert result.stderr.startswith("luspool: broken.lus:1:")
    assert len(result.stderr) < 20_000


def test_bytes_that_are_no_utf8_matter_only_where_the_syntax_says_so(luspool):
    luspool.write(main=b'print(#"\xff\xfe")', broken=b"local \xff = 1")
    assert luspool("run", "main.lus").stdout == "2\n"
    assert luspool("run", "broken.lus").returncode == 126


def test_check_names_every_faulty_script_and_runs_none(luspool):
    luspool.write(good="print('ran')", bad="x =", worse="end")
    result = luspool("check", "good.lus", "bad.lus", "worse.lus")
    assert (result.returncode, result.stdout) == (126, "")
    assert [line for line in result.stderr.splitlines() if line.startswith("luspool: ")] == [
        line for line in result.stderr.splitlines() if ".lus:1:" in line
    ]
    assert "bad.lus:1:" in result.stderr
    assert "worse.lus:1:" in result.stderr
    assert (luspool("check", "good.lus").returncode, luspool("check", "good.lus").stderr) == (0, "")


def test_strict_globals_gives_the_rule_of_lua(luspool):
    luspool.write(main="global x\nprint(x)")
    assert luspool("run", "main.lus").returncode == 0
    assert luspool("run", "--strict-globals", "main.lus").returncode == 126
    assert luspool("check", "--strict-globals", "main.lus").returncode == 126


def test_quiet_is_one_line_for_each_error_and_verbose_says_what_is_run(luspool):
    luspool.write(main='error("boom")')
    assert luspool("run", "-q", "main.lus").stderr == "luspool: main.lus:1: boom\n"
    flags = ("-v", "--threads", "2", "-P", "load")
    first, *_ = luspool("run", "--hosts", "1", *flags, "main.lus").stderr.splitlines()
    assert first == "luspool: running main.lus on 2 threads, with -P load"
    first, *_ = luspool("run", "--hosts", "3", *flags, "main.lus").stderr.splitlines()
    assert first == "luspool: running main.lus on 3 processes with 2 threads each, with -P load"


def test_a_fault_of_luspool_is_told_without_a_traceback_unless_one_asks(luspool):
    luspool.write(main="")
    luspool.directory.joinpath("sitecustomize.py").write_text("import os\ndel os.pidfd_open\n")
    luspool.environment["PYTHONPATH"] = str(luspool.directory)
    result = luspool("run", "main.lus")
    luspool.environment["LUSPOOL_DEBUG"] = "1"
    detailed = luspool("run", "main.lus")
    assert result.returncode == detailed.returncode == 125
    assert result.stderr.splitlines()[0].startswith("luspool: internal error: AttributeError")
    assert "LUSPOOL_DEBUG=1" in result.stderr
    assert "Traceback" not in result.stderr
    assert "Traceback (most recent call last):" in detailed.stderr


def test_a_run_from_a_working_directory_that_was_removed_is_refused(luspool):
    luspool.write(main="print(1)")
    script = str(luspool.directory / "main.lus")
    luspool.directory = luspool.directory / "removed"
    luspool.directory.mkdir()
    process = luspool.start("run", script, preexec_fn=luspool.directory.rmdir)
    output, said = process.communicate(timeout=60)
    expected = b"luspool: cannot find the working directory: No such file or directory (change to one that exists)\n"
    assert (process.returncode, output, said) == (126, b"", expected)


def test_the_arguments_of_a_script_fit_into_one_message(luspool):
    luspool.write(main="print(select('#', ...), (select(-1, ...)))")
    result = luspool("run", "main.lus", *["x"] * 65_534, "last")
    assert (result.returncode, result.stdout) == (0, "65535\tlast\n")
    result = luspool("run", "main.lus", *["x"] * 65_536)
    assert (result.returncode, result.stderr) == (2, "luspool: 65536 arguments; a script takes 65535 at most\n")
