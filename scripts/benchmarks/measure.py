"""How things are measured: samplers, each of which gives a figure whenever it is called, and rounds of them."""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypedDict

NUMBER: Final = "{n}"
"""In a command: how many operations it is to do."""

LONG_ENOUGH_SECONDS: Final = 0.5
LONG_ENOUGH_TIMES: Final = 3.0
"""What the many operations of a slope take longer than the few, at least: below it is mostly noise."""
TOO_LONG_SECONDS: Final = 120.0
_GROWTH_MOST: Final = 8
"""The number of operations grows by this factor at most from one trial to the next."""


Measure = Literal["wall", "processor", "memory"]


class FailedError(Exception):
    """A command that was to be measured has failed."""


class Cost(NamedTuple):
    """Of a command and all the processes that it has waited for."""

    wall: float
    """Seconds."""
    processor: float
    """Seconds."""
    memory: int
    """Bytes that the largest of them had resident, at most."""


def cost_of(command: Sequence[str], folder: str | None = None, environment: Mapping[str, str] | None = None) -> Cost:
    """Run it to its end, with nothing to read and nobody to read what it prints. FailedError."""
    begun = time.perf_counter()
    with (
        open(os.devnull, "r+b") as nothing,
        subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment) if environment is not None else None,
            stdin=nothing,
            stdout=nothing,
        ) as process,
    ):
        _, status, usage = os.wait4(process.pid, 0)
        taken = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise FailedError(f"{' '.join(command)}: exit status {process.returncode}")
    return Cost(taken, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


@dataclass(frozen=True)
class Command:
    """What a whole run of a command costs."""

    command: Sequence[str]
    folder: str
    of: Measure = "wall"
    per: int = 1
    """What it does: the cost is shared among so many."""

    def __call__(self) -> float:
        return float(getattr(cost_of(self.command, self.folder), self.of)) / self.per


@dataclass
class Printed:
    """A figure that a command measures by itself, and prints: a line of JSON, of which `key` is looked at."""

    command: Sequence[str]
    key: str

    def __call__(self) -> float:
        done = subprocess.run(self.command, capture_output=True, text=True, check=False)
        try:
            return float(json.loads(done.stdout)[self.key])
        except (ValueError, LookupError, TypeError) as error:
            raise FailedError(f"{' '.join(self.command)}: {done.stdout}{done.stderr} ({error!r})") from error


@dataclass
class Slope:
    """What one more operation costs: the same program is run with few and with many of them, and the difference of what
    that took is divided by the difference in number. So what starting and ending takes does not count.

    How many are needed is found out at the first call.
    """

    command: Sequence[str]
    folder: str
    of: Measure = "wall"
    first: int = 1
    """The few operations."""
    per: int = 1
    """Operations for each one of the number that the command gets."""
    many: int = 0
    """0: as many as take long enough."""

    def __call__(self) -> float:
        if self.many == 0:
            self.many = self._enough()
        if self.many == self.first:
            return self._cost(self.first)
        few, many = self._cost(self.first), self._cost(self.many)
        return (many - few) / (self.many - self.first) / self.per

    def shorten(self) -> None:
        """Do next to nothing from now on, and once: what comes out says nothing."""
        self.first = self.many = 1

    def _cost(self, number: int) -> float:
        return float(getattr(cost_of(self._numbered(number), self.folder), self.of))

    def _numbered(self, number: int) -> list[str]:
        return [part.replace(NUMBER, str(number)) for part in self.command]

    def _enough(self) -> int:
        few, number = cost_of(self._numbered(self.first), self.folder).wall, self.first * 2
        while True:
            wall = cost_of(self._numbered(number), self.folder).wall
            asked = max(LONG_ENOUGH_SECONDS, (LONG_ENOUGH_TIMES - 1) * few)
            if wall - few >= asked or wall >= TOO_LONG_SECONDS:
                return number
            missing = asked / max(wall - few, asked / _GROWTH_MOST)
            number = int(number * min(_GROWTH_MOST, max(2.0, 1.3 * missing)))


class Shape(TypedDict, total=False):
    """The fields of a `Slope` beside its command."""

    of: Measure
    first: int
    per: int
    many: int


Sampler = Callable[[], float]


@dataclass(frozen=True)
class Contender:
    """One of those that do the same work."""

    name: str
    sample: Sampler


@dataclass(frozen=True)
class Goal:
    """What is to be reached: `ours` at least `factor` times as good as `peer`; without a peer, `most` at most."""

    ours: str
    peer: str | None = None
    factor: float = 1.0
    most: float = 0.0


@dataclass(frozen=True)
class Work:
    """Something that several can do, and what that costs each: less is better."""

    name: str
    contenders: Sequence[Contender]
    goals: Sequence[Goal] = ()
    unit: Literal["s", "B"] = "s"
    series: str = ""
    """What grows, where this is one of several works that differ in how much there is of it: `amount`."""
    amount: float = 0.0


def exponents(results: Sequence[Result]) -> dict[str, float]:
    """By contender: with which power of the amount the cost grows, in works of one series. A straight line through the
    logarithms, so 1 is proportional and 0 constant."""
    found = {}
    for name in results[0].samples:
        of_it = [one for one in results if one.samples.get(name)]
        costs = [statistics.median(one.samples[name]) for one in of_it]
        if len(costs) > 1 and min(costs) > 0:
            amounts = [math.log(one.work.amount) for one in of_it]
            found[name] = statistics.linear_regression(amounts, [math.log(cost) for cost in costs]).slope
    return found


@dataclass
class Result:
    """The samples of a work, one of each contender for each round. A contender that has failed has none: `failures`."""

    work: Work
    samples: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def times_as_good(self, ours: str, peer: str) -> list[float]:
        """By round: how many times what `ours` costs is what `peer` costs."""
        pairs = zip(self.samples[ours], self.samples[peer], strict=True)
        return [theirs / own for own, theirs in pairs]

    def figure(self, goal: Goal) -> float | None:
        """What was reached of it; None where one of the two is missing."""
        if goal.ours not in self.samples or (goal.peer is not None and goal.peer not in self.samples):
            return None
        if goal.peer is None:
            return statistics.median(self.samples[goal.ours])
        return statistics.median(self.times_as_good(goal.ours, goal.peer))

    def is_reached(self, goal: Goal) -> bool | None:
        """None where that is not known."""
        figure = self.figure(goal)
        if figure is None:
            return None
        return figure <= goal.most if goal.peer is None else figure >= goal.factor


def measure(work: Work, rounds: int, said: Callable[[str], None]) -> Result:
    """So many rounds, in each of which every contender has its turn, in an order that turns round. `said` is told of
    each failure: who has failed takes no further part."""
    result = Result(work, {contender.name: [] for contender in work.contenders})
    for number in range(rounds):
        for contender in work.contenders if number % 2 == 0 else reversed(work.contenders):
            if contender.name in result.failures:
                continue
            try:
                result.samples[contender.name].append(contender.sample())
            except FailedError as error:
                result.failures[contender.name] = str(error)
                said(f"{work.name}: {contender.name} takes no further part: {error}")
    for name in result.failures:
        del result.samples[name]
    return result
