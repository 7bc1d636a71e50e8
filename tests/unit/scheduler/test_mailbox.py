"""Mailboxes: order, bounds, bookkeeping."""

from luspool.scheduler.mailbox import MESSAGE_OVERHEAD, Mailbox


class Account:
    memory = 0


def test_messages_come_out_in_the_order_in_which_they_went_in():
    mailbox = Mailbox(10_000, Account())
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
    mailbox = Mailbox(2 * (10 + MESSAGE_OVERHEAD), Account())
    assert mailbox.put(b"x" * 10)
    assert not mailbox.fits(11)
    assert not mailbox.put(b"y" * 11)
    assert mailbox.put(b"z" * 10)
    assert list(mailbox) == [b"x" * 10, b"z" * 10]


def test_an_empty_mailbox_takes_a_message_beyond_its_capacity():
    mailbox = Mailbox(100, Account())
    assert mailbox.put(b"x" * 5000)
    assert not mailbox.put(b"")
    assert mailbox.take() == b"x" * 5000
    assert mailbox.put(b"")


def test_empty_messages_are_bounded_too():
    mailbox = Mailbox(10 * MESSAGE_OVERHEAD, Account())
    assert [mailbox.put(b"") for _ in range(11)] == [True] * 10 + [False]


def test_what_mailboxes_hold_is_on_their_account():
    account = Account()
    mailboxes = [Mailbox(1000, account), Mailbox(1000, account)]
    for mailbox in mailboxes:
        assert mailbox.put(b"x" * 100)
        assert mailbox.put(b"y" * 10)
        assert not mailbox.put(b"z" * 1000)
    assert account.memory == 2 * (110 + 2 * MESSAGE_OVERHEAD)
    mailboxes[0].take()
    mailboxes[1].clear()
    assert account.memory == 10 + MESSAGE_OVERHEAD
