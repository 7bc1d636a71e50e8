"""The loop of a batch with an engine that does what chance says: every item ends up in the ledger once."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luspool.batch.batch import Batch, Resume
from luspool.batch.course import Course, HaltPolicy, RetryPolicy, Stage
from luspool.batch.engine import Done
from luspool.batch.item import Item
from luspool.batch.ledger import Ledger
from luspool.batch.outcome import Outcome, Status
from luspool.batch.plan import Planner
from luspool.batch.rights import Grants

ENDS = (Status.COMPLETED, Status.FAILED, Status.DENIED, Status.TIMEOUT, Status.CRASHED)


class Engine:
    """Takes a few tasks ahead; `decide` says what becomes of those that run."""

    def __init__(self, decide, room=4):
        self.decide = decide
        self.room = room
        self.tasks = []
        self.ready = []
        self.begun = []

    @property
    def has_room(self):
        return len(self.tasks) < self.room

    def submit(self, task):
        assert self.has_room
        self.tasks.append(task.number)

    def wait(self, seconds):
        assert seconds >= 0
        done, self.ready = self.ready, []
        if not done and self.tasks:
            number = self.tasks.pop(0)
            self.begun.append(number)
            done = [Done(number, Outcome(self.decide(number), 1))]
        return done

    def running(self):
        return []  # each begins and ends within `wait`

    def withdraw(self):
        self.ready += [Done(number, None) for number in self.tasks]
        self.tasks.clear()

    cancel = withdraw

    def close(self):
        """Nothing is left."""


class Signals:
    first = None
    wants_end_now = False

    def taken(self):
        """Seen."""


class Watcher:
    def __init__(self):
        self.ends = []
        self.stages = []

    def ended(self, number, item, outcome, tries, *, again):
        if not again:
            self.ends.append(number)

    def ending(self, batch):
        self.stages.append(batch.course.stage)

    def progress(self, batch):
        """Time passes."""


class Desk:
    """A ledger in memory of its own, and batches on it."""

    def __init__(self, ledger):
        self.ledger = ledger
        self.watcher = Watcher()
        self.signals = Signals()
        self.now = 0.0

    def clock(self):
        self.now += 1.0
        return self.now

    def run(self, scripts, decide, retry=RetryPolicy(delay=2.0), halt=HaltPolicy(), resume=Resume()):  # noqa: B008
        run = self.ledger.begin_run("0", "/", map(Item, scripts))
        self.engine = Engine(decide)
        planner = Planner(Grants((), (), None, {}), strict_globals=False, wall="off")
        course = Course(run.total, retry, halt)
        batch = Batch(self.ledger, run, self.engine, course, planner, resume, self.watcher, self.signals, self.clock)
        status = batch.run()
        return status, [entry.status for entry in self.ledger.entries(run.id)]


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in "abcd":
        tmp_path.joinpath(name).write_text(f"print('{name}')", encoding="utf-8")
    with Ledger.create(str(tmp_path / "ledger")) as ledger:
        yield Desk(ledger)


def test_all_items_complete(desk):
    assert desk.run("abcd" * 300, lambda _: Status.COMPLETED) == (0, ["completed"] * 1200)
    assert desk.engine.begun == list(range(1, 1201))


def test_a_retry_that_succeeds_is_a_success(desk):
    tried = []

    def decide(number):
        tried.append(number)
        return Status.COMPLETED if tried.count(number) == 3 else Status.FAILED

    assert desk.run("ab", decide, RetryPolicy(2, 2.0)) == (0, ["completed"] * 2)
    assert sorted(tried) == [1, 1, 1, 2, 2, 2]


def test_items_of_a_banned_script_that_were_taken_ahead_do_not_run(desk):
    decide = {1: Status.CRASHED, 5: Status.COMPLETED}.__getitem__
    status, words = desk.run("aaaab", decide, RetryPolicy(crashes=1))
    assert (status, words) == (1, ["crashed", "quarantined", "quarantined", "quarantined", "completed"])
    assert desk.engine.begun == [1, 5]


def test_a_script_that_is_not_there_is_an_item_that_failed(desk):
    assert desk.run(["a", "none"], lambda _: Status.COMPLETED) == (1, ["completed", "failed"])


def test_a_halt_leaves_the_rest_to_be_resumed(desk):
    status, words = desk.run(
        "abcd" * 5, lambda n: Status.FAILED if n == 3 else Status.COMPLETED, halt=HaltPolicy(failures=1)
    )
    assert (status, words) == (1, ["completed", "completed", "failed", *[None] * 17])
    assert desk.watcher.stages == [Stage.FINISHING]
    status, words = desk.run("abcd" * 5, lambda _: Status.COMPLETED, resume=Resume.of(resume=True, retry_failed=False))
    assert words.count("failed") == 1
    assert len(desk.engine.begun) == 17


@pytest.mark.parametrize("end_now", [False, True])
def test_a_signal_ends_a_batch(desk, end_now):
    def decide(number):
        if number == 2:
            desk.signals.first, desk.signals.wants_end_now = 2, end_now
        return Status.COMPLETED

    assert desk.run("abcd", decide) == (130, ["completed", "completed", None, None])
    assert desk.watcher.stages == [Stage.STOPPING if end_now else Stage.FINISHING]


def test_what_an_engine_raises_leaves_a_ledger_that_can_be_resumed(desk):
    def decide(number):
        if number == 3:
            raise OSError("no more")
        return Status.COMPLETED

    with pytest.raises(OSError, match="no more"):
        desk.run("abcd", decide)
    assert desk.ledger.run().state == "failed"
    resume = Resume.of(resume=True, retry_failed=False)
    assert desk.run("abcd", lambda _: Status.COMPLETED, resume=resume) == (0, ["completed"] * 4)
    assert desk.engine.begun == [3, 4]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_happens_every_item_has_one_result_after_resuming(desk, data):
    scripts = data.draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12))
    retry = RetryPolicy(data.draw(st.integers(0, 2)), 2.0, data.draw(st.integers(1, 3)))
    halt = data.draw(st.sampled_from([HaltPolicy(), HaltPolicy(failures=1), HaltPolicy(True, percent=30)]))
    desk.signals.first, desk.signals.wants_end_now = None, False

    def decide(_number):
        if data.draw(st.integers(0, 15)) == 0:
            desk.signals.first, desk.signals.wants_end_now = 2, data.draw(st.booleans())
        return data.draw(st.sampled_from(ENDS))

    status, words = desk.run(scripts, decide, retry, halt)
    assert len(words) == len(scripts)
    assert (status == 0) <= (set(words) == {"completed"})
    desk.signals.first = None
    again = Resume.of(resume=True, retry_failed=False)
    status, words = desk.run(scripts, lambda _: Status.COMPLETED, resume=again)
    assert not {None, "cancelled"} & {*words}
    assert (status == 0) is (set(words) == {"completed"})


def test_results_are_found_whatever_the_order(desk):
    desk.run("abc", lambda _: Status.COMPLETED)
    desk.run("cab", lambda _: Status.FAILED, resume=Resume.of(resume=True, retry_failed=False))
    assert desk.engine.begun == []
    assert [json.loads(entry.spec)["script"] for entry in desk.ledger.entries(2)] == ["c", "a", "b"]
