"""The two ends of a ring: what fits, what waits, who is woken, and how an end is told."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import mmap
import os
import select
import threading

import pytest

from luspool.scheduler.ring import RingClosedError, RingEnd, RingError, RingReader, RingWriter, create_ring
from luspool.scheduler.ring_memory import create_memory, map_memory


def is_rung(end: RingWriter | RingReader) -> bool:
    return bool(select.select([end], [], [], 0)[0])


def test_records_arrive_in_order_also_those_of_batches_and_empty_ones(make_ring):
    writer, reader = make_ring(1000)
    assert writer.put(b"a")
    assert writer.put_batch([b"", b"bc", b"\0" * 100])
    assert writer.put_batch([])
    assert writer.put(b"")
    assert reader.get() == [b"a", b"", b"bc", b"\0" * 100, b""]
    assert reader.get() == []


def test_a_full_ring_takes_one_batch_more_and_then_nothing_until_that_is_through(make_ring):
    writer, reader = make_ring(20)
    assert writer.put(b"x" * 10)
    assert writer.put_batch([b"y" * 10, b"z" * 50])
    assert writer.unsent
    assert not writer.put(b"later")
    assert not writer.put_batch([b"later"])
    received = reader.get()
    assert received == [b"x" * 10]
    while not writer.flush():
        received += reader.get()
    assert not writer.unsent
    assert writer.put(b"later")
    while len(received) < 4:
        received += reader.get()
        writer.flush()
    assert received == [b"x" * 10, b"y" * 10, b"z" * 50, b"later"]


def test_a_record_beyond_the_limit_is_refused_and_changes_nothing(make_ring):
    writer, reader = make_ring(1000, record_limit=10)
    with pytest.raises(ValueError, match="a record of 11 bytes; 10 is the most that this ring takes"):
        writer.put(bytes(11))
    with pytest.raises(ValueError, match="a record of 11 bytes"):
        writer.put_batch([b"good", bytes(11)])
    assert writer.put(bytes(10))
    assert reader.get() == [bytes(10)]


def test_a_side_that_does_not_sleep_is_not_rung(make_ring):
    writer, reader = make_ring(100)
    writer.put(b"x")
    assert not is_rung(reader)
    reader.get()
    assert not is_rung(writer)


def test_a_sleeping_reader_is_rung_once(make_ring):
    writer, reader = make_ring(100)
    assert reader.arm()
    writer.put(b"x")
    writer.put(b"y")
    assert os.read(reader.fileno(), 10) == b"\0"
    assert not reader.arm()
    assert reader.get() == [b"x", b"y"]


def test_a_sleeping_writer_is_rung_once_when_there_is_room_for_its_rest(make_ring):
    writer, reader = make_ring(40)
    writer.put_batch([b"x" * 30, b"y" * 10])
    assert writer.arm()
    reader.get()
    assert is_rung(writer)
    assert os.read(writer.fileno(), 10) == b"\0"
    assert not writer.arm()
    assert writer.flush()


def test_there_is_no_need_to_sleep_while_nothing_is_unsent_or_the_other_side_is_gone(make_ring):
    writer, reader = make_ring(40)
    assert not writer.arm()
    writer.put(b"x" * 100)
    assert writer.arm()
    reader.close()
    writer.wait_room()
    assert not writer.arm()
    writer, reader = make_ring(40)
    writer.close()
    reader.wait_records()
    assert not reader.arm()


def test_the_reader_gets_what_was_published_and_then_the_end(make_ring):
    writer, reader = make_ring(100)
    writer.put(b"last words")
    writer.close()
    reader.wait_records()
    assert reader.get() == [b"last words"]
    reader.hush()
    with pytest.raises(RingClosedError, match="0 bytes into a record"):
        reader.get()


def test_a_record_that_arrived_in_part_is_dropped_with_its_writer(make_ring):
    writer, reader = make_ring(30)
    writer.put(b"whole")
    writer.put(b"x" * 100)
    writer.close()
    reader.hush()
    assert reader.get() == [b"whole"]
    with pytest.raises(RingClosedError, match="17 bytes into a record"):
        reader.get()


@pytest.mark.parametrize("learnt_by", ["ringing", "waiting", "hushing"])
def test_the_writer_is_told_that_its_reader_is_gone(make_ring, learnt_by):
    writer, reader = make_ring(30)
    reader.arm()
    reader.close()
    if learnt_by == "ringing":
        assert writer.put(b"x")
    elif learnt_by == "waiting":
        assert writer.put(b"x" * 100)
        writer.wait_room()
    else:
        writer.hush()
    for call in (lambda: writer.put(b"x"), lambda: writer.put_batch([]), writer.flush):
        with pytest.raises(RingClosedError, match="the reader of the ring is gone"):
            call()


def test_waiting_ends_after_the_time_given(make_ring):
    writer, reader = make_ring(30)
    reader.wait_records(0.001)
    writer.put(b"x" * 100)
    writer.wait_room(0.001)
    assert writer.unsent
    assert reader.get() == []


def test_rings_beyond_what_a_bell_holds_neither_block_nor_fail(make_ring):
    writer, reader = make_ring(100)
    for _ in range(70_000):
        writer._bell.ring()
    reader.wait_records()
    assert reader.get() == []
    reader.hush()
    assert not is_rung(reader)


def test_two_threads_exchange_records_of_all_sizes_through_a_small_ring(make_ring):
    writer, reader = make_ring(64)
    records = [bytes([size % 251]) * (size * size % 997) for size in range(1500)]

    def write() -> None:
        for start in range(0, len(records), 3):
            while not writer.put_batch(records[start : start + 3]):
                writer.wait_room()
        while not writer.flush():
            writer.wait_room()
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    received: list[bytes] = []
    with contextlib.suppress(RingClosedError):
        while True:
            received += reader.get()
            reader.wait_records()
    thread.join()
    assert received == records


def test_closing_twice_is_harmless(make_ring):
    for end in make_ring(10):
        end.close()
        end.close()


# --- what a broken other side can do ----------------------------------------------------------------------------


@pytest.fixture
def broken_writer():
    """A reader, and the raw words and data of its ring."""
    ours, theirs = create_ring(100)
    words, data = map_memory(ours.memory)
    with RingReader(theirs, 50) as reader:
        yield reader, words, data
    words.release()
    data.release()
    ours.close()


@pytest.mark.parametrize("position", [101, 2**63, 2**64 - 1])
def test_an_impossible_position_of_the_writer_is_an_error(broken_writer, position):
    reader, words, _ = broken_writer
    words[0] = position
    with pytest.raises(RingError, match=f"the writer is at {position}"):
        reader.get()
    with pytest.raises(RingError, match=f"the writer is at {position}"):
        reader.wait_records()


def test_good_records_before_a_bad_frame_are_given_and_then_only_the_error(broken_writer):
    reader, words, data = broken_writer
    data[:20] = b"\1\0\0\0\4\0\0\0good\1\0\0\0\xff\xff\xff\xff"
    words[0] = 20
    assert reader.get() == [b"good"]
    for _ in range(3):
        with pytest.raises(RingError, match="a record of 4294967295 bytes; 50 is the most"):
            reader.get()


def test_an_impossible_position_of_the_reader_is_an_error():
    ours, theirs = create_ring(100)
    words, data = map_memory(theirs.memory)
    with RingWriter(ours) as writer:
        words[16] = 1
        with pytest.raises(RingError, match="the reader is at 1, having been at 0; 0 are written"):
            writer.put(bytes(200))
    words.release()
    data.release()
    theirs.close()


def test_the_size_of_a_ring_can_not_be_changed_by_anybody():
    memory = create_memory(100)
    for size in (0, 10, 1000):
        with pytest.raises(PermissionError):
            os.ftruncate(memory, size)
    with pytest.raises(PermissionError):
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    os.close(memory)


def test_what_is_no_memory_of_a_ring_is_refused_and_its_descriptors_are_closed():
    unsealed = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    os.ftruncate(unsealed, 1000)
    small = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    fcntl.fcntl(small, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    for memory in (unsealed, small, os.open(os.devnull, os.O_RDWR)):
        for side in (RingReader, RingWriter):
            with pytest.raises(ValueError, match="is no memory of a ring"):
                side(RingEnd(os.dup(memory), *os.pipe()))
        os.close(memory)


@pytest.mark.parametrize("limit", [-1, 1 << 32])
def test_a_limit_that_no_frame_can_hold_is_refused(limit):
    for end, side in zip(create_ring(100), (RingWriter, RingReader), strict=True):
        with pytest.raises(ValueError, match="less than 4 GiB"):
            side(end, limit)


def test_a_ring_without_room_is_refused():
    with pytest.raises(ValueError, match="room for at least one byte, not 0"):
        create_ring(0)


def test_the_memory_goes_with_the_last_end(make_ring):
    writer, reader = make_ring(mmap.PAGESIZE)
    writer.put(b"x")
    reader.get()
    writer.close()
    reader.close()
    gc.collect()
    with open("/proc/self/maps", encoding="utf-8") as maps:
        assert "memfd:" not in maps.read()
