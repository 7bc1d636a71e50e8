"""Mailboxes: order, bounds, bookkeeping."""

from luspool.scheduler.mailbox import MESSAGE_OVERHEAD, Mailbox


def test_messages_come_out_in_the_order_in_which_they_went_in():
    mailbox = Mailbox(10_000)
    taken = []
    for number in range(20):
        assert mailbox.put(b"%d" % number)
        if number % 3 == 2:
            taken.append(mailbox.take())
    while mailbox.used:
        taken.append(mailbox.take())
    assert taken == [b"%d" % number for number in range(20)]
    assert mailbox.take() is None


def test_a_message_that_does_not_fit_is_refused_until_there_is_room():
    mailbox = Mailbox(2 * (10 + MESSAGE_OVERHEAD))
    assert mailbox.put(b"x" * 10)
    assert not mailbox.fits(11)
    assert not mailbox.put(b"y" * 11)
    assert mailbox.put(b"z" * 10)
    assert list(mailbox) == [b"x" * 10, b"z" * 10]


def test_an_empty_mailbox_takes_a_message_beyond_its_capacity():
    mailbox = Mailbox(100)
    assert mailbox.put(b"x" * 5000)
    assert not mailbox.put(b"")
    assert mailbox.take() == b"x" * 5000
    assert mailbox.put(b"")


def test_empty_messages_are_bounded_too():
    mailbox = Mailbox(10 * MESSAGE_OVERHEAD)
    assert [mailbox.put(b"") for _ in range(11)] == [True] * 10 + [False]
