"""A batch from its first item to its last: items out of the ledger, through an engine, and their outcomes back into it.

One thread. Whatever the number of items, it holds only those that an engine has, and a page of the next ones: the rest
is in the ledger.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from msgspec import Struct

from .. import errors
from .course import Course, Stage, Tries
from .engine import Done, Engine
from .item import Item
from .key import still_holds
from .ledger import DONE, Ledger, RunRecord
from .outcome import Outcome, Status, failed
from .plan import Plan, Planner
from .signals import Signals

COMMIT_SECONDS: Final = 0.1
"""How long the end of an item may not be on the disk yet. Each commit waits for the disk."""
_PAGE: Final = 500
"""Items that are read from the ledger at a time."""
_IDLE_SECONDS: Final = 0.5
"""How often the display is brought up to date at least."""


class _InHand(Struct):
    """An item that the engine has."""

    item: Item
    plan: Plan
    tries: Tries


class Watcher(Protocol):
    """Is told how a batch goes on. Called by its thread."""

    def ended(self, number: int, item: Item, outcome: Outcome, tries: Tries, *, again: bool) -> None:
        """A try of an item is over; `again`: it will be tried once more."""

    def ending(self, batch: Batch) -> None:
        """Nothing more begins, or what runs is ended, too: before all is done."""

    def progress(self, batch: Batch) -> None:
        """Time has passed, or something has happened."""


class Resume(Struct, frozen=True):
    """Whether items that are done since an earlier run are left as they are, and which words that is about."""

    statuses: Sequence[Status] = ()
    audited: bool = False
    """Only those that have an audit log."""

    @classmethod
    def of(cls, *, resume: bool, retry_failed: bool, audited: bool = False) -> Resume:
        """As the flags of these names ask for it."""
        if retry_failed:
            return cls((Status.COMPLETED,), audited)
        return cls(DONE if resume else (), audited)


class Batch:
    """One run of a ledger. `run` brings it to its end."""

    def __init__(  # noqa: PLR0913, PLR0917  it ties everything together, in one place
        self,
        ledger: Ledger,
        run: RunRecord,
        engine: Engine,
        course: Course,
        planner: Planner,
        resume: Resume,
        watcher: Watcher,
        signals: Signals,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.course = course
        self.skipped = 0
        """Items that were done before."""
        self._ledger = ledger
        self._run = run
        self._engine = engine
        self._planner = planner
        self._resume = resume
        self._watcher = watcher
        self._signals = signals
        self._clock = clock
        self._in_hand: dict[int, _InHand] = {}
        self._returned: deque[tuple[int, Item, Tries]] = deque()
        """Items that the engine had and has not begun."""
        self._page: list[tuple[int, Item]] = []
        """Of the next items, the last one first."""
        self._last = 0
        """The number of the last item that was read from the ledger."""
        self._is_read = False
        """There are no further items."""
        self._uncommitted_since: float | None = None
        self._stage = course.stage
        """What people were told of."""

    def run(self) -> int:
        """Run everything; the exit status of the command. What is raised leaves a ledger that can be resumed."""
        state = "failed"
        try:
            while self._step():
                pass
            state = self._state()
        finally:
            self._ledger.commit()
            self._ledger.end_run(self._run.id, state)
        if self._signals.first is not None:
            return errors.SIGNALLED + self._signals.first
        return errors.OK if state == "complete" and not self.course.failures else errors.SCRIPT_ERROR

    def running(self) -> list[tuple[int, Item, float]]:
        """What runs now: the number, the item, and for how many seconds it has; the longest first."""
        found = [(number, self._in_hand[number].item, seconds) for number, seconds in self._engine.running()]
        return sorted(found, key=lambda one: -one[2])

    def processes(self) -> Mapping[int, int]:
        """As of `Engine`."""
        return self._engine.processes()

    def _step(self) -> bool:
        """Begin what may begin, wait, take in what has ended. False when it is over."""
        self._take_signals()
        while self.course.may_begin and self._engine.has_room and self._begin_next():
            # Many may be done before they begin: nobody should wait for all of them.
            self._commit_if_due()
            self._watcher.progress(self)
            self._take_signals()
        self._end_if_stopping()
        if not self._in_hand and not (self.course.may_begin and self.course.waiting):
            return self.course.may_begin and not self._is_read
        for done in self._engine.wait(self._patience()):
            self._ended(done)
        self._signals.taken()
        self._commit_if_due()
        self._watcher.progress(self)
        return True

    # --- beginning -----------------------------------------------------------------------------------------------

    def _begin_next(self) -> bool:
        """Begin, or settle, one item. False: there is none now."""
        if self._returned:
            self._begin(*self._returned.popleft())
            return True
        again = self.course.due(self._clock())
        if again is not None:
            number, tries = again
            self._begin(number, self._ledger.item(self._run.id, number), tries)
            return True
        if not self._page and not self._is_read:
            self._page = self._ledger.items_after(self._run.id, self._last, _PAGE)[::-1]
            self._is_read = not self._page
        if not self._page:
            return False
        self._last, item = self._page.pop()
        self._begin(self._last, item, Tries())
        return True

    def _begin(self, number: int, item: Item, tries: Tries) -> None:
        plan = self._planner.plan(number, item)
        if isinstance(plan, Outcome):
            self._settle(number, item, None, plan, tries)
            return
        if self._resume.statuses and tries.count == 1 and self._adopt(number, plan.key):
            return
        if not self.course.begin(number, plan.script, tries):
            why = f"{item.script}: not run: too many processes have died of this script"
            outcome = failed(errors.INTERNAL, why, status=Status.QUARANTINED)
            self._settle(number, item, plan.key, outcome, tries)
            return
        self._in_hand[number] = _InHand(item, plan, tries)
        self._engine.submit(plan.task)

    def _adopt(self, number: int, key: bytes) -> bool:
        earlier = self._ledger.earlier(self._run.id, key, self._resume.statuses, audited=self._resume.audited)
        if earlier is None or earlier.sources is None or not still_holds(earlier.sources):
            return False
        if self._resume.audited and earlier.audit and not os.path.exists(earlier.audit):
            return False
        self._ledger.adopt(self._run.id, number, earlier)
        self._dirty()
        self.course.settle(earlier.status)
        self.skipped += 1
        return True

    # --- ending --------------------------------------------------------------------------------------------------

    def _ended(self, done: Done) -> None:
        in_hand = self._in_hand.pop(done.number)
        if done.outcome is None:
            self.course.withdraw(done.number)
            self._returned.append((done.number, in_hand.item, in_hand.tries))
            return
        again = self.course.ended(done.number, in_hand.plan.script, done.outcome, self._clock())
        tries = again or Tries(in_hand.tries.count, in_hand.tries.crashes + (done.outcome.status is Status.CRASHED))
        self._record(done.number, in_hand.item, in_hand.plan.key, done.outcome, tries, again=again is not None)
        if done.outcome.status is Status.CRASHED and self.course.is_banned(in_hand.plan.script):
            self._engine.withdraw()  # others of this script may be among what it has: they have to ask again

    def _settle(self, number: int, item: Item, key: bytes | None, outcome: Outcome, tries: Tries) -> None:
        """An item is over that was not begun."""
        self.course.settle(outcome.status)
        self._record(number, item, key, outcome, tries, again=False)

    def _record(  # noqa: PLR0913  what a result is
        self, number: int, item: Item, key: bytes | None, outcome: Outcome, tries: Tries, *, again: bool
    ) -> None:
        self._ledger.record(self._run.id, number, item, key, outcome, tries, again=again)
        self._dirty()
        self._watcher.ended(number, item, outcome, tries, again=again)

    def _take_signals(self) -> None:
        if self._signals.first is not None:
            self.course.interrupt(now=self._signals.wants_end_now)

    def _end_if_stopping(self) -> None:
        if self.course.stage is not self._stage:
            self._stage = self.course.stage
            self._watcher.ending(self)
        if self.course.stage is Stage.STOPPING and self._in_hand:
            self._engine.cancel()
        elif self.course.stage is Stage.FINISHING and len(self._in_hand) > len(self._engine.running()):
            self._engine.withdraw()

    def _patience(self) -> float:
        """For how many seconds to wait for the engine at most."""
        times = [_IDLE_SECONDS]
        if self._uncommitted_since is not None:
            times.append(COMMIT_SECONDS)
        at = self.course.next_due()
        if at is not None and self.course.may_begin:
            times.append(max(0.0, at - self._clock()))
        return min(times)

    def _dirty(self) -> None:
        if self._uncommitted_since is None:
            self._uncommitted_since = self._clock()

    def _commit_if_due(self) -> None:
        since = self._uncommitted_since
        if since is not None and self._clock() >= since + COMMIT_SECONDS:
            self._ledger.commit()
            self._uncommitted_since = None

    def _state(self) -> str:
        if self._signals.first is not None:
            return "interrupted"
        return "halted" if self.course.is_halted else "complete"
