"""What a state may do: the one place where its pledge set is asked and changed, and where the answers are recorded.

No other module of this room asks a pledge set anything: a test reads the sources for it. So where there is an audit, no
decision escapes it, whichever way it was come to.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from ..permissions import Audit, Origin, Pledge, PledgeLimitError, PledgeSet
from .calls import DeniedError
from .files import Decide
from .recorder import Recorder


class Rights:
    """The pledges of one state. Used by one thread at a time."""

    __slots__ = ("_audit", "_recorder", "_shadow", "pledges")

    def __init__(self, pledges: PledgeSet, audit: Audit | None = None, recorder: Recorder | None = None) -> None:
        """`recorder` is told of every decision; one is there if there is an `audit`, and not otherwise."""
        self.pledges = pledges
        self._audit = audit
        self._shadow = audit.shadow if audit else None
        self._recorder = recorder

    def decide(self, permission: str, value: str | None = None) -> None:
        """Raise `DeniedError` unless the state holds the permission for this value."""
        self.decide_about(None, permission, value)

    def decide_about(self, asked: str | None, permission: str, value: str | None) -> None:
        """As `decide`, for the real path that a path of the script's, `asked`, leads to."""
        decision = self.pledges.decide(permission, value)
        if self._recorder is not None:
            shadow = self._shadow.decide(permission, value) if self._shadow else None
            self._recorder.decided(decision, shadow, asked)
        if not decision.allowed:
            raise DeniedError(decision)

    def decide_tree(self, asked: str, permission: str, path: str) -> None:
        """As `decide_about`, for a directory and all that is or will be beneath it."""
        decision = self.pledges.decide_tree(permission, path)
        if self._recorder is not None:
            shadow = self._shadow.decide_tree(permission, path) if self._shadow else None
            self._recorder.decided(decision, shadow, asked)
        if not decision.allowed:
            raise DeniedError(decision)

    def about(self, asked: str) -> Decide:
        """`decide_about` this path."""
        return partial(self.decide_about, asked)

    def allows(self, asked: str, permission: str, path: str) -> bool:
        """Whether `decide_about` lets it pass."""
        try:
            self.decide_about(asked, permission, path)
        except DeniedError:
            return False
        return True

    def rejects(self, permission: str) -> bool:
        """Whether anything at all of this permission is rejected. No decision."""
        return bool(self.pledges.grants[permission].rejected)

    def request(self, pledge: Pledge, where: str) -> bool:
        """What the script's `pledge(x)` does at a position, and its answer. `PledgeLimitError`."""
        origin = Origin.call(where)
        granted = False
        try:
            self.pledges, granted = self.pledges.request(pledge, origin)
        finally:
            if self._recorder is not None:
                self._recorder.pledged(str(pledge), where, granted=granted)
        if self._shadow:
            with suppress(PledgeLimitError):  # as the call would have failed under it
                self._shadow, _ = self._shadow.request(pledge, origin)
        return granted

    def inherit(self) -> tuple[PledgeSet, Audit | None]:
        """What a state that is created now begins with."""
        audit = self._audit and Audit(self._audit.observes, self._shadow).inherit()
        return self.pledges.inherit(), audit
