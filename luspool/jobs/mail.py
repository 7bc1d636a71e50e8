"""What goes between a job and the program that has submitted it: two mailboxes, and the calls that wait for them. Pure.

To its main script the program is what its creator is to a worker: `worker.message(v)` is a call that is answered when
there is room for `v`, `worker.peek()` one that is answered with the next message (see `protocol.MESSAGE_CALL`). So a
script that waits is one that waits for a reply, and nothing in its host knows of these mailboxes.

Everything has a bound. An honest script waits for the answer before it has sent much more. What a host makes up counts
in its ledger (`scheduler.callees`), and all that is posted together against the limit on output, as in the host itself.

Laws (`validate`): nobody waits for what is there. What the job has posted is taken exactly once, in its order; what the
program has put, too, or it is dropped when the job is over.
"""

from __future__ import annotations

from collections import deque

from ..scheduler.callees import CallError
from ..scheduler.mailbox import Mailbox
from ..scheduler.protocol import MESSAGE_OVERHEAD
from ..scheduler.units import UNLIMITED

NO_MORE = b""
"""The reply to a peek after the last message. No message is empty."""
_ACCEPTED = b""


class _Account:
    """Nobody adds up what single jobs hold."""

    memory = 0


class Mail:
    """The mailboxes of one job. Payloads are opaque. Not thread-safe, never blocks."""

    __slots__ = (
        "_capacity",
        "_gathering",
        "_most",
        "_peeks",
        "_posted",
        "_posts",
        "inbox",
        "is_over",
        "is_sent",
        "outbox",
        "replies",
    )

    def __init__(self, capacity: int, output: int) -> None:
        """`capacity`: bytes that either mailbox holds; one of any size fits an empty one. `output`: bytes in all."""
        self.inbox = Mailbox(capacity, _Account())
        """From the program to the job."""
        self.outbox = Mailbox(capacity, _Account())
        self.is_sent = False
        """The program sends no more."""
        self.is_over = False
        self.replies: list[tuple[int, bytes]] = []
        """By the number of the call: for the shell to send, and to clear."""
        self._capacity = capacity
        self._most = output
        self._posted = 0
        self._gathering = 0
        self._posts: deque[tuple[int, bytes]] = deque()
        """Messages of the job that wait for room in its outbox."""
        self._peeks: deque[int] = deque()
        """Calls that wait for a message."""

    @property
    def waits_for_room(self) -> bool:
        """Whether the job waits for its messages to be taken."""
        return bool(self._posts)

    @property
    def waits_for_mail(self) -> bool:
        """Whether it waits for a message."""
        return bool(self._peeks)

    # --- the job's side ------------------------------------------------------------------------------------------

    def post(self, call: int, payload: bytes) -> None:
        """The job sends a message. CallError: more than it may, which an honest host does not let it."""
        self._posted += len(payload) + MESSAGE_OVERHEAD
        if self._posted > self._most:
            raise CallError("more messages than its limit on output allows")
        if not self.is_over:
            self._posts.append((call, payload))
            self._accept()

    def peek(self, call: int) -> None:
        """The job asks for a message."""
        payload = self.inbox.take()
        if payload is not None:
            self.replies.append((call, payload))
        elif self.is_sent:
            self.replies.append((call, NO_MORE))
        else:
            self._peeks.append(call)

    # --- the program's side --------------------------------------------------------------------------------------

    def take(self) -> bytes | None:
        """The next message of the job; None when there is none now."""
        payload = self.outbox.take()
        self._accept()
        return payload

    def put(self, payload: bytes) -> bool:
        """Send the job a message. False: there is no room now. To a job that is over: True, dropped."""
        if self.is_over:
            return True
        if self._peeks:
            self.replies.append((self._peeks.popleft(), payload))
            return True
        return self.inbox.put(payload)

    def send_eof(self) -> None:
        """There will be no more: a job that waits for a message ends."""
        self.is_sent = True
        while self._peeks:
            self.replies.append((self._peeks.popleft(), NO_MORE))

    def gather(self, change: int) -> None:
        """One more (1) or less (-1) waits for the job's end alone. Meanwhile all that it sends is accepted."""
        self._gathering += change
        self.outbox.capacity = UNLIMITED if self._gathering else self._capacity
        self._accept()

    def end(self) -> None:
        """The job is over: what it has sent can still be taken, and nothing else happens."""
        self.is_over = self.is_sent = True
        self.gather(1)  # a script goes on, and so may end, before what it sends is accepted
        self.replies.clear()
        self._peeks.clear()
        self.inbox.clear()

    def validate(self) -> None:
        """AssertionError unless the laws hold."""
        assert not self._posts or not self.outbox.fits(len(self._posts[0][1])), "room, and a post waits"  # noqa: S101
        assert not self._peeks or not (self.inbox.used or self.is_sent), "mail, and a peek waits"  # noqa: S101
        assert not self.is_over or not (self._posts or self._peeks or self.inbox.used), "it is over"  # noqa: S101

    def _accept(self) -> None:
        while self._posts and self.outbox.put(self._posts[0][1]):
            self.replies.append((self._posts.popleft()[0], _ACCEPTED))
