"""The mailboxes of an edge of the tree that leads from one host to another: a window at one end, a box at the other.

A mailbox is bounded by bytes, and its sender waits while it is full. Between hosts the sender can't see the mailbox, so
it counts what it has sent and what is known to have been taken: what is left is never less than what lies there. The
taker reports what it took a quarter of the mailbox at a time, since a letter for each message would double their
number; but once the sender waits for room and has said so, it reports each, until the box is empty. The question was
written behind all messages, so when it arrives nothing is on its way any more, and no sender waits for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from .letters import Kind, LetterError, write, write_number
from .mailbox import Account, Mailbox
from .protocol import MESSAGE_OVERHEAD, StateId

Post = Callable[[int, bytes], None]
"""Writes a letter to a host."""


class Edge(NamedTuple):
    """What both ends of an edge are made from, in one host."""

    capacity: int
    account: Account
    post: Post
    peer: int
    """The other host."""
    state: StateId
    """The child, wherever it lives."""


class Window:
    """The sender's end. Its messages go out as letters of a `kind`; `asks` is the kind that asks for room.

    While `kept` is a list, it holds all messages so far that anybody wants: their receiver has not begun, and if its
    host dies they are needed again. Only then do they count in `account`; others lie at the other end or on their way.
    """

    __slots__ = (
        "_account",
        "_asked",
        "_asks",
        "_capacity",
        "_kind",
        "_post",
        "_state",
        "is_closed",
        "kept",
        "peer",
        "used",
    )

    def __init__(self, edge: Edge, *, of_inbox: bool) -> None:
        self.used = 0
        """Bytes sent and not known to be taken, overhead included."""
        self.peer = edge.peer
        """The host at the other end."""
        self.is_closed = False
        """Nobody wants what is sent any more: it is dropped."""
        self.kept: list[bytes] | None = None
        self._account = edge.account
        self._capacity = edge.capacity
        self._post = edge.post
        self._state = edge.state
        self._kind, self._asks = (Kind.SENT, Kind.INBOX_ASKED) if of_inbox else (Kind.MESSAGE, Kind.OUTBOX_ASKED)
        self._asked = False

    @property
    def held(self) -> int:
        """What counts in the account."""
        return sum(len(payload) + MESSAGE_OVERHEAD for payload in self.kept or ())

    def keep(self) -> None:
        """From now on, and until `release`, keep what is sent."""
        self.kept = []

    def release(self) -> list[bytes]:
        """Keep nothing any more; what was kept."""
        self._account.memory -= self.held
        kept, self.kept = self.kept or [], None
        return kept

    def fits(self, size: int) -> bool:
        """As of a `Mailbox`."""
        return not self.used or self.used + size + MESSAGE_OVERHEAD <= self._capacity or self.is_closed

    @property
    def room(self) -> int:
        """As of a `Mailbox`."""
        return max(0, self._capacity - self.used - MESSAGE_OVERHEAD)

    def put(self, payload: bytes) -> bool:
        """As of a `Mailbox`."""
        if self.is_closed:
            return True
        if not self.fits(len(payload)):
            return False
        size = len(payload) + MESSAGE_OVERHEAD
        self.used += size
        if self.kept is not None:
            self.kept.append(payload)
            self._account.memory += size
        self._post(self.peer, write(self._kind, self._state, payload))
        return True

    def ask(self) -> None:
        """The sender waits for room: have the other end say at once when there is some."""
        if not self._asked:
            self._asked = True
            self._post(self.peer, write(self._asks, self._state))

    def taken(self, size: int) -> None:
        """The other end has taken so many bytes."""
        if self.is_closed:
            return
        if size > self.used:
            raise LetterError(f"{size} bytes were taken of {self.used}")
        self.used -= size

    def close(self) -> None:
        """Nobody wants anything any more."""
        self.is_closed = True
        self.used = 0
        if self.kept is not None:
            self.release()
            self.keep()  # it has not begun all the same

    def answered(self) -> None:
        """The sender goes on: the next time it waits it asks anew."""
        self._asked = False

    holds_one = False
    """Nothing lies here."""

    def take(self) -> None:
        """As of an empty `Mailbox`."""

    def clear(self) -> None:
        """Nobody waits for what was sent any more."""
        self.release()
        self.used = 0

    def __iter__(self) -> Iterator[bytes]:
        """What is kept."""
        yield from self.kept or ()


class ArrivalBox(Mailbox):
    """The receiver's end: a mailbox that tells the other host what was taken from it."""

    __slots__ = ("_is_asked", "_kind", "_post", "_state", "_untold", "peer")

    def __init__(self, edge: Edge, *, of_inbox: bool) -> None:
        super().__init__(edge.capacity, edge.account)
        self.peer = edge.peer
        """The host at the other end."""
        self._post = edge.post
        self._state = edge.state
        self._kind = Kind.INBOX_TAKEN if of_inbox else Kind.OUTBOX_TAKEN
        self._untold = 0
        self._is_asked = False

    def take(self) -> bytes | None:
        payload = super().take()
        if payload is not None:
            self._untold += len(payload) + MESSAGE_OVERHEAD
            if self._is_asked or self._untold >= self.capacity // 4:
                self._tell()
        return payload

    def asked(self) -> None:
        """The sender waits for room."""
        self._is_asked = True
        self._tell()

    def _tell(self) -> None:
        if self._untold:
            self._post(self.peer, write_number(self._kind, self._state, self._untold))
            self._untold = 0
        if not self.used:
            self._is_asked = False


def window_of(mailbox: Mailbox | Window) -> Window:
    """The inbox of a stub, or the outbox of a state from elsewhere, which are windows."""
    assert isinstance(mailbox, Window)  # noqa: S101  for the type checker
    return mailbox


def box_of(mailbox: Mailbox | Window) -> ArrivalBox:
    """The outbox of a stub, or the inbox of a state from elsewhere, which are filled by letters."""
    assert isinstance(mailbox, ArrivalBox)  # noqa: S101  for the type checker
    return mailbox
