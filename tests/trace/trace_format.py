"""The laws of the Trace Event Format that our traces keep, as viewers need them. Not all that the format allows."""

import json
import math
from bisect import bisect_right
from collections import defaultdict

FIELDS = {
    "M": {"name", "args"},
    "X": {"name", "cat", "dur", "args"},
    "B": {"name", "cat", "args"},
    "E": {"args"},
    "i": {"name", "cat", "s", "args"},
    "b": {"name", "cat", "id"},
    "e": {"name", "cat", "id"},
    "s": {"name", "cat", "id"},
    "f": {"name", "cat", "id", "bp"},
    "C": {"name", "args"},
}


def read(text):
    """The events of a whole trace, in order of time; the laws hold."""
    assert text.isascii()
    assert all(line.endswith((",", "}", "[", "]")) for line in text.splitlines())
    return obeys(json.loads(text))


def read_cut(text):
    """The events of a trace that may have been cut off anywhere, as viewers take them: whole lines. No laws."""
    lines = [line.removesuffix(",") for line in text.splitlines()[1:]]
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


def obeys(events, *, is_honest=True):
    """These events, in order of time. A liar's arrows may be outside of steps, where no viewer shows them."""
    for event in events:
        names = set(event) - {"ph", "pid", "tid", "ts"}
        assert FIELDS[event["ph"]] <= names <= FIELDS[event["ph"]] | {"args"}, event
        assert event["ts"] >= 0, event
    events = sorted(events, key=lambda event: event["ts"])  # as viewers do it: those of one time stay in order
    all_have_names(events)
    steps = steps_of(events)
    begun_and_ended(events)
    arrows(events, steps if is_honest else {})
    return events


def all_have_names(events):
    """Every process and every thread on which something happens is named, once."""
    named = [(event["name"], event["pid"], event["tid"]) for event in events if event["ph"] == "M"]
    assert len(named) == len(set(named))
    for event in events:
        assert ("process_name", event["pid"], 0) in named, event
        if event["ph"] not in "MC":
            assert ("thread_name", event["pid"], event["tid"]) in named, event


def steps_of(events):
    """By thread, when its steps began and ended: one after the other, and each of them both."""
    steps, inside = defaultdict(list), {}
    for event in events:
        thread = event["pid"], event["tid"]
        if event["ph"] in ("X", "B"):
            assert thread not in inside, event
            assert not steps[thread] or event["ts"] >= steps[thread][-1][1], event
        if event["ph"] == "X":
            steps[thread].append((event["ts"], round(event["ts"] + event["dur"], 3)))
        elif event["ph"] == "B":
            inside[thread] = event["ts"]
        elif event["ph"] == "E":
            steps[thread].append((inside.pop(thread), event["ts"]))
    assert not inside
    return steps


def begun_and_ended(events):
    """What goes on beside the threads has a beginning and an end, the last that has begun ending first."""
    lives = defaultdict(list)
    for event in events:
        if event["ph"] == "b":
            lives[event["cat"], event["id"]].append(event["name"])
        elif event["ph"] == "e":
            assert lives[event["cat"], event["id"]].pop() == event["name"], event
    assert not any(lives.values())


def arrows(events, steps):
    """Each has a beginning and an end, in this order, and both within a step."""
    ends = defaultdict(list)
    for event in events:
        if event["ph"] in "sf":
            ends[event["id"]].append(event["ph"])
            if steps:
                inside = steps[event["pid"], event["tid"]]
                _, end = inside[bisect_right(inside, (event["ts"], math.inf)) - 1]
                assert inside[0][0] <= event["ts"] <= end, event
    assert all(one == ["s", "f"] for one in ends.values())


def count(events, **fields):
    """How many events have all of these."""
    return sum(all(event.get(name) == value for name, value in fields.items()) for event in events)
