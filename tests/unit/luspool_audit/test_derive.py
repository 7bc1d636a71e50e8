"""The least policy of runs: what it grants, what it says of that, and when there is none."""

from __future__ import annotations

import os

import pytest

from luspool.audit import derive as derive_module
from luspool.audit.derive import DeriveError, derive
from luspool.policy import write_policy

from .logs import LogMaker, running_log


def derived(*logs: LogMaker, base: str | None = None, ignores_denials: bool = False, patterns: bool = False):
    runs = [log.summary() for log in logs]
    return derive(runs, base, ignores_denials=ignores_denials, patterns=patterns)


def lines(*logs: LogMaker, **options) -> list[str]:
    """The pledges of the policy, with their comments."""
    text = write_policy(derived(*logs, **options).policy)
    return [line.strip() for line in text.splitlines() if line.startswith("    ")]


def pledges(*logs: LogMaker, **options) -> list[str]:
    content = derived(*logs, **options).policy.sets["derived"]
    return [*(str(entry.pledge) for entry in content.pledges), *(f"? {entry.pledge}" for entry in content.allowed)]


def reads(*paths: str) -> LogMaker:
    log = LogMaker().state()
    for path in paths:
        log.decision("fs:read", path)
    return log


def test_each_value_is_granted_as_it_was_used_with_how_often_and_where():
    log = LogMaker().state().state(2, 1).decision("load", line=3).decision("fs:read", "/srv/b", value="../b", count=2)
    log.decision("fs:read", "/srv/b", state=2, script="w.lus", line=None).decision("fs:read", "/srv/b", line=9)
    log.decision("host", "log", resolved=None).decision("env", "HOME", resolved=None)
    assert lines(log) == [
        '"load",  # once: main.lus:3',
        '"fs:read=/srv/b",  # 4 times: main.lus:1, main.lus:9 and 1 more; not there now',
        '"env=HOME",  # once: main.lus:1',
        '"host:log",  # once: main.lus:1',
    ]


def test_the_file_says_which_runs_it_covers_and_that_it_covers_no_others():
    cut_off = LogMaker(run="00000000000000bb", script="b\x1b.lus", arguments=1).state()
    text = write_policy(derived(running_log().denial("env", "B").footer(77), cut_off, ignores_denials=True).policy)
    head = text[: text.index("\n\n")]
    assert head == (
        "# Derived from 2 runs by `luspool audit derive`. It grants what was used there, and covers nothing else:\n"
        "# with other arguments, input or files a script may need more.\n"
        "#   main.lus: run 00000000000000aa of 2026-03-01 12:00:00 UTC, 0 arguments, 6 decisions, status 77\n"
        "#   b\\x1b.lus: run 00000000000000bb of 2026-03-01 12:00:00 UTC, 1 argument, 0 decisions, "
        "cut off, so it may have needed more\n"
        "# What is not there now may have been a directory. One of that name is granted with all beneath it.\n"
        "# Denied there, and not granted:\n"
        "#   env=HOME\n"
        "#   env=B"
    )


def test_runs_that_were_denied_something_tell_not_what_they_need():
    log = running_log()
    for number in range(22):
        log.denial("env", f"x\x1b{number}")
    with pytest.raises(DeriveError) as raised:
        derived(log)
    first, *shown = str(raised.value).split("\n  ")
    assert "--ignore-denials leaves out what was denied" in first
    assert shown[:2] == [
        "env=HOME at w.lus:3: beyond (run 00000000000000aa)",
        r"env=x\x1b0 at main.lus:1: beyond (run 00000000000000aa)",
    ]
    assert (len(shown), shown[-1]) == (21, "and 3 more")


def test_what_was_only_observed_is_needed():
    assert pledges(LogMaker(mode="observe").state().decision("env", "A", decision="observed", reason="unpledged")) == [
        "env=A"
    ]


# --- paths ---------------------------------------------------------------------------------------------------------


def test_a_path_that_is_a_link_by_now_is_said_to_lead_elsewhere(tmp_path):
    """What a policy grants is what its paths lead to when it is read."""
    home = os.path.realpath(tmp_path)
    for name in ("open", "keys"):
        (tmp_path / name).mkdir()
    (tmp_path / "keys" / "one").touch()
    (tmp_path / "open" / "file").symlink_to("../keys/one")
    (tmp_path / "open" / "folder").symlink_to("../keys")
    (tmp_path / "open" / "nowhere").symlink_to("gone")
    log = reads(*(f"{home}/open/{name}" for name in ("file", "nowhere"))).pledge(f"fs:read={home}/open/folder/*")
    log.decision("fs:write", f"{home}/open/folder").decision("fs:write", f"{home}/open/folder/one")
    folder = f"leads to {home}/keys by now"
    assert lines(log, base=home) == [
        f'"fs:read=open/file",  # once: main.lus:1; leads to {home}/keys/one by now',
        f'"fs:read=open/nowhere",  # once: main.lus:1; leads to {home}/open/gone by now',
        f'"fs:write=open/folder",  # a directory, with all beneath it; once: main.lus:1; {folder}',
        "#   used beneath: open/folder/one, once: main.lus:1",
        f'"fs:read=open/folder/*",  # pledged by the script, and granted whole; once: main.lus:1; {folder}',
    ]


def test_a_directory_is_said_to_grant_all_beneath_it(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    tmp_path.joinpath("inside-not").touch()
    gone = f"{inside}-gone"
    log = reads(f"{inside}/b", str(inside), f"{inside}-not", gone, "/no/such", "/no/such/x/y", "/no/such/x")
    assert lines(log) == [
        '"fs:read=/no/such",  # a directory, with all beneath it; once: main.lus:1',
        "#   used beneath: /no/such/x, once: main.lus:1",
        "#   used beneath: /no/such/x/y, once: main.lus:1",
        f'"fs:read={inside}",  # a directory, with all beneath it; once: main.lus:1',
        f"#   used beneath: {inside}/b, once: main.lus:1",
        f'"fs:read={gone}",  # once: main.lus:1; not there now',
        f'"fs:read={inside}-not",  # once: main.lus:1',
    ]
    assert lines(reads("/")) == ['"fs:read=/",  # a directory, with all beneath it; once: main.lus:1']


OFFERS = {
    "two": (["/d/a.csv", "/d/b.csv"], None),
    "one kind": (["/d/a.csv", "/d/b.csv", "/d/c.csv"], "fs:read=/d/*.csv"),
    "several kinds": (["/d/a.csv", "/d/b.txt", "/d/c"], "fs:read=/d"),
    "no kind": (["/d/a", "/d/b", "/d/c"], "fs:read=/d"),
    "characters of patterns": (["/d*/a.c?", "/d*/b.c?", "/d*/c.c?"], r"fs:read=/d\*/*.c\?"),
    "in several directories": (["/d/a", "/d/b", "/e/a"], None),
    "at the root": (["/a", "/b", "/c"], None),
    "hidden characters": (["/d/a.\x1b", "/d/b.\x1b", "/d/c.\x1b"], "fs:read=/d"),
}


@pytest.mark.parametrize("case", OFFERS)
def test_a_pattern_is_offered_beside_the_files_and_granted_only_if_asked_for(case):
    paths, pattern = OFFERS[case]
    said = [line for line in lines(reads(*paths)) if line.startswith("# offered: ")]
    assert len(pledges(reads(*paths))) == 3 if pattern else len(paths)
    if pattern is None:
        assert said == []
        assert pledges(reads(*paths), patterns=True) == pledges(reads(*paths))
        return
    assert said[0].startswith(f'# offered: "{pattern}" would grant these 3 files, with all ')
    granted, *used = lines(reads(*paths), patterns=True)
    assert pledges(reads(*paths), patterns=True) == [pattern]
    assert "# in the place of 3 files, with all " in granted
    assert [line[: line.index(",")].split(": ")[1] for line in used] == [
        pledge.removeprefix("fs:read=") for pledge in pledges(reads(*paths))
    ]


def test_paths_are_relative_to_the_file_where_they_lie_beneath_it():
    paths = ["/srv/x", "/srv/d*/y", "/srv/s\x1b", "/srv/arg:1", "/srvx/z", "/srv/d/\x1b"]
    assert pledges(reads(*paths), base="/srv") == [
        *("fs:read=./arg:1", r"fs:read=./s?", "fs:read=x", "fs:read=d/?"),
        *(r"fs:read=./d\*/y", "fs:read=/srvx/z"),
    ]
    assert pledges(reads("/srv"), base="/srv") == ["fs:read=."]
    assert pledges(reads("/srv/x"), base="/") == ["fs:read=srv/x"]
    assert pledges(reads("/srv/a.x", "/srv/b.x", "/srv/c.x"), base="/srv", patterns=True) == ["fs:read=./*.x"]


def test_a_character_that_no_pledge_has_is_any_and_that_is_said():
    name = os.fsdecode(b"/srv/a\xff\n")
    assert lines(reads(name)) == ['"fs:read=/srv/a??",  # each ? stands for any character; once: main.lus:1']


def test_a_directory_of_such_a_name_grants_nothing_beneath_it(tmp_path):
    """Its pattern matches it alone; so what is in it is granted by itself, and offered as what is in it."""
    directory = tmp_path / "d\x1b"
    directory.mkdir()
    paths = [f"{directory}/{name}" for name in "abc"]
    said = str(directory).replace("\x1b", "?")
    assert pledges(reads(str(directory), *paths)) == [
        f"fs:read={path.replace(chr(27), '?')}" for path in (str(directory), *paths)
    ]
    assert pledges(reads(*paths), patterns=True) == [f"fs:read={said}/*"]
    assert pledges(reads(str(tmp_path), *paths)) == [f"fs:read={tmp_path}"]


def test_what_no_pledge_can_say_is_left_out_and_told():
    log = LogMaker().state().decision("env", "a=b", resolved=None).decision("fs:read", f"/{'x' * 5000}")
    log.decision("fs:read", None, value="relative").decision("env", "A", resolved=None)
    made = derived(log)
    assert [text[:20] for text in made.left_out] == ["fs:read=relative", "fs:read=/xxxxxxxxxxx", "env=a=b"]
    assert pledges(log) == ["env=A"]
    assert "# Used there, and not granted, since no pledge can say it:\n#   fs:read=relative" in write_policy(
        made.policy
    )


def test_a_byte_that_is_no_text_is_in_no_policy():
    log = LogMaker().state().decision("env", "A\udcff", resolved=None).pledge("fs:read=/srv/\udcff")
    by_call(log, "/srv/\udcff/x", rule="fs:read=/srv/\udcff")
    made = derived(log)
    assert (pledges(log), made.left_out) == (["fs:read=/srv/?/x"], ["fs:read=/srv/\udcff", "env=A\udcff"])
    write_policy(made.policy).encode()
    # Where the policy lies in a directory of such a name, nothing needs to be said of it.
    log = LogMaker(held=["~fs=/srv/\udcff/keys"]).state().pledge("fs:read=/srv/\udcff/d")
    assert pledges(log, base="/srv/\udcff") == ["~fs=keys", "? fs:read=d"]


def test_all_values_at_once():
    assert lines(LogMaker().state().decision("fs:read", None).decision("fs:read", "/a")) == [
        '"fs:read",  # every value; once: main.lus:1'
    ]


# --- calls of pledge -----------------------------------------------------------------------------------------------


def by_call(log: LogMaker, path: str, rule: str = "fs:read=/srv/d", **fields) -> LogMaker:
    return log.decision("fs:read", path, rule=rule, origin="pledge at main.lus:1", **fields)


def test_what_a_script_pledges_it_may_pledge_again_and_what_rests_on_that_needs_no_more():
    log = LogMaker().state().decision("fs:read", "/srv/before").pledge("fs:read=/srv/d")
    by_call(log, "/srv/d/x").state(2, 1).pledge("fs:read=/srv/d/y", state=2)
    by_call(log, "/srv/d/y", state=2)
    assert lines(log) == [
        '"fs:read=/srv/before",  # once: main.lus:1; not there now',
        '"fs:read=/srv/d",  # pledged by the script, and granted whole; once: main.lus:1',
    ]
    assert pledges(log) == ["fs:read=/srv/before", "? fs:read=/srv/d"]


def test_what_a_worker_pledges_its_parent_must_hold():
    log = LogMaker().state().state(2, 1).pledge("fs=/srv/d", state=2, script="w.lus").pledge("fs:read=/srv/e", state=2)
    log.decision("fs:write", "/srv/d/x", state=2, rule="fs=/srv/d", origin="pledge at w.lus:1")
    assert pledges(log, base="/srv") == ["fs:read=e", "fs=d"]


def test_a_pledge_of_less_permissions_does_not_reach_one_of_more():
    log = LogMaker().state().pledge("fs:read=/srv").state(2, 1).pledge("fs=/srv/d", state=2)
    assert pledges(log) == ["fs=/srv/d", "? fs:read=/srv"]


def test_what_grants_nothing_needs_nothing():
    log = LogMaker().state().pledge("~fs").pledge("seal").pledge("env=A", False).pledge("load").pledge("nonsense")
    made = derived(log)
    assert (pledges(log), made.left_out) == (["? load"], ["nonsense"])


def test_an_origin_alone_is_no_pledge():
    """Who calls a policy file so gets what was used, not what some call pledged."""
    assert pledges(by_call(LogMaker().state(), "/srv/d/x")) == ["fs:read=/srv/d/x"]


def test_more_than_a_policy_takes_is_refused(monkeypatch):
    monkeypatch.setattr(derive_module, "MAX_RULES", 4)
    log = reads(*(f"/srv/{name}" for name in "abcd")).pledge("fs=/x")
    with pytest.raises(DeriveError, match=r"need 5 pledges of fs:read, and a policy takes 4 \(--patterns grants"):
        derived(log)
    assert pledges(log, patterns=True) == ["fs:read=/srv", "? fs=/x"]


def test_comments_are_bounded_however_much_was_used():
    """A policy has a largest size, and so has what people read."""
    log = reads(*(f"/no/such/{number}.x" for number in range(1000)))
    assert lines(log, patterns=True)[20:] == [
        "#   used: /no/such/115.x, once: main.lus:1; not there now",
        "#   used: and 980 more",
    ]
    assert lines(log.decision("fs:read", "/no/such"))[-1] == "#   used beneath: and 980 more"
    for number in range(1000):
        log.denial("env", f"A{number}")
    text = write_policy(derived(log, ignores_denials=True).policy)
    assert "#   env=A19\n#   and 980 more\n" in text


# --- what was not granted ------------------------------------------------------------------------------------------


def rejecting(*rejections: str, **header) -> LogMaker:
    log = LogMaker(held=["fs:read=/srv", *rejections], **header).state()
    return log.decision("fs:read", "/srv/d").decision("fs:read", "/srv/d/x")


def test_what_all_runs_rejected_is_rejected_again():
    """It may lie in a directory that is granted as a whole."""
    one, other = rejecting("~fs=/srv/d/keys", "~env=A", "~host:log"), rejecting("~host:log", "~fs=/srv/d/keys")
    assert pledges(one, base="/srv/d") == ["fs:read=.", "~fs=keys", "~env=A", "~host:log"]
    assert pledges(one, other) == ["fs:read=/srv/d", "~fs=/srv/d/keys", "~host:log"]
    assert lines(other)[-1] == '"~fs=/srv/d/keys",  # rejected in these runs, too'
    assert pledges(one, rejecting()) == ["fs:read=/srv/d"]


@pytest.mark.parametrize(
    ("rejection", "problem"), [("~filez", "pledge '~filez', column 2"), ("~fs=/srv/\udcff", "fs=/srv/.udcff")]
)
def test_a_rejection_that_cannot_be_said_is_no_reason_to_grant_what_it_named(rejection, problem):
    with pytest.raises(DeriveError, match=f"rejected what can't be rejected again: .*{problem}"):
        derived(rejecting(rejection))


def test_where_all_runs_were_sealed_from_the_start_so_is_the_policy():
    """A call of `pledge` that failed there, and might succeed without the seal, would narrow what is held."""
    one, other = rejecting("seal"), rejecting("~env=A", "seal")
    assert pledges(one, other) == ["fs:read=/srv/d", "seal"]
    assert lines(other)[-1] == '"seal",  # sealed in these runs, too'
    assert pledges(one, rejecting()) == ["fs:read=/srv/d"]


@pytest.mark.parametrize("base", [None, "/srv", "/srv/d"])
def test_what_was_denied_and_is_granted_all_the_same_is_not_said_to_be_left_out(base):
    log = rejecting().denial("fs:read", "/srv/d/keys").denial("fs:read", "/srv/e").denial("fs:write", "/srv/d/keys")
    log.denial("env", "A", resolved=None).denial("fs:read", None).denial("fs:read", None, value="relative")
    text = write_policy(derived(log, base=base, ignores_denials=True).policy)
    denied, granted = text[text.index("# Denied") : text.index("\n\n")].split(
        "# Denied there, and granted all the same, with what is granted below:\n"
    )
    assert denied.splitlines()[0] == "# Denied there, and not granted:"
    assert denied.splitlines()[1:] == [
        *("#   fs:read=/srv/e", "#   fs:write=/srv/d/keys", "#   env=A"),
        *("#   fs:read", "#   fs:read=relative"),
    ]
    assert granted == "#   fs:read=/srv/d/keys"
    kept = rejecting("~fs=/srv/d/keys").denial("fs:read", "/srv/d/keys")
    assert "granted all the same" not in write_policy(derived(kept, base=base, ignores_denials=True).policy)
