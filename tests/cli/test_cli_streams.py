"""The user's three streams: whole, in order, on time, and never dangerous to a terminal."""

import os
import subprocess

import pytest

NO_ROOM = b"luspool: cannot write to standard output: No space left on device\n"


def test_a_printed_line_is_out_before_the_program_goes_on(luspool):
    luspool.write(main='print("ready") print("got", io.read("l"))')
    with luspool.start("run", "main.lus") as process:
        assert process.stdout.readline() == b"ready\n"
        process.stdin.write(b"word\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"got\tword\n"
    assert process.returncode == 0


def test_lines_of_many_workers_never_mix_and_none_is_lost(luspool):
    luspool.write(
        main='for i = 1, 8 do worker.create("w.lus", i) end',
        w="local n = ... for i = 1, 500 do print(n .. string.rep('x', 200)) end",
    )
    lines = luspool("run", "--threads", "4", "-P", "load", "-P", "fs:read", "main.lus").stdout.splitlines()
    assert sorted(lines) == sorted(f"{n}{'x' * 200}" for n in range(1, 9) for _ in range(500))


def test_a_line_larger_than_a_frame_stays_whole_beside_others(luspool):
    luspool.write(
        main='for i = 1, 4 do worker.create("w.lus", i) end',
        w="local n = ... for i = 1, 3 do print(string.rep(n, 300000)) end",
    )
    lines = luspool("run", "--threads", "4", "-P", "load", "-P", "fs:read", "main.lus").stdout.splitlines()
    assert sorted(lines) == [str(n) * 300_000 for n in range(1, 5) for _ in range(3)]


def test_output_and_errors_keep_their_order_on_one_stream(luspool):
    luspool.write(main='print("one") io.stderr:write("two\\n") print("three") error("four")')
    result = luspool("run", "-q", "main.lus")
    assert (result.stdout, result.stderr) == ("one\nthree\n", "two\nluspool: main.lus:1: four\n")
    with luspool.start("run", "-q", "main.lus", stderr=subprocess.STDOUT) as process:
        assert process.stdout.read() == b"one\ntwo\nthree\nluspool: main.lus:1: four\n"


def test_bytes_pass_unchanged_where_no_terminal_is(luspool):
    luspool.write(main=r'print("\27[31m\155\255\r")')
    assert luspool("run", "main.lus", encoding=None).stdout == b"\x1b[31m\x9b\xff\r\n"


def test_a_terminal_sees_control_characters_spelt_out_in_output_and_in_errors(luspool):
    luspool.write(main=r'print("\27[31mGr\u{fc}n\155") error("\27]0;title\7", 0)')
    terminal, theirs = os.openpty()
    process = luspool.start("run", "-q", "main.lus", stdout=theirs, stderr=theirs)
    os.close(theirs)
    process.communicate(timeout=60)
    shown = os.read(terminal, 10_000)
    os.close(terminal)
    assert shown.decode() == "^[[31mGrün<9B>\r\nluspool: main.lus: ^[]0;title^G\r\n"


def test_a_reader_that_leaves_ends_the_run_quietly(luspool):
    luspool.write(main='while true do print("line") end')
    with luspool.start("run", "main.lus") as process:
        assert process.stdout.readline() == b"line\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_a_full_disk_is_told(luspool):
    luspool.write(main="print(1)")
    with open("/dev/full", "wb") as full:
        process = luspool.start("run", "main.lus", stdout=full)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (125, NO_ROOM)


def test_whatever_a_command_says_of_its_own_may_find_no_reader_or_no_room(luspool):
    """The status is that of a run, and not click's; help and version are click's own words."""
    luspool.write(main='io.open("main.lus"):close()')
    assert luspool("run", "-P", "fs:read", "--audit", "log.jsonl", "main.lus").returncode == 0
    assert luspool("batch", "-P", "fs:read", "main.lus").returncode == 0
    reading, no_reader = os.pipe()
    os.close(reading)
    ends = {no_reader: (141, b""), os.open("/dev/full", os.O_WRONLY): (125, NO_ROOM)}
    audits = ("audit scan main.lus", "audit check --against main.lus main.lus", "audit report --html log.jsonl")
    others = ("--help", "audit derive log.jsonl", "batch status", "batch export")
    tried = [(command, no_reader) for command in (*audits, *others)] + [("doctor", stdout) for stdout in ends]
    for command, stdout in tried:
        process = luspool.start(*command.split(), stdout=stdout)
        _, said = process.communicate(timeout=60)
        assert (process.returncode, said) == ends[stdout], command
    for stdout in ends:
        os.close(stdout)


@pytest.mark.parametrize("stream", [0, 1, 2])
def test_a_stream_that_was_closed_takes_nothing_with_it(luspool, stream):
    luspool.write(main='io.stderr:write("e\\n") io.write(tostring(io.read("l")), "\\n")')
    process = luspool.start("run", "main.lus", preexec_fn=lambda: os.close(stream))
    output, said = process.communicate(b"word\n", timeout=60)
    assert (process.returncode, output, said) == {
        0: (0, b"nil\n", b"e\n"),
        1: (125, b"", b"e\nluspool: cannot write to standard output: Bad file descriptor\n"),
        2: (125, b"", b""),
    }[stream]


def test_standard_input_is_left_alone_by_a_program_that_does_not_read(luspool):
    luspool.write(main='print("no")', reads='print(io.read("l"))')
    reading, writing = os.pipe()
    os.write(writing, b"word\n")
    with luspool.start("run", "main.lus", stdin=reading) as process:
        assert process.stdout.read() == b"no\n"
    assert os.read(reading, 100) == b"word\n"
    os.close(reading)
    os.close(writing)


def test_input_may_be_a_file_a_pipe_or_at_its_end(luspool):
    luspool.write(main='print(#io.read("a"), io.read("l"), io.read(0))')
    big = luspool.directory / "big"
    big.write_bytes(b"x" * 1_000_000)
    with big.open("rb") as file:
        assert luspool("run", "main.lus", stdin=file).stdout == "1000000\tnil\tnil\n"
    assert luspool("run", "main.lus", input="y" * 1_000_000).stdout == "1000000\tnil\tnil\n"
    assert luspool("run", "main.lus").stdout == "0\tnil\tnil\n"


def test_a_script_may_come_from_standard_input(luspool):
    assert luspool("run", "-", "one", input="print(...)").stdout == "one\n"
    assert luspool("run", "-", input="x =").stderr.startswith("luspool: stdin:1:")


def test_arguments_behind_the_script_are_its_own_whatever_they_look_like(luspool):
    luspool.write(main="print(select('#', ...), ...)")
    words = ["-P", "--help", "--", "", "ü", "--threads=0"]
    assert luspool("run", "main.lus", *words).stdout == "6\t" + "\t".join(words) + "\n"
    assert luspool("run", "main.lus", os.fsdecode(b"\xff\xfe"), encoding=None).stdout == b"1\t\xff\xfe\n"


def test_the_hosts_descriptors_are_its_own(luspool):
    """A descriptor that a shell left open is not there for a script to find by its number."""
    luspool.write(main='print(io.open("/proc/self/fd/99"))')
    opened = os.open("/etc/hostname", os.O_RDONLY)
    leaked = os.dup2(opened, 99)
    os.close(opened)
    process = luspool.start("run", "-P", "fs:read", "main.lus", pass_fds=(leaked,))
    output, _ = process.communicate(timeout=60)
    os.close(leaked)
    assert b"No such file" in output
