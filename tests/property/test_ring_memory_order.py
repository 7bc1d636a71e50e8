"""A ring on a processor that reorders whatever its fences allow, interrupted and killed at every access to memory.

The model: each side's stores wait in a buffer and reach the memory in any order until its next fence; its loads give
what is in the memory now or what was there at its last fence. That is weaker than ARM64 in both respects. Not modelled
is a store that overtakes an earlier load. At any access of one side, whole operations of the other may come in between.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from luspool.scheduler.ring_frames import FrameDecoder, encode_batch
from luspool.scheduler.ring_stream import WORDS_SIZE, StreamReader, StreamWriter

PATTERN = bytes(range(1, 252))
TOTAL = 60


class KilledError(Exception):
    """The process was killed at this access."""


class Processor:
    """One side's view of the memory: `words` and `data` for the stream, and its `fence`."""

    def __init__(self, memory: bytearray, choice: random.Random) -> None:
        self.memory = memory
        self.choice = choice
        self.stores: list[tuple[int, bytes]] = []
        self.at_last_fence = bytes(memory)
        self.between: Callable[[], None] = lambda: None
        self.operation = ""
        self.fences = 0
        self.without: tuple[str, int] | None = None
        self.words = Words(self)
        self.data = Data(self)

    def begin(self, operation: str) -> None:
        self.operation, self.fences = operation, 0

    def store(self, at: int, data: bytes) -> None:
        self.between()
        self.stores.append((at, data))
        self.drain(self.choice.randrange(3))

    def load(self, at: int, size: int) -> bytes:
        self.between()
        source = self.memory if self.choice.random() < 0.5 else self.at_last_fence
        seen = bytearray(source[at : at + size])
        for start, data in self.stores:  # a processor always sees its own stores
            for index, byte in enumerate(data, start - at):
                if 0 <= index < size:
                    seen[index] = byte
        return bytes(seen)

    def fence(self) -> None:
        self.fences += 1
        if (self.operation, self.fences) == self.without:
            return
        self.between()
        self.drain(len(self.stores))
        self.at_last_fence = bytes(self.memory)

    def drain(self, count: int) -> None:
        """Let `count` stores of any age reach the memory; those of one place keep their order."""
        for _ in range(min(count, len(self.stores))):
            place = self.choice.choice(self.stores)[0]
            index = next(i for i, (at, _) in enumerate(self.stores) if at == place)
            at, data = self.stores.pop(index)
            self.memory[at : at + len(data)] = data


class Words:
    def __init__(self, processor: Processor) -> None:
        self.processor = processor

    def __getitem__(self, index: int) -> int:
        return int.from_bytes(self.processor.load(index * 8, 8), "little")

    def __setitem__(self, index: int, value: int) -> None:
        self.processor.store(index * 8, value.to_bytes(8, "little"))


class Data:
    def __init__(self, processor: Processor) -> None:
        self.processor = processor

    def __len__(self) -> int:
        return len(self.processor.memory) - WORDS_SIZE

    def __getitem__(self, place: slice) -> memoryview:
        start, stop, _ = place.indices(len(self))
        return memoryview(self.processor.load(WORDS_SIZE + start, max(0, stop - start)))

    def __setitem__(self, place: slice, data: bytes) -> None:
        start, stop, _ = place.indices(len(self))
        assert stop - start == len(data)
        for index, byte in enumerate(data, WORDS_SIZE + start):
            self.processor.store(index, bytes([byte]))


class Writing:
    """A process that writes `content`, and sleeps when there is no room."""

    def __init__(self, processor: Processor, content: bytes) -> None:
        self.processor = processor
        self.stream = StreamWriter(processor.words, processor.data, processor.fence)
        self.content = content
        self.asleep = False
        self.other: Reading

    def step(self) -> None:
        if self.asleep or not self.content:
            return
        piece = self.content[: self.processor.choice.randint(1, 7)]
        self.processor.begin("write")
        written = self.stream.write(piece)
        self.content = self.content[written:]
        self.processor.begin("publish")
        if self.stream.publish():
            self.other.asleep = False
        if written < len(piece):
            self.processor.begin("ask for room")
            self.asleep = True  # a ring that comes while it falls asleep is not lost: the bell keeps it
            if not self.stream.ask_for_room(len(piece) - written):
                self.asleep = False


class Reading:
    """A process that reads, and sleeps when there is nothing."""

    def __init__(self, processor: Processor) -> None:
        self.processor = processor
        self.stream = StreamReader(processor.words, processor.data, processor.fence)
        self.content = b""
        self.asleep = False
        self.other: Writing

    def step(self) -> None:
        if self.asleep:
            return
        self.processor.begin("look")
        if self.stream.look():
            self.content += b"".join(self.stream.pieces())
            self.processor.begin("release")
            if self.stream.release():
                self.other.asleep = False
        else:
            self.processor.begin("ask for bytes")
            self.asleep = True
            if not self.stream.ask_for_bytes():
                self.asleep = False


def interrupted_by(other: Writing | Reading, mine: Processor) -> Callable[[], None]:
    """Lets `other` do whole steps at accesses of `mine`, but is not interrupted in turn."""

    def between() -> None:
        if mine.choice.random() < 0.2:
            other.processor.between, kept = lambda: None, other.processor.between
            mine.between, own = lambda: None, mine.between
            other.step()
            other.processor.between, mine.between = kept, own

    return between


def run(seed: int, content: bytes, without: tuple[str, int] | None = None) -> tuple[Writing, Reading]:
    """Both sides until nothing moves any more. AssertionError where the reader has read what was not written."""
    choice = random.Random(seed)
    memory = bytearray(WORDS_SIZE + choice.randint(1, 12))
    writing = Writing(Processor(memory, choice), content)
    reading = Reading(Processor(memory, choice))
    writing.other, reading.other = reading, writing
    sides = [writing, reading]
    for side, other in (sides, sides[::-1]):
        side.processor.between = interrupted_by(other, side.processor)
        side.processor.without = without
    while not all(side.asleep or (side is writing and not writing.content) for side in sides):
        choice.choice(sides).step()
        assert content.startswith(reading.content)
    return writing, reading


@pytest.mark.parametrize("start", range(0, 1000, 200))
def test_nothing_is_lost_reordered_or_slept_through(start):
    for seed in range(start, start + 200):
        writing, reading = run(seed, PATTERN[:TOTAL])
        assert not writing.content, seed
        assert reading.content == PATTERN[:TOTAL], seed
        writing.stream.validate()
        reading.stream.validate()


@pytest.mark.parametrize(
    "without",
    [("publish", 1), ("publish", 2), ("look", 1), ("release", 2), ("ask for bytes", 1), ("ask for room", 1)],
)
def test_the_model_notices_the_lack_of_any_fence(without):
    def goes_wrong(seed: int) -> bool:
        try:
            _, reading = run(seed, PATTERN[:TOTAL], without)
        except (AssertionError, ValueError):
            return True
        return reading.content != PATTERN[:TOTAL]

    assert any(map(goes_wrong, range(5000)))


# --- death ------------------------------------------------------------------------------------------------------


def killed_at(access: int) -> Callable[[], None]:
    left = iter(range(access))

    def between() -> None:
        if next(left, None) is None:
            raise KilledError

    return between


def killed(victim: Writing | Reading, writing: Writing, reading: Reading) -> bool:
    """Run both in turns; whether the victim was killed before all was written. What it had stored gets through."""
    try:
        while writing.content:
            writing.step()
            reading.step()
    except KilledError:
        victim.processor.drain(len(victim.processor.stores))
        return True
    return False


@pytest.mark.parametrize("capacity", [1, 5, 16, 64])
def test_a_writer_killed_at_any_access_leaves_whole_records_and_a_reader_that_goes_on(capacity):
    records = [b"", b"one", PATTERN[:20], b"4", b"x" * 9]
    for access in range(10_000):
        choice = random.Random(access)
        memory = bytearray(WORDS_SIZE + capacity)
        writing = Writing(Processor(memory, choice), b"".join(encode_batch(records, 100) + encode_batch(records, 100)))
        reading = Reading(Processor(memory, choice))
        writing.other, reading.other = reading, writing
        writing.processor.between = killed_at(access)
        was_killed = killed(writing, writing, reading)
        for _ in range(100):
            reading.asleep = False  # the end of the writer wakes it
            reading.step()
        received: list[bytes] = []
        FrameDecoder(100).feed(memoryview(reading.content), received)
        assert received == (records * 2)[: len(received)]
        reading.stream.validate()
        assert reading.stream._taken == int.from_bytes(memory[:8], "little")
        if not was_killed:
            assert received == records * 2
            return
    pytest.fail("the writer never came to its end")


@pytest.mark.parametrize("capacity", [1, 5, 16])
def test_a_reader_killed_at_any_access_leaves_a_writer_that_fills_the_ring_and_stops(capacity):
    for access in range(60):
        choice = random.Random(access)
        memory = bytearray(WORDS_SIZE + capacity)
        writing, reading = Writing(Processor(memory, choice), PATTERN), Reading(Processor(memory, choice))
        writing.other, reading.other = reading, writing
        reading.processor.between = killed_at(access)
        assert killed(reading, writing, reading)
        for _ in range(100):
            writing.asleep = False  # the end of the reader wakes it
            writing.step()
        assert writing.content
        taken = int.from_bytes(memory[128:136], "little")
        assert len(PATTERN) - len(writing.content) - taken == capacity
        assert PATTERN.startswith(reading.content)
