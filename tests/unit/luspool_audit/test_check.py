"""What scripts can ask for beyond a policy, and what differs between two versions."""

from __future__ import annotations

import json
import os

import pytest

from luspool.audit.check_request import check
from luspool.audit.check_show import as_json, as_text
from luspool.errors import UsageError


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty directory to work in, with a way to fill it."""
    monkeypatch.chdir(tmp_path)

    def write(**texts: str) -> None:
        for name, text in texts.items():
            path = tmp_path.joinpath(*name.split("__"))
            path = path if path.suffix else path.with_suffix(".toml" if path.name.startswith("policy") else ".lus")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    return write


def beyond(policy: str, source: str, home) -> list[str]:
    """What the script can ask for beyond the policy, with the reasons; unknown ones with a `?`."""
    home(policy=policy, main=source)
    found = check(["main.lus"], "policy.toml", None, strict_globals=False).exceeding
    assert found is not None
    excesses = [f"{each.uses[0].pledge or each.uses[0].value}: {each.why}" for each in found.excesses]
    return [*excesses, *(f"? {' '.join(each.permissions) or '*'}" for each in found.unknowns)]


NO_PLEDGE = "no pledge grants it"
CASES = {
    "nothing asked": ("set.a = {}", "print(1)", []),
    "held": ('set.a.pledge = ["fs:read=d"]', "io.open('d/x') io.open('./d') io.open('e/../d/y')", []),
    "allowed": ('set.a.allow = ["env=A"]', "os.getenv('A')", []),
    "held after a seal": ('set.a = { pledge = ["seal"], allow = ["env=A"] }', "pledge('env=A') os.getenv('A')", []),
    "beyond": ('set.a.pledge = ["fs:read=d"]', "io.open('da')", [f"fs:read=da: {NO_PLEDGE}"]),
    "another permission": ('set.a.pledge = ["fs:read=d"]', "io.open('d', 'w')", [f"fs:write=d: {NO_PLEDGE}"]),
    "outside": ('set.a.pledge = ["fs:read=d"]', "io.open('d/../e')", [f"fs:read=d/../e: {NO_PLEDGE}"]),
    "through a link": ('set.a.pledge = ["fs:read=d"]', "io.open('link')", []),
    "code": ('set.a.pledge = ["fs"]', "dofile('none.lus')", [f"load: {NO_PLEDGE}", "? *"]),
    "a function": ('set.a.pledge = ["host:log"]', "host.log() host.ask()", [f"host:ask: {NO_PLEDGE}"]),
    "a pattern in a name": ('set.a.pledge = ["fs:read=./*"]', "io.open('a*')", []),
    "rejected": (
        '[set.a]\npledge = ["fs",\n"~fs:read=k"]',
        "io.open('k/x')",
        ['fs:read=k/x: rejected by "~fs:read={}/k" (policy.toml:3)'],
    ),
    "a name that no file has": ('set.a.pledge = ["fs"]', r"io.open('a\0b')", ["a\0b: no file can be called that"]),
    "a pledge within": ('set.a.allow = ["fs:read=d"]', "pledge('fs:read=d/x', 'fs:read=d/*.csv', '~env', 'seal')", []),
    "a pledge beyond": (
        'set.a.allow = ["fs:read=d"]',
        "pledge('fs=d')",
        ["fs=d: it is not within one pledge of the policy"],
    ),
    "a pledge that is rejected": (
        'set.a.pledge = ["fs", "~fs=d"]',
        "pledge('fs:read=d/x')",
        ['fs:read=d/x: rejected by "~fs={}/d" (policy.toml:1)'],
    ),
    "a pledge of a file's name, which would grant all beneath": (
        'set.a.pledge = ["fs:read=./?"]',
        "io.open('a') pledge('fs:read=a')",
        ["fs:read=a: it is not within one pledge of the policy"],
    ),
    "what nobody gets": ('set.a.pledge = ["all"]', "pledge('network')", ["network: nothing can grant it here"]),
    "a pledge that no path can be": (
        'set.a.pledge = ["fs"]',
        "pledge('fs=" + "x/" * 2030 + "')",
        ["fs=" + "x/" * 2030 + ": the absolute path is longer than 4096 characters"],
    ),
    "a name that is not known": ('set.a.pledge = ["fs:read=d"]', "io.open(...)", ["? fs:read", "? fs:write"]),
    "a name that does not matter": ('set.a.pledge = ["fs"]', "io.open(...)", []),
    "a name that matters to a rejection": ('set.a.pledge = ["fs", "~fs:write=x"]', "io.open(...)", ["? fs:write"]),
    "anything": ('set.a.pledge = ["all"]', "load(x)", ["? *"]),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_beyond_a_policy_is_told_with_the_reason(home, case):
    os.mkdir("d")
    os.symlink("d/x", "link")
    policy, source, expected = CASES[case]
    assert beyond(policy, source, home) == [each.replace("{}", os.getcwd()) for each in expected]


def test_all_that_scripts_run_is_checked_and_directories_are_searched(home):
    home(policy='set.a.pledge = ["load", "fs:read=."]', lib__a="worker.create('w.lus')", w="os.getenv('W')")
    home(lib__deep__b="os.getenv('B')", **{"lib__read.me": "os.getenv('no')"})
    result = check(["lib"], "policy.toml", None, strict_globals=False)
    assert result.found is not None
    assert result.found.scripts == ["lib/a.lus", "lib/deep/b.lus", "w.lus"]
    assert [each.uses[0].pledge for each in result.exceeding.excesses] == ["env=B", "env=W"]


def test_a_pipe_in_a_directory_is_no_script_and_a_link_to_nowhere_is_a_fault(home):
    home(policy="set.a = {}", lib__a="print(1)")
    os.mkfifo("lib/pipe.lus")
    os.symlink("nowhere", "lib/link.lus")
    result = check(["lib"], "policy.toml", None, strict_globals=False)
    assert result.found is not None
    assert result.found.scripts == ["lib/a.lus"]
    assert [each.startswith("no such script: lib/link.lus") for each in result.found.faults] == [True]


def test_a_script_that_is_named_like_nothing_is_an_error(home):
    os.mkdir("empty")
    home(policy="set.a = {}")
    with pytest.raises(UsageError, match=r"there is no script in empty \(scripts are files that end with .lus\)"):
        check(["empty"], "policy.toml", None, strict_globals=False)


# --- differences ---------------------------------------------------------------------------------------------------


def differences(paths: list[str], policy: str | None, against: str) -> list[str]:
    changes = check(paths, policy, against, strict_globals=False).changes
    assert changes is not None
    return [f"{'+' if each.is_added else '-'}{'!' if each.more else ''} {each.text}" for each in changes]


def test_two_versions_of_a_script_differ_by_what_they_can_ask_for_and_not_where(home):
    home(
        old="os.getenv('A') os.getenv('B') io.open(x)", new="\n\nos.getenv('B')\n io.open(y) io.open(z) os.getenv('C')"
    )
    why = "its argument 1 is no constant"
    assert differences(["new.lus"], None, "old.lus") == [
        *("+! env=C", "- env=A", f"+! io.open, fs:read: {why}"),
    ]
    assert differences(["old.lus"], None, "new.lus") == [
        *("+! env=A", "- env=C", f"- io.open, fs:read: {why}"),
    ]
    assert differences(["old.lus"], None, "old.lus") == []


def test_an_older_directory_has_the_older_versions_of_all_that_is_run(home):
    home(old__main="dofile('sub/m.lus')", old__sub__m="os.getenv('A')")
    home(main="dofile('sub/m.lus')", sub__m="os.getenv('B')", more="os.getenv('C')")
    assert differences(["main.lus", "more.lus"], None, "old") == ["+! env=B", "+! env=C", "- env=A"]
    assert differences(["sub"], None, "old") == ["+! env=B", "- env=A"]
    assert os.path.exists("more.lus")  # we are back


def test_two_policies_differ_by_what_is_written_with_all_that_they_extend(home):
    home(
        policy_old='[set.base]\npledge = ["load", "~env"]\n[set.a]\nextends = ["base"]\nallow = ["fs=x"]',
        policy_new='[set.a]\nallow = ["fs=y"]\npledge = ["load", "seal", "env=A"]',
    )
    assert differences([], "policy_new.toml", "policy_old.toml:a") == [
        *("+! env=A", "+ seal", "-! ~env", "+! fs=y", "- fs=x"),
    ]
    assert differences([], "policy_old.toml:a", "policy_new.toml") == [
        "+ ~env",
        "- env=A",
        "-! seal",
        "+! fs=x",
        "- fs=y",
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('memory = "1M"', 'memory = "2M"', ["+! memory = 2M", "-! memory = 1M"]),
        ('memory = "2M"', 'memory = "1M"', ["+ memory = 1M", "- memory = 2M"]),
        ('memory = "1M"', "", ["-! memory = 1M"]),
        ("", 'memory = "1M"', ["+ memory = 1M"]),
        ("", 'memory = "1000G"', ["+! memory = 1000G"]),
        ('memory = "1M"', 'memory = "1024K"', []),
    ],
)
def test_a_limit_that_is_not_stated_has_its_default(home, old, new, expected):
    home(policy_old=f"[set.a.limits]\n{old}", policy_new=f"[set.a.limits]\n{new}")
    assert differences([], "policy_new.toml", "policy_old.toml") == expected


@pytest.mark.parametrize(
    ("paths", "policy", "against", "problem"),
    [
        ([], None, None, "name scripts to check, or two policies"),
        ([], "policy.toml", None, "name scripts to check, or two policies"),
        (["a.lus"], None, None, "name what to compare with"),
        (["a.lus", "b.lus"], None, "a.lus", "a.lus is no directory"),
        (["/a.lus"], None, ".", r"/a.lus can't be looked for in \. \(give paths beneath"),
        (["a.lus", "x/../../a.lus"], None, ".", r"x/../../a.lus can't be looked for in \. \(give paths beneath"),
        (["a.lus"], None, "none.lus", "the older version: no such script: none.lus"),
        (["a.lus"], "none.toml", None, "cannot read the policy none.toml"),
        (
            ["a.lus"],
            "policy_many.toml",
            None,
            'the policy policy_many.toml:a: more than 256 different pledges of "env"',
        ),
    ],
)
def test_what_makes_no_sense_is_said(home, paths, policy, against, problem):
    many = ", ".join(f'"env=A{number}"' for number in range(300))
    home(a="", b="", policy="set.a = {}", policy_many=f"set.a.pledge = [{many}]")
    with pytest.raises(UsageError, match=problem):
        check(paths, policy, against, strict_globals=False)


# --- what is said of it --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "status", "allowing"),
    [("", 0, 0), ("os.getenv('A')", 1, 1), ("os.getenv(x)", 1, 0), ("x = = 1", 126, 126), ("os.getenv('B')", 0, 0)],
)
def test_the_exit_status_tells_whether_there_is_more(home, source, status, allowing):
    home(policy='set.a.pledge = ["env=B"]', main=source, old="os.getenv('B')")
    for policy, against in (("policy.toml", None), (None, "old.lus")):
        result = check(["main.lus"], policy, against, strict_globals=False)
        assert [result.status(allows_unknown=each) for each in (False, True)] == [status, allowing]


def test_as_text_and_as_json(home):
    home(policy="set.a = {}", main="os.getenv('A\\x1b')\nos.getenv(x)", old="os.getenv('B')")
    result = check(["main.lus"], "policy.toml", "old.lus", strict_globals=False)
    assert as_text(result) == (
        "Looked at 1 script: main.lus\n\n"
        "Beyond policy.toml:a:\n"
        "  env: A\\x1b  os.getenv at main.lus:1:1  no pledge grants it\n\n"
        "Not known to be within policy.toml:a:\n"
        "  main.lus:2:1  os.getenv  env  its argument 1 is no constant\n\n"
        "Different from old.lus:\n"
        "  +  permission  env: A\\x1b                                     os.getenv at main.lus:1:1\n"
        "  -  permission  env=B                                          os.getenv at old.lus:1:1\n"
        "  +  unknown     os.getenv, env: its argument 1 is no constant  main.lus:2:1"
    )
    data = json.loads(as_json(result))
    assert [data[key] for key in ("v", "policy", "against", "scripts")] == [1, "policy.toml:a", "old.lus", ["main.lus"]]
    assert data["exceeds"] == [
        {
            **{"permission": "env", "value": "A\x1b", "pledge": None, "why": "no pledge grants it"},
            "uses": [{"script": "main.lus", "line": 1, "column": 1, "function": "os.getenv"}],
        }
    ]
    assert [each["what"] for each in data["unknown"]] == ["os.getenv"]
    assert data["changes"][1] == {
        **{
            "is_added": False,
            "kind": "permission",
            "text": "env=B",
            "where": "os.getenv at old.lus:1:1",
            "more": False,
        },
    }
    nothing = check([], "policy.toml", "policy.toml", strict_globals=False)
    assert as_text(nothing) == "No difference from policy.toml."
    home(main="")
    clean = check(["main.lus"], "policy.toml", None, strict_globals=False)
    assert as_text(clean).endswith("\n\nAll that can be asked for is within policy.toml:a.")
    assert json.loads(as_json(clean))["changes"] is None
