"""Properties of a ring without processes: what goes in comes out, and a lie of the other side is an error at worst."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luspool.scheduler.ring_frames import BATCH_BYTES, BATCH_RECORDS, FrameDecoder, encode, encode_batch
from luspool.scheduler.ring_stream import WORDS_SIZE, RingError, StreamReader, StreamWriter

LIMIT = 1 << 27
WORDS = WORDS_SIZE // 8
small_records = st.binary(max_size=60)
capacities = st.integers(1, 40)


class Pair:
    """Both sides over one memory; what is not sent yet; what has arrived."""

    def __init__(self, capacity: int, limit: int = LIMIT) -> None:
        self.words, self.data = memoryview(bytearray(WORDS_SIZE)).cast("Q"), memoryview(bytearray(capacity))
        self.writer = StreamWriter(self.words, self.data, lambda: None)
        self.reader = StreamReader(self.words, self.data, lambda: None)
        self.decoder = FrameDecoder(limit)
        self.unsent: list[bytes | memoryview] = []
        self.received: list[bytes] = []

    def write(self) -> None:
        """Copy one piece, or the part of it that fits, without publishing it."""
        if self.unsent:
            piece = self.unsent.pop(0)
            if (done := self.writer.write(piece)) < len(piece):
                self.unsent.insert(0, memoryview(piece)[done:])

    def read(self) -> None:
        self.reader.look()
        for piece in self.reader.pieces():
            self.decoder.feed(piece, self.received)
        self.reader.release()

    def validate(self) -> None:
        self.writer.validate()
        self.reader.validate()

    def finish(self) -> None:
        while self.unsent:
            self.write()
            self.writer.publish()
            self.read()
        self.writer.publish()
        self.read()


@given(
    capacities,
    st.lists(
        st.one_of(
            st.builds(lambda record: ("put", [record]), small_records),
            st.builds(lambda records: ("put", records), st.lists(small_records, max_size=5)),
            st.sampled_from([("write", None), ("publish", None), ("read", None)]),
            st.sampled_from([("ask for room", None), ("ask for bytes", None)]),
        ),
        max_size=40,
    ),
)
@settings(max_examples=400)
def test_every_record_arrives_once_and_in_order_whatever_is_done_in_between(capacity, operations):
    pair = Pair(capacity)
    sent: list[bytes] = []
    for name, records in operations:
        if name == "put":
            sent += records
            pair.unsent += encode_batch(records, LIMIT)
        elif name == "write":
            pair.write()
        elif name == "publish":
            pair.writer.publish()
        elif name == "read":
            pair.read()
        elif name == "ask for room":
            pair.writer.ask_for_room(sum(map(len, pair.unsent)))
        else:
            pair.reader.ask_for_bytes()
        pair.validate()
        assert pair.received == sent[: len(pair.received)]
    pair.finish()
    pair.validate()
    assert pair.received == sent


@given(capacities, st.integers(1, 40), st.integers(0, 80))
def test_a_side_that_asked_is_woken_by_the_step_that_brings_what_it_waits_for_and_by_no_other(capacity, wanted, filled):
    pair = Pair(capacity)
    assert pair.reader.ask_for_bytes()
    assert not pair.writer.publish()
    assert pair.writer.write(b"x")
    assert pair.writer.publish()
    pair.writer.write(bytes(filled))
    assert not pair.writer.publish()
    room = capacity - min(capacity, 1 + filled)
    asked = pair.writer.ask_for_room(wanted)
    assert asked == (room < min(wanted, (capacity + 1) // 2))
    assert not pair.reader.ask_for_bytes()
    assert pair.reader.release() == asked
    assert not pair.reader.release()
    assert not pair.writer.ask_for_room(wanted)


@given(
    st.sampled_from([1, 7, 4096, 1 << 20]),
    st.lists(st.integers(0, 3 * BATCH_BYTES) | st.integers(0, 10), max_size=8),
    st.booleans(),
)
@settings(max_examples=30)
def test_records_larger_than_ring_and_batch_arrive_whole(capacity, sizes, batched):
    if capacity < 4096:
        sizes = [size % 1000 for size in sizes]
    pair = Pair(capacity)
    records = [bytes([number]) * size for number, size in enumerate(sizes)]
    if batched:
        pair.unsent += encode_batch(records, LIMIT)
    else:
        pair.unsent += itertools.chain.from_iterable(encode(record, LIMIT) for record in records)
    pair.finish()
    assert pair.received == records


@pytest.mark.parametrize("capacity", [65_536, 1_000_003])
def test_a_record_of_64_megabytes_goes_through_a_small_ring(capacity):
    pair = Pair(capacity)
    records = [b"before", bytes(range(251)) * 267_400, b"", b"after"]
    for record in records:
        pair.unsent += encode(record, LIMIT)
    pair.finish()
    assert len(records[1]) > 64 << 20
    assert pair.received == records


def test_many_records_become_few_pieces_and_no_batch_exceeds_its_bounds():
    records = [b"", b"x" * 30] * BATCH_RECORDS
    pieces = encode_batch(records, LIMIT)
    assert len(pieces) < 10
    pair = Pair(1 << 20)
    pair.unsent += pieces
    pair.finish()
    assert pair.received == records


@given(st.lists(st.lists(small_records, max_size=4), max_size=6), st.lists(st.integers(0, 10_000), max_size=12))
def test_any_split_of_the_stream_gives_the_same_records(batches, cuts):
    stream = b"".join(itertools.chain.from_iterable(encode_batch(batch, LIMIT) for batch in batches))
    decoder, records = FrameDecoder(LIMIT), []
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for start, end in itertools.pairwise(edges):
        decoder.feed(memoryview(stream)[start:end], records)
    assert records == list(itertools.chain.from_iterable(batches))
    assert decoder.unfinished == 0


# --- lies -------------------------------------------------------------------------------------------------------


@given(
    capacities,
    st.lists(small_records, max_size=6),
    st.lists(st.tuples(st.integers(0, WORDS - 1), st.integers(0, 2**64 - 1) | st.integers(0, 200)), max_size=4),
    st.lists(st.integers(0, 3), max_size=30),
)
@settings(max_examples=400)
def test_corrupted_words_give_right_records_or_a_ring_error(capacity, records, lies, operations):
    pair = Pair(capacity, limit=100)
    pair.unsent += encode_batch(records, 100)
    steps = [pair.write, pair.writer.publish, pair.read, pair.reader.ask_for_bytes]
    lies = iter(lies)
    with contextlib.suppress(RingError):
        for number, operation in enumerate(operations):
            steps[operation]()
            if number % 5 == 4 and (lie := next(lies, None)) is not None:
                pair.words[lie[0]] = lie[1]
        pair.writer.ask_for_room(1)
    assert sum(map(len, pair.received)) <= capacity * operations.count(steps.index(pair.read))


@given(st.integers(1, 40), st.integers(0, 40), st.integers(0, 2**64 - 1))
def test_every_impossible_position_is_an_error(capacity, filled, lie):
    pair = Pair(capacity)
    pair.writer.write(bytes(min(filled, capacity)))
    pair.writer.publish()
    written = min(filled, capacity)
    pair.words[16] = lie
    if lie > written:
        with pytest.raises(RingError, match="the reader is at"):
            pair.writer.write(bytes(capacity + 1))
    pair.reader.look()
    pair.reader.release()
    pair.words[0] = lie
    if not written <= lie <= written + capacity:
        with pytest.raises(RingError, match="the writer is at"):
            pair.reader.look()


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_arbitrary_bytes_give_records_or_an_error_however_split(stream, cuts):
    def decode(pieces: list[bytes]) -> tuple[list[bytes], bool]:
        decoder, records = FrameDecoder(100), []
        try:
            for piece in pieces:
                decoder.feed(memoryview(piece), records)
        except RingError:
            with pytest.raises(RingError):
                decoder.feed(memoryview(b""), records)
            return records, True
        return records, False

    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    assert decode([stream[start:end] for start, end in itertools.pairwise(edges)]) == decode([stream])


@given(st.lists(st.lists(small_records, min_size=1, max_size=4), min_size=1, max_size=4), st.data())
def test_a_damaged_stream_still_gives_the_records_before_the_damage(batches, data):
    frames = [b"".join(encode_batch(batch, 100)) for batch in batches]
    victim = data.draw(st.integers(0, len(frames) - 1))
    at = data.draw(st.integers(0, len(frames[victim]) - 1))
    damaged = bytearray(frames[victim])
    damaged[at] ^= data.draw(st.integers(1, 255))
    records: list[bytes] = []
    with contextlib.suppress(RingError):
        FrameDecoder(100).feed(memoryview(b"".join([*frames[:victim], bytes(damaged), *frames[victim + 1 :]])), records)
    before = list(itertools.chain.from_iterable(batches[:victim]))
    assert records[: len(before)] == before


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ((0, 0), "a batch of 0 records"),
        ((1, 101), "a record of 101 bytes"),
        ((1, 2**32 - 1), "a record of 4294967295 bytes"),
        ((2, BATCH_BYTES + 1), "a batch of 2 records"),
        ((BATCH_RECORDS + 1, 0), "a batch of 4097 records"),
        ((2**32 - 1, 2**32 - 1), "a batch of 4294967295 records"),
    ],
)
def test_a_head_beyond_the_limits_is_an_error_before_anything_else_arrives(head, reason):
    with pytest.raises(RingError, match=reason):
        FrameDecoder(100).feed(memoryview(b"".join(number.to_bytes(4, "little") for number in head)), [])


def test_sizes_that_do_not_make_up_their_batch_are_an_error():
    for sizes in ((3, 4), (2**32 - 1, 9), (0, 0)):
        frame = b"".join(number.to_bytes(4, "little") for number in (2, 8, *sizes)) + bytes(8)
        with pytest.raises(RingError, match="a batch of 8 bytes"):
            FrameDecoder(100).feed(memoryview(frame), [])
