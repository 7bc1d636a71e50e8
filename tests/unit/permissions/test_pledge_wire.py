"""Pledge sets as plain data: what is sent arrives, and what is wrong is refused."""

import copy
import json

import pytest

from luspool.permissions import MAX_RULES, Origin, Pledge, PledgeSet, Rule, WireError, from_wire, to_wire

CALL = Origin.call("main.lus:3")


def rule(text):
    return Rule(Pledge.parse(text, command_line=True).bind("/"), Origin.flag("-P", text))


def sample():
    pledges = PledgeSet.root([rule("load"), rule("fs=/a"), rule("~fs:read=/a/\udcff*")], [rule("all")])
    pledges, _ = pledges.request(Pledge("fs:write", "/a/b"), CALL)
    pledges, _ = pledges.seal(CALL)
    return pledges


def test_what_is_sent_arrives():
    """A set with all its parts survives JSON, and so does a child's."""
    for pledges in (sample(), sample().inherit(), PledgeSet.root()):
        assert from_wire(json.loads(json.dumps(to_wire(pledges)))) == pledges


def damaged(path, value):
    """The sample's data with the item at `path` replaced."""
    data = to_wire(sample())
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = copy.deepcopy(value)
    return data


FLAG = ["flag", "-P x"]
READ = ("grants", "fs:read")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (None, "not a record"),
        ([], "not a record"),
        ({}, "not a record"),
        (damaged(("v",), 2), "version 2"),
        (damaged(("extra",), 1), "not a record"),
        (damaged(("grants",), {}), "not a record"),
        (damaged(("grants", "fs"), {}), "not a record"),
        (damaged(READ, []), "not a record"),
        (damaged((*READ, "held"), None), "not a list"),
        (damaged((*READ, "held"), [["fs:read=/etc", *FLAG]] * (MAX_RULES + 1)), "at most 256"),
        (damaged((*READ, "held"), ["fs:read"]), "three strings"),
        (damaged((*READ, "held"), [["fs:read", "flag", 1]]), "three strings"),
        (damaged((*READ, "held"), [["fs:raed", *FLAG]]), "did you mean"),
        (damaged((*READ, "held"), [["fs:read", "magic", "x"]]), "magic"),
        (damaged((*READ, "held"), [["fs:read", "flag", "x" * 10000]]), "too long"),
        (damaged((*READ, "held"), [["fs:read=../etc", *FLAG]]), "canonical"),
        (damaged((*READ, "held"), [["fs:read=/a/../etc", *FLAG]]), "canonical"),
        (damaged((*READ, "held"), [["fs:write=/a", *FLAG]]), "misplaced"),
        (damaged((*READ, "held"), [["~fs:read=/a", *FLAG]]), "misplaced"),
        (damaged((*READ, "rejected"), [["fs:read=/a", *FLAG]]), "misplaced"),
        (damaged(("grants", "exec", "ceiling"), [["exec", *FLAG]]), "misplaced"),
        (damaged((*READ, "ceiling"), []), "beyond the ceiling"),
        (damaged((*READ, "narrowed_by"), ["seal", *FLAG]), "misplaced"),
        (damaged((*READ, "pledged"), 1), "pledged is 1"),
        (damaged((*READ, "pledged"), True), "pledged is True"),
        (damaged(("sealed_by",), ["load", *FLAG]), "not a seal"),
    ],
)
def test_damaged_data_is_refused(data, problem):
    """Whatever breaks the form or a law of pledge sets is an error, and no set."""
    with pytest.raises(WireError, match=problem):
        from_wire(data)
