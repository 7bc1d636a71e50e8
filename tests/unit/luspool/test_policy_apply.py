"""What a set of a policy file means for a run: whose directory paths begin in, arguments, limits, and origins."""

import os

import pytest

from luspool.errors import UsageError
from luspool.limit_options import limits_from
from luspool.permissions import PledgeSet
from luspool.policy import PolicyError, open_policy

BOTH = 'default = "b"\n[set.a]\npledge = ["load"]\n[set.b]\npledge = ["env=B"]\n'


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A working directory, with a directory `team` for policies beside."""
    for name in ("work", "team"):
        tmp_path.joinpath(name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def applied(home, text: str, *arguments: bytes, name: str = "../team/p.toml"):
    home.joinpath("team", "p.toml").write_text(text, encoding="utf-8")
    return open_policy(name, arguments)


def pledges(policy) -> list[str]:
    return [str(rule.pledge) for rule in policy.held]


def test_paths_begin_at_the_file_and_not_at_the_working_directory(home):
    policy = applied(home, 'set.a = { pledge = ["fs:read=data", "~fs=./*.key"], allow = ["fs=../work", "env=X"] }')
    assert pledges(policy) == [f"fs:read={home}/team/data", f"~fs={home}/team/*.key"]
    assert [str(rule.pledge) for rule in policy.ceiling] == [f"fs={home}/work", "env=X"]


def test_they_begin_where_the_file_really_is(home):
    home.joinpath("work", "link.toml").symlink_to("../team/p.toml")
    policy = applied(home, 'set.a.pledge = ["fs=x"]', name="link.toml")
    assert (pledges(policy), policy.path) == ([f"fs={home}/team/x"], f"{home}/team/p.toml")


def test_the_origin_of_a_rule_is_the_file_as_it_was_named_with_the_line(home):
    policy = applied(home, '[set.a]\npledge = ["load",\n  "fs=arg:1"]\nallow = ["env"]', b"x")
    assert [rule.origin.text for rule in policy.held] == ["../team/p.toml:2", "../team/p.toml:3, arg:1"]
    denial = PledgeSet.root(policy.held, policy.ceiling).decide("env", "HOME").message("a.lus", "a.lus:1")
    assert 'allowed by "env" (../team/p.toml:4), but not pledged' in denial


@pytest.mark.parametrize(
    ("argument", "path"),
    [
        (b"a.csv", "work/a.csv"),
        (b"../team/./x//y", "team/x/y"),
        (b"*", r"work/\*"),
        (b"a?*", r"work/a\?\*"),
        (rb"a\b", r"work/a\\b"),
        (rb"\*", r"work/\\\*"),
        (b"arg:2", "work/arg:2"),
        (b"~load", "work/~load"),
        (b"x=y", "work/x=y"),
        (b"\xff", "work/\udcff"),
    ],
    ids=repr,
)
def test_an_argument_is_a_path_from_the_working_directory_whatever_its_characters_mean_in_a_pledge(
    home, argument, path
):
    policy = applied(home, 'set.a.pledge = ["fs:read=arg:2", "~fs:write=arg:2"]', b"first", argument)
    assert pledges(policy) == [f"fs:read={home}/{path}", f"~fs:write={home}/{path}"]
    decided = PledgeSet.root(policy.held)
    file = os.path.realpath(os.fsdecode(argument))
    assert decided.allows("fs:read", file)
    assert not decided.allows("fs:read", f"{file}x")
    assert not decided.allows("fs:read", f"{home}/work/another")


def test_an_argument_is_resolved_as_a_path_of_the_script_is(home):
    home.joinpath("work", "link").symlink_to("/etc")
    assert pledges(applied(home, 'set.a.pledge = ["fs=arg:1"]', b"link/passwd")) == ["fs=/etc/passwd"]


def test_an_argument_that_the_script_does_not_get_grants_nothing(home):
    assert pledges(applied(home, 'set.a.pledge = ["fs=arg:2", "~fs=arg:3", "load"]', b"one")) == ["load"]


@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        (b"", "argument 1 of the script: this argument is empty"),
        (b"a\nb", "argument 1 of the script: the control character"),
        (b"x" * 5000, "argument 1 of the script: a value of more than 4096 characters"),
    ],
    ids=["empty", "control", "long"],
)
def test_an_argument_that_no_pledge_can_say_is_an_error_at_the_line_of_the_policy(home, argument, problem):
    with pytest.raises(PolicyError) as raised:
        applied(home, '[set.a]\npledge = ["load", "fs=arg:1"]', argument)
    assert raised.value.problem.startswith(problem)
    assert (raised.value.line, raised.value.column) == (2, 19)


def test_a_set_that_is_not_used_is_not_bound(home):
    assert pledges(applied(home, BOTH + '[set.c]\npledge = ["fs=arg:1"]', b"")) == ["env=B"]


def test_a_set_has_all_that_it_extends_once_by_whatever_way(home):
    text = 'set.a.pledge = ["load"]\nset.b.extends = ["a"]\nset.c.extends = ["a", "b"]\nset.c.pledge = ["env=C"]'
    assert pledges(applied(home, text, name="../team/p.toml:c")) == ["env=C", "load"]


@pytest.mark.parametrize(
    ("name", "held"), [("", ["env=B"]), (":b", ["env=B"]), (":a", ["load"]), (":", ["env=B"])], ids=repr
)
def test_a_set_is_chosen_by_its_name_or_is_the_default(home, name, held):
    policy = applied(home, BOTH, name=f"../team/p.toml{name}")
    assert pledges(policy) == held
    assert policy.name == f"../team/p.toml:{'a' if held == ['load'] else 'b'}"


def test_a_file_with_a_colon_in_its_name_is_named_with_one_more(home):
    home.joinpath("work", "a:b").write_text(BOTH, encoding="utf-8")
    assert pledges(open_policy("a:b:", ())) == pledges(open_policy("./a:b:b", ())) == ["env=B"]
    with pytest.raises(UsageError, match="cannot read the policy a: No such file"):
        open_policy("a:b", ())


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../team/p.toml:c", r"the policy \.\./team/p\.toml has no set 'c' \(it has a, b\)"),
        ("none.toml", "cannot read the policy none.toml: No such file or directory"),
        ("../team", "cannot read the policy ../team: Is a directory"),
        ("/dev/zero", "the policy /dev/zero is no regular file"),
        ("../fifo", "the policy ../fifo is no regular file"),
        ("", "cannot read the policy '': No such file"),
        ("a\0b", "cannot read the policy a.b: embedded null byte"),
    ],
    ids=["set", "file", "directory", "device", "pipe", "nothing", "NUL"],
)
def test_what_is_not_there_is_said(home, name, problem):
    os.mkfifo(home / "fifo")
    with pytest.raises(UsageError, match=problem):
        applied(home, BOTH, name=name)


def test_several_sets_without_a_default_are_not_guessed_among(home):
    with pytest.raises(UsageError, match=r"several sets and no default \(name one as in --policy \.\./team/p\.toml:a,"):
        applied(home, BOTH.split("\n", 1)[1])


def test_a_file_beyond_all_measure_is_refused(home):
    with pytest.raises(UsageError, match="is larger than 1 MiB"):
        applied(home, f"#{'x' * (1 << 20)}")


def test_of_each_limit_the_strictest_counts_that_anybody_stated(home):
    text = 'set.a.limits = { states = 5, cpu = "2s", depth = 9 }\nset.b = { extends = ["a"], limits = { states = 7 } }'
    policy = applied(home, text, name="../team/p.toml:b")
    assert policy.limits == {"cpu": 2_000_000_000, "states": 5, "depth": 9}
    assert policy.stricter({"depth": 3, "states": 6, "memory": 1 << 40}) == {
        **{"cpu": 2_000_000_000, "states": 5},
        **{"depth": 3, "memory": 1 << 40},
    }


def test_it_is_known_which_limits_the_policy_decides(home):
    policy = applied(home, '[set.a.limits]\nstates = 5\ndepth = 9\ncpu = "2s"')
    limits = limits_from(policy.stricter({"depth": 3, "states": 6}))
    assert policy.places_of(limits) == {"states": "../team/p.toml:2", "cpu": "../team/p.toml:4"}


@pytest.mark.parametrize(
    ("text", "script", "said"),
    [
        ('set.a.pledge = ["fs:write=."]', "a.lus", ["its own policy, {}/team/p.toml"]),
        ('set.a.allow = ["fs=.."]', "a.lus", ["its own policy, {}/team/p.toml", "its own source, {}/work/a.lus"]),
        ('set.a.pledge = ["fs"]', "-", ["its own policy, {}/team/p.toml"]),
        ('set.a.pledge = ["fs:write=../work"]', "./b.lus", ["its own source, {}/work/b.lus"]),
        ('set.a.pledge = ["fs:write=arg:1"]', "a.lus", ["its own source, {}/work/a.lus"]),
        ('set.a.pledge = ["fs=..", "~fs:write=p.toml", "~fs=../work/*.lus"]', "a.lus", []),
        ('set.a.pledge = ["fs:read=..", "fs:write=../out"]', "a.lus", []),
    ],
)
def test_a_script_that_may_write_its_policy_or_itself_is_warned_of(home, text, script, said):
    policy = applied(home, text, b"a.lus")
    warnings = policy.warnings(PledgeSet.root(policy.held, policy.ceiling), script)
    assert len(warnings) == len(said)
    for warning, what in zip(warnings, said, strict=True):
        assert what.format(home) in warning
        assert "\n" not in warning


def test_the_warning_names_who_grants_it_and_the_flag_that_ends_it(home):
    policy = applied(home, '[set.a]\npledge = ["fs:write=."]')
    assert policy.warnings(PledgeSet.root(policy.held), "a.lus") == [
        f"warning: a.lus may write its own policy, {home}/team/p.toml: "
        f"\"fs:write={home}/team\" (../team/p.toml:2) covers it (reject it with -P '~fs={home}/team/p.toml')"
    ]


def test_a_link_to_its_policy_that_a_script_may_replace_is_warned_of(home):
    home.joinpath("work", "current").symlink_to("../team")
    home.joinpath("work", "main.lus").symlink_to(home / "team" / "main.lus")
    policy = applied(home, 'set.a.pledge = ["fs:write=../work"]', name="./current//p.toml")
    assert policy.warnings(PledgeSet.root(policy.held), "../work/./main.lus") == [
        f"warning: ../work/./main.lus may write a link to its own {what}, {home}/work/{link}: "
        f'"fs:write={home}/work" (./current//p.toml:1) covers it (name the file itself)'
        for what, link in (("policy", "current"), ("source", "main.lus"))
    ]
    assert policy.warnings(PledgeSet.root(applied(home, 'set.a.pledge = ["fs:write=arg:1"]', b"x").held), "a.lus") == []


def test_links_without_end_are_followed_so_far(home):
    home.joinpath("work", "a.lus").symlink_to("a.lus")
    policy = applied(home, "set.a = {}")
    assert policy.warnings(PledgeSet.root(policy.held), "a.lus") == []
