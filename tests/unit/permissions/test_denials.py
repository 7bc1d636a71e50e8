"""Decisions as records, and the words of a denial."""

import shlex

import pytest

from luspool.permissions import Origin, OriginKind, Pledge, PledgeSet, Reason, Rule


def rule(text, flag="-P"):
    return Rule(Pledge.parse(text, command_line=True).bind("/"), Origin.flag(flag, text))


def root(*held, allow=()):
    return PledgeSet.root([rule(text) for text in held], [rule(text, "--allow") for text in allow])


def pledge(pledges, *texts):
    for line, text in enumerate(texts, 1):
        pledges, _ = pledges.request(Pledge.parse(text).bind("/"), Origin.call(f"main.lus:{line}"))
    return pledges


def test_an_allowed_decision_carries_its_rule_and_origin():
    """The record of what was allowed names the rule and where it was stated, also in a child."""
    for pledges in (root("fs=/a"), root("fs=/a").inherit()):
        decision = pledges.decide("fs:read", "/a/b")
        assert (decision.allowed, decision.permission, decision.value) == (True, "fs:read", "/a/b")
        assert decision.reason is Reason.HELD
        assert decision.rule == rule("fs=/a")
        assert decision.origin == Origin(OriginKind.FLAG, "-P fs=/a")
        assert decision.flag() is None
        assert decision.message("a state", "a.lus:1").endswith('granted by "fs=/a" (-P fs=/a)')


@pytest.mark.parametrize(
    ("pledges", "request_", "reason", "ending"),
    [
        (root(), ("load", None), Reason.BEYOND, "no pledge grants it (grant it with -P load)"),
        (root(), ("env", "HOME"), Reason.BEYOND, "no pledge grants it (grant it with -P env=HOME)"),
        (root(), ("env", None), Reason.BEYOND, "no pledge grants it (grant it with -P env)"),
        (root(), ("host", "log"), Reason.BEYOND, "no pledge grants it (grant it with -P host:log)"),
        (root(), ("host", "a b"), Reason.BEYOND, "no pledge grants it"),
        (root("host", "~host:log"), ("host", "log"), Reason.REJECTED, 'rejected by "~host:log" (-P ~host:log)'),
        (root(), ("env", "A\x07"), Reason.BEYOND, "no pledge grants it"),
        (
            root("fs:read=/tmp").inherit(),
            ("fs:read", "/etc/passwd"),
            Reason.BEYOND,
            "no pledge grants it (grant it with -P fs:read=/etc/passwd)",
        ),
        (
            root(allow=["fs:read=/etc"]),
            ("fs:read", "/etc/passwd"),
            Reason.UNPLEDGED,
            'allowed by "fs:read=/etc" (--allow fs:read=/etc), but not pledged '
            "(pledge it in the script, or grant it with -P fs:read=/etc/passwd)",
        ),
        (
            root("fs:read", "~fs:read=/etc"),
            ("fs:read", "/etc/passwd"),
            Reason.REJECTED,
            'rejected by "~fs:read=/etc" (-P ~fs:read=/etc)',
        ),
        (
            pledge(root("fs:read"), "fs:read=/tmp"),
            ("fs:read", "/etc/passwd"),
            Reason.DROPPED,
            'narrowed by "fs:read=/tmp" (pledge at main.lus:1), and not pledged since',
        ),
        (
            pledge(root("fs:read"), "fs:read=/tmp").inherit(),
            ("fs:read", "/etc/passwd"),
            Reason.NARROWED,
            'narrowed by "fs:read=/tmp" (pledge at main.lus:1)',
        ),
        (
            pledge(root("fs:read=/a"), "fs:read=/a"),
            ("fs:read", "/etc/passwd"),
            Reason.NARROWED,
            'narrowed by "fs:read=/a" (pledge at main.lus:1)',
        ),
        (
            pledge(root(allow=["all"]), "load", "seal"),
            ("fs:read", "/etc/passwd"),
            Reason.SEALED,
            'sealed before it was pledged, by "seal" (pledge at main.lus:2)',
        ),
        (root("all"), ("exec", None), Reason.UNGRANTABLE, "nothing can grant it here"),
    ],
)
def test_a_denial_says_what_decided(pledges, request_, reason, ending):
    """Each reason has its words; a flag is named only where it would have helped."""
    decision = pledges.decide(*request_)
    assert not decision.allowed
    assert decision.reason is reason
    permission, value = request_
    target = "" if value is None else f" for {value!r}"
    expected = f'permission "{permission}" denied{target} in worker 2 at main.lus:9: {ending}'
    assert decision.message("worker 2", "main.lus:9") == expected


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/with space",
        "/it's",
        "/a*b?c\\d",
        "/new\nline",
        "/\x1b[31m",
        "/\u202e.txt",
        "/\udcff",
        "/~",
        "/-x",
    ],
)
def test_the_suggested_flag_grants_what_was_denied(path):
    """A shell reads the flag as two words, and with it the same request is allowed."""
    flag = root().decide("fs:read", path).flag()
    option, text = shlex.split(flag)
    assert option == "-P"
    assert flag.isprintable()
    assert root(text).allows("fs:read", path)
    assert not root(text).allows("fs:read", "/elsewhere")


def test_no_flag_is_suggested_that_would_not_parse():
    """Where the grammar cannot write the value there is no suggestion."""
    assert root().decide("fs:read", "/\n" + "a" * 300).flag() is None
    assert root().decide("env", "A=B").flag() is None


def test_a_denial_shows_no_control_characters():
    """Control characters in values, state names and places are made visible, and the message is one line."""
    hostile = "\x1b]0;x\x07\n\u202e\udcff"
    decision = root("~fs:read=/").decide("fs:read", f"/{hostile}")
    message = decision.message(f"worker {hostile}", f"{hostile}:1")
    assert message.isprintable()
    assert message.count(r"\x1b]0;x\x07\n\u202e\udcff") == 3
