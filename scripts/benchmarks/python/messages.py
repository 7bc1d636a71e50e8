"""The works of messages with what Python has: python messages.py WORK N [KIND]"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection

FORK = multiprocessing.get_context("fork")


def message_of(kind: str) -> object:
    kinds: dict[str, object] = {
        "integer": 1,
        "table": {1: 1, 2: 2, "x": "y"},
        "text": b"x" * 1000,
        "array": list(range(1, 1001)),
        "block": b"x" * 1_000_000,
    }
    return kinds[kind] if kind in kinds else b"x" * int(kind)


def repeat(count: int, action: Callable[[object], object], value: object) -> None:
    for _ in range(count):
        action(value)


def queue_one_way(count: int, kind: str) -> None:
    queue: multiprocessing.Queue[object] = FORK.Queue()
    process = FORK.Process(target=lambda: repeat(count, queue.put, message_of(kind)))
    process.start()
    for _ in range(count):
        queue.get()
    process.join()


def pipe_one_way(count: int, kind: str) -> None:
    here, there = FORK.Pipe()
    process = FORK.Process(target=lambda: repeat(count, there.send, message_of(kind)))
    process.start()
    for _ in range(count):
        here.recv()
    process.join()


def echo(connection: Connection) -> None:
    while (message := connection.recv()) is not None:
        connection.send(message)


def pipe_round_trip(count: int) -> None:
    here, there = FORK.Pipe()
    process = FORK.Process(target=echo, args=(there,))
    process.start()
    for number in range(count):
        here.send(number)
        here.recv()
    here.send(None)
    process.join()


def queue_echo(requests: multiprocessing.Queue[object], answers: multiprocessing.Queue[object]) -> None:
    while (message := requests.get()) is not None:
        answers.put(message)


def queue_round_trip(count: int) -> None:
    requests: multiprocessing.Queue[object] = FORK.Queue()
    answers: multiprocessing.Queue[object] = FORK.Queue()
    process = FORK.Process(target=queue_echo, args=(requests, answers))
    process.start()
    for number in range(count):
        requests.put(number)
        answers.get()
    requests.put(None)
    process.join()


def asyncio_round_trip(count: int) -> None:
    async def both() -> None:
        requests: asyncio.Queue[int | None] = asyncio.Queue()
        answers: asyncio.Queue[int] = asyncio.Queue()

        async def answer() -> None:
            while (message := await requests.get()) is not None:
                await answers.put(message)

        echo = asyncio.create_task(answer())
        for number in range(count):
            await requests.put(number)
            await answers.get()
        await requests.put(None)
        await echo

    asyncio.run(both())


def copies(count: int) -> None:
    """Three copies of 1 MB within memory that is there, each by one call of memcpy."""
    source, target = bytes(1_000_000), memoryview(bytearray(1_000_000))
    for _ in range(count):
        target[:] = source
        target[:] = source
        target[:] = source


def create(count: int) -> None:
    for _ in range(count):
        here, there = FORK.Pipe()
        process = FORK.Process(target=there.send, args=(1,))
        process.start()
        here.recv()
        process.join()


WORKS: dict[str, Callable[..., None]] = {
    "queue_one_way": queue_one_way,
    "pipe_one_way": pipe_one_way,
    "pipe_round_trip": pipe_round_trip,
    "queue_round_trip": queue_round_trip,
    "asyncio_round_trip": asyncio_round_trip,
    "copies": copies,
    "create": create,
}


if __name__ == "__main__":
    WORKS[sys.argv[1]](int(sys.argv[2]), *sys.argv[3:])
