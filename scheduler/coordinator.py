"""The decisions about a tree that runs on several hosts, as a pure state machine: when it is over, or deadlocked.

Events come in as method calls: hosts join and go, report, ask. What the supervisor is to do comes out in two queues:
`commands`, each for one host, and `decisions`. There is no clock and no process in here.

Termination is detected by *channel counting* (F. Mattern, "Algorithms for distributed termination detection",
Distributed Computing 2, 1987): a host with nothing to do reports how many letters it has sent to and received from each
other host, up to one moment. If all have reported, and for each pair of hosts as many letters were received as were
sent, then nothing can ever happen again:

    Let t(h) be the moment of h's report. Letters are read in the order in which they were written. So the letters that
    j has read from i before t(j) are those that i wrote before t(i): none was on its way, and none came out of i's time
    after t(i). A host that has nothing to do at t(h) does nothing before a letter reaches it; the first one to do
    anything after its report would have had to read a letter that another had written after its own. So nobody does.

The moments may lie apart and reports may be late, so nobody has to ask and there are no rounds. A report that is
overtaken by a younger one of the same host is dropped; an old one proves no less, it only proves it of longer ago.

The supervisor is one more process of the computation: a report says how many commands the host had carried out, and
how many questions it had asked, and both must be all there are. When a host dies its letters stop to count, and the
command that tells the others makes them report again, after they have read all that it had written.
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct
from msgspec.structs import replace

from .events import Deadlocked, TreeOutcome
from .idle_report import Report
from .letters import host_of
from .limits import Excess
from .protocol import Exited, Failure, StateId


class RunRoot(Struct, frozen=True):
    """Command to the root's host: start it."""


class Joined(Struct, frozen=True):
    """Command to a host: another host is there."""

    host: int


class Gone(Struct, frozen=True):
    """Command to a host: another host has died; take it in after its last letter. See `SpreadMachine.peer_gone`."""

    host: int
    how: str
    """What happened, for the messages of its states."""
    stuck: StateId | None = None
    """The state for which it was ended on purpose, with this failure."""
    failure: Failure | None = None

    def failure_of(self, state: StateId, script: str) -> Failure:
        """Why a state that had begun there has ended."""
        if state == self.stuck and self.failure is not None:
            return replace(self.failure, message=f"{script}: {self.failure.message}", script=script)
        return Failure("crashed", b"", f"{script}: {self.how}", "", script)


class EndBelow(Struct, frozen=True):
    """Command to a host: see `SpreadMachine.end_below`."""

    state: StateId


class EndForExcess(Struct, frozen=True):
    """Command to the host of the root: the tree has used too much."""

    excess: Excess


class TellWaits(Struct, frozen=True):
    """Command to a host: there is a deadlock, say who waits."""


class EndTree(Struct, frozen=True):
    """Command to a host: the tree is over."""


Command = RunRoot | Joined | Gone | EndBelow | EndForExcess | TellWaits | EndTree


class Stage(Enum):
    """How far the tree is."""

    NEW = "new"
    """The root has not been started."""
    RUNNING = "running"
    DEADLOCKED = "deadlocked"
    """It is, and the hosts are asked who waits."""
    ENDING = "ending"
    """All hosts were told that it is over."""
    OVER = "over"
    """All of them have ended their part."""


class _Host:
    __slots__ = ("asks", "commands", "has_ended", "has_told_waits", "number", "report")

    def __init__(self, number: int) -> None:
        self.number = number
        self.report: Report | None = None
        self.commands = 0
        """Commands that it was given."""
        self.asks = 0
        """Questions of its that have come."""
        self.has_told_waits = False
        self.has_ended = False


class Coordinator:
    """Knows the hosts of one tree. Not thread-safe."""

    def __init__(self, root: StateId, script: str) -> None:
        """The tree of `root`, which runs `script`."""
        self.stage = Stage.NEW
        self.outcome: TreeOutcome | None = None
        """How the root ended, or the tree before it; None while the root lives."""
        self.commands: list[tuple[int, Command]] = []
        """For the supervisor to pass on in order, by host, and to clear."""
        self.failures: list[Failure] = []
        """Of the root, where its host can't report them any more: to be shown, and cleared."""
        self._root = root
        self._script = script
        self._hosts: dict[int, _Host] = {}

    @property
    def hosts(self) -> tuple[int, ...]:
        """The numbers of those that are there."""
        return tuple(self._hosts)

    def joined(self, number: int) -> None:
        """A host is there, with nothing to do. It and the others are told of each other."""
        newcomer = _Host(number)
        for other in self._hosts.values():
            self._command(other, Joined(number))
            self._command(newcomer, Joined(other.number))
        self._hosts[number] = newcomer
        if self.stage is Stage.DEADLOCKED:
            newcomer.has_told_waits = True  # nobody waits there
        elif self.stage in (Stage.ENDING, Stage.OVER):
            self._command(newcomer, EndTree())

    def run(self) -> None:
        """Start the root. Its host has joined."""
        self.stage = Stage.RUNNING
        self._command(self._hosts[host_of(self._root)], RunRoot())

    def gone(self, gone: Gone) -> None:
        """A host has died, and all that it had said has been taken in."""
        if self._hosts.pop(gone.host, None) is None:
            return
        for other in self._hosts.values():
            self._command(other, gone)
            if gone.stuck is not None:  # it had to end, with all below it, and may not have come to ask for that
                self._command(other, EndBelow(gone.stuck))
        if gone.host == host_of(self._root) and self.outcome is None:
            self._fail(gone.failure_of(self._root, self._script))
        self._look()

    def reported(self, number: int, report: Report) -> None:
        """A host with nothing to do has said so. Reports may come late, and out of order."""
        host = self._hosts.get(number)
        if host is None or (host.report is not None and not _is_younger(report, host.report)):
            return
        host.report = report
        self._look()

    def root_ended(self, number: int, outcome: TreeOutcome) -> None:
        """Asked by the root's host."""
        self._asked(number)
        if self.outcome is None and number == host_of(self._root):
            self.outcome = outcome
            # One that could not begin has nothing below it, and other hosts, which can't begin either, report nothing.
            if isinstance(outcome, Exited) or (isinstance(outcome, Failure) and outcome.kind == "usage"):
                self._end()
        self._look()

    def exceeded(self, number: int, excess: Excess) -> None:
        """Asked by any host: the tree has used more than it may."""
        self._asked(number)
        # A root that has ended for a limit takes all below it along: then nothing is left to be ended.
        is_ending = isinstance(self.outcome, Failure) and self.outcome.is_limit
        if self.stage is Stage.RUNNING and not is_ending:
            root_host = self._hosts.get(host_of(self._root))
            if self.outcome is None and root_host is not None:
                self._command(root_host, EndForExcess(excess))
            else:
                self._fail(Failure(excess.kind, b"", str(excess), "", ""))
                self._end()
        self._look()

    def end_below(self, number: int, state: StateId) -> None:
        """Asked by any host: a state has ended, and all below it is to."""
        self._asked(number)
        for host in self._hosts.values():
            self._command(host, EndBelow(state))

    def told_waits(self, number: int) -> None:
        """A host has said who waits in it (see `TellWaits`)."""
        host = self._hosts.get(number)
        if host is not None:
            host.has_told_waits = True
        self._look()

    def tree_ended(self, number: int) -> None:
        """A host has ended its part of the tree, and will say no more of it."""
        host = self._hosts.get(number)
        if host is not None:
            host.has_ended = True
        self._look()

    def _look(self) -> None:
        """Go on to the next stage if its time has come."""
        hosts = self._hosts.values()
        if self.stage is Stage.NEW and self.outcome is not None:
            self._end()
        if self.stage is Stage.RUNNING and self._is_quiet():
            if self.outcome is not None:
                self._end()
            elif not any(host.report is not None and host.report.is_timed for host in hosts):
                self.stage = Stage.DEADLOCKED
                for host in hosts:
                    self._command(host, TellWaits())
        if self.stage is Stage.DEADLOCKED and all(host.has_told_waits for host in hosts):
            self.outcome = self.outcome or Deadlocked()
            self._end()
        if self.stage is Stage.ENDING and all(host.has_ended for host in hosts):
            self.stage = Stage.OVER

    def _is_quiet(self) -> bool:
        """Whether nothing can ever happen again; see the module."""
        reports = {}
        for host in self._hosts.values():
            report = host.report
            if report is None or report.commands != host.commands or report.asks != host.asks:
                return False
            reports[host.number] = report
        return all(
            one.sent.get(there) == other.received.get(here)
            for here, one in reports.items()
            for there, other in reports.items()
            if here != there
        )

    def _fail(self, failure: Failure) -> None:
        self.outcome = failure
        self.failures.append(failure)

    def _end(self) -> None:
        self.stage = Stage.ENDING
        for host in self._hosts.values():
            self._command(host, EndTree())

    def _asked(self, number: int) -> None:
        host = self._hosts.get(number)
        if host is not None:
            host.asks += 1

    def _command(self, host: _Host, command: Command) -> None:
        host.commands += 1
        self.commands.append((host.number, command))


def _is_younger(report: Report, than: Report) -> bool:
    """Whether a host may have made `report` after `than`: all that it counts only grows, but for hosts that have died.

    Where all counts are the same, nothing has come and nobody has run in between; but time may have ended somebody.
    """
    if report.commands != than.commands:
        return report.commands > than.commands
    return _age(report) >= _age(than)


def _age(report: Report) -> tuple[int, int, int, bool]:
    return report.asks, sum(report.sent.values()), sum(report.received.values()), not report.is_timed
