"""What is in the ledger: each item once, with the result of its last try, or with that of an earlier run."""

import os
import sqlite3

import pytest
from msgspec.structs import replace

from luspool.batch.course import Tries
from luspool.batch.item import Item
from luspool.batch.ledger import DONE, Ledger, LedgerError
from luspool.batch.outcome import Outcome, Source, Status
from luspool.errors import UsageError

OUTCOME = Outcome(Status.COMPLETED, 0, 10, 5, 100, b"out", b"", 3, 0, sources=(Source("m.lus", b"\1" * 32),))
FAILED = Outcome(Status.FAILED, 1, failure="b.lus:1: boom\nstack traceback:\n  b.lus:1")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "ledger")


@pytest.fixture
def ledger(path):
    with Ledger.create(path) as ledger:
        yield ledger


def begin(ledger, *scripts):
    return ledger.begin_run("0", "/", map(Item, scripts)).id


def statuses(ledger, run):
    return [entry.status for entry in ledger.entries(run)]


def test_items_are_numbered_from_one_and_read_in_pages(ledger):
    run = begin(ledger, "a", "b", "c")
    assert ledger.run(run).total == 3
    assert ledger.items_after(run, 0, 2) == [(1, Item("a")), (2, Item("b"))]
    assert ledger.items_after(run, 2, 2) == [(3, Item("c"))]
    assert ledger.item(run, 2) == Item("b")


def test_a_result_is_there_with_everything_that_is_known(ledger):
    run = begin(ledger, "b.lus")
    ledger.record(run, 1, Item("b.lus"), b"key", FAILED, Tries(3, 1), again=False)
    (entry,) = ledger.entries(run)
    assert (entry.status, entry.exit_status, entry.tries, entry.crashes) == ("failed", 1, 3, 1)
    assert (entry.cause, entry.failure) == ("boom", FAILED.failure)
    assert ledger.counts(run) == {"failed": 1}


def test_a_retry_takes_the_place_of_the_try_before(ledger, path):
    run = begin(ledger, "a")
    ledger.record(run, 1, Item("a"), b"key", FAILED, Tries(1), again=True)
    assert ledger.counts(run) == {None: 1}
    ledger.record(run, 1, Item("a"), b"key", OUTCOME, Tries(2), again=False)
    ledger.commit()
    assert statuses(ledger, run) == ["completed"]
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT count(*) FROM result").fetchone() == (1,)
    other.close()


def test_what_is_committed_survives_and_what_is_not_does_not(path):
    with Ledger.create(path) as ledger:
        run = begin(ledger, "a", "b")
        ledger.record(run, 1, Item("a"), b"1", OUTCOME, Tries(), again=False)
        ledger.commit()
        ledger.record(run, 2, Item("b"), b"2", OUTCOME, Tries(), again=False)
    with Ledger.existing(path) as ledger:
        assert statuses(ledger, run) == ["completed", None]
        assert ledger.run().state == "running"


def test_an_earlier_result_is_adopted_by_one_item_only(ledger):
    first = begin(ledger, "a", "a")
    for number in (1, 2):
        ledger.record(first, number, Item("a"), b"same", OUTCOME, Tries(), again=False)
    second = begin(ledger, "a", "a", "a")
    adopted = []
    for number in (1, 2, 3):
        earlier = ledger.earlier(second, b"same", DONE)
        if earlier is not None:
            assert earlier.sources == OUTCOME.sources
            ledger.adopt(second, number, earlier)
            adopted.append(earlier.result)
    assert len(set(adopted)) == 2
    assert statuses(ledger, second) == ["completed", "completed", None]
    assert statuses(ledger, first) == ["completed", "completed"]


@pytest.mark.parametrize("status", list(Status))
def test_only_what_is_done_is_resumed(ledger, status):
    first = begin(ledger, "a")
    ledger.record(first, 1, Item("a"), b"k", replace(OUTCOME, status=status), Tries(), again=False)
    second = begin(ledger, "a")
    assert (ledger.earlier(second, b"k", DONE) is not None) is (status is not Status.CANCELLED)
    assert (ledger.earlier(second, b"k", (Status.COMPLETED,)) is not None) is (status is Status.COMPLETED)
    assert ledger.earlier(second, b"other", DONE) is None


def test_with_an_audit_only_what_has_a_log_is_done(ledger):
    """What was never run can have none."""
    log = os.fsdecode(b"/logs/\xff/1.jsonl")
    first = begin(ledger, "a", "b")
    ledger.record(first, 1, Item("a"), b"a", replace(OUTCOME, audit=log), Tries(), again=False)
    ledger.record(first, 1, Item("a"), b"a", OUTCOME, Tries(), again=False)
    ledger.record(first, 2, Item("b"), b"b", replace(FAILED, status=Status.QUARANTINED), Tries(), again=False)
    second = begin(ledger, "a", "b")
    assert ledger.earlier(second, b"a", DONE).audit == ""
    earlier = ledger.earlier(second, b"a", DONE, audited=True)
    assert earlier.audit == log
    assert ledger.earlier(second, b"b", DONE, audited=True).audit == ""
    ledger.adopt(second, 1, earlier)
    assert [entry.audit for entry in ledger.entries(second)] == [log, ""]


def test_what_is_to_be_tried_again_is_not_done(ledger):
    first = begin(ledger, "a")
    ledger.record(first, 1, Item("a"), b"k", FAILED, Tries(), again=True)
    assert ledger.earlier(begin(ledger, "a"), b"k", DONE) is None


def test_failures_are_grouped_by_cause(ledger):
    run = begin(ledger, "a.lus", "b.lus", "c.lus", "d.lus")
    for number, (script, text) in enumerate(
        [("a.lus", "a.lus:3: boom"), ("b.lus", "b.lus:9: boom"), ("c.lus", "c.lus:1: bang")], 1
    ):
        ledger.record(run, number, Item(script), None, replace(FAILED, failure=text), Tries(), again=False)
    ledger.record(run, 4, Item("d.lus"), None, OUTCOME, Tries(), again=False)
    found = [(cause.count, cause.cause, cause.script) for cause in ledger.causes(run, 10)]
    assert found == [(2, "boom", "a.lus"), (1, "bang", "c.lus")]
    assert len(ledger.causes(run, 1)) == 1


def test_names_and_words_that_are_no_utf_8_are_kept(ledger):
    item = Item(os.fsdecode(b"\xff.lus"))
    run = ledger.begin_run("0", os.fsdecode(b"/\xfe"), [item]).id
    ledger.record(run, 1, item, None, replace(FAILED, failure="\udcff"), Tries(), again=False)
    assert ledger.item(run, 1) == item
    assert ledger.run(run).directory == r"/\udcfe"
    assert [(entry.script, entry.failure) for entry in ledger.entries(run)] == [(r"\udcff.lus", r"\udcff")]


def test_items_that_can_not_be_read_leave_no_run(ledger):
    def items():
        yield Item("a")
        raise UsageError("bad line")

    with pytest.raises(UsageError, match="bad line"):
        ledger.begin_run("0", "/", items())
    with pytest.raises(UsageError, match="has no runs"):
        ledger.run()


def test_the_last_run_is_shown_unless_another_is_named(ledger):
    first, second = begin(ledger, "a"), begin(ledger, "b", "c")
    ledger.end_run(first, "complete")
    assert ledger.run().id == second
    assert ledger.run(first).state == "complete"
    with pytest.raises(UsageError, match="has no run 9"):
        ledger.run(9)


def test_a_file_that_is_no_ledger_is_left_alone(path):
    with open(path, "wb") as file:
        file.write(b"x" * 5000)
    with pytest.raises(UsageError, match="no ledger of luspool's"):
        Ledger.create(path)
    with open(path, "rb") as file:
        assert file.read() == b"x" * 5000


def test_another_database_is_left_alone(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (x)")
    connection.close()
    with pytest.raises(UsageError, match="a database, but no ledger"):
        Ledger.create(path)


def test_a_ledger_of_another_version_is_left_alone(ledger, path):
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(UsageError, match="another version"):
        Ledger.existing(path)


def test_a_ledger_that_is_not_there_is_not_made_by_reading(path):
    with pytest.raises(UsageError, match="there is no ledger"):
        Ledger.existing(path)
    assert not os.path.exists(path)


def test_a_ledger_that_can_not_be_made_is_told(tmp_path):
    with pytest.raises(LedgerError, match="cannot use the ledger"):
        Ledger.create(str(tmp_path / "none" / "ledger"))


def test_two_processes_may_use_a_ledger(ledger, path):
    run = begin(ledger, "a")
    with Ledger.existing(path) as other:
        ledger.record(run, 1, Item("a"), None, OUTCOME, Tries(), again=False)
        assert statuses(other, run) == [None]
        ledger.commit()
        assert statuses(other, run) == ["completed"]


def test_nobody_waits_for_a_run_whose_items_are_still_to_come(ledger, path, monkeypatch):
    monkeypatch.setattr("luspool.batch.ledger._BUSY_SECONDS", 0)
    earlier = begin(ledger, "a")

    def items():
        yield Item("b")
        with Ledger.existing(path) as other:
            other.record(earlier, 1, Item("a"), b"key", OUTCOME, Tries(), again=False)
            other.commit()
        yield Item("c")

    run = ledger.begin_run("0", "/", items())
    assert statuses(ledger, earlier) == ["completed"]
    assert (run.total, statuses(ledger, run.id)) == (2, [None, None])


def test_nobody_who_reads_waits_for_who_writes(ledger, path, monkeypatch):
    monkeypatch.setattr("luspool.batch.ledger._BUSY_SECONDS", 0)
    run = begin(ledger, "a")
    ledger.record(run, 1, Item("a"), b"key", OUTCOME, Tries(), again=False)
    with Ledger.existing(path) as other:
        assert statuses(other, run) == [None]
