"""Auditing changes nothing: an observed program does what it does where it holds all that it may pledge, and one beside
a shadow policy what it does alone."""

from __future__ import annotations

import json
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luspool.audit.record_lines import LogHeader, LogLines
from luspool.permissions import Audit, Origin, Pledge, PledgeSet, Rule
from luspool.sandbox import Program, Sandbox, codec
from luspool.scheduler import wire
from luspool.scheduler.host import Host
from luspool.scheduler.limits import Limits

HANG = 60

PLEDGES = [
    "load",
    "env",
    "env=A",
    "env=B",
    "fs",
    "fs:read",
    "fs:read=open",
    "fs:write=open",
    "fs:read=open/a.lus",
    "host",
]
NAMES = ["open/a.lus", "open/../open/a.lus", "open/none", "secret", "open", "worker.lus", "link"]

STEPS = st.one_of(
    st.builds("io.open({!r})".format, st.sampled_from(NAMES)),
    st.builds("io.open({!r}, 'r+')".format, st.sampled_from(NAMES)),
    st.builds("loadfile({!r})".format, st.sampled_from(NAMES)),
    st.builds("fs.type({!r})".format, st.sampled_from(NAMES)),
    st.builds("fs.list({!r})".format, st.sampled_from(["open", ".", "none"])),
    st.builds("os.getenv({!r})".format, st.sampled_from(["A", "B", "C"])),
    st.just("load('return os.getenv(...)')('A')"),
    st.just("host.log(1)"),
    st.just("require('open.a')"),
    st.builds("pledge({!r})".format, st.sampled_from([*PLEDGES, *("~" + one for one in PLEDGES), "seal", "wrong"])),
    st.just("worker.receive(worker.create('worker.lus'))"),
)
GIVEN = st.lists(st.sampled_from(PLEDGES), max_size=3)
RIGHTS = st.tuples(
    GIVEN, GIVEN, st.lists(st.sampled_from(["~env=B", "~fs=secret", "~fs:read=open/none", "seal"]), max_size=2)
)

PRELUDE = """
local function show(ok, value, ...)
  if type(value) == "table" then value = tojson(value) end
  print(ok, type(value) == "function" and "function" or tostring(value):gsub("%(0x%x+%)", ""), ...)
end
"""


class Events:
    """Of one tree at a time: what was said, and the lines of a log."""

    def __init__(self):
        self.ended = threading.Event()
        self.said = []
        self.records = []

    def write(self, _stream, data):
        self.said.append(data)

    def record(self, state, rows):
        self.records.append(wire.Record(state, rows))

    def failed(self, failure, _state, _root):
        self.said.append((failure.kind, failure.message, failure.traceback))

    def called(self, call, _name, _payload):
        threading.Thread(target=self.host.replied, args=(call, True, codec.encode(1))).start()

    def deadlocked(self, _root, waits):
        self.said.append([wait.location for wait in waits])

    def tree_ended(self, _root, _result):
        self.ended.set()


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """The working directory, with the files that NAMES names."""
    folder = tmp_path_factory.mktemp("scene").resolve()
    (folder / "open").mkdir()
    (folder / "open" / "a.lus").write_text("return ...")
    (folder / "secret").write_text("s")
    (folder / "link").symlink_to("secret")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def rules(texts, folder):
    return [Rule(Pledge.parse(text, command_line=True).bind(str(folder)), Origin.flag("-P", text)) for text in texts]


def run(scene, steps, pledges, audit):
    """What a program says, and the lines of its log."""
    events = Events()
    host = events.host = Host(1, Sandbox({"A": "a", "B": "b"}, str(scene)).new_state, events)
    host.start()
    try:
        source = PRELUDE + "".join(f"show(pcall(function() return {one} end))\n" for one in steps)
        program = Program("main.lus", source.encode(), codec.encode(), pledges, audit=audit)
        host.create_root(program, Limits())
        assert events.ended.wait(HANG)
    finally:
        assert host.shutdown(HANG)
    observes, shadow = (audit.observes, None if audit.observes else "s") if audit else (False, None)
    lines = LogLines("0123456789abcdef", LogHeader("0", "main.lus", 0, "/", observes, pledges, shadow))
    return events.said, [json.loads(line) for record in events.records for line in lines.of(record).splitlines()]


@settings(deadline=None, max_examples=40)
@given(st.tuples(st.lists(STEPS, max_size=8), st.lists(STEPS, max_size=3)), RIGHTS, GIVEN)
def test_auditing_changes_nothing(scene, programs, rights, compared):
    (steps, of_worker), (held, ceiling, rejected) = programs, rights
    body = "".join(f"show(pcall(function() return {one} end))\n" for one in of_worker)
    (scene / "worker.lus").write_text(PRELUDE + body + "worker.message(1)")
    asked_for = PledgeSet.root(rules([*held, *rejected], scene), rules(ceiling, scene))
    everything = PledgeSet.root(rules([*held, *rejected, *ceiling], scene))
    said, lines = run(scene, steps, everything, None)
    assert not lines
    observed, lines = run(scene, steps, asked_for.holding_all(), Audit(observes=True, shadow=asked_for))
    assert observed == said
    plain, _ = run(scene, steps, asked_for, None)
    shadow = PledgeSet.root(rules(compared, scene))
    beside, found = run(scene, steps, asked_for, Audit(shadow=shadow))
    assert beside == plain
    # Where nothing was observed, what is observed is what happens anyhow.
    if not any(line.get("decision") == "observed" for line in lines):
        assert observed == plain
    words = [line["decision"] for line in lines if line["type"] == "decision"]
    assert ("observed" in words) <= bool(ceiling)
    assert all("shadow" in line for line in found if line["type"] == "decision")
