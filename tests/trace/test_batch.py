"""`luspool batch --trace` as a user meets it."""

import os
import signal
from collections import defaultdict

import pytest

from ..cli.conftest import luspool  # noqa: F401  a fixture
from .test_command import started, wait_for
from .trace_format import count, read

RIGHTS = ["-P", "load", "-P", "fs:read=."]
TALKS = """
local w = worker.create("w.lus")
for i = 1, 3 do worker.send(w, i) end
for i = 1, 2 do worker.receive(w) end
"""
WORKER = "for i = 1, 3 do worker.message(worker.peek()) end worker.peek()"
"""Some of what both say is never received: the next item has messages of the same numbers."""


@pytest.fixture
def trace(luspool):  # noqa: F811
    """Runs a batch; its trace."""
    luspool.write(w=WORKER)

    def trace(*arguments, status=0):
        done = luspool("batch", *arguments, "--trace", "trace.json", "-q", *RIGHTS)
        assert done.returncode == status, done.stderr
        return read(luspool.directory.joinpath("trace.json").read_text())

    return trace


def items_of(events):
    return [event for event in events if event["ph"] == "X" and event["cat"] == "item"]


def of(events, process):
    return [event for event in events if event["pid"] == process]


def test_items_hosts_steps_and_messages_are_in_the_trace(luspool, trace):  # noqa: F811
    names = [f"s{number:02}" for number in range(20)]
    luspool.write(**dict.fromkeys(names, TALKS), bad="error('boom')")
    events = trace(*(f"{name}.lus" for name in names), "bad.lus", "-j", "2", status=1)
    items = sorted(items_of(events), key=lambda event: event["args"]["item"])
    assert [event["name"] for event in items] == [
        *(f"{number}: {name}.lus" for number, name in enumerate(names, 1)),
        "21: bad.lus",
    ]
    assert [event["args"] for event in items[-2:]] == [
        {"item": 20, "status": "completed", "exit": 0},
        {"item": 21, "status": "failed", "exit": 1},
    ]
    (begin,) = [event for event in events if event.get("name") == "run"]
    assert (
        begin["args"].items()
        >= {"script": f"luspool batch {' '.join(f'{name}.lus' for name in names)} bad.lus"}.items()
    )
    assert events[-1]["args"] == {"status": 1}
    # Nothing of what an item did is missing, and none of it is drawn to another one.
    assert count(events, ph="i", name="create") == count(events, ph="s", cat="birth") == 20
    assert count(events, ph="s", cat="message") == 5 * 20
    ends = defaultdict(list)
    for event in events:
        if event["ph"] == "e" and "args" in event:
            ends[event["name"]].append(event["args"]["end"])
    assert ends["s00.lus (1)"] == ["returned"]
    assert len(ends["w.lus (2)"]) == 20
    for process in {event["pid"] for event in items}:
        mine = of(events, process)
        spans = [(event["ts"], event["ts"] + event["dur"]) for event in items_of(mine)]
        steps = [event for event in mine if event["ph"] in "XB" and event["cat"] == "step"]
        assert steps
        assert all(any(begin <= step["ts"] <= end for begin, end in spans) for step in steps)
    ends_of = defaultdict(set)
    for event in events:
        if event["ph"] in "sf":
            ends_of[event["id"]].add(event["pid"])
    assert all(len(processes) == 1 for processes in ends_of.values())
    threads = {event["args"]["name"] for event in events if event.get("name") == "thread_name"}
    assert {"items", "executor 1", "supervisor"} <= threads


def test_each_process_of_isolated_items_has_a_track_of_its_own(luspool, trace):  # noqa: F811
    luspool.write(a=TALKS)
    events = trace("a.lus", "a.lus", "a.lus", "--isolate", "-j", "1")
    assert len({event["pid"] for event in items_of(events)}) == 3
    assert count(events, ph="e", name="a.lus (1)", args={"end": "returned"}) == 3


def test_a_host_that_dies_ends_what_it_had_begun(luspool):  # noqa: F811
    luspool.write(loop="while true do end", a="print(1)")
    batch = ("batch", "loop.lus", "a.lus", "-j", "1", "--crashes", "1", "--trace", "trace.json")
    with started(luspool, *batch) as running:
        wait_for(luspool, running, '"ph":"B"')
        text = luspool.directory.joinpath("trace.json").read_text()
        (victim,) = {int(line.split('"pid":')[1].split(",")[0]) for line in text.splitlines() if '"ph":"B"' in line}
        os.kill(victim, signal.SIGKILL)
        assert running.wait(60) == 1
    events = read(luspool.directory.joinpath("trace.json").read_text())
    assert [event["args"]["status"] for event in items_of(events)] == ["crashed", "completed"]
    assert count(of(events, victim), ph="e", name="loop.lus (1)", args={"end": "unknown"}) == 1
    assert count(of(events, victim), ph="E") == 1


def test_a_batch_that_is_interrupted_leaves_a_whole_trace(luspool):  # noqa: F811
    luspool.write(loop="while true do end")
    with started(luspool, "batch", "loop.lus", "--trace", "trace.json") as running:
        wait_for(luspool, running, '"ph":"B"')
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 128 + signal.SIGTERM
    events = read(luspool.directory.joinpath("trace.json").read_text())
    assert [event["args"]["status"] for event in items_of(events)] == ["cancelled"]


def test_names_of_scripts_are_made_visible(luspool, trace):  # noqa: F811
    luspool.directory.joinpath("\x1b[2J.lus").write_text("print(1)")
    (item,) = items_of(trace("\x1b[2J.lus"))
    assert item["name"] == "1: \\x1b[2J.lus"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--trace", "none/trace.json"), "cannot write the trace none/trace.json: No such file or directory"),
        (("--trace", "luspool-batch.sqlite"), "would replace luspool-batch.sqlite"),
        (("--trace", "items.jsonl", "--items", "items.jsonl"), "would replace items.jsonl"),
        (("--trace", "trace.json", "--engine", "ray"), "--trace is for --engine local"),
    ],
)
def test_a_trace_that_can_not_be_is_told(luspool, arguments, problem):  # noqa: F811
    luspool.write(a="print(1)")
    luspool.directory.joinpath("items.jsonl").write_text('{"script": "a.lus"}\n')
    done = luspool("batch", "a.lus", *arguments)
    assert done.returncode == 2
    assert problem in done.stderr


def test_a_trace_that_can_not_be_written_ends_the_batch(luspool):  # noqa: F811
    luspool.write(a="print(1)")
    done = luspool("batch", "a.lus", "--trace", "/dev/full")
    assert done.returncode == 125
    assert "cannot write the trace /dev/full: No space left on device" in done.stderr
