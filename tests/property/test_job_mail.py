"""The mailboxes of a job: what is posted or put is taken once, in order, and nobody waits for what is there."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from luspool.jobs.mail import NO_MORE, Mail
from luspool.scheduler.callees import CallError
from luspool.scheduler.protocol import MESSAGE_OVERHEAD

SIZES = st.integers(min_value=1, max_value=60)
CAPACITY = 3 * (30 + MESSAGE_OVERHEAD)
OUTPUT = 40 * (30 + MESSAGE_OVERHEAD)


class Exchange(RuleBasedStateMachine):
    """A script that may send on without waiting (as an honest one does, a little), and a program on the other side."""

    def __init__(self):
        super().__init__()
        self.mail = Mail(CAPACITY, OUTPUT)
        self.count = 0
        self.posted, self.taken, self.put, self.peeked = [], [], [], []
        self.posts, self.peeks = [], []
        """Calls that wait."""
        self.gathering = 0
        self.is_sent = False

    def payload(self, size):
        self.count += 1
        return b"%d:" % self.count + b"x" * size

    def answered(self):
        """Take the replies: each to a call that waits, in the order of the calls of its kind."""
        for call, payload in self.mail.replies:
            if call in self.posts:
                assert self.posts.pop(0) == call
                assert payload == b""
            else:
                assert self.peeks.pop(0) == call
                if payload == NO_MORE:
                    assert self.is_sent
                    assert self.peeked == self.put
                else:
                    self.peeked.append(payload)
        self.mail.replies.clear()

    @rule(size=SIZES)
    def post(self, size):
        payload = self.payload(size)
        self.count += 1
        if sum(len(one) + MESSAGE_OVERHEAD for one in (*self.posted, payload)) > OUTPUT:
            with pytest.raises(CallError):
                self.mail.post(self.count, payload)
            self.mail._posted -= len(payload) + MESSAGE_OVERHEAD  # its host would be ended now
            return
        if not self.mail.is_over:
            self.posted.append(payload)
            self.posts.append(self.count)
        self.mail.post(self.count, payload)
        self.answered()

    @precondition(lambda self: not self.mail.is_over)
    @rule()
    def peek(self):
        self.count += 1
        self.peeks.append(self.count)
        self.mail.peek(self.count)
        self.answered()

    @rule()
    def take(self):
        payload = self.mail.take()
        self.answered()
        if payload is None:
            assert self.taken == self.posted
        else:
            self.taken.append(payload)

    @precondition(lambda self: not self.is_sent)
    @rule(size=SIZES)
    def send(self, size):
        payload = self.payload(size)
        if self.mail.put(payload):
            if not self.mail.is_over:
                self.put.append(payload)
        else:
            assert sum(len(one) + MESSAGE_OVERHEAD for one in self.put[len(self.peeked) :]) > CAPACITY - 200
        self.answered()

    @rule()
    def send_eof(self):
        self.is_sent = True
        self.mail.send_eof()
        self.answered()
        assert not self.peeks

    @rule()
    def wait_for_the_end(self):
        self.gathering += 1
        self.mail.gather(1)
        self.answered()
        assert not self.posts

    @precondition(lambda self: self.gathering)
    @rule()
    def give_up_waiting(self):
        self.gathering -= 1
        self.mail.gather(-1)
        self.answered()

    @rule()
    def end(self):
        self.mail.end()
        self.posts.clear()
        self.peeks.clear()
        assert self.mail.replies == []

    @invariant()
    def order(self):
        assert self.taken == self.posted[: len(self.taken)]
        assert self.peeked == self.put[: len(self.peeked)]
        assert self.mail.waits_for_room == bool(self.posts)
        assert self.mail.waits_for_mail == bool(self.peeks)
        self.mail.validate()

    @invariant()
    def bounds(self):
        waiting = sum(len(one) + MESSAGE_OVERHEAD for one in self.posted[len(self.taken) :])
        accepted = waiting - sum(len(payload) + MESSAGE_OVERHEAD for _, payload in self.mail._posts)
        assert self.mail.outbox.used == accepted
        if not self.gathering and not self.mail.is_over and self.posts:
            assert accepted > CAPACITY - 200


Exchange.TestCase.settings = settings(max_examples=60, stateful_step_count=50)
TestExchange = Exchange.TestCase
