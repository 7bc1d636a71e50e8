"""How a batch goes on, for people, on standard error: a live display on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from ..permissions.decision import visible
from ..streams import StandardStreams
from .course import Stage
from .item import Item
from .outcome import Outcome, cause_of

if TYPE_CHECKING:
    from .batch import Batch

_LINE_SECONDS: Final = 5.0
"""Between two lines of progress."""
_FRAME_SECONDS: Final = 0.25
"""Between two frames of the live display."""
_SLOWEST: Final = 3
"""Running items that are shown."""
_RATE_SECONDS: Final = 10.0
"""Over how long the rate is taken."""
_SHOWN: Final = 60


class Pace:
    """How fast items end, over the last seconds, and when all will have."""

    def __init__(self, now: float) -> None:
        self._samples = [(now, 0)]

    def add(self, now: float, done: int) -> None:
        """So many have ended by now."""
        self._samples.append((now, done))
        while len(self._samples) > 2 and self._samples[1][0] < now - _RATE_SECONDS:
            del self._samples[0]

    def rate(self) -> float:
        """Items per second."""
        (first, before), (last, after) = self._samples[0], self._samples[-1]
        return (after - before) / (last - first) if last > first else 0.0

    def seconds_left(self, left: int) -> float | None:
        """Until this many have ended, too; None while that can't be said."""
        rate = self.rate()
        return left / rate if rate > 0 else None


class Display(Protocol):
    """Shows how a batch goes on."""

    def say(self, line: str) -> None:
        """Something that stays: a try of an item that has failed, or that the batch ends."""

    def progress(self, batch: Batch) -> None:
        """Time has passed, or something has happened."""

    def close(self) -> None:
        """Nothing more will be shown."""


class LineDisplay:
    """A line for each failure, and now and then one about all; with `is_quiet` neither."""

    def __init__(self, streams: StandardStreams, *, is_quiet: bool) -> None:
        self._streams = streams
        self._is_quiet = is_quiet
        now = time.monotonic()
        self._pace = Pace(now)
        self._next = now + _LINE_SECONDS

    def say(self, line: str) -> None:
        if not self._is_quiet:
            self._streams.say(line)

    def progress(self, batch: Batch) -> None:
        now = time.monotonic()
        if self._is_quiet or now < self._next:
            return
        self._next = now + _LINE_SECONDS
        self._pace.add(now, batch.course.counts.total() - batch.skipped)
        self._streams.say(f"luspool: {progress_text(batch, self._pace)}")

    def close(self) -> None:
        """Every line was whole."""


class LiveDisplay:
    """A few lines that are drawn over and over; failures scroll away above them."""

    def __init__(self, total: int) -> None:
        from rich.console import Console  # noqa: PLC0415  only where there is a terminal to draw on
        from rich.live import Live  # noqa: PLC0415  likewise

        self._total = total
        self._console = Console(stderr=True, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()
        self._pace = Pace(time.monotonic())
        self._next = 0.0

    def say(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)

    def progress(self, batch: Batch) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _FRAME_SECONDS
        self._pace.add(now, batch.course.counts.total() - batch.skipped)
        from rich.console import Group  # noqa: PLC0415  as above
        from rich.progress_bar import ProgressBar  # noqa: PLC0415  as above
        from rich.text import Text  # noqa: PLC0415  as above

        lines = [Text(progress_text(batch, self._pace))]
        for _, item, seconds in batch.running()[:_SLOWEST]:
            lines.append(Text(f"  {shown_seconds(seconds):>8}  {named(item)}", style="dim", no_wrap=True))
        bar = ProgressBar(total=self._total, completed=batch.course.counts.total(), width=None)
        self._live.update(Group(*lines, bar), refresh=True)  # a bar ends no line: it comes last

    def close(self) -> None:
        self._live.stop()


def progress_text(batch: Batch, pace: Pace) -> str:
    """How far a batch is, in one line."""
    course = batch.course
    done = course.counts.total()
    words = [f"{done} of {course.total} done", f"{course.running} running", f"{course.failures} failed"]
    if batch.skipped:
        words.append(f"{batch.skipped} done before")
    if course.waiting:
        words.append(f"{course.waiting} to be tried again")
    words.append(f"{pace.rate():.0f}/s" if pace.rate() >= 10 else f"{pace.rate():.1f}/s")
    left = pace.seconds_left(course.total - done)
    if left is not None and course.may_begin:
        words.append(f"{shown_seconds(left)} left")
    if not course.may_begin:
        words.append("ending")
    return ", ".join(words)


def failure_line(number: int, item: Item, outcome: Outcome, *, again: bool) -> str:
    """One line about an item that did not come to its end."""
    more = ", to be tried again" if again else ""
    cause = visible(cause_of(outcome, item.script))
    return f"luspool: {outcome.status}: item {number}, {named(item)}: {cause}{more}"


def ending_line(batch: Batch) -> str:
    """One line about a batch that ends before all is done."""
    course = batch.course
    why = f"halted after {course.failures} failed" if course.is_halted else "interrupted"
    what = f"{len(batch.running())} running"
    if course.stage is Stage.STOPPING:
        return f"luspool: {why}: ending {what}"
    return f"luspool: {why}: {what} will come to their end (Ctrl-C ends them now)"


def named(item: Item) -> str:
    """An item by its script and arguments, on one short line."""
    text = " ".join((item.script, *item.arguments))
    return visible(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…")


def shown_seconds(seconds: float) -> str:
    """A time for people: `1.2 s`, `5:03`, `2:00:00`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
