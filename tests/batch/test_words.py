"""Outcomes in words, keys, rights of items, and what is shown of a ledger."""

import csv
import io
import json
import os

import pytest

from luspool.batch import show
from luspool.batch.item import Item
from luspool.batch.key import key_of, still_holds
from luspool.batch.ledger import Cause, Entry, RunRecord
from luspool.batch.outcome import Outcome, Source, Status, cause_of, status_of
from luspool.batch.rights import Grants
from luspool.errors import UsageError
from luspool.scheduler.limits import MEASURES


@pytest.mark.parametrize(
    ("kind", "exit_status", "status"),
    [
        ("returned", 0, Status.COMPLETED),
        ("exited", 0, Status.COMPLETED),
        ("exited", 3, Status.FAILED),
        ("error", 1, Status.FAILED),
        ("unreceived", 1, Status.FAILED),
        ("load", 126, Status.FAILED),
        ("internal", 125, Status.FAILED),
        ("denied", 77, Status.DENIED),
        ("cpu", 124, Status.TIMEOUT),
        ("time", 124, Status.TIMEOUT),
        ("memory", 137, Status.MEMORY),
        ("deadlock", 70, Status.DEADLOCK),
        *((kind, 123, Status.FAILED) for kind in MEASURES if kind not in ("cpu", "time", "memory")),
    ],
)
def test_each_end_of_a_run_has_a_word(kind, exit_status, status):
    assert status_of(kind, exit_status) is status


@pytest.mark.parametrize(
    ("status", "failure", "cause"),
    [
        (Status.FAILED, "a.lus:12: boom\nstack traceback:", "boom"),
        (Status.FAILED, "lib/x.lus:1:4: boom", "boom"),
        (Status.FAILED, "a.lus: {1, 2}", "{1, 2}"),
        (Status.FAILED, "", "exit status 9"),
        (Status.TIMEOUT, "a.lus:1: cpu limit exceeded: 9 ms of it, 8 ms allowed", "cpu limit exceeded: 8 ms allowed"),
        (Status.DENIED, 'a.lus: permission "load" denied in a.lus at a.lus:4: no pledge', 'permission "load" denied'),
        (Status.FAILED, "x" * 1000, "x" * 160),
    ],
)  # fmt: skip
def test_a_cause_is_what_failures_have_in_common(status, failure, cause):
    assert cause_of(Outcome(status, 9, failure=failure), "a.lus") == cause


ITEM = Item("a.lus", ("x", "y"), "in")
VARIABLES = ("A", "1", "B", "2")


def test_a_key_is_that_of_all_that_a_run_depends_on_and_of_nothing_else():
    others = [
        (Item("b.lus", ("x", "y"), "in"), b"text", b"rights", VARIABLES, False),
        (Item("a.lus", ("xy",), "in"), b"text", b"rights", VARIABLES, False),
        (Item("a.lus", ("x", "y"), "i"), b"text", b"rights", VARIABLES, False),
        (ITEM, b"text", b"rights", ("A", "2", "B", "2"), False),
        (Item("a.lus", ("A=1", "x", "y"), "in"), b"text", b"rights", ("B", "2"), False),
        (ITEM, b"text2", b"rights", VARIABLES, False),
        (ITEM, b"text", b"rights2", VARIABLES, False),
        (ITEM, b"text", b"rights", VARIABLES, True),
    ]
    keys = {key_of(*parts, strict_globals=strict) for *parts, strict in others}
    own = key_of(ITEM, b"text", b"rights", VARIABLES, strict_globals=False)
    assert len(keys) == len(others)
    assert own not in keys
    elsewhere = Item("a.lus", ("x", "y"), "in", place="jobs.jsonl:7")
    assert key_of(elsewhere, b"text", b"rights", VARIABLES, strict_globals=False) == own
    assert key_of(ITEM, b"text", b"rights", ("B", "2", "A", "1"), strict_globals=False) == own


def test_what_was_loaded_has_to_be_as_it_was(tmp_path):
    there, missing, pipe = tmp_path / "m.lus", tmp_path / "n.lus", tmp_path / "pipe"
    there.write_bytes(b"one")
    os.mkfifo(pipe)
    one = bytes.fromhex("7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed")
    assert still_holds([Source(str(there), one), Source(str(missing), b"")])
    assert not still_holds([Source(str(pipe), one)])
    assert not still_holds([Source("\0", b"")])
    missing.write_bytes(b"")
    assert not still_holds([Source(str(missing), b"")])
    there.write_bytes(b"two")
    assert not still_holds([Source(str(there), one)])


def test_an_item_has_what_the_batch_holds_or_less(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    grants = Grants(("fs:read=/a", "~fs:read=/a/secret"), ("load", "env"), None, {"cpu": 10**9})
    plain, own = grants.of(Item("s")), grants.of(Item("s", pledges=("load", "fs:read=/a/b")))
    assert plain is grants.of(Item("other", ("with", "arguments")))
    held = {name: [rule[0] for rule in one["held"]] for name, one in json.loads(own.wire)["grants"].items()}
    assert held["load"] == ["load"]
    assert held["fs:read"] == ["fs:read=/a/b"]
    assert held["env"] == []
    rejected = json.loads(own.wire)["grants"]["fs:read"]["rejected"]
    assert [rule[0] for rule in rejected] == ["~fs:read=/a/secret"]


@pytest.mark.parametrize(
    ("pledge", "problem"),
    [
        ("fs:read=/b", r'f:3: pledge "fs:read=/b" is not granted to the batch \(grant it with --allow\)'),
        ("fs:write=/a", "not granted to the batch"),
        ("all", "f:3: pledges: "),
        ("exec", "f:3: pledges: .*cannot be granted here"),
        ("nonsense", "f:3: pledges: .*nonsense"),
    ],
)
def test_an_item_can_not_have_more_than_the_batch(pledge, problem):
    with pytest.raises(UsageError, match=problem):
        Grants(("fs:read=/a",), ("load",), None, {}).of(Item("s", pledges=(pledge,), place="f:3"))


def test_an_item_s_limits_only_narrow():
    grants = Grants((), (), None, {"cpu": 10**9, "timeout": 10**10})
    limits = grants.of(Item("s", limits={"cpu": 10**12, "timeout": 10**9, "memory": 1 << 20})).limits
    assert (limits.state.cpu, limits.tree.time, limits.state.memory) == (10**9, 10**9, 1 << 20)


def test_a_policy_may_depend_on_the_arguments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tmp_path.joinpath("p.toml").write_text('[set.s]\npledge = ["fs:read=arg:1"]\n', encoding="utf-8")
    grants = Grants((), (), "p.toml", {})
    assert grants.of(Item("s", ("one",))).digest != grants.of(Item("s", ("two",))).digest


ENTRY = Entry(
    2, "a b.lus", Item("a b.lus", ("x", "y z")).dump(), "failed", False, 3, 1_700_000_000.25,
    1_500_000_000, 10**6, 2048, 2, 1, b"out,\xff", b"", 5, 0, "boom", 'say "boom"\nmore', "/logs/2/a\x1b.jsonl",
)  # fmt: skip
PENDING = Entry(3, "c.lus", Item("c.lus").dump(), None, False, 0, 0, 0, 0, 0, 0, 0, b"", b"", 0, 0, "", "", "")


def test_json_lines_have_everything():
    record = json.loads(show.as_json_line(ENTRY))
    assert list(record) == ["v", *show.COLUMNS]
    assert record["args"] == ["x", "y z"]
    assert record["began"] == "2023-11-14T22:13:20.250Z"
    assert (record["wall"], record["cpu"], record["memory"]) == (1.5, 0.001, 2048)
    assert record["stdout"].encode("utf-8", "surrogateescape") == b"out,\xff"
    assert json.loads(show.as_json_line(PENDING))["status"] == "pending"


def test_the_audit_log_is_named_where_there_is_one():
    assert json.loads(show.as_json_line(ENTRY))["audit"] == "/logs/2/a\x1b.jsonl"
    assert json.loads(show.as_json_line(PENDING))["audit"] is None
    _, *lines = show.table([ENTRY, PENDING])
    assert lines[0].endswith("  'a b.lus' x 'y z'  (boom)  /logs/2/a\\x1b.jsonl\n")
    assert lines[1].endswith("  c.lus\n")


def test_csv_can_be_read_back():
    rows = list(csv.DictReader(io.StringIO("".join(show.as_csv([ENTRY, PENDING])), newline="")))
    assert rows[0]["args"] == "x 'y z'"
    assert rows[0]["failure"] == 'say "boom"\nmore'
    assert rows[0]["stdout"] == r"out,\udcff"
    assert rows[1]["status"] == "pending"


def test_the_joblog_has_the_columns_of_gnu_parallel():
    head, *lines = list(show.as_joblog([ENTRY, PENDING]))
    assert head.split() == ["Seq", "Host", "Starttime", "JobRuntime", "Send", "Receive", "Exitval", "Signal", "Command"]
    assert len(lines) == 1
    assert lines[0].rstrip("\n").split("\t") == [
        "2", ":", "1700000000.250", "    1.500", "0", "5", "3", "0", "luspool run 'a b.lus' x 'y z'",
    ]  # fmt: skip


def test_a_summary_counts_and_groups():
    run = RunRecord(1, 100.0, 102.5, "complete", "0", "/", 5)
    text = show.summary(run, {"completed": 3, "failed": 2}, [Cause("failed", "boom\x1b", 2, "a.lus")])
    assert text.splitlines() == [
        "run 1: 5 items, complete after 2.5 s",
        "         3  completed",
        "         2  failed",
        "failures by cause:",
        r"         2  failed: boom\x1b (a.lus)",
    ]
