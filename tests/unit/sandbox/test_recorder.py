"""What states leave for the audit log; and that nothing that is decided about them is missing there."""

from __future__ import annotations

import ast
import os
from pathlib import Path
from unittest.mock import patch

import pytest

from luspool import sandbox as room
from luspool.permissions import Audit, PledgeSet
from luspool.sandbox import sheet
from luspool.scheduler.protocol import CallResult

from .conftest import pledge_rules

SANDBOX = Path(room.__file__).parent

EVERYTHING = """
local root = ...
pcall(load, "return 1")
pcall(loadfile, root .. "/lib.lus")
pcall(dofile, root .. "/lib.lus")
package.path = root .. "/no?.lus;" .. root .. "/secret/?.lus;" .. root .. "/?.lus"
pcall(require, "lib")
pcall(package.searchpath, "lib", package.path)
pcall(worker.create, root .. "/lib.lus")
pcall(worker.create, root .. "/none.lus")
pcall(os.getenv, "HOME")
pcall(os.getenv, "SECRET")
pcall(function() return host.log(1) end)
for _, mode in ipairs{"r", "w", "a", "r+", "w+", "a+"} do
  for _, name in ipairs{"/lib.lus", "/new", "/secret/key", "/secret/../lib.lus", "/dangling", ""} do
    pcall(function() assert(io.open(root .. name, mode)):close() end)
  end
end
pcall(io.lines, root .. "/lib.lus")
pcall(io.input, root .. "/lib.lus")
pcall(io.output, root .. "/out")
for _, name in ipairs{"", "/lib.lus", "/link", "/dangling", "/secret", "/secret/key", "/.."} do
  pcall(fs.list, root .. name)
  pcall(fs.type, root .. name)
  pcall(fs.follow, root .. name)
end
pcall(fs.copy, root .. "/lib.lus", root .. "/copy")
pcall(fs.copy, root .. "/secret/key", root .. "/copy")
pcall(fs.createdirectory, root .. "/d/e/f", true)
pcall(fs.createdirectory, root .. "/d/g")
pcall(fs.createlink, root .. "/lib.lus", root .. "/d/link")
pcall(fs.createlink, "/etc/passwd", root .. "/d/other")
pcall(fs.move, root .. "/d", root .. "/moved")
pcall(fs.move, root .. "/relative", root .. "/moved/relative")
pcall(fs.move, root .. "/secret/key", root .. "/key")
pcall(fs.move, root .. "/copy", root .. "/copied")
pcall(os.rename, root .. "/copied", root .. "/copy")
pcall(os.remove, root .. "/copy")
pcall(os.tmpname)
pcall(fs.remove, root .. "/moved", true)
pcall(pledge, "fs:read=" .. root)
pcall(pledge, "~env=HOME", "seal", "load")
pcall(io.open, root .. "/lib.lus")
pcall(os.getenv, "HOME")
"""


@pytest.fixture
def root(tmp_path):
    """A directory with what EVERYTHING looks at."""
    (tmp_path / "lib.lus").write_text("return 1")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("k")
    (tmp_path / "link").symlink_to(tmp_path / "lib.lus")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    (tmp_path / "relative").symlink_to("lib.lus")
    return os.path.realpath(tmp_path)


def parts(port):
    return [part for batch in port.records for part in batch]


def decisions(port):
    """Rows of decisions: verdict, place, what was asked, resolved to what, first time, count, last time."""
    for part in parts(port):
        if isinstance(part[0], list):
            grounds, ground, asked, resolved, at, again = part
            counted = {row: (count, last) for row, count, last in again}
            columns = zip(ground, asked, resolved, at, strict=True)
            for row, (number, *texts, first) in enumerate(columns):
                where, *verdict = grounds[number]
                yield [verdict, where, *texts, first, *counted.get(row, (1, first))]


def rows_of(port, kind):
    return [part[1:] for part in parts(port) if part[0] == kind]


def recorded(lus, source, **options):
    """A script that has ended, with its port."""
    script = lus(source, audit=options.pop("audit", Audit()), **options)
    script.port.replies = dict.fromkeys(range(1, 9), CallResult(False, b"nobody is there"))
    outcome = script.end()
    script.state.close()
    return script.port, outcome


RIGHTS = ["load", "env=HOME", "host:log"]


@pytest.mark.parametrize("rights", [[], RIGHTS, ["~fs=/root/none"], ["fs:read", "fs:write"]], ids=str)
def test_each_decision_is_recorded(lus, root, rights):
    asked = []

    def spied(name):
        method = getattr(PledgeSet, name)

        def spy(self, permission, value=None):
            decision = method(self, permission, value)
            asked.append((permission, value, decision.allowed))
            return decision

        return patch.object(PledgeSet, name, spy)

    held = [*rights, *([f"fs={root}", f"~fs={root}/secret"] if rights != [] else [])]
    with spied("decide"), spied("decide_tree"):
        port, _ = recorded(lus, EVERYTHING, held=held, arguments=[root.encode()])
    found = []
    for verdict, _, asked_for, resolved, _, count, _ in decisions(port):
        permission, word = verdict[:2]
        value = asked_for if permission in ("load", "env", "host") else resolved
        found += [(permission, value, word == "allowed")] * count
    assert sorted(found, key=repr) == sorted(asked, key=repr)
    assert len({permission for permission, _, _ in found}) >= 5


def test_each_decision_has_the_line_of_its_call(lus, root):
    port, _ = recorded(lus, EVERYTHING, held=[*RIGHTS, f"fs={root}"], arguments=[root.encode()])
    lines = {row[1] for row in decisions(port)}
    assert all(line.startswith("main.lus:") and line.partition(":")[2].isdigit() for line in lines), lines
    assert len(lines) > 25


def test_no_other_module_asks_a_pledge_set():
    """Of what is done for a running state: `recorder` only lists one, and `wall` is made before there is any state."""
    asking = {"decide", "decide_tree", "allows", "may_ever_allow", "grants", "request", "inherit", "reject", "seal"}
    asked = set()
    for path in SANDBOX.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in asking:
                owner = ast.unparse(node.value).rpartition(".")[2]
                asked |= {path.name} if owner in ("pledges", "_shadow", "_born_with", "shadow") else set()
    assert asked == {"rights.py", "recorder.py"}


def test_what_is_the_same_is_one_row_with_a_count(lus, root):
    port, _ = recorded(lus, f"for i = 1, 5 do io.open('{root}/lib.lus') end", held=[f"fs:read={root}"])
    ((verdict, where, asked, resolved, first, count, last),) = decisions(port)
    assert verdict == ["fs:read", "allowed", "held", f"fs:read={root}", f"-P fs:read={root}", False]
    assert (where, asked, resolved, count) == ("main.lus:1", f"{root}/lib.lus", f"{root}/lib.lus", 5)
    assert first < last


def test_where_pledges_change_what_is_asked_again_is_another_row(lus):
    source = "for i = 1, 3 do pcall(os.getenv, 'A') pledge('~env=A') end"
    port, _ = recorded(lus, source, held=["env"])
    found = [(verdict[1:5], count) for verdict, *_, count, _ in decisions(port)]
    assert [count for _, count in found] == [1, 1, 1]
    assert found[0][0] == ["allowed", "held", "env", "-P env"]
    assert found[1][0] == found[2][0] == ["denied", "rejected", "~env=A", "pledge at main.lus:1"]
    assert [row[1:] for row in rows_of(port, "pledge")] == [["main.lus:1", "~env=A", True]] * 3


def test_the_rows_begin_with_the_state_and_end_with_its_end(lus):
    port, _ = recorded(lus, "pcall(os.getenv, 'A')", held=["load", "~env=A"], allow=["host:log"])
    before, _, after = parts(port)
    assert (before[0], after[0], len(list(decisions(port)))) == ("state", "end", 1)
    ((_, creator, script, held, ceiling),) = rows_of(port, "state")
    assert (creator, script, held, ceiling) == (0, "main.lus", ["load", "~env=A"], ["load", "host:log"])


def test_a_worker_is_told_its_creator_and_what_it_inherits(lus, root):
    port, _ = recorded(lus, f"worker.create('{root}/lib.lus')", held=["load", f"fs={root}"])
    (program,) = port.children.values()
    assert (program.creator, program.audit) == (7, Audit())
    source = "pcall(os.getenv, 'A') pledge('env=A') pcall(os.getenv, 'A') pcall(os.getenv, 'B')"
    port, _ = recorded(lus, source, held=["env"], is_worker=True, creator=7)
    found = [(verdict[1], verdict[4], verdict[5]) for verdict, *_ in decisions(port)]
    own = "pledge at main.lus:1"
    assert found == [("allowed", "-P env", True), ("allowed", own, False), ("denied", own, False)]


def test_what_led_to_a_worker_is_sent_before_it_is_made(lus, root):
    script = lus(f"worker.create('{root}/lib.lus')", held=["load", f"fs={root}"], audit=Audit())
    create, sent = script.port.create, []
    script.port.create = lambda *arguments: (sent.extend(decisions(script.port)), create(*arguments))[1]
    script.end()
    assert [row[0][0] for row in sent] == ["load", "fs:read"]


def test_a_waiting_state_has_sent_its_rows(lus):
    script = lus("pcall(os.getenv, 'A') worker.peek()", audit=Audit(), is_worker=True)
    script.waits_for()
    assert len(list(decisions(script.port))) == 1


def test_a_state_keeps_few_rows_and_little_text(lus):
    port, _ = recorded(lus, "for i = 1, 5000 do pcall(os.getenv, 'A' .. i) end")
    assert max(len(part[1]) for part in parts(port) if isinstance(part[0], list)) <= sheet.ROWS
    assert sum(count for *_, count, _ in decisions(port)) == 5000
    port, _ = recorded(lus, "for i = 1, 100 do pcall(os.getenv, ('A'):rep(100000) .. i) end")
    assert sum(count for *_, count, _ in decisions(port)) == 100
    assert all(len(row[2]) <= sheet.LONGEST + 1 for row in decisions(port))
    assert all(len(part[1]) < 50 for part in parts(port) if isinstance(part[0], list))


def test_long_names_of_chunks_are_cut(lus):
    source = "load('pcall(os.getenv, 1)', '=' .. ('n'):rep(1000000))()"
    port, _ = recorded(lus, source, held=["load"])
    assert all(len(row[1]) <= sheet.LONGEST + 1 for row in decisions(port))


def test_observed_is_what_only_the_ceiling_allows(lus):
    asked_for = PledgeSet.root(pledge_rules(["env=A"], "/"), pledge_rules(["env"], "/"))
    source = "for _, n in ipairs{'A', 'B'} do pcall(os.getenv, n) end pcall(load, '')"
    port, _ = recorded(lus, source, held=["env=A", "env"], audit=Audit(observes=True, shadow=asked_for))
    found = [verdict[:5] for verdict, *_ in decisions(port)]
    assert found[1] == ["env", "observed", "unpledged", "env", "-P env"]
    assert [(permission, word) for permission, word, *_ in found] == [
        ("env", "allowed"),
        ("env", "observed"),
        ("load", "denied"),
    ]


def test_a_shadow_is_asked_too_and_follows_the_calls_of_pledge(lus):
    shadow = PledgeSet.root(pledge_rules(["env=B"], "/"), pledge_rules(["env=A"], "/"))
    source = "pcall(os.getenv, 'A') pledge('env=A') pcall(os.getenv, 'A') pcall(os.getenv, 'B')"
    port, _ = recorded(lus, source, held=["env"], audit=Audit(shadow=shadow))
    found = [(verdict[1], *verdict[6:]) for verdict, *_ in decisions(port)]
    assert found == [("allowed", "denied", "env=A"), ("allowed", "allowed", "env=A"), ("denied", "denied", "env=A")]


def test_without_an_audit_nothing_is_recorded(lus):
    script = lus("pcall(os.getenv, 'A')")
    script.end()
    script.state.close()
    assert script.port.records == []


def test_the_line_is_known_within_coroutines_and_where_lua_itself_calls(lus):
    source = """
local co = coroutine.wrap(function()
  pcall(os.getenv, "A")
end)
co()
pcall(coroutine.wrap(os.getenv), "B")
table.sort({ 1, 2 }, function()
  pcall(os.getenv, "C")
end)
"""
    port, _ = recorded(lus, source)
    assert {(row[1], row[2]) for row in decisions(port)} == {
        ("main.lus:3", "A"),
        ("main.lus:6", "B"),
        ("main.lus:8", "C"),
    }
