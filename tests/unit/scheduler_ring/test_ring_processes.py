"""Rings between processes: the descriptors' way, death of either side, and what is left of it."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from luspool.scheduler.ring import RingClosedError, RingEnd, RingReader, RingWriter, create_ring

ROOT = Path(__file__).parents[3]
ECHO = """
import socket, sys
from luspool.scheduler.ring import RingClosedError, RingEnd, RingReader, RingWriter
if sys.argv[1] == "socket":
    with socket.socket(fileno=int(sys.argv[2])) as sock:
        fds = socket.recv_fds(sock, 10, 6)[1]
else:
    fds = list(map(int, sys.argv[2:]))
with RingReader(RingEnd(*fds[:3])) as reader, RingWriter(RingEnd(*fds[3:])) as writer:
    try:
        while True:
            for record in reader.get():
                while not writer.put(record[::-1]):
                    writer.wait_room()
                while not writer.flush():
                    writer.wait_room()
            reader.wait_records()
    except RingClosedError as error:
        print(error)
"""
SECONDS = 30


class Echo:
    """A process that sends back what it gets, the wrong way round."""

    def __init__(self, way: str, capacity: int) -> None:
        (ours_in, theirs_out), (theirs_in, ours_out) = create_ring(capacity), create_ring(capacity)
        fds = (*theirs_out, *theirs_in)
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-c", ECHO, way]
        if way == "socket":
            arguments, kept = [str(theirs.fileno())], (theirs.fileno(),)
            socket.send_fds(ours, [b"ring"], fds)
        else:
            arguments, kept = list(map(str, fds)), fds
        self.process = subprocess.Popen([*command, *arguments], pass_fds=kept, stdout=subprocess.PIPE, text=True)
        ours.close()
        theirs.close()
        for end in (theirs_out, theirs_in):
            end.close()
        self.writer, self.reader = RingWriter(ours_in), RingReader(ours_out)

    def get(self, count: int) -> list[bytes]:
        """Sends what is unsent, and receives `count` records: both ends are waited for in one place."""
        received: list[bytes] = []
        while True:
            self.writer.flush()
            received += self.reader.get()
            if len(received) >= count:
                return received
            if (not self.writer.unsent or self.writer.arm()) and self.reader.arm():
                assert select.select([self.writer, self.reader], [], [], SECONDS)[0]
                self.writer.hush()
                self.reader.hush()

    def wait_gone(self, end: RingWriter | RingReader) -> None:
        """Wait until the end hears that the process is gone, rather than one of its last rings."""
        while not end.gone:
            assert select.select([end], [], [], SECONDS)[0]
            end.hush()

    def end(self) -> tuple[str, int]:
        """Close both ends; what the process said then, and its exit status."""
        self.writer.close()
        self.reader.close()
        if self.process.returncode is None:
            self.said, _ = self.process.communicate(timeout=SECONDS)
        return self.said, self.process.returncode

    def __enter__(self) -> Echo:
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.end()


@pytest.mark.parametrize("way", ["socket", "inherited"])
def test_records_go_to_another_process_and_back_whatever_their_size(way):
    with Echo(way, 100_000) as echo:
        for record in (b"", b"abc", bytes(range(256)) * 2000, b"x" * (64 << 20)):
            assert echo.writer.put(record)
            assert echo.get(1) == [record[::-1]]
        assert echo.end() == ("the writer of the ring is gone, 0 bytes into a record\n", 0)


def test_the_death_of_a_process_is_seen_by_both_ends_that_it_leaves():
    with Echo("socket", 1000) as echo:
        echo.writer.put(b"abc")
        assert echo.get(1) == [b"cba"]
        os.kill(echo.process.pid, signal.SIGKILL)
        echo.wait_gone(echo.reader)
        echo.wait_gone(echo.writer)
        with pytest.raises(RingClosedError):
            echo.reader.get()
        with pytest.raises(RingClosedError):
            echo.writer.flush()
        assert echo.end() == ("", -signal.SIGKILL)


def test_a_writer_stopped_in_the_middle_keeps_nobody_from_anything():
    with Echo("inherited", 1000) as echo:
        echo.writer.put(b"abc")
        assert echo.get(1) == [b"cba"]
        os.kill(echo.process.pid, signal.SIGSTOP)
        while echo.writer.put(b"x" * 100):
            pass
        echo.writer.wait_room(0.001)
        assert echo.reader.get() == []
        os.kill(echo.process.pid, signal.SIGKILL)
        echo.wait_gone(echo.writer)
        with pytest.raises(RingClosedError):
            echo.writer.flush()
        assert echo.end() == ("", -signal.SIGKILL)


def test_neither_side_ever_hangs_or_reads_a_torn_record_when_the_other_is_killed():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/stress-ring", "60"], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "60 rounds" in done.stdout


def test_ends_that_were_handed_on_hold_no_memory():
    writer, reader = create_ring(1 << 20)
    assert isinstance(writer, RingEnd)
    assert len({*writer, *reader}) == 6
    writer.close()
    reader.close()
