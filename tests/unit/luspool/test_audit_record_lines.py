"""The lines of an audit log: of what honest hosts send, and of what no honest one does."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from importlib.resources import files

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luspool.audit.record_lines import LogHeader, LogLines
from luspool.permissions import PERMISSIONS, Origin, Pledge, PledgeSet, Reason, Rule
from luspool.scheduler.wire import Record, WireError

SCHEMA = json.loads(files("luspool.audit").joinpath("record.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
AT = 1_700_000_000_123_456_789
TIME = "2023-11-14T22:13:20.123456Z"
GROUND = ["a.lus:3", "fs:read", "denied", "rejected", "~fs:read=/x", "-P ~fs:read=/x", False]
PART = [[GROUND], [0], ["../x"], ["/x"], [AT], [[0, 2, AT + 1000]]]
"""One row, of two decisions."""


def log(*, observes=False, shadow=None):
    rules = [Rule(Pledge.parse(text).bind("/"), Origin.flag("-P", text)) for text in ("load", "~env=A", "seal")]
    ceiling = [Rule(Pledge.parse("fs=/x").bind("/"), Origin.flag("--allow", "fs=/x"))]
    pledges = PledgeSet.root(rules, ceiling)
    return LogLines("0123456789abcdef", LogHeader("0.1.0", "a.lus", 2, "/work", observes, pledges, shadow))


def record(*parts, state=1):
    return Record(state, json.dumps(parts).encode())


def part(**changed):
    """PART with other columns."""
    names = ("grounds", "ground", "asked", "resolved", "at", "again")
    assert set(changed) <= set(names)
    return [changed.get(name, column) for name, column in zip(names, PART, strict=True)]


def part_of(ground):
    return part(grounds=[ground])


def lines_of(text):
    """As data; each is checked by the schema."""
    assert text.isascii()
    assert text.endswith("\n") or not text
    found = [json.loads(line) for line in text.splitlines()]
    for line in found:
        VALIDATOR.validate(line)
    return found


def test_the_schema_is_one():
    VALIDATOR.check_schema(SCHEMA)


def test_the_schema_knows_all_permissions_and_reasons():
    definitions = SCHEMA["$defs"]
    assert definitions["permission"]["enum"] == [name for name, one in PERMISSIONS.items() if one.elementary]
    assert definitions["decision"]["properties"]["reason"]["enum"] == [reason.value for reason in Reason]


def test_the_first_line_is_about_the_run():
    (line,) = lines_of(log(observes=True, shadow=None).header())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("time"))
    assert list(line) == [
        "v", "type", "run", "luspool", "script", "arguments", "directory", "mode", "held", "ceiling", "shadow"
    ]  # fmt: skip
    assert (line["mode"], line["arguments"], line["shadow"]) == ("observe", 2, None)
    assert (line["held"], line["ceiling"]) == (["load", "~env=A", "seal"], ["load", "fs=/x"])


def test_the_lines_of_all_kinds():
    lines = log()
    found = lines_of(
        lines.of(
            record(
                ["state", AT, 0, "a.lus", ["load"], ["load", "env"]],
                ["pledge", AT, "a.lus:2", "~fs:read=/x", True],
                [
                    [GROUND, ["?", "load", "allowed", "held", "load", "team.toml:3", True]],
                    [0, 1],
                    ["../x", None],
                    ["/x", None],
                    [AT, AT],
                    [[0, 2, AT + 1000]],
                ],
                ["end", AT, "returned"],
            )
        )
    )
    run = {"v": 1, "run": "0123456789abcdef", "time": TIME, "state": 1}
    assert found == [
        {
            "type": "state",
            "id": 1,
            "parent": None,
            "script": "a.lus",
            "held": ["load"],
            "ceiling": ["load", "env"],
            **run,
        },
        {"type": "pledge", "id": 2, "script": "a.lus", "line": 2, "pledge": "~fs:read=/x", "granted": True, **run},
        {
            **{"type": "decision", "id": 3, "script": "a.lus", "line": 3, "permission": "fs:read", "value": "../x"},
            **{"resolved": "/x", "decision": "denied", "reason": "rejected", "rule": "~fs:read=/x"},
            **{"origin": "-P ~fs:read=/x", "inherited": False, "count": 2, "last": TIME[:-2] + "7Z", **run},
        },
        {
            **{"type": "decision", "id": 4, "script": "?", "line": None, "permission": "load", "value": None},
            **{"resolved": None, "decision": "allowed", "reason": "held", "rule": "load", "origin": "team.toml:3"},
            **{"inherited": True, "count": 1, "last": TIME, **run},
        },
        {"type": "end", "id": 5, "outcome": "returned", **run},
    ]
    (footer,) = lines_of(lines.footer(77))
    del footer["time"], footer["v"], footer["run"], footer["type"]
    assert footer == {"states": 1, "decisions": 3, "allowed": 1, "denied": 2, "observed": 0, "status": 77}


def test_the_keys_are_in_the_order_of_the_schema():
    for line in map(json.loads, log(shadow="p.toml:a").of(record(part_of([*GROUND, "allowed", "fs"]))).splitlines()):
        assert list(line) == list(SCHEMA["$defs"][line["type"]]["properties"])


def test_a_shadow_has_two_more_keys():
    (line,) = lines_of(log(shadow="p.toml:a").of(record(part_of([*GROUND, "allowed", "fs"]))))
    assert (line["shadow"], line["shadow_rule"]) == ("allowed", "fs")


def test_states_of_the_first_of_several_hosts_are_counted_from_one_and_others_are_no_less():
    lines = log()
    row = ["state", AT, (1 << 40) + 1, "a.lus", [], []]
    (root,) = lines_of(lines.of(record(["end", AT, "error"], state=(1 << 40) + 1)))
    (other,) = lines_of(lines.of(record(row, state=(3 << 40) + 2)))
    assert (root["state"], other["state"], other["parent"]) == (1, (3 << 40) + 2, 1)


@pytest.mark.parametrize("text", ["\udc80", 'quoted "\n\x1b[31m', "\u202e", "\U0001f600"], ids=ascii)
def test_any_text_stays_within_its_line(text):
    (line,) = lines_of(log().of(record(part(grounds=[[text + ":1", *GROUND[1:]]], asked=[text], resolved=[text]))))
    assert (line["script"], line["value"], line["resolved"]) == (text, text, text)


HOSTILE = {
    "no JSON": b"[[],[",
    "no ASCII": b"\xff\xff",
    "no list": b"{}",
    "a list of lists": b"[[]]",
    "too deep": b"[" * 100_000,
    "too large a number": b"[[[],[" + b"9" * 5000 + b"]]]",
    "a part that is none": record(7).rows,
    "an object": record({"0": "end"}).rows,
    "an unknown part": record(["header", AT, "x"]).rows,
    "no rows": record([[GROUND], [], [], [], [], []]).rows,
    "no ground": record(part(grounds=[])).rows,
    "a ground from the end": record(part(ground=[-1])).rows,
    "a ground by a truth value": record(part(ground=[False])).rows,
    "a column too few": record(PART[:-1]).rows,
    "a column too many": record([*PART, []]).rows,
    "a column that is none": record(part(asked="x")).rows,
    "a short column": record(part(ground=[0, 0], asked=["a", "b"], at=[AT, AT])).rows,
    "a long column": record(part(resolved=["/x", "/y"])).rows,
    "more times": record(part(at=[AT, AT])).rows,
    "a position that is none": record(part_of([7, *GROUND[1:]])).rows,
    "a position that is a list": record(part_of([[], *GROUND[1:]])).rows,
    "a value that is none": record(part(asked=[7])).rows,
    "a value that is two": record(part(asked=[["x", "y"]])).rows,
    "a path that is none": record(part(resolved=[{"x": "y"}])).rows,
    "no count": record(part(again=[[0, 0, AT]])).rows,
    "a count that is none": record(part(again=[[0, 1.5, AT]])).rows,
    "a count for no row": record(part(again=[[1, 2, AT]])).rows,
    "a count from the end": record(part(again=[[-1, 2, AT]])).rows,
    "a time before 1970": record(part(at=[-1])).rows,
    "a time after all": record(part(at=[1 << 80])).rows,
    "a last time that is none": record(part(again=[[0, 2, None]])).rows,
    "a permission that is none": record(part_of(["a:1", "fs", *GROUND[2:]])).rows,
    "a permission that is a list": record(part_of(["a:1", ["fs"], *GROUND[2:]])).rows,
    "a decision that is none": record(part_of(["a:1", "load", "maybe", *GROUND[3:]])).rows,
    "observed, and it is not": record(part_of(["a:1", "load", "observed", "unpledged", None, None, False])).rows,
    "allowed, and rejected": record(part_of(["a:1", "load", "allowed", *GROUND[3:]])).rows,
    "a reason that is none": record(part_of(["a:1", "load", "denied", "so", *GROUND[4:]])).rows,
    "a rule that is none": record(part_of(["a:1", "load", "denied", "rejected", 7, None, False])).rows,
    "inherited by a number": record(part_of([*GROUND[:6], 1])).rows,
    "a shadow, and there is none": record(part_of([*GROUND, "allowed", None])).rows,
    "the same line at length, again and again": record(
        [[[("x" * 4096) + ":1", *GROUND[1:]]], *([value] * 10_000 for value in (0, "x", None, AT)), []]
    ).rows,
    "a pledge that is none": record(["pledge", AT, "a:1", 7, True]).rows,
    "an answer that is none": record(["pledge", AT, "a:1", "load", 1]).rows,
    "a creator that is none": record(["state", AT, -1, "a", [], []]).rows,
    "held that is no list of texts": record(["state", AT, 0, "a", [7], []]).rows,
    "an end without how": record(["end", AT, ""]).rows,
    "an end that goes on": record(["end", AT, "x" * 101]).rows,
}


@pytest.mark.parametrize("rows", HOSTILE.values(), ids=HOSTILE)
def test_what_no_host_sends_is_refused_and_changes_nothing(rows):
    lines = log()
    with pytest.raises(WireError):
        lines.of(Record(1, rows))
    (line,) = lines_of(lines.of(record(PART)))
    assert line["id"] == 1
    assert '"states":0,"decisions":2,"allowed":0,"denied":2' in lines.footer(0)


@pytest.mark.parametrize("state", [0, -1])
def test_a_state_without_a_number_is_refused(state):
    with pytest.raises(WireError):
        log().of(record(PART, state=state))


def test_without_its_decision_a_shadow_is_refused():
    for ground in (GROUND, [*GROUND, "maybe", None], [*GROUND, "allowed", 7]):
        with pytest.raises(WireError):
            log(shadow="p.toml:a").of(record(part_of(ground)))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([AT, "a.lus:1", "fs:read"]),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)
WORDS = st.sampled_from(["denied", "rejected", "held", "load", "state", "pledge", "end"]) | VALUES
GROUNDS = st.lists(
    st.just(GROUND) | st.lists(WORDS, max_size=9) | st.tuples(*[st.just(word) | WORDS for word in GROUND]), max_size=3
)
COLUMNS = [
    GROUNDS,
    *(st.lists(WORDS | st.sampled_from([*column, 0, 1]), min_size=1, max_size=2) | VALUES for column in PART[1:5]),
    st.lists(st.tuples(*[st.just(word) | WORDS for word in PART[5][0]]) | VALUES, max_size=2),
]
ROWS = st.just(PART) | st.tuples(*COLUMNS) | st.lists(WORDS, max_size=8)
"""Parts of all kinds, with few or many things wrong in them."""


@settings(deadline=None)
@given(st.lists(ROWS, max_size=4), st.integers(-2, 1 << 62))
def test_whatever_a_host_sends_gives_valid_lines_or_none(parts, state):
    lines = log()
    try:
        text = lines.of(record(*parts, state=state))
    except WireError:
        text = ""
    lines_of(text)
    lines_of(lines.footer(0))


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_whatever_bytes_a_host_sends_give_valid_lines_or_none(data):
    with suppress(WireError):
        lines_of(log().of(Record(1, data)))
