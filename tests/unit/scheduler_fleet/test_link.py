"""A link: order, full rings, letters that wait for the coordinator, and a peer that is gone or lies."""

import os
import select

import pytest

from luspool.scheduler.board import create_board
from luspool.scheduler.link import Link, LinkCalls
from luspool.scheduler.peer import Peer
from luspool.scheduler.ring import RingReader, RingWriter, create_ring
from luspool.scheduler.ring_memory import map_memory

LIMIT = 1 << 20


class Scene:
    def __init__(self):
        out_writer, out_reader = create_ring(1000)
        in_writer, in_reader = create_ring(1000)
        self.words, self._data = map_memory(out_writer.memory)
        board = create_board()
        os.close(board.writer)
        self.peer = Peer(2)
        self.has_asked = True
        self.wakes = 0
        calls = LinkCalls(lambda: self.has_asked, self.wake)
        self.link = Link(2, self.peer, (*out_writer, *in_reader, board.reader), LIMIT, calls)
        self.reader = RingReader(out_reader, LIMIT)
        self.writer = RingWriter(in_writer, LIMIT)

    def wake(self):
        self.wakes += 1

    def write(self, *letters):
        self.peer.letters.extend(letters)

    def close(self):
        self.words.release()
        self._data.release()
        self.link.close()
        self.reader.close()
        self.writer.close()


@pytest.fixture
def scene():
    scene = Scene()
    yield scene
    scene.close()


def test_letters_go_out_in_order_and_are_counted(scene):
    scene.write(b"a", b"b")
    scene.link.flush()
    scene.write(b"c")
    scene.link.flush()
    assert scene.reader.get() == [b"a", b"b", b"c"]
    assert scene.link.published == 3


def test_of_a_letter_that_is_in_the_ring_in_part_nobody_is_told(scene):
    scene.write(b"a", b"x" * 5000, b"b")
    scene.link.flush()
    scene.write(b"c")
    scene.link.flush()
    assert scene.link.is_full
    assert scene.wakes == 1
    assert scene.link.published == 0
    got = []
    while scene.link.is_full:
        got += scene.reader.get()
        scene.link.flush_now()
    got += scene.reader.get()
    assert [len(letter) for letter in got] == [1, 5000, 1, 1]
    assert scene.link.published == 4


def test_room_is_told_by_a_descriptor(scene):
    scene.write(b"x" * 5000)
    scene.link.flush()
    assert scene.link.wait_room()
    assert not select.select([scene.link.room_fileno()], [], [], 0)[0]
    scene.reader.get()
    assert select.select([scene.link.room_fileno()], [], [], 0)[0]
    scene.link.hush_room()
    assert not select.select([scene.link.room_fileno()], [], [], 0)[0]


def test_letters_wait_while_the_coordinator_has_still_to_be_asked(scene):
    scene.has_asked = False
    scene.write(b"a")
    scene.link.flush()
    scene.link.flush_now()
    assert scene.reader.get() == []
    assert scene.link.published == 0
    scene.has_asked = True
    scene.link.flush_now()
    assert scene.reader.get() == [b"a"]
    assert scene.link.published == 1


def test_the_rest_of_an_older_letter_does_not_wait_for_that(scene):
    scene.write(b"x" * 1500)
    scene.link.flush()
    scene.has_asked = False
    scene.write(b"a")
    scene.reader.get()
    scene.link.flush_now()
    assert [len(letter) for letter in scene.reader.get()] == [1500]
    assert not scene.link.is_full


def test_with_a_host_that_is_gone_nothing_waits_and_nothing_is_kept(scene):
    scene.write(b"x" * 5000)
    scene.link.flush()
    scene.reader.close()
    scene.link.hush_room()
    scene.link.flush_now()
    assert not scene.link.is_full
    scene.write(b"a")
    scene.link.flush()
    assert not scene.peer.letters
    assert scene.link.broken is None  # its death is for the supervisor to tell


@pytest.mark.parametrize("by", ["flush", "wait"])
def test_a_reader_that_lies_of_its_place_is_told_of_and_nothing_more_is_kept_for_it(scene, by):
    scene.write(b"x" * 5000)
    scene.link.flush()
    scene.words[16] = 1 << 40  # what it has taken
    if by == "flush":
        scene.link.flush_now()
    else:
        assert not scene.link.wait_room()
    assert "1099511627776" in scene.link.broken
    assert scene.wakes == 2
    assert not scene.link.is_full
    scene.write(b"a")
    scene.link.flush_now()
    assert not scene.peer.letters


def test_a_closed_link_takes_what_is_still_written_to_it(scene):
    link = scene.link
    link.close()
    scene.write(b"a")
    link.flush()
    link.flush_now()
    assert not scene.peer.letters
    scene.link = link
