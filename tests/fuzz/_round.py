"""What the targets share: numbered executions, the input that is being tried, and making a failing one smaller."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from random import Random

SHRINKING_TRIES = 3000
"""A bound on the work of making one input smaller; guessed."""

_audience: list[Callable[[bytes], None]] = []


def listen(audience: Callable[[bytes], None]) -> None:
    """Have every input told before it is tried, so that it is known when the process hangs or dies over it."""
    _audience[:] = [audience]


def trying(data: bytes | str) -> None:
    """Say which input is tried next."""
    for audience in _audience:
        audience(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))


def claim(holds: bool, problem: str) -> None:
    """As `assert`, also where an exception is being handled."""
    if not holds:
        raise AssertionError(problem)


def chance_of(seed: int, number: int) -> Random:
    """The source of chance of one execution, which no other execution has any part in."""
    return Random(f"{seed} {number}")


def endless(execute: Callable[[Random], None]) -> Callable[[int], Iterator[None]]:
    """The `rounds` of a target whose executions have nothing to do with each other."""

    def rounds(seed: int) -> Iterator[None]:
        for number in itertools.count(1):
            execute(chance_of(seed, number))
            yield

    return rounds


def require(check: Callable[[bytes], object], data: bytes) -> None:
    """Let the check have the input; an AssertionError then carries the smallest input found that fails as well."""
    trying(data)
    try:
        check(data)
    except AssertionError as error:
        smallest, problem = data, error
    else:
        return
    for _ in range(SHRINKING_TRIES):
        for candidate in _smaller(smallest):
            trying(candidate)
            try:
                check(candidate)
            except AssertionError as error:
                smallest, problem = candidate, error
                break
        else:
            break
    raise AssertionError(f"{problem}\ninput: {smallest!r}") from problem


def _smaller(data: bytes) -> Iterator[bytes]:
    """The input without a part of it, large parts first."""
    size = len(data) // 2 or 1
    while size and data:
        for start in range(0, len(data), size):
            yield data[:start] + data[start + size :]
        size //= 2
