"""Several hosts of one program, as the supervisor has them (see `supervisor.Hosts`).

Starting: all hosts are executed at once. Each that says `Hello` gets a number, a board and its `Start`, and joins: the
coordinator has the others told, and a pair of rings is made for each of them. The root starts in the first host when
all have joined; those that replace others join while it runs.

Death: seen by sentinels, by the end of a socket, or by silence: each host answers a `Ping` every `_PING_SECONDS`, and
one that has not for `hang_seconds` is killed; so is one that reads nothing, one that stops in the middle of what it
says, for then nobody else can say anything (see `merge`), and one that does not end its part when the program is
over. The last two are also measured by the time for which the loop had nothing to do: who says a little now and then
gains nothing by it, and nobody is blamed for time that we have lost ourselves. What a dead host had said is passed on
first. Then the others are told, which end its states where their parents can hear of it (see `spread`); a new host
takes its place, within the restart policy; and scripts inside of which too many hosts have died are not started any
more. Where the first host dies before it is ready, nothing has begun, and the program fails as one with a single host
does.

Bounds: of what hosts say, no more is read than can be passed on, but for what a socket holds; and while one of them is
behind with reading its commands, nothing is read of what may bring it more.

End: the coordinator finds that the tree is over, all hosts end their parts of it, and the program has ended when the
last one has said so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from . import wire
from .blame import USUAL, Blame, RestartBudget, RestartPolicy
from .connection import READS, HostConnection, HostError, HostProtocolError, how_it_died
from .coordinator import Coordinator, EndTree, Gone, Joined, Stage, TellWaits
from .fleet_member import Member
from .fleet_messages import all_waits, excess_of, message_of, outcome_of, report_of, state_of
from .input_lease import InputLease, LeaseError, Next
from .letters import HOST_BITS
from .merge import EventMerge, StampError
from .process import HostProcess
from .protocol import Exited, Failure, StateId
from .ring_table import RingTable
from .supervisor import Listener, check_hello, check_waits, control_messages
from .surroundings import Onlooker

_PING_SECONDS: Final = 1.0
"""Or half of `hang_seconds`, if that is less."""

HANG_SECONDS: Final = 10.0
"""Seconds without an answer after which a host counts as hanging. It answers from a thread that never waits for
anything; but the whole machine may be short of breath. Guessed."""

_ROOT_HOST: Final = 1
ROOT: Final = StateId((_ROOT_HOST << HOST_BITS) + 1)
"""The root's id: the first state of the first host."""


class FleetOptions(Struct, frozen=True):
    """Several hosts for one program."""

    hosts: int
    start_host: Callable[[], HostProcess]
    """Executes one more."""
    script: str
    """The root's."""
    output_limit: int
    """Bytes of output of all hosts together. They see to it themselves, but might each be a little late."""
    restarts: RestartPolicy = USUAL
    hang_seconds: float = HANG_SECONDS
    onlooker: Onlooker | None = None
    """Of the supervisor's surroundings."""


class Fleet:
    """See `supervisor.Hosts`. Leaving it as a context manager ends all hosts that it has started itself."""

    def __init__(self, first: HostProcess, start: wire.Start, listener: Listener, options: FleetOptions) -> None:
        """`first` is there already and stays the caller's; it will run the root."""
        self.ended: wire.TreeEnded | None = None
        self.wants_input = False
        self._start = start
        self._listener = listener
        self._options = options
        self._ping_seconds = min(_PING_SECONDS, options.hang_seconds / 2)
        self._coordinator = Coordinator(ROOT, options.script)
        self._merge = EventMerge()
        self._input = InputLease()
        self._blame = Blame(options.restarts)
        self._budget = RestartBudget(options.restarts)
        self._rings = RingTable(options.hosts)
        self._members: dict[HostConnection, Member] = {}
        self._restart_at: list[float] = []
        self._last_number = _ROOT_HOST
        self._written = 0
        self._has_noticed = False
        self._idle = 0.0
        """Seconds for which the loop has waited with nothing to do, up to `_idle_from` or now."""
        self._idle_from: float | None = None
        self._word, self._word_from = 0, 0.0
        """The event that is being taken, of which a part is missing, and how long the loop had been idle before it."""
        self._waits: dict[int, wire.Deadlocked] = {}
        self._first = self._add(HostConnection(first))
        with ExitStack() as undo:
            undo.callback(self._close)
            for _ in range(options.hosts - 1):
                self._start_one()
            undo.pop_all()

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        for member in self._members.values():
            member.give_back()
        self._rings.close()

    # --- what the loop asks --------------------------------------------------------------------------------------

    @property
    def connections(self) -> tuple[HostConnection, ...]:
        alive = (member for member in self._members.values() if member.exit_status is None)
        # When all is over, those that are only starting need not be waited for.
        return tuple(member.connection for member in alive if self.ended is None or member.number)

    def due(self) -> float | None:
        now = self._idle_from = time.monotonic()
        if self._merge.is_holding and not self._is_swamped():
            return now
        hellos = [member.hello_until for member in self._members.values() if not member.number]
        return min([now + self._ping_seconds, *self._restart_at, *hellos])

    def keep_time(self) -> None:
        now = time.monotonic()
        for member in tuple(self._members.values()):
            if member.exit_status is None:
                self._look_at(member, now)
        for at in [at for at in self._restart_at if at <= now]:
            self._restart_at.remove(at)
            if self._coordinator.stage in (Stage.NEW, Stage.RUNNING):
                self._replace()
        self._carry_on()
        is_swamped = self._is_swamped()
        for member in self._members.values():
            # Of whom nothing would be read, nothing is to be waited for: it would be there at once, over and over.
            is_next = self._merge.speaker in (None, member.number)
            member.connection.hears_events = bool(member.number) and is_next and not is_swamped

    def control(self, host: HostConnection, message: wire.Message) -> None:
        member = self._members[host]
        if not member.number:
            check_hello(message)
            self._join(member)
            # At once: it must be told of each of the others before anything is heard of their death.
            self._carry_on()
            return
        match message:
            case wire.Pong():
                member.answered = True
            case wire.Report():
                self._coordinator.reported(member.number, report_of(message))
            case wire.Broken():
                self._accuse(message)
            case _:
                raise HostProtocolError(f"it sent {type(message).__name__} twice")

    def read_events(self, ready: set[HostConnection]) -> Iterator[tuple[HostConnection, wire.Message]]:
        if self._idle_from is not None:
            self._idle += time.monotonic() - self._idle_from
            self._idle_from = None
        yield from self._take(self._read_all(ready))

    def event(self, host: HostConnection, message: wire.Message) -> None:
        member = self._members.get(host)
        if member is not None:
            try:
                if isinstance(message, wire.Notice):
                    self._notice(member, message)
                else:
                    self._event(member, message)
            except HostProtocolError as problem:
                self.broke(host, problem)
        self._carry_on()

    def wrote(self, data: bytes) -> bytes:
        allowed = data[: self._options.output_limit - self._written]
        self._written += len(allowed)
        return allowed

    def lost(self, host: HostConnection, exit_status: int) -> Iterator[tuple[HostConnection, wire.Message]]:
        member = self._members[host]
        host.drop_unsent()
        for _ in range(READS if member.number else 0):  # a child that it has left may still write
            if not self._read(member):
                break
        member.exit_status = exit_status
        yield from self._take(self._read_all(set()))
        self._carry_on()

    def broke(self, host: HostConnection, problem: HostProtocolError) -> None:
        member = self._members.get(host)
        if member is None:
            return
        if member.how is None:
            member.how = f"was ended, because {problem}"
        host.process.kill()  # the sentinel tells the rest

    def unspoken(self) -> Iterator[tuple[HostConnection, wire.Message]]:
        by_number = self._by_number()
        for number, message in self._merge.rest():
            yield by_number[number], message

    def input_arrived(self, data: bytes) -> None:
        self._input.arrived(data)
        self._carry_on()

    # --- events --------------------------------------------------------------------------------------------------

    def _read_all(self, ready: set[HostConnection]) -> int:
        """Take in what hosts have written; up to which time their events may be taken. `ready`: there is something."""
        now = time.monotonic_ns()
        if self._is_swamped():
            return 0
        for host, member in tuple(self._members.items()):
            if member.exit_status is not None or not member.number:
                continue
            if self._merge.speaker is None:
                is_due = not self._merge.is_ahead(member.number, now)
            else:
                is_due = self._merge.speaker == member.number
            for attempt in range(READS if is_due else 0):
                if not self._read(member):
                    host.is_over |= attempt == 0 and host in ready
                    break
                if self._merge.is_ahead(member.number, now):
                    break
        return now

    def _read(self, member: Member) -> bool:
        """Take in what a host has written; False if there was nothing."""
        host = member.connection
        has_come = False
        try:
            has_come = host.events.receive()
            for message in host.events.messages():
                member.heard(message, self._options.output_limit)
                self._merge.add(member.number, message, time.monotonic_ns())
        except (HostProtocolError, StampError) as problem:
            self.broke(host, HostProtocolError(str(problem)))
            return False
        if has_come:
            member.heard_at = time.monotonic()
        return has_come

    def _is_swamped(self) -> bool:
        return any(member.connection.is_swamped for member in self._members.values())

    def _take(self, until: int) -> Iterator[tuple[HostConnection, wire.Message]]:
        by_number = self._by_number()
        for number, message in self._merge.take(until):
            yield by_number[number], message

    def _by_number(self) -> dict[int, HostConnection]:
        return {member.number: host for host, member in self._members.items()}

    def _event(self, member: Member, message: wire.Message) -> None:
        number, coordinator = member.number, self._coordinator
        member.has_paid(message)
        match message:
            case wire.Failed():
                is_root = message.is_root and number == _ROOT_HOST
                self._listener.failed(replace(message, is_root=is_root))
            case wire.RootEnded():
                coordinator.root_ended(number, outcome_of(message))
            case wire.Exceeded():
                coordinator.exceeded(number, excess_of(message))
            case wire.AskEndBelow():
                coordinator.end_below(number, state_of(message.state))
            case wire.Deadlocked():
                if coordinator.stage is Stage.DEADLOCKED:
                    check_waits(message)
                    self._waits[number] = message
                coordinator.told_waits(number)
            case wire.TreeEnded():
                coordinator.tree_ended(number)
            case wire.Stuck():
                self._end_stuck(member, message)
            case wire.WantInput():
                self._input.asked(number)
            case wire.InputLeft():
                try:
                    self._input.gave_back(number, message.data)
                except LeaseError as problem:
                    raise HostProtocolError(str(problem)) from problem
            case _:
                raise HostProtocolError(f"{type(message).__name__} is out of turn")

    def _notice(self, member: Member, message: wire.Notice) -> None:
        if self._has_noticed or member is not self._first:
            raise HostProtocolError("it says what is not its to say")
        self._has_noticed = True
        self._listener.notice(message.text)

    def _end_stuck(self, member: Member, message: wire.Stuck) -> None:
        """A state can't be stopped: its host has to go."""
        if message.state == ROOT and member.number != _ROOT_HOST:
            raise HostProtocolError("it ran the main script, which is in another host")
        kind, text, script = map(wire.clip, (message.kind, message.message, message.script))
        member.stuck = (state_of(message.state), Failure(kind, b"", text, "", script))
        member.how = "was ended, because a script did not come out of one long call"
        member.connection.process.kill()
        if message.state == ROOT:  # which takes all below it along
            self._listener.stuck(message)
            self.ended = wire.TreeEnded(exited=False, status=0)

    # --- coming and going ----------------------------------------------------------------------------------------

    def _add(self, host: HostConnection) -> Member:
        self._members[host] = Member(host)
        host.hears_events = False  # it has nothing to say before its `Start`
        return self._members[host]

    def _start_one(self) -> None:
        """Execute one more host. OSError."""
        with ExitStack() as process:
            member = self._add(HostConnection(process.enter_context(self._options.start_host())))
            member.process = process.pop_all()

    def _replace(self) -> None:
        """A host that has died is due to be replaced."""
        try:
            self._start_one()
        except OSError as error:
            then = "that is tried again" if self._restart() else "that is not tried any more"
            self._listener.host_died(f"no process could be started in the place of one that died: {error}; {then}", b"")

    def _restart(self) -> bool:
        """Have another host started, if that may be."""
        at = self._budget.next(time.monotonic())
        self._restart_at += [] if at is None else [at]
        return at is not None

    def _join(self, member: Member) -> None:
        """A host is ready."""
        number = _ROOT_HOST if member is self._first else self._last_number + 1
        try:
            writer, member.board = self._rings.add_host(number)
        except OSError as error:
            self.broke(member.connection, HostProtocolError(f"it could not be joined to the others: {error}"))
            return
        self._last_number = max(self._last_number, number)
        member.number = member.connection.number = number
        member.connection.send(self._start.for_host(member.number, ROOT), (writer,))
        for script, why in self._blame.banned.items():
            member.connection.send(wire.Ban(script, why))
        self._merge.add_host(member.number)
        self._coordinator.joined(member.number)

    def _may_run(self) -> bool:
        """Whether the root may start. Not before all hosts are there: what it creates at once would have begun in its
        own host by then, and a state that has begun stays where it is."""
        return not self._restart_at and all(member.number for member in self._members.values())

    def _look_at(self, member: Member, now: float) -> None:
        """See whether a host is silent for too long."""
        host = member.connection
        if self._is_late(member, now):
            # We may have waited ourselves, for a reader of the output: what has come meanwhile counts.
            self._hear(member)
        if not host.is_swamped:
            member.read_at = time.monotonic()
        late = self._is_late(member, now)
        if late:
            self.broke(host, HostProtocolError(late))
        elif member.number and member.answered and now >= member.pinged_at + self._ping_seconds:
            member.answered, member.pinged_at = False, now
            host.send(wire.Ping(member.number))

    def _is_late(self, member: Member, now: float) -> str:
        is_speaking = self._merge.speaker == member.number
        hang_seconds = self._options.hang_seconds
        if self._merge.words != self._word:
            self._word, self._word_from = self._merge.words, self._idle
        if is_speaking and self._idle >= self._word_from + hang_seconds:
            return f"it stopped in the middle of a word for {hang_seconds:g} s"
        if member.owes_from is not None and self._merge.speaker not in (None, member.number):
            member.owes_from = self._idle  # what it says waits for another to finish
        late = member.what_is_late(now, hang_seconds, is_speaking=is_speaking)
        return late or member.owes_too_long(self._idle, hang_seconds)

    def _hear(self, member: Member) -> None:
        host = member.connection
        host.flush()
        host.control.receive()
        try:
            for message in control_messages(host, self._options.onlooker):
                self.control(host, message)
        except HostProtocolError as problem:
            self.broke(host, problem)
        if self._merge.speaker == member.number:
            self._read(member)

    def _accuse(self, message: wire.Broken) -> None:
        for host, member in self._members.items():
            if member.number == message.host and member.exit_status is None:
                self.broke(host, HostProtocolError(f"it wrote to another what no host writes: {message.why}"))

    def _bury(self, member: Member) -> None:
        """A host is dead, and all that it had said has been passed on."""
        assert member.exit_status is not None  # noqa: S101  for the type checker
        how = member.how or how_it_died(member.exit_status)
        if member is self._first and not member.number:
            problem = HostError(f"the process that was to run the main script {how}")
            problem.diagnostics = member.connection.diagnostics()
            raise problem
        del self._members[member.connection]
        running = () if member.board is None else member.board.running()
        stuck, failure = member.stuck or (None, None)
        for script in self._blame.died(running if failure is None else [failure.script], how):
            for other in self._members.values():
                if other.number:
                    other.connection.send(wire.Ban(script, self._blame.banned[script]))
        self._tell(member, how, running)
        member.give_back()
        if member.number:
            self._merge.remove_host(member.number)
            self._rings.remove_host(member.number)
            self._input.gone(member.number)
            self._coordinator.gone(Gone(member.number, f"the process that ran it {how}", stuck, failure))

    def _tell(self, member: Member, how: str, running: tuple[str, ...]) -> None:
        """Have another host started, if that is due, and say what has happened."""
        if self._coordinator.stage not in (Stage.NEW, Stage.RUNNING):
            return
        if member.number == _ROOT_HOST:
            then = "the main script has ended with it"
        elif self._restart():
            then = "another takes its place"
        else:
            then = "it is not replaced, too many have died"
        inside = f" while it ran {', '.join(dict.fromkeys(running))}" if running else ""
        text = f"one of {self._options.hosts} processes {how}{inside}; {then}"
        self._listener.host_died(text, member.connection.diagnostics())

    # --- what follows --------------------------------------------------------------------------------------------

    def _carry_on(self) -> None:
        """Do what follows from all that has happened."""
        for member in tuple(self._members.values()):
            if member.exit_status is not None and not self._merge.has_whole(member.number):
                self._bury(member)
        by_number = {member.number: host for host, member in self._members.items() if member.exit_status is None}
        self._serve_input(by_number)
        coordinator = self._coordinator
        if coordinator.stage is Stage.NEW and self._may_run():
            coordinator.run()
            self._listener.started()
        commands = tuple(coordinator.commands)
        coordinator.commands.clear()
        for number, command in commands:
            if number in by_number:
                rings = self._rings.take(number, command.host) if isinstance(command, Joined) else ()
                by_number[number].send(message_of(command), rings)
                if isinstance(command, EndTree | TellWaits):
                    owed = wire.TreeEnded if isinstance(command, EndTree) else wire.Deadlocked
                    self._members[by_number[number]].is_asked(owed, self._idle)
        if self._waits and coordinator.stage is not Stage.DEADLOCKED:
            self._listener.deadlocked(all_waits(list(self._waits.values())))
            self._waits.clear()
        for failure in coordinator.failures:
            kind, message, script = map(wire.clip, (failure.kind, failure.message, failure.script))
            self._listener.failed(wire.Failed(kind, message, "", script, is_root=True))
        coordinator.failures.clear()
        if coordinator.stage is Stage.OVER and self.ended is None:
            outcome = coordinator.outcome
            is_exit = isinstance(outcome, Exited)
            self.ended = wire.TreeEnded(is_exit, outcome.status if isinstance(outcome, Exited) else 0)

    def _serve_input(self, by_number: dict[int, HostConnection]) -> None:
        lease = self._input
        step = lease.next()
        self.wants_input = step is Next.READ
        if step is Next.RECALL and lease.holder in by_number:
            by_number[lease.holder].send(wire.LeaveInput())
        for number, data in lease.deliveries:
            if number in by_number:
                by_number[number].send(wire.Input(data))
        lease.deliveries.clear()
