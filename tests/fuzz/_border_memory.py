"""Shared memory that the other side scribbles on: rings, with all that lies in them, and boards."""

import mmap
import os
from contextlib import ExitStack, suppress

from luspool.scheduler.board import NAME_ROOM, SLOTS, BoardReader, BoardWriter, Load, create_board
from luspool.scheduler.link import Link, LinkCalls
from luspool.scheduler.peer import Peer
from luspool.scheduler.ring import RingClosedError, RingError, RingReader, RingWriter, create_ring
from luspool.scheduler.ring_frames import BATCH_BYTES, BATCH_RECORDS
from luspool.scheduler.ring_memory import map_memory
from luspool.scheduler.ring_stream import WORDS_SIZE

LIMIT = 2000
MOST_KEPT = BATCH_BYTES + 4 * BATCH_RECORDS + 8


def scribble(chance, words, data):
    """Positions, wishes, heads of frames, anything."""
    match chance.randrange(5):
        case 0:
            word = chance.choice((0, 1, 16, 17, chance.randrange(WORDS_SIZE // 8)))
            near = words[chance.choice((0, 16))] + chance.choice((-1, 0, 1, len(data), len(data) + 1))
            words[word] = (near if chance.random() < 0.7 else chance.number()) & (1 << 64) - 1
        case 1:
            at = chance.randrange(len(data))
            piece = chance.small_bytes(40)[: len(data) - at]
            data[at : at + len(piece)] = piece
        case 2:
            count, size = (
                chance.choice((0, 1, 2, 4096, 4097, 1 << 31)),
                chance.choice((0, 1, LIMIT, LIMIT + 1, 1 << 31)),
            )
            head = (count.to_bytes(4, "little") + size.to_bytes(4, "little"))[: len(data)]
            at = words[16] % len(data)
            end = min(len(data), at + len(head))
            data[at:end] = head[: end - at]
        case _:
            return


def ring_round(chance):
    """Either side of a ring under a lying other: an error or records within the limits, always at once."""
    capacity = chance.choice((1, 7, 64, 300, 5000))
    with ExitStack() as stack:
        ours, theirs = create_ring(capacity)
        words, data = map_memory(ours.memory)
        stack.callback(data.release)
        stack.callback(words.release)
        writer, reader = stack.enter_context(RingWriter(ours, LIMIT)), stack.enter_context(RingReader(theirs, LIMIT))
        for _ in range(chance.randrange(1, 30)):
            scribble(chance, words, data)
            with suppress(RingError, RingClosedError):
                _write(chance, writer)
            with suppress(RingError, RingClosedError):
                records = reader.get()
                assert sum(map(len, records)) <= capacity + MOST_KEPT
                assert all(len(record) <= LIMIT for record in records)
                assert len(records) <= max(capacity, BATCH_RECORDS)
                reader.arm()
            assert reader._decoder.unfinished <= MOST_KEPT
            reader.hush()
            writer.hush()


def _write(chance, writer):
    if chance.random() < 0.5:
        writer.put(bytes(chance.randrange(LIMIT)))
    else:
        writer.put_batch([bytes(chance.randrange(20)) for _ in range(chance.randrange(5))])
    writer.arm()
    writer.flush()


def link_round(chance):
    """A link to a host that scribbles: it says so in `broken`, raises nothing, and keeps nothing for it."""
    with ExitStack() as stack:
        out_writer, out_reader = create_ring(chance.choice((64, 1000)))
        in_writer, in_reader = create_ring(1000)
        maps = [map_memory(end.memory) for end in (out_writer, in_reader)]
        for view in (view for pair in maps for view in pair):
            stack.callback(view.release)
        board = create_board()
        os.close(board.writer)
        peer = Peer(2)
        may_put = chance.random() < 0.9
        link = Link(2, peer, (*out_writer, *in_reader, board.reader), LIMIT, LinkCalls(lambda: may_put, lambda: None))
        stack.callback(link.close)
        stack.callback(out_reader.close)
        stack.callback(in_writer.close)
        for _ in range(chance.randrange(1, 20)):
            scribble(chance, *chance.choice(maps))
            peer.letters.extend(bytes(chance.randrange(LIMIT)) for _ in range(chance.randrange(4)))
            chance.choice((link.flush, link.flush_now, link.wait_room, link.hush_room))()
            with suppress(RingError, RingClosedError):
                link.reader.get()
            if link.broken is not None:
                link.flush_now()
                assert not peer.letters
                assert not link.is_full


def board_round(chance):
    """A board full of anything is read without an error, and what is read is bounded."""
    ends = create_board()
    with mmap.mmap(ends.writer, 0) as memory:
        memory[:] = chance.randbytes(len(memory))
        for _ in range(8):
            at = 8 * chance.randrange(len(memory) // 8)
            memory[at : at + 8] = (chance.number() & (1 << 64) - 1).to_bytes(8, "little")
        reader = BoardReader(ends.reader)
        names = reader.running()
        assert len(names) <= SLOTS
        assert all(len(name) <= NAME_ROOM for name in names)
        for name in names:
            name.encode("utf-8", "surrogateescape")
        assert all(0 <= number < 1 << 64 for number in reader.load())
        reader.close()
    if chance.random() < 0.5:
        writer = BoardWriter(ends.writer)
        writer.publish(Load(1, 2, 3))
        writer.close()
    else:
        os.close(ends.writer)
