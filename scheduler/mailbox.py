"""A mailbox: first in, first out, bounded by bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Protocol

from .protocol import MESSAGE_OVERHEAD


class Account(Protocol):
    """Where the bytes of many mailboxes are added up."""

    memory: int


class Mailbox:
    """Payloads on their way in one direction between one worker and its parent. Not thread-safe.

    What it holds is part of `account.memory`.

    Most mailboxes hold no message or one. That one lies in a field of its own and a deque is made only for more:
    an empty deque takes 760 bytes, more than all the rest of what the scheduler keeps about a state.
    """

    __slots__ = ("_account", "_first", "_rest", "capacity", "used")

    def __init__(self, capacity: int, account: Account) -> None:
        self.used = 0
        """Bytes queued, overhead included; 0 exactly when the mailbox is empty."""
        self._account = account
        self.capacity = capacity
        """May be changed: it decides what is taken from then on."""
        self._first: bytes | None = None
        self._rest: deque[bytes] | None = None

    def fits(self, size: int) -> bool:
        """Whether a payload of `size` bytes would be taken now. An empty mailbox takes one of any size."""
        return not self.used or self.used + size + MESSAGE_OVERHEAD <= self.capacity

    @property
    def room(self) -> int:
        """How large a payload it would take now, at most; 0: none, or an empty one."""
        room = self.capacity - self.used - MESSAGE_OVERHEAD
        return room if room > 0 else 0  # a call of `max` would take longer than all the rest

    @property
    def holds_one(self) -> bool:
        """Whether exactly one payload is queued."""
        return self._first is not None and self._rest is None

    def put(self, payload: bytes) -> bool:
        """Queue `payload`; False, and nothing changed, when it does not fit."""
        if not self.used:
            self._first = payload
        elif not self.fits(len(payload)):
            return False
        elif self._rest is None:
            self._rest = deque((payload,))
        else:
            self._rest.append(payload)
        size = len(payload) + MESSAGE_OVERHEAD
        self.used += size
        self._account.memory += size
        return True

    def take(self) -> bytes | None:
        """The oldest payload, or None when the mailbox is empty."""
        payload = self._first
        if payload is None:
            return None
        size = len(payload) + MESSAGE_OVERHEAD
        self.used -= size
        self._account.memory -= size
        if self._rest is None:
            self._first = None
        else:
            self._first = self._rest.popleft()
            if not self._rest:
                self._rest = None
        return payload

    def clear(self) -> None:
        """Drop everything."""
        self._account.memory -= self.used
        self.used = 0
        self._first = self._rest = None

    def __iter__(self) -> Iterator[bytes]:
        """The payloads queued, oldest first."""
        if self._first is not None:
            yield self._first
            yield from self._rest or ()
