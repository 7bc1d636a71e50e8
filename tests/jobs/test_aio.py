"""The same for asyncio: nothing holds a thread, and a task that is cancelled loses nothing."""

import asyncio
import contextlib
import threading

import pytest

import luspool

from .conftest import PATIENCE

ECHO = "while true do worker.message(worker.peek()) end"
LOOP = "while true do end"


@pytest.fixture
def arun():
    """Runs a function with an `AsyncRuntime` of one job at a time to its end."""

    def run(body, **options):
        async def main():
            async with asyncio.timeout(PATIENCE), luspool.AsyncRuntime(jobs=1, **options) as runtime:
                return await body(runtime)

        return asyncio.run(main())

    return run


def test_messages_and_the_result(arun):
    async def body(runtime):
        job = runtime.submit("main.lus", 7, source="worker.message(...) worker.message(worker.peek()) print('end')")
        assert await job.receive() == 7
        assert await job.send({"a": [1]})
        assert [message async for message in job] == [{"a": [1]}]
        with pytest.raises(luspool.EndOfMessagesError):
            await job.receive()
        assert (await job.result()).stdout == b"end\n"
        assert await job.exception() is None
        assert await job.send(1) is False
        assert (job.name, job.status, repr(job)) == ("main.lus", "ended", "<luspool.AsyncJob 'main.lus' ended>")

    arun(body)


def test_errors_come_after_the_messages(arun):
    async def body(runtime):
        job = runtime.submit("main.lus", source="worker.message(1) error('broken')")
        assert await job.receive() == 1
        with pytest.raises(luspool.ScriptError, match="broken"):
            await anext(job)
        with pytest.raises(luspool.ScriptError):
            await runtime.run("main.lus", source="error('x')")

    arun(body)


def test_tasks_wait_beside_each_other_on_one_thread(arun):
    async def body(runtime):
        job = runtime.submit("main.lus", source=ECHO)

        async def send():
            for number in range(100):
                await job.send(number)
            job.send_eof()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(send())
            receivers = [tasks.create_task(receive_all(job)) for _ in range(3)]
        return sorted(number for receiver in receivers for number in receiver.result())

    limits = luspool.Limits(tree=luspool.TreeLimits(mailbox=1000))
    assert arun(body, limits=limits) == list(range(100))


async def receive_all(job):
    return [message async for message in job]


def test_a_task_that_is_cancelled_stops_waiting_and_nothing_is_lost(arun):
    async def body(runtime):
        job = runtime.submit("main.lus", source=ECHO)
        sent = 0
        received = []
        for turn in range(60):
            task = asyncio.create_task(job.receive())
            if turn % 2:
                await job.send(sent)
                sent += 1
            for _ in range(turn % 7):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                received.append(await task)
        job.send_eof()
        received += [message async for message in job]
        assert received == list(range(sent))
        assert not job._core._watchers

    arun(body)


def test_a_run_whose_task_is_cancelled_is_ended(arun):
    begun = threading.Event()

    async def body(runtime):
        task = asyncio.create_task(runtime.run("main.lus", source=f"host.begun() {LOOP}", pledges=["host"]))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # There is one job at a time, so this one waits until that one has ended.
        assert (await runtime.run("main.lus", source="print(1)")).stdout == b"1\n"

    arun(body, functions={"begun": begun.set})


def test_leaving_a_job_cancels_it(arun):
    async def body(runtime):
        async with runtime.submit("main.lus", source="worker.message(1) worker.peek()") as job:
            assert await job.receive() == 1
        with pytest.raises(luspool.JobCancelledError):
            await job.result()

    arun(body)


def test_closing_wakes_who_waits(arun):
    async def body(runtime):
        job = runtime.submit("main.lus", source="worker.message(1) worker.peek()")
        await job.receive()
        waiting = [asyncio.create_task(job.receive()), asyncio.create_task(job.result())]
        await asyncio.sleep(0)
        await runtime.close()
        for task in waiting:
            with pytest.raises(luspool.ClosedError):
                await task

    arun(body)


def test_a_loop_that_is_closed_is_no_obstacle():
    """A job goes on when the loop of who waited for it is gone."""
    with luspool.Runtime(jobs=1) as runtime:
        core = runtime.submit("main.lus", source="worker.message(worker.peek())")._core
        job = luspool.AsyncJob(core)

        async def begin_to_wait():
            task = asyncio.ensure_future(job.receive())
            await asyncio.sleep(0)
            return task

        loop = asyncio.new_event_loop()
        task = loop.run_until_complete(begin_to_wait())
        loop.close()
        luspool.Job(core).send(5)
        assert luspool.Job(core).receive(PATIENCE) == 5
        task._log_destroy_pending = False  # nobody has to be told that it can't go on
        task.get_coro().close()
        assert not core._watchers


def test_two_loops_share_a_job(arun):
    async def body(runtime):
        job = runtime.submit("main.lus", source=ECHO)

        def elsewhere():
            return asyncio.run(job.receive())

        other = asyncio.create_task(asyncio.to_thread(elsewhere))
        await job.send("for the other")
        assert await other == "for the other"
        job.cancel()

    arun(body)
