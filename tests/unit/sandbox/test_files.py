"""Files: decided on where the path leads, whatever it looks like; only regular files; descriptors given back."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest


@pytest.fixture
def tree(tmp_path):
    """`open/`, which scripts may read, beside `closed/`, which they may not."""
    (tmp_path / "open").mkdir()
    (tmp_path / "closed").mkdir()
    (tmp_path / "open/file").write_bytes(b"inside")
    (tmp_path / "closed/file").write_bytes(b"secret")
    return tmp_path


@pytest.fixture
def opened(printed, tree):
    """What `io.open` of a path gives to a script that may read `open/`: content, error text or denial."""

    def run(path, *, held=None):
        source = """
            local ok, file, problem = pcall(io.open, (...))
            print(not ok and "denied" or file and file:read("a") or problem)"""
        lines = printed(source, held=held or (f"fs:read={tree}/open",), arguments=(os.fsencode(path),))
        return "\n".join(lines).replace(str(tree), "")

    return run


def test_a_file_beneath_the_grant_is_read(opened, tree):
    assert opened(tree / "open/file") == "inside"
    assert opened(f"{tree}/open//./../open/file") == "inside"


def test_dots_that_lead_out_are_denied(opened, tree):
    assert opened(f"{tree}/open/../closed/file") == "denied"


def test_a_link_is_judged_by_where_it_leads(opened, tree):
    (tree / "open/out").symlink_to(tree / "closed/file")
    (tree / "closed/in").symlink_to(tree / "open/file")
    (tree / "open/directory").symlink_to(tree / "closed")
    assert opened(tree / "open/out") == "denied"
    assert opened(tree / "open/directory/file") == "denied"
    assert opened(tree / "closed/in") == "inside"


def test_a_missing_file_is_told_only_where_the_script_may_look(opened, tree):
    assert opened(tree / "open/none") == "/open/none: No such file or directory"
    assert opened(tree / "closed/none") == "denied"
    (tree / "open/dangling").symlink_to(tree / "closed/none")
    assert opened(tree / "open/dangling") == "denied"


def test_a_loop_of_links_is_an_error(opened, tree):
    (tree / "open/loop").symlink_to(tree / "open/loop")
    assert opened(tree / "open/loop") == "/open/loop: Too many levels of symbolic links"


def test_only_regular_files_are_opened(opened, tree):
    os.mkfifo(tree / "open/fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree / "open/socket"))
        assert opened(tree / "open/socket") == "/open/socket: Not a regular file"
    assert opened(tree / "open/fifo") == "/open/fifo: Not a regular file"
    assert opened(tree / "open") == "/open: Is a directory"
    assert opened("/dev/zero", held=("fs:read",)) == "/dev/zero: Not a regular file"


@pytest.mark.parametrize("path", ["/proc/self/mem", "/proc/self/environ", "/proc/kmsg", "/proc/self/fd/{}"])
def test_nothing_of_the_host_process_is_readable_by_whoever_may_read_everything(opened, path):
    shared = os.memfd_create("mailbox")
    os.write(shared, b"a message of another state")
    try:
        name = path.format(shared)
        assert opened(name, held=("fs:read",)).removeprefix(name) in (
            ": Not a regular file",
            ": No such file or directory",
        )
    finally:
        os.close(shared)


def test_a_pipe_behind_a_link_is_not_waited_for(opened):
    reading, writing = os.pipe()
    try:
        assert opened(f"/proc/self/fd/{reading}", held=("fs:read",)).endswith("Not a regular file")
        assert opened(f"/proc/self/fd/{reading}") == "denied"
    finally:
        os.close(reading)
        os.close(writing)


def test_a_nul_in_a_path_is_an_error(opened, tree):
    assert opened(f"{tree}/open/file\0x").endswith("Path with a NUL byte")


def test_a_path_longer_than_any_is_an_error_at_once(opened):
    assert opened("a/" * 1_000_000).endswith("File name too long")


def test_names_may_be_any_bytes(opened, tree):
    name = os.fsencode(tree) + b"/open/\xff\xfe"
    with open(name, "wb") as file:
        file.write(b"odd")
    assert opened(os.fsdecode(name)) == "odd"
    assert opened(os.fsdecode(os.fsencode(tree) + b"/closed/\xff")) == "denied"


def test_names_are_bytes_also_where_the_locale_has_another_encoding(tree):
    program = """if True:
        import sys
        from luspool.sandbox.files import allowed_file
        with allowed_file(lambda permission, path: print(ascii(path)), sys.argv[1] + "/open/\\u00e9") as file:
            pass
    """
    (tree / "open/é").touch()
    environment = {**os.environ, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    done = subprocess.run([sys.executable, "-c", program, tree], env=environment, capture_output=True, check=True)
    assert done.stdout.decode().strip() == ascii(f"{tree}/open/é")


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def test_close_gives_the_descriptor_back(printed, tree):
    before = descriptors()
    script = "for i = 1, 500 do local f = io.open((...)) f:close() end print(pcall(io.lines, (...)))"
    printed(script, held=("fs:read",), arguments=(f"{tree}/open/file",))
    assert descriptors() == before


def test_files_left_to_the_collector_never_run_out(printed, tree):
    source = "local n = 0 for i = 1, 1000 do n = n + #io.open((...)):read('a') end print(n)"
    assert printed(source, held=("fs:read",), arguments=(f"{tree}/open/file",)) == ["6000"]


def test_a_state_holds_64_files_at_most_and_gives_all_back_at_its_end(lus, tree):
    before = descriptors()
    source = """
        local files = {}
        for i = 1, 65 do files[i], problem = io.open((...)) end
        print(#files, problem) files[1]:close() print(io.type(io.open((...)))) worker.peek()"""
    script = lus(source, held=("fs:read",), arguments=(f"{tree}/open/file",), is_worker=True)
    script.waits_for()
    assert script.port.output.replace(str(tree), "") == "64\t/open/file: Too many open files\nfile\n"
    assert descriptors() == before + 64
    script.state.close()
    assert descriptors() == before


def test_a_collected_file_found_in_a_weak_table_is_closed(printed, tree):
    source = """
        local weak = setmetatable({}, {__mode = "k"})
        weak[io.open((...))] = true
        collectgarbage()
        local file = next(weak)
        print(file == nil or io.type(file))"""
    assert printed(source, held=("fs:read",), arguments=(f"{tree}/open/file",)) == ["closed file"]


def test_seeking_far_is_an_error_not_a_fault(printed, tree):
    source = """
        local f = io.open((...)) f:read(1)
        print(f:seek("cur", math.mininteger)) print(f:seek("set", math.maxinteger)) print(f:read(1))"""
    lines = printed(source, held=("fs:read",), arguments=(f"{tree}/open/file",))
    assert lines[0] == "nil\tInvalid argument\t22"
