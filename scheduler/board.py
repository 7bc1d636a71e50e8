"""A board: what one host process tells the others and its supervisor without being asked, in shared memory.

Actors
    The host     the only writer. `publish` at the end of a step, under the lock that its numbers are read under;
                 `enter` and `leave` around a step, each executor for itself, without a lock.
    The others   other hosts compare `load`; the supervisor adds loads up, and asks `running` of a host that has died.

Memory: anonymous, of a fixed size, all zero at first. Words are 8 bytes, unsigned.
    words[0…5]            idle, ready, states, memory, cpu, output: a `Load`, in one cache line
    words[32 + 32·n]      executor n: not 0 while it is inside a step } its slot,
    words[33 + 32·n]      bytes of the script's name                  } 256 bytes,
    the 240 bytes behind  the name, UTF-8, with surrogateescape       } for n < 64

    It has no name anywhere, and lasts for as long as anybody has it mapped or open, whoever has died.

Order
    An aligned item of a `memoryview` of format "Q" is stored and loaded whole (why: see `ring_stream`), so no word is
    ever torn. Words are not ordered among each other, and nothing here needs it: one number of a load may be newer than
    its neighbour, the next load sets it right, and who decides by a load has to live with an old one anyhow. So there
    is no fence. While the host lives, `running` may also be out of date, or mix a name of an old and a new one.

Death at any instruction
    A process dies between two instructions of each thread: what comes before is done, what comes after is not, and who
    has learnt of the death from the system sees all that was done. So for the supervisor the order of the program is
    what counts, and no fence either: the slot is cleared, the name written, its length, and only then the slot is set.
    A slot that is set therefore holds a whole name, that of the script inside. A death between a step and its `leave`,
    or between its `enter` and the step, names a script that was not running Lua any more, or yet.

Who can write
    The reader's descriptor is open for reading, so all that maps it maps it read-only. But its holder may open the
    memory again through /proc, for writing: permissions are those of the user. So the writer, once it has its mapping,
    seals the memory against all new writing; from then on not even its own descriptor writes.

The host lies
    Its size is sealed, so reading never ends in a SIGBUS. Every word is some number below 2**64, a length is cut to
    the slot, and any bytes are a name: reading never fails, and takes 16 KiB at most. What is read may be nonsense:
    a load attracts or repels work, and at most ends its own tree by a limit that was not reached; a name, which may
    hold any characters, may be that of an innocent script of the same tree.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
from collections.abc import Iterable
from typing import Final, NamedTuple

__all__ = ["NAME_ROOM", "SLOTS", "BoardEnds", "BoardReader", "BoardWriter", "Load", "create_board", "sum_of"]

SLOTS: Final = 64
"""Executors that are recorded, those with the lowest numbers. A guess: four times what hosts have."""
NAME_ROOM: Final = 240
"""Bytes of a script's name. A guess: of a longer path, the end says which script it is."""

_SLOT_WORDS: Final = 32
_FIRST_SLOT: Final = 32
_SIZE: Final = 8 * (_FIRST_SLOT + SLOTS * _SLOT_WORDS)
_FIXED: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
_FUTURE_WRITE: Final = 0x10  # F_SEAL_FUTURE_WRITE, of Linux 5.1; Python has no name for it


class Load(NamedTuple):
    """How busy a host is. Numbers from 0 to 2**64 - 1; a sum of loads may exceed that."""

    idle: int = 0
    """Executors that are asleep."""
    ready: int = 0
    """States that could run and have no executor."""
    states: int = 0
    memory: int = 0
    """Bytes."""
    cpu: int = 0
    """Nanoseconds."""
    output: int = 0
    """Bytes."""


_NUMBERS: Final = len(Load._fields)


def sum_of(loads: Iterable[Load]) -> Load:
    """Number by number; all 0 when there are none."""
    return Load(*map(sum, zip(*loads, strict=True)))


class BoardEnds(NamedTuple):
    """Two descriptors of one board, owned by whoever holds this. More readers: duplicates of `reader`."""

    writer: int
    reader: int


def create_board() -> BoardEnds:
    """A new board, all zero. Executed programs don't inherit it. OSError where the system has no more room."""
    writer = os.memfd_create("luspool-board", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(writer, _SIZE)
        fcntl.fcntl(writer, fcntl.F_ADD_SEALS, _FIXED)
        # Opened anew: a duplicate would share the mode of the writer's.
        return BoardEnds(writer, os.open(f"/proc/self/fd/{writer}", os.O_RDONLY | os.O_CLOEXEC))
    except BaseException:
        os.close(writer)
        raise


def _name_at(executor: int) -> int:
    """The first byte of the name in the executor's slot."""
    return 8 * (_FIRST_SLOT + executor * _SLOT_WORDS + 2)


class _Mapping:
    """What both ends have in common: the memory. While it is mapped, `mmap` keeps one descriptor of it."""

    __slots__ = ("_bytes", "_inside", "_lengths", "_load_words", "_memory", "_words")

    def __init__(self, fd: int, protection: int) -> None:
        try:
            seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        except OSError as error:
            raise ValueError(f"descriptor {fd} is no board: it can't be sealed") from error
        size = os.fstat(fd).st_size
        if seals & _FIXED != _FIXED or size != _SIZE:
            raise ValueError(f"descriptor {fd} is no board: {size} bytes, seals {seals:#x}")
        self._memory = mmap.mmap(fd, _SIZE, prot=protection)
        self._bytes = memoryview(self._memory)
        self._words = self._bytes.cast("Q")
        self._load_words = self._words[:_NUMBERS]
        self._inside = self._words[_FIRST_SLOT::_SLOT_WORDS]  # one word of each slot
        self._lengths = self._words[_FIRST_SLOT + 1 :: _SLOT_WORDS]

    def close(self) -> None:
        """Give back memory and descriptor. Nothing else may be called then, or meanwhile. Repeatable."""
        for view in (self._lengths, self._inside, self._load_words, self._words, self._bytes):
            view.release()
        self._memory.close()


class BoardWriter(_Mapping):
    """The host's end. One thread at a time in `publish`, and for each executor one in `enter` and `leave`."""

    __slots__ = ("_names", "_published")

    def __init__(self, fd: int) -> None:
        """Takes over the descriptor `writer` of a fresh board, also when it raises.

        ValueError when it is no board; OSError when it is not for writing, the board has had a writer, or the wall is
        up already (see `sandbox.wall`), behind which nothing can be sealed.
        """
        with contextlib.ExitStack() as done:
            done.callback(os.close, fd)
            super().__init__(fd, mmap.PROT_READ | mmap.PROT_WRITE)
            try:
                fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _FUTURE_WRITE | fcntl.F_SEAL_SEAL)
            except OSError as error:
                if error.errno != errno.EINVAL:  # a kernel that does not know the seal: the board works without
                    self.close()
                    raise
        # What the memory holds, by our own account: it is for others to read.
        self._published = [0] * _NUMBERS
        self._names: list[str | None] = [None] * SLOTS

    def publish(self, load: Load) -> None:
        """Show `load`. Only words that changed are stored, so others keep their cache line while nothing does.

        The words are stored one by one: a reader may see some of this load and some of the one before. ValueError for
        a number that is negative or has more than 64 bits; those before it are shown then.
        """
        words, published = self._load_words, self._published
        for index, number in enumerate(load):
            if number != published[index]:
                words[index] = published[index] = number  # in this order: what could not be stored is not published

    def enter(self, executor: int, script: str) -> None:
        """Note that `executor`, a number from 0 on, is inside a step of `script`: any text, its end if it is long.

        Nothing is noted of executors that have no slot.
        """
        if 0 <= executor < SLOTS:
            if self._names[executor] != script:  # by identity first, as always with `str`
                self._write_name(executor, script)
            self._inside[executor] = 1

    def leave(self, executor: int) -> None:
        """Note that `executor` is inside no step."""
        if 0 <= executor < SLOTS:
            self._inside[executor] = 0

    def _write_name(self, executor: int, script: str) -> None:
        """Leaves the slot cleared. The order is what a death in between relies on (see the head)."""
        end = script[-NAME_ROOM:]  # a character takes a byte at least
        try:
            name = end.encode("utf-8", "surrogateescape")[-NAME_ROOM:]
        except UnicodeEncodeError:  # other surrogates than those of stray bytes
            name = end.encode("utf-8", "backslashreplace")[-NAME_ROOM:]
        at = _name_at(executor)
        self._names[executor] = None  # an exception in between, of a signal say: the name will be written again
        self._inside[executor] = 0
        self._bytes[at : at + len(name)] = name
        self._lengths[executor] = len(name)
        self._names[executor] = script


class BoardReader(_Mapping):
    """The end of everybody else. Any thread may call anything but `close` at any time. Contents never raise."""

    __slots__ = ()

    def __init__(self, fd: int) -> None:
        """Takes over the descriptor `reader` of a board, also when it raises: ValueError when it is none."""
        with contextlib.ExitStack() as done:
            done.callback(os.close, fd)
            super().__init__(fd, mmap.PROT_READ)

    def load(self) -> Load:
        """What was published last; a number may be newer than its neighbour. All 0 before the first time."""
        return Load(*self._load_words)

    def running(self) -> tuple[str, ...]:
        """The scripts that executors are inside of, one for each executor that is, in the order of their numbers.

        Meant for after the death of the writer; before it, out of date or even mixed up. Of a long name there is only
        the end, and its first character may be cut. Bytes that are no UTF-8 are surrogates.
        """
        names = []
        for executor, inside in enumerate(self._inside):
            if inside:
                at = _name_at(executor)
                # Copied first: a decoder does not expect bytes that change between its looks at them.
                name = bytes(self._bytes[at : at + min(self._lengths[executor], NAME_ROOM)])
                names.append(name.decode("utf-8", "surrogateescape"))
        return tuple(names)
