"""Scripts by `concurrent.futures`: what its users may expect of any executor."""

import threading
from concurrent.futures import CancelledError, Executor, as_completed, wait

import pytest

import luspool

from .conftest import PATIENCE

SQUARE = "local x = ... if x == 13 then worker.message('before') error('unlucky') end worker.message(x * x) print(x)"
LOOP = "while true do end"


@pytest.fixture
def gate():
    """`host.wait()` of scripts waits until the gate is open; `begun` counts those that came there."""
    return Gate()


class Gate:
    def __init__(self):
        self.begun = threading.Semaphore(0)
        self.opened = threading.Event()

    def wait(self):
        self.begun.release()
        assert self.opened.wait(PATIENCE)


@pytest.fixture
def gated(gate):
    """An executor of one job at a time, whose scripts may wait at the gate."""
    with (
        luspool.Runtime({"wait": gate.wait}, jobs=1) as runtime,
        luspool.ScriptExecutor(runtime, pledges=["host"]) as executor,
    ):
        yield executor
        gate.opened.set()


def test_a_script_is_mapped_over_items(runtime, tmp_path):
    (tmp_path / "square.lus").write_text(SQUARE)
    with luspool.ScriptExecutor(runtime) as executor:
        assert isinstance(executor, Executor)
        results = list(executor.map(tmp_path / "square.lus", range(5), timeout=PATIENCE))
        assert [result.messages for result in results] == [(0,), (1,), (4,), (9,), (16,)]
        assert [result.stdout for result in results] == [b"0\n", b"1\n", b"2\n", b"3\n", b"4\n"]
        with pytest.raises(luspool.ScriptError, match="unlucky"):
            list(executor.map(tmp_path / "square.lus", [1, 13, 2]))


def test_what_is_no_good_end_is_the_futures_exception_with_the_messages(runtime):
    with luspool.ScriptExecutor(runtime) as executor:
        future = executor.submit("main.lus", 13, source=SQUARE)
        error = future.exception(PATIENCE)
        assert isinstance(error, luspool.ScriptError)
        assert error.result.messages == ("before",)
        with pytest.raises(luspool.UsageError):
            executor.submit("main.lus", print, source="")
        with pytest.raises(luspool.NotFoundError):
            executor.submit("missing.lus")


def test_all_messages_are_kept_whatever_a_mailbox_holds(runtime):
    limits = luspool.Limits(tree=luspool.TreeLimits(mailbox=100))
    with luspool.ScriptExecutor(runtime, limits=limits) as executor:
        future = executor.submit("main.lus", source="for i = 1, 1000 do worker.message(i) end")
        assert future.result(PATIENCE).messages == tuple(range(1, 1001))


def test_states_of_a_future(gated, gate):
    first, second = (gated.submit("main.lus", source="host.wait()") for _ in range(2))
    assert gate.begun.acquire(timeout=PATIENCE)
    first._core.until(lambda: (1,) if first.running() else None, PATIENCE) if first.running() else None
    assert not first.done()
    assert not second.running()
    assert not second.done()
    assert first.cancel() is False
    assert second.cancel() is True
    assert second.cancel() is True
    assert second.cancelled()
    with pytest.raises(CancelledError):
        second.result(0)
    with pytest.raises(TimeoutError):
        first.result(0)
    gate.opened.set()
    assert first.result(PATIENCE).kind == "returned"
    assert first.cancel() is False
    assert not first.running()
    assert gate.begun.acquire(blocking=False) is False  # the second has never begun


def test_callbacks_are_called_once_and_whoever_waits_is_woken(gated, gate):
    called = []
    futures = [gated.submit("main.lus", source="host.wait()") for _ in range(5)]
    for future in futures:
        future.add_done_callback(called.append)
    assert gate.begun.acquire(timeout=PATIENCE)
    assert futures[4].cancel()
    assert called == [futures[4]]
    waiting = threading.Thread(target=wait, args=([futures[4]],))
    waiting.start()
    waiting.join(PATIENCE)  # a future that is cancelled is done for `wait`, too
    assert not waiting.is_alive()
    gate.opened.set()
    assert set(as_completed(futures, PATIENCE)) == set(futures)
    gated.shutdown()
    assert sorted(map(id, called)) == sorted(map(id, futures))


def test_shutdown_waits_for_all(runtime):
    executor = luspool.ScriptExecutor(runtime)
    futures = [executor.submit("main.lus", number, source=SQUARE) for number in range(5)]
    executor.shutdown()
    assert all(future.done() for future in futures)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.submit("main.lus", source="")
    executor.shutdown()


def test_shutdown_can_cancel_what_has_not_begun(gated, gate):
    futures = [gated.submit("main.lus", source="host.wait()") for _ in range(10)]
    assert gate.begun.acquire(timeout=PATIENCE)
    gated.shutdown(wait=False, cancel_futures=True)
    assert [future.cancelled() for future in futures] == [False] + [True] * 9
    gate.opened.set()
    assert futures[0].result(PATIENCE).kind == "returned"


def test_an_executor_without_work_shuts_down(runtime):
    luspool.ScriptExecutor(runtime).shutdown()
    executor = luspool.ScriptExecutor(runtime)
    executor.submit("main.lus", source="").result(PATIENCE)
    executor.shutdown()


def test_an_executor_that_nobody_shuts_down_leaves_nothing(runtime):
    executor = luspool.ScriptExecutor(runtime)
    for _ in range(2):
        threads, done = [], threading.Event()
        executor.submit("main.lus", 2, source=SQUARE).add_done_callback(
            lambda _, threads=threads, done=done: (threads.append(threading.current_thread()), done.set())
        )
        assert done.wait(PATIENCE)
        threads[0].join(PATIENCE)
        assert not threads[0].is_alive()


def test_closing_the_runtime_ends_the_futures():
    runtime = luspool.Runtime(jobs=1)
    executor = luspool.ScriptExecutor(runtime)
    futures = [executor.submit("main.lus", source=LOOP) for _ in range(3)]
    runtime.close()
    assert all(isinstance(future.exception(PATIENCE), luspool.ClosedError) for future in futures)
    with pytest.raises(luspool.ClosedError):
        executor.submit("main.lus", source="")
    executor.shutdown()


def test_cancelling_races_with_beginning(runtime):
    """Each future is either cancelled, or its script has run: never both, never neither."""
    with luspool.ScriptExecutor(runtime) as executor:
        for _ in range(20):
            futures = [executor.submit("main.lus", source="worker.message(1)") for _ in range(5)]
            cancelled = [future.cancel() for future in reversed(futures)][::-1]
            wait(futures, PATIENCE)
            for future, was_cancelled in zip(futures, cancelled, strict=True):
                assert future.cancelled() is was_cancelled
                assert was_cancelled or future.result(0).messages == (1,)
