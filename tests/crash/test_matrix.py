"""Place by manner: what becomes of a program of which a process dies. docs/crashes.md has the same as a table."""

from __future__ import annotations

import itertools
import re
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from luspool.scheduler import fleet_member, wire
from luspool.scheduler.blame import RestartPolicy
from luspool.scheduler.connection import HostError
from luspool.scheduler.fleet import HANG_SECONDS
from luspool.scheduler.supervisor import not_ready

from .rig import HANG, LONGEST, MANNERS, Scene, Stage, write

MAIN = """
local ws = {{}}
for i = 1, {workers} do ws[i] = worker.create("w.lus") end
for i, w in ipairs(ws) do
  {before}
  while true do
    local ok, m = pcall(worker.receive, w)
    if not ok then print(i .. " error " .. m) break end
    if m == nil then print(i .. " end") break end
    print(i .. " got " .. (#tostring(m) > 9 and #m or m))
  end
end
print("then " .. worker.receive(worker.create("other.lus")))
"""
OTHER = "worker.message('another worker')"
BIG = "('x'):rep(16000000)"
# Nine messages, each of which goes by itself: inside of a callback of gsub none may wait for others.
ONE_BY_ONE = "local i = 0 ;('x'):rep(9):gsub('.', function() i = i + 1 worker.message(i) end)"
"""Nothing is gathered where Lua can't suspend what runs."""
ECHO = "worker.message('begun') worker.message(worker.peek()) worker.message(worker.peek())"


@dataclass(frozen=True)
class Cell:
    """A place: where a process dies, and what is seen of it."""

    place: str
    outcome: str
    """As in the document."""
    prelude: str
    worker: str
    seen: tuple[str, ...]
    """What the root says it has received."""
    before: str = ""
    """What it does before it receives."""


ONE_RESTART = RestartPolicy(deaths_per_script=100, restarts=1)
STOPPED = next(number for number, manner in enumerate(MANNERS) if "SIGSTOP" in manner.code)
NOT_READY = f"was ended, because {not_ready()}"

ALL_ARE_CREATED = """
# Each doomed host is to be given a worker: of the first death the root's host learns when all are created.
calls, all_are_created = [], threading.Event()
after(
    spread_dispatcher.SpreadPort,
    'create',
    lambda *_: calls.append(1) or (len(calls) == {workers} and all_are_created.set()),
)
before(
    courier.Courier,
    'obey',
    lambda it, message: isinstance(message, wire.Gone) and it._machine.states and not all_are_created.wait(),
)
"""

CRASHED = "crashed"
MOVED = "moved"
NOTHING = "nothing"

CELLS = (
    Cell(
        "starting, before it is ready",
        MOVED,
        "die()",
        "worker.message(1)",
        ("got 1", "end"),
    ),
    Cell(
        "starting, told what to run",
        MOVED,
        "before(host_process._Process, '_start')",
        "worker.message(1)",
        ("got 1", "end"),
    ),
    Cell(
        "idle: all its states wait",
        CRASHED,
        "before(spread_dispatcher.SpreadDispatcher, 'wait_for_work',"
        " lambda it: [state.phase.name for state in it.machine.states.values()] == ['WAITING'])",
        "worker.message(1) worker.peek()",
        ("got 1", "error"),
    ),
    Cell(
        "running a step",
        CRASHED,
        "before(port.StatePort, 'write')",
        ONE_BY_ONE.replace("9", "2") + " print('never')",
        ("got 1", "got 2", "error"),
    ),
    Cell(
        "sending, before the message is written",
        CRASHED,
        "before(spread_dispatcher.SpreadPort, 'message', nth(4))",
        ONE_BY_ONE,
        ("got 1", "got 2", "got 3", "error"),
    ),
    Cell(
        "sending, before the message is published",
        CRASHED,
        "after(port.StatePort, 'message', nth(4))",
        ONE_BY_ONE,
        ("got 1", "got 2", "got 3", "error"),
    ),
    Cell(
        "sending, after the message is published",
        CRASHED,
        "after(spread_dispatcher.SpreadPort, 'message', nth(4))",
        ONE_BY_ONE,
        ("got 1", "got 2", "got 3", "got 4", "error"),
    ),
    Cell(
        "sending 16 MB, of which a part is in the ring",
        CRASHED,
        "before(link.Link, '_full')",
        f"worker.message(1) worker.message({BIG}) worker.message(3)",
        ("got 1", "error"),
    ),
    Cell(
        "receiving 16 MB, of which a part is there",
        CRASHED,
        "after(ring.RingReader, 'get', lambda it: it._decoder.unfinished > 1 << 20)",
        "worker.message('begun') worker.message(#worker.peek())",
        ("got begun", "error"),
        f"print(i .. ' got ' .. worker.receive(w)) worker.send(w, {BIG})",
    ),
    Cell(
        "given a state that it has not read of",
        MOVED,
        "before(spread.SpreadMachine, 'arrived')",
        ECHO,
        ("got begun", "got a", "got b", "end"),
        "worker.send(w, 'a') worker.send(w, 'b')",
    ),
    Cell(
        "given a state that it has not begun",
        MOVED,
        "before(spread_dispatcher.SpreadDispatcher, 'before_first_step')",
        ECHO,
        ("got begun", "got a", "got b", "end"),
        "worker.send(w, 'a') worker.send(w, 'b')",
    ),
    Cell(
        "given a state, about to say that it begins",
        MOVED,
        "after(spread.SpreadMachine, 'start')",
        ECHO,
        ("got begun", "got a", "got b", "end"),
        "worker.send(w, 'a') worker.send(w, 'b')",
    ),
    Cell(
        "given a state, having said that it begins",
        CRASHED,
        "after(spread_dispatcher.SpreadDispatcher, 'before_first_step')",
        ECHO,
        ("error",),
        "worker.send(w, 'a') worker.send(w, 'b')",
    ),
    Cell(
        "told that the program is over",
        NOTHING,
        "before(courier.Courier, 'obey', lambda it, message: isinstance(message, wire.EndTree))",
        "worker.message(1)",
        ("got 1", "end"),
    ),
    Cell(
        "told to shut down",
        NOTHING,
        "before(host_process._Process, '_obey', lambda it, message: isinstance(message, wire.Shutdown))",
        "worker.message(1)",
        ("got 1", "end"),
    ),
)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.place)
def test_hosts_die_at_a_place_each_in_another_manner(cell, monkeypatch):
    count = len(MANNERS)
    write(main=MAIN.format(before=cell.before, workers=count), w=cell.worker, other=OTHER)
    doomed = {number: (cell.prelude, manner) for number, manner in enumerate(MANNERS, 1)}
    doomed[0] = (ALL_ARE_CREATED.format(workers=count), MANNERS[0])
    hows = [manner.how for manner in MANNERS]
    if cell is CELLS[0]:
        hows[STOPPED] = NOT_READY
        hello_until(monkeypatch, STOPPED + 1)
    stage = Stage(Scene(hosts=1 + count, doomed=doomed, policy=ONE_RESTART, hang_seconds=HANG)).run()

    *of_workers, last = stage.listener.lines
    seen = {}
    for line in of_workers:
        number, _, rest = line.partition(" ")
        seen.setdefault(number, []).append(rest)
    expected = [
        [f"error w.lus: the process that ran it {how}" if line == "error" else line for line in cell.seen]
        for how in hows
    ]
    assert sorted(seen.values()) == sorted(expected)
    assert last == "then another worker"
    assert stage.ended == wire.TreeEnded(False, 0)
    assert not stage.listener.failures
    assert not stage.listener.deadlocks
    if cell.outcome == NOTHING:
        assert not stage.listener.deaths
        return
    deaths = [text.replace(" while it ran w.lus", "").split("; ") for text in stage.listener.deaths]
    assert sorted(what for what, _ in deaths) == sorted(f"one of {1 + count} processes {how}" for how in hows)
    replaced = ["another takes its place"] + ["it is not replaced, too many have died"] * (count - 1)
    assert [then for _, then in deaths] == replaced


def hello_until(monkeypatch, doomed):
    """Only the host that was started as number `doomed` has little time to be ready."""
    numbers = itertools.count()
    monkeypatch.setattr(
        fleet_member, "hello_deadline", lambda: time.monotonic() + (0.1 if next(numbers) == doomed else LONGEST)
    )


@dataclass(frozen=True)
class RootCell:
    """A place where the process of the main script dies."""

    place: str
    prelude: str
    main: str
    printed: tuple[str, ...] = ()
    outcome: str = "125"


ROOT_CELLS = (
    RootCell("starting, before it is ready", "die()", ""),
    RootCell("starting, told what to run", "before(host_process._Process, '_start')", ""),
    RootCell(
        "idle: all its states wait",
        "before(spread_dispatcher.SpreadDispatcher, 'wait_for_work',"
        " lambda it: {state.phase.name for state in it.machine.states.values()} == {'WAITING', 'ELSEWHERE'})",
        "print('before') worker.receive(worker.create('w.lus'))",
        ("before",),
    ),
    RootCell(
        "running a step",
        "before(port.StatePort, 'write', nth(2))",
        "print('before') print('never')",
        ("before",),
    ),
    RootCell(
        "sending, after the message is published",
        "after(spread_dispatcher.SpreadPort, 'send')",
        "print('before') worker.send(worker.create('w.lus'), 1) print('never')",
        ("before",),
    ),
    RootCell(
        "told that the program is over",
        "before(courier.Courier, 'obey', lambda it, message: isinstance(message, wire.EndTree))",
        "print('all')",
        ("all",),
        NOTHING,
    ),
)


@pytest.mark.parametrize("manner", MANNERS, ids=lambda manner: manner.name)
@pytest.mark.parametrize("cell", ROOT_CELLS, ids=lambda cell: cell.place)
def test_the_host_of_the_main_script_dies(cell, manner, monkeypatch):
    write(main=cell.main, w="while worker.peek() do end")
    is_stopped = manner is MANNERS[STOPPED]
    stage = Stage(Scene(doomed={0: (cell.prelude, manner)}, hang_seconds=HANG if is_stopped else HANG_SECONDS))
    if cell is ROOT_CELLS[0]:
        if is_stopped:
            hello_until(monkeypatch, 0)
        how = NOT_READY if is_stopped else manner.how
        with pytest.raises(HostError, match=f"^the process that was to run the main script {re.escape(how)}$"):
            stage.run()
        return
    stage.run()
    assert stage.listener.lines == list(cell.printed)
    failures = [(failure.kind, failure.message, failure.is_root) for failure in stage.listener.failures]
    crashed = ("crashed", f"main.lus: the process that ran it {manner.how}", True)
    assert failures == ([] if cell.outcome == NOTHING else [crashed])


def test_the_table_in_the_documents_is_this_one():
    path = Path(__file__).parents[2] / "docs" / "crashes.md"
    assert table() in path.read_text(encoding="utf-8"), f"should be in there:\n\n{table()}"


def table() -> str:
    """The cells as a table."""
    manners = [manner.name for manner in MANNERS]
    rows = [["A process dies", *manners], ["---"] * (len(manners) + 1)]
    rows += [[cell.place, *[cell.outcome] * len(manners)] for cell in CELLS]
    rows += [["the main script's: " + cell.place, *[cell.outcome] * len(manners)] for cell in ROOT_CELLS]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
