"""What no honest host writes is refused; what only comes late is not."""

import pytest

from luspool.scheduler.letters import (
    HOST_BITS,
    Kind,
    LetterError,
    Move,
    pack_ancestors,
    read,
    write,
    write_number,
)
from luspool.scheduler.limits import StateLimits
from luspool.scheduler.protocol import Ended, Failure, Returned, StateId
from luspool.scheduler.records import pack
from luspool.scheduler.tree import Phase

NEW = StateId((2 << HOST_BITS) + 7)
RETURNED = Ended(Returned())


@pytest.fixture
def child(hosts):
    """In host 2, its parent in host 1, both running; host 2 has fallen to a script."""
    return hosts.child(1, hosts.root, to=2)


def moved(above, state_id=NEW, **changes):
    fields = {
        "spec": b"x.lus",
        "depth": 2,
        "limits": pack(StateLimits()),
        "ancestors": pack_ancestors(above),
        "has_parent": True,
    }
    return write(Kind.MOVED, state_id, pack(Move(**{**fields, **changes})))


@pytest.mark.parametrize(
    "letter",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(write_number(Kind.OUTBOX_TAKEN, StateId(0), 1), id="no state"),
        pytest.param(bytes([Kind.OUTBOX_TAKEN]) + b"\xff" * 16, id="an id of 64 bits"),
        pytest.param(moved([], ancestors=b"\xff" * 12, has_parent=False), id="an ancestor of 64 bits"),
        pytest.param(bytes(9), id="no kind"),
        pytest.param(write(Kind.MOVED, NEW, b"?"), id="no record of a move"),
        pytest.param(moved([(NEW, 2)]), id="its own ancestor"),
        pytest.param(moved([(StateId(5), 2)], spec=b"bad"), id="a bad spec"),
        pytest.param(moved([(StateId(5), 2)], limits=b"bad"), id="bad limits"),
        pytest.param(moved([(StateId(5), 2)], ancestors=b"bad"), id="bad ancestors"),
        pytest.param(moved([(StateId(5), 2)], depth=0), id="no depth"),
        pytest.param(moved([(StateId(5), 2)] * 3), id="more ancestors than depth"),
        pytest.param(moved([]), id="no parent"),
        pytest.param(moved([(StateId(5), 3)]), id="the parent is in another host"),
        pytest.param(moved([(StateId(5), 2)], StateId((3 << HOST_BITS) + 1)), id="another host's state"),
    ],
)
def test_what_can_be_no_letter_is_refused(hosts, child, letter):
    with pytest.raises(LetterError):
        hosts[1].arrived(2, letter)
    assert NEW not in hosts[1].states
    assert not hosts[1]._abroad


def test_a_spec_that_is_nested_without_end_is_refused(hosts, child, monkeypatch):
    def unpack(_):
        raise RecursionError

    monkeypatch.setattr(hosts[1]._specs, "unpack", unpack)
    with pytest.raises(LetterError):
        hosts[1].arrived(2, moved([(child.id, 2)]))


def test_a_state_is_given_once(hosts, child):
    letter = moved([(child.id, 2)])
    hosts[1].arrived(2, letter)
    with pytest.raises(LetterError):
        hosts[1].arrived(2, letter)


def test_a_host_can_not_give_the_root(hosts):
    with pytest.raises(LetterError):
        hosts[3].arrived(1, moved([(StateId(5), 1)], hosts.root_id))


def test_a_host_writes_of_its_own_states_only(hosts, child):
    for letter in (write(Kind.MESSAGE, child.id, b""), write(Kind.ENDED, child.id)):
        with pytest.raises(LetterError):
            hosts[1].arrived(3, letter)
    for letter in (write(Kind.SENT, child.id, b""), write(Kind.CANCELLED, child.id)):
        with pytest.raises(LetterError):
            hosts[2].arrived(3, letter)
        with pytest.raises(LetterError):
            hosts[1].arrived(2, write(read(letter)[0], hosts.root_id))


def test_no_more_arrives_than_the_mailbox_holds(hosts, child):
    for _ in range(2):
        hosts[1].arrived(2, write(Kind.MESSAGE, child.id, b"1234"))
        hosts[2].arrived(1, write(Kind.SENT, child.id, b"1234"))
    with pytest.raises(LetterError):
        hosts[1].arrived(2, write(Kind.MESSAGE, child.id, b""))
    with pytest.raises(LetterError):
        hosts[2].arrived(1, write(Kind.SENT, child.id, b""))


def test_no_more_is_taken_than_was_sent(hosts, child):
    hosts[1].send(hosts.root, child.id, b"1234")
    with pytest.raises(LetterError):
        hosts[1].arrived(2, write_number(Kind.INBOX_TAKEN, child.id, 69))
    with pytest.raises(LetterError):
        hosts[2].arrived(1, write_number(Kind.OUTBOX_TAKEN, child.id, 1))
    with pytest.raises(LetterError):
        hosts[1].arrived(2, write(Kind.INBOX_TAKEN, child.id, b"?"))


def test_a_state_begins_once_and_does_nothing_before(hosts, child):
    with pytest.raises(LetterError):
        hosts[1].arrived(2, write(Kind.STARTED, child.id))
    name = hosts.create(1, hosts.root)
    hosts[1].give(2)
    for letter in (
        write(Kind.MESSAGE, name, b""),
        write_number(Kind.INBOX_TAKEN, name, 0),
        write(Kind.OUTBOX_ASKED, name),
    ):
        with pytest.raises(LetterError):
            hosts[1].arrived(2, letter)
    hosts[1].arrived(2, write(Kind.ENDED, name))
    assert not hosts[1].is_running(hosts.root, name)


def test_a_state_is_orphaned_once(hosts, child):
    hosts[2].arrived(1, write(Kind.ORPHANED, child.id))
    with pytest.raises(LetterError):
        hosts[2].arrived(1, write(Kind.ORPHANED, child.id))


def test_ends_are_heard_of_in_their_order(hosts, child):
    hosts[1].end_below(child.id)
    with pytest.raises(LetterError):
        hosts[1].arrived(2, write(Kind.PASSED, NEW))


def test_ends_heard_of_too_early_take_no_room(hosts):
    for number in range(1, 1001):
        hosts[1].arrived(2, write(Kind.PASSED, StateId(number)))
    assert hosts[1].peers[2].ahead == 1000
    hosts[1].peers[2].ahead = 0


def test_an_error_of_an_ended_state_must_be_one(hosts, child):
    with pytest.raises(LetterError):
        hosts[1].arrived(2, write(Kind.ENDED, child.id, b"?"))


def test_states_that_are_each_others_ancestors_do_no_harm(hosts):
    other = StateId(NEW + 1)
    hosts[1].arrived(2, moved([(NEW, 2)], other, has_parent=False))
    hosts[1].arrived(2, moved([(other, 2)], NEW, has_parent=False))
    hosts[1].arrived(2, write(Kind.CANCELLED, NEW))
    assert NEW not in hosts[1].states


@pytest.mark.parametrize("kind", [Kind.SENT, Kind.OUTBOX_TAKEN, Kind.INBOX_ASKED, Kind.ORPHANED, Kind.CANCELLED])
def test_a_letter_to_a_state_that_has_ended_meanwhile_is_dropped(hosts, child, kind):
    hosts[2].stepped(child, RETURNED)
    hosts[2].arrived(1, write_number(kind, child.id, 1))
    assert child.phase is Phase.ENDED


def test_letters_of_a_host_that_was_given_up_are_dropped(hosts, child):
    hosts[1].peer_gone(2, lambda state, script: Failure("crashed", b"", script, "", script))
    hosts[1].arrived(2, b"whatever")
    hosts[1].peer_gone(2, lambda state, script: Failure("crashed", b"", script, "", script))
