"""From a ceiling to the paths that Landlock opens: never less than the pledges, and no more than it must be."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luspool.permissions import Origin, Pledge, PledgeSet, Rule
from luspool.sandbox.wall import Wall
from luspool.sandbox.wall.landlock import openings
from luspool.sandbox.wall.policy import paths_of


def rule(text):
    return Rule(Pledge.parse(text, command_line=True), Origin.flag("-P", text))


def ceiling(*texts, allowed=()):
    return PledgeSet.root([rule(text) for text in texts], [rule(text) for text in allowed])


@pytest.mark.parametrize(
    ("texts", "paths"),
    [
        ([], []),
        (["load", "env"], []),
        (["fs:write=/srv"], []),
        (["fs:read=/srv"], ["/srv"]),
        (["fs=/srv"], ["/srv"]),
        (["fs:read"], ["/"]),
        (["all"], ["/"]),
        (["fs:read=/", "fs:read=/srv"], ["/"]),
        (["fs:read=/srv/b", "fs:read=/srv/a"], ["/srv/a", "/srv/b"]),
        (["fs:read=/srv/data", "fs:read=/srv"], ["/srv"]),
        (["fs:read=/srv/data", "fs:read=/srv/database"], ["/srv/data", "/srv/database"]),
        (["fs:read=/srv", "fs:read=/srv.old", "fs:read=/srv/data"], ["/srv", "/srv.old"]),
        (["fs:read=/srv/*.csv"], ["/srv"]),
        (["fs:read=/srv/a*/b"], ["/srv"]),
        (["fs:read=/srv/a/b?.txt"], ["/srv/a"]),
        (["fs:read=/*"], ["/"]),
        ([r"fs:read=/srv/\*/x"], ["/srv/*/x"]),
        ([r"fs:read=/srv/\?a/*"], ["/srv/?a"]),
        (["fs:read=/srv", "~fs:read=/srv"], []),
        (["fs:read=/srv", "~fs:read"], []),
        (["fs:read=/srv", "fs:read=/opt", "~fs:read=/opt"], ["/srv"]),
        (["fs:read=/srv", "~fs:read=/srv/keys"], ["/srv"]),
    ],
)
def test_paths_for_reading(texts, paths):
    assert list(paths_of(ceiling(*texts), "fs:read")) == paths


def test_what_may_only_be_pledged_counts_as_what_is_held():
    assert paths_of(ceiling("fs:read=/a", allowed=["fs:read=/b"]), "fs:read") == ("/a", "/b")


def test_a_wall_has_the_paths_of_both_permissions_and_the_limits_given():
    wall = Wall.around(ceiling("fs:read=/r", "fs:write=/w"), open_files=3, data_bytes=4)
    assert wall == Wall(readable=("/r",), writable=("/w",), open_files=3, data_bytes=4)


component = st.text("ab.*?", min_size=1, max_size=3).filter(lambda name: name not in (".", ".."))
literal = st.text("ab.", min_size=1, max_size=3).filter(lambda name: name not in (".", ".."))
pattern = st.lists(component, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))
path = st.lists(literal, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))


@given(st.lists(pattern, min_size=1, max_size=5), path)
def test_whatever_the_pledges_allow_lies_beneath_one_of_the_paths(patterns, real_path):
    pledges = ceiling(*(f"fs:read={text}" for text in patterns))
    opened = paths_of(pledges, "fs:read")
    if pledges.allows("fs:read", real_path):
        assert any(os.path.commonpath([real_path, known]) == known for known in opened)
    assert list(opened) == sorted(set(opened))
    assert not any(a != b and os.path.commonpath([a, b]) == a for a in opened for b in opened)


def test_the_root_stands_for_its_entries_but_the_kernels_own_trees():
    found = openings(["/"])
    assert set(found) == {entry.path for entry in os.scandir("/")} - {"/proc", "/sys", "/dev"}
    assert "/usr" in found


def test_nothing_in_proc_is_ever_opened_and_elsewhere_what_is_named():
    named = ["/dev", "/dev/shm/job", "/proc", "/proc/self/mem", "/process", "/sys/class"]  # noqa: S108 - only names
    assert openings(named) == ["/dev/shm/job", "/process", "/sys/class"]  # noqa: S108
