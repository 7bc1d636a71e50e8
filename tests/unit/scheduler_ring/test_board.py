"""Boards: what is shown arrives, outlives its writer, can be written by nobody else, and never harms who reads it."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from luspool.scheduler import board
from luspool.scheduler.board import NAME_ROOM, SLOTS, BoardReader, BoardWriter, Load, create_board, sum_of

SOME = Load(idle=1, ready=2, states=3, memory=4, cpu=5, output=6)
MOST = 2**64 - 1
SIZE = 256 * (1 + SLOTS)
SECONDS = 30

READ = """
import sys
from luspool.scheduler.board import BoardReader
reader = BoardReader(int(sys.argv[1]))
print(*reader.load(), *reader.running())
"""
WRITE = """
import sys, time
from luspool.scheduler.board import BoardWriter, Load
writer = BoardWriter(int(sys.argv[1]))
writer.publish(Load(1, 2, 3, 4, 5, 6))
writer.enter(0, "innocent.lus")
writer.enter(1, "guilty.lus")
writer.leave(0)
print("ready", flush=True)
while True:
    exec(sys.argv[2])
"""


@pytest.fixture
def ends() -> Iterator[tuple[BoardWriter, BoardReader, memoryview]]:
    """Both ends of a board, and its memory in words, as a host may write it that keeps to no rule."""
    fds = create_board()
    memory = mmap.mmap(fds.writer, SIZE)
    with memoryview(memory) as view, view.cast("Q") as words:
        writer, reader = BoardWriter(fds.writer), BoardReader(fds.reader)
        yield writer, reader, words
    memory.close()
    writer.close()
    reader.close()


def killed_writer(fd: int, loop: str, moment: Callable[[], None] = lambda: None) -> None:
    """A process writes the board until it is killed."""
    command = [sys.executable, "-c", WRITE, str(fd), loop]
    with subprocess.Popen(command, pass_fds=[fd], stdout=subprocess.PIPE, text=True) as process:
        os.close(fd)
        try:
            assert process.stdout.readline() == "ready\n"
            moment()
        finally:
            process.kill()
            process.wait(SECONDS)


def test_a_new_board_shows_nothing(ends):
    _, reader, _ = ends
    assert reader.load() == Load(0, 0, 0, 0, 0, 0)
    assert reader.running() == ()


@pytest.mark.parametrize("load", [SOME, SOME._replace(cpu=MOST), Load(*[MOST] * 6), Load()])
def test_a_load_arrives_whatever_was_there_before(ends, load):
    writer, reader, _ = ends
    for before in (SOME, Load(*[7] * 6)):
        writer.publish(before)
        writer.publish(load)
        assert reader.load() == load


def test_only_words_that_changed_are_stored(ends):
    writer, reader, words = ends
    writer.publish(SOME)
    words[0] = 99
    writer.publish(SOME._replace(cpu=50))
    assert reader.load() == SOME._replace(idle=99, cpu=50)


@pytest.mark.parametrize("number", [-1, MOST + 1])
def test_a_number_that_is_no_word_is_refused_and_the_next_load_is_shown_all_the_same(ends, number):
    writer, reader, _ = ends
    writer.publish(SOME)
    for _ in range(2):  # what was refused is not taken for published
        with pytest.raises(ValueError, match="invalid value for format 'Q'"):
            writer.publish(Load(idle=10, ready=20, states=number, memory=40))
    writer.publish(SOME)
    assert reader.load() == SOME


def test_loads_add_up_number_by_number():
    assert sum_of([]) == Load()
    assert sum_of(iter([SOME, Load(memory=MOST), SOME])) == Load(2, 4, 6, 8 + MOST, 10, 12)


def test_scripts_are_running_between_enter_and_leave_one_for_each_executor(ends):
    writer, reader, _ = ends
    writer.enter(3, "b")
    writer.enter(0, "a")
    writer.enter(5, "a")
    assert reader.running() == ("a", "b", "a")
    writer.leave(0)
    writer.leave(1)
    assert reader.running() == ("b", "a")
    writer.enter(3, "longer")
    writer.enter(3, "c")
    assert reader.running() == ("c", "a")


def test_a_name_is_written_only_when_the_slot_holds_another(ends):
    writer, reader, words = ends
    writer.enter(0, "script")
    words[33] = 3
    writer.leave(0)
    writer.enter(0, "".join(["scr", "ipt"]))
    assert reader.running() == ("scr",)
    writer.enter(0, "other")
    writer.enter(0, "script")
    assert reader.running() == ("script",)


def test_at_no_moment_of_a_change_does_a_slot_show_a_name_in_part(ends):
    writer, reader, _ = ends
    seen = []

    class Watched:
        """A view of the memory. The process may die before and after each store."""

        def __init__(self, view: memoryview) -> None:
            self.view = view

        def __setitem__(self, key: int | slice, value: object) -> None:
            seen.append(reader.running())
            self.view[key] = value
            seen.append(reader.running())

        def release(self) -> None:
            self.view.release()

    writer.enter(0, "a long name")
    for name in ("_bytes", "_inside", "_lengths"):
        setattr(writer, name, Watched(getattr(writer, name)))
    writer.enter(0, "short")
    assert seen == [("a long name",), *[()] * 6, ("short",)]


def test_a_change_of_name_that_an_exception_ended_is_made_again(ends, monkeypatch):
    writer, reader, _ = ends
    writer.enter(0, "old")

    class Interrupted:
        def __setitem__(self, key: int, value: int) -> None:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(writer, "_lengths", Interrupted())
        with pytest.raises(KeyboardInterrupt):
            writer.enter(0, "interrupted")
    assert reader.running() == ()
    writer.enter(0, "old")
    assert reader.running() == ("old",)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("", ""),
        ("a\0b\n", "a\0b\n"),
        ("x" * NAME_ROOM, "x" * NAME_ROOM),
        ("/cut" + "x" * NAME_ROOM, "x" * NAME_ROOM),
        ("x" * (1 << 20) + "end.lus", "x" * (NAME_ROOM - 7) + "end.lus"),
        ("é" * NAME_ROOM, "é" * (NAME_ROOM // 2)),
        ("é" * NAME_ROOM + "x", "\udca9" + "é" * (NAME_ROOM // 2 - 1) + "x"),
        ("stray \udcff byte", "stray \udcff byte"),
        ("lone \ud800 \udcff surrogate", "lone \\ud800 \\udcff surrogate"),
        ("\ud800" * NAME_ROOM, "\\ud800" * (NAME_ROOM // 6)),
    ],
    ids=["empty", "control", "full", "long", "huge", "wide", "cut", "stray", "surrogate", "surrogates"],
)
def test_any_text_is_a_name_and_of_a_long_one_the_end_stays(ends, name, shown):
    writer, reader, _ = ends
    writer.enter(0, name)
    writer.enter(1, "neighbour")
    assert reader.running() == (shown, "neighbour")


def test_executors_beyond_the_slots_are_not_recorded(ends):
    writer, reader, _ = ends
    for executor in (-1, *range(SLOTS + 2), 10**30):
        writer.enter(executor, f"script {executor}")
    assert reader.running() == tuple(f"script {executor}" for executor in range(SLOTS))
    for executor in (-1, SLOTS, SLOTS + 1):
        writer.leave(executor)
    assert len(reader.running()) == SLOTS


def test_another_process_sees_what_is_shown():
    fds = create_board()
    writer = BoardWriter(fds.writer)
    writer.publish(SOME)
    writer.enter(2, "script.lus")
    done = subprocess.run(
        [sys.executable, "-c", READ, str(fds.reader)],
        pass_fds=[fds.reader],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("1 2 3 4 5 6 script.lus\n", "")
    os.close(fds.reader)
    writer.close()


def test_a_board_outlives_a_writer_that_was_killed_and_tells_what_it_was_running():
    fds = create_board()
    killed_writer(fds.writer, "time.sleep(1)")
    reader = BoardReader(fds.reader)
    assert reader.load() == SOME
    assert reader.running() == ("guilty.lus",)
    reader.close()


def test_a_writer_killed_at_any_moment_leaves_whole_names():
    names = ["a" * 200, "b" * 3, "é" * 100]
    loop = f"for name in {names!r}: writer.enter(0, name); writer.enter(1, name); writer.leave(0)"
    rng = random.Random(1)
    for _ in range(8):
        fds = create_board()
        reader = BoardReader(fds.reader)
        looks = rng.randrange(2000)
        # Looking takes time, and may meet anything before the death.
        killed_writer(fds.writer, loop, lambda reader=reader, looks=looks: [reader.running() for _ in range(looks)])
        assert set(reader.running()) <= {*names, "guilty.lus"}
        reader.close()


def test_the_readers_descriptor_does_not_write():
    fds = create_board()
    with pytest.raises(PermissionError):
        mmap.mmap(fds.reader, SIZE)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(fds.reader, b"x")
    reader = BoardReader(fds.reader)
    with pytest.raises(TypeError, match="read-only"):
        reader._words[0] = 1
    reader.close()
    os.close(fds.writer)


def test_once_there_is_a_writer_no_descriptor_writes_not_even_one_opened_anew():
    fds = create_board()
    copy = os.dup(fds.writer)
    writer = BoardWriter(fds.writer)
    again = os.open(f"/proc/self/fd/{fds.reader}", os.O_RDWR | os.O_CLOEXEC)
    for fd in (copy, again):
        with pytest.raises(PermissionError):
            mmap.mmap(fd, SIZE)
        with pytest.raises(PermissionError):
            os.write(fd, b"x")
        with pytest.raises(PermissionError):
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    reader = BoardReader(fds.reader)
    writer.publish(SOME)
    assert reader.load() == SOME
    writer.close()
    reader.close()
    os.close(again)
    with pytest.raises(PermissionError):
        BoardWriter(copy)


def test_a_board_keeps_its_size_and_is_not_inherited():
    fds = create_board()
    for size in (0, SIZE - 1, SIZE + 1):
        with pytest.raises(PermissionError):
            os.ftruncate(fds.writer, size)
        with pytest.raises(OSError, match="Invalid argument"):
            os.ftruncate(fds.reader, size)
    for fd in fds:
        assert not os.get_inheritable(fd)
        os.close(fd)


def test_whatever_a_board_holds_can_be_read():
    rng = random.Random(2)
    contents = [b"\xff" * SIZE, *(rng.randbytes(SIZE) for _ in range(20))]
    for content in contents:
        fds = create_board()
        os.pwrite(fds.writer, content, 0)
        os.close(fds.writer)
        reader = BoardReader(fds.reader)
        assert list(reader.load()) == [int.from_bytes(content[at : at + 8], sys.byteorder) for at in range(0, 48, 8)]
        names = reader.running()
        assert len(names) == SLOTS
        for slot, name in enumerate(names, 1):
            assert name.encode("utf-8", "surrogateescape") == content[256 * slot + 16 : 256 * (slot + 1)]
        reader.close()


def test_any_word_but_0_is_inside_and_a_length_beyond_the_slot_is_cut_to_it(ends):
    _, reader, words = ends
    for length, size in ((0, 0), (NAME_ROOM + 1, NAME_ROOM), (MOST, NAME_ROOM)):
        words[32 + 63 * 32] = 1 << 63
        words[33 + 63 * 32] = length
        assert reader.running() == ("\0" * size,)


def test_what_is_no_board_is_refused_and_its_descriptor_given_back():
    for end in (BoardWriter, BoardReader):
        read, write = os.pipe()
        os.close(write)
        with pytest.raises(ValueError, match="is no board: it can't be sealed"):
            end(read)
        for size, seals in ((SIZE, 0), (4096, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)):
            other = os.memfd_create("other", os.MFD_ALLOW_SEALING)
            os.ftruncate(other, size)
            fcntl.fcntl(other, fcntl.F_ADD_SEALS, seals)
            with pytest.raises(ValueError, match=f"is no board: {size} bytes, seals {seals:#x}"):
                end(other)
    fds = create_board()
    os.close(fds.writer)
    with pytest.raises(PermissionError):
        BoardWriter(fds.reader)


def test_a_board_that_can_not_be_made_leaves_nothing(monkeypatch):
    def no_more(*_arguments: object) -> int:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(board.os, "open", no_more)
    with pytest.raises(OSError, match="too many"):
        create_board()
    monkeypatch.undo()


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EPERM])
def test_a_kernel_without_the_seal_will_do_and_any_other_failure_gives_all_back(monkeypatch, number):
    fds = create_board()
    real = fcntl.fcntl

    def without(fd: int, command: int, argument: int = 0) -> int:
        if command == fcntl.F_ADD_SEALS:
            raise OSError(number, os.strerror(number))
        return real(fd, command, argument)

    reader = BoardReader(fds.reader)
    monkeypatch.setattr(board.fcntl, "fcntl", without)
    if number == errno.EINVAL:
        writer = BoardWriter(fds.writer)
        writer.publish(SOME)
        assert reader.load() == SOME
        writer.close()
    else:
        with pytest.raises(PermissionError):
            BoardWriter(fds.writer)
    reader.close()


def test_closing_gives_everything_back_and_may_be_repeated(holdings):
    before = holdings()
    fds = create_board()
    writer, reader = BoardWriter(fds.writer), BoardReader(fds.reader)
    writer.enter(0, "script")
    writer.close()
    assert reader.running() == ("script",)
    reader.close()
    assert holdings() == before
    writer.close()
    reader.close()
