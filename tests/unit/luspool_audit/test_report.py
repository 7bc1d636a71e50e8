"""Reports: the same run as tables, as JSON and as a page. How that looks is for tests/cli/test_cli_audit_page.py."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser

import pytest
from rich.console import Console

from luspool.audit import report_page, report_text
from luspool.audit.report_json import as_json
from luspool.audit.report_page import as_page

from .logs import LogMaker, small_log

HOSTILE = "</script><script>alert(1)</script>\x1b[2J\u202e&\n'\"{{ 7 * 7 }}\udcff"
"""What a script may be called: it must show up as this, and do nothing."""
SHOWN = r"</script><script>alert(1)</script>\x1b[2J\u202e&\n'" + '"{{ 7 * 7 }}' + r"\udcff"


def hostile_log() -> LogMaker:
    log = LogMaker(script=HOSTILE, directory=f"/{HOSTILE}", luspool=HOSTILE, shadow=HOSTILE, mode="observe")
    log.state(script=HOSTILE, held=[HOSTILE]).state(2, 1, script=HOSTILE)
    log.decision("fs:read", HOSTILE, script=HOSTILE, rule=HOSTILE, origin=HOSTILE, decision="observed")
    log.lines[-1] |= {"shadow": "denied", "shadow_rule": HOSTILE}
    log.denial("env", HOSTILE, rule=HOSTILE, origin=HOSTILE, value=f"x{HOSTILE}", script=HOSTILE)
    return log.pledge(HOSTILE).end(outcome=HOSTILE)


def text(*logs: LogMaker, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    return report_text.as_text([log.summary() for log in logs], console)


class Page(HTMLParser):
    """The texts of a page by the class of the table they stand in, and what could act."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: dict[str, list[list[str]]] = {}
        self.scripts = 0
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self._table = ""
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        if tag not in ("meta", "br"):
            self.open.append(tag)
        if tag == "table":
            self._table = dict(attrs)["class"].removeprefix("sortable ")
        elif tag == "tr":
            self.rows.setdefault(self._table, []).append([])
        elif tag in ("td", "th"):
            self.rows[self._table][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[self._table][-1][-1] += data.strip()


def test_the_tables_of_a_run():
    assert text(small_log()) == (
        "main.lus\n"
        "  run 00000000000000aa of 2026-03-01 12:00:00 UTC, 0.009 s, status 77\n"
        "  in /srv, 0 arguments, from run.jsonl\n"
        "\n"
        " State   State of   Asked   Allowed   Denied   End        Granted, never used\n"
        "──────────────────────────────────────────────────────────────────────────────\n"
        " 1       main.lus       2         2        0   returned\n"
        "   2     w.lus          3         2        1   denied     load\n"
        "\n"
        " Code in    States   Asked   Allowed   Denied\n"
        "──────────────────────────────────────────────\n"
        " main.lus        1       2         2        0\n"
        " w.lus           1       3         2        1\n"
        "\n"
        " Denied\n"
        " State   Asked for   Times   Where     Why\n"
        "──────────────────────────────────────────────\n"
        " 2       env=HOME        1   w.lus:3   beyond"
    )


def test_why_something_was_denied():
    log = LogMaker().state().denial("load", None, reason="rejected", rule="~load", origin="-P ~load", line=None)
    assert " 1       load            1   main.lus   rejected: ~load (-P ~load)" in text(log)


def test_what_was_observed_and_what_another_policy_says():
    log = LogMaker(mode="observe", shadow="strict.toml:a").state()
    for shadow, rule in (("allowed", "load"), ("denied", None)):
        log.decision("fs:read", f"/srv/{shadow}", decision="observed", reason="unpledged")
        log.lines[-1] |= {"shadow": shadow, "shadow_rule": rule}
    shown = text(log)
    assert "Asked   Allowed   Denied   Observed" in shown
    assert " strict.toml:a would have decided otherwise\n" in shown
    assert "fs:read=/srv/denied       1   main.lus:1   denied: no pledge grants it" in shown
    assert "fs:read=/srv/allowed" not in shown
    assert "a would have decided the same" in text(LogMaker(shadow="a").state())


def test_tables_are_as_wide_as_the_terminal_and_say_what_they_leave_out(monkeypatch):
    monkeypatch.setattr(report_text, "_STATES_MOST", 2)
    monkeypatch.setattr(report_text, "_DECISIONS_MOST", 1)
    monkeypatch.setattr(report_text, "_PLEDGES_MOST", 3)
    log = LogMaker()
    for number in range(1, 5):
        log.state(number, number - 1 or None, script="x" * 300).denial("env", "A", state=number)
        for value in range(10):
            log.pledge(f"env={value}", state=number)
    shown = text(log, width=60)
    assert max(map(len, shown.splitlines())) <= 60
    assert "and 2 more states (--json has all)" in shown
    assert "and 3 more decisions (--json has all)" in shown
    assert text(log).count("and 9 more") == 2


def test_a_log_without_an_end_is_told_in_every_form():
    log = LogMaker().state()
    assert "0.001 s and perhaps more, cut off: the log has no end" in text(log)
    assert "This log has no end: the run was cut off" in as_page([log.summary()])
    run = json.loads(as_json([log.summary()]))["runs"][0]
    assert (run["complete"], run["status"]) == (False, None)


def test_a_log_that_contradicts_itself_is_told_in_every_form():
    log = LogMaker().state()
    for _ in range(7):
        log.state()
    said = "contradicts itself: line 3: state 1 begins for the second time; line 4: state 1 begins for"
    assert f"\n  this log {said}" in text(log)
    assert "; and 2 more\n" in text(log)
    assert f"This log {said}" in as_page([log.summary()])
    assert len(json.loads(as_json([log.summary()]))["runs"][0]["doubts"]) == 7


def test_json_has_all_that_the_log_tells():
    data = json.loads(as_json([small_log().summary(), LogMaker(run="00000000000000bb").summary()]))
    assert (data["v"], [run["run"] for run in data["runs"]]) == (1, ["00000000000000aa", "00000000000000bb"])
    run = data["runs"][0]
    assert (run["file"], run["script"], run["started"]) == ("run.jsonl", "main.lus", "2026-03-01T12:00:00.000000Z")
    assert [run[key] for key in ("asked", "allowed", "denied", "observed", "complete", "status")] == [
        5,
        4,
        1,
        0,
        True,
        77,
    ]
    assert run["scripts"][1] == {"script": "w.lus", "states": 1, "asked": 3, "allowed": 2, "denied": 1, "observed": 0}
    worker = run["states"][1]
    assert (worker["state"], worker["parent"], worker["outcome"], worker["unused"]) == (2, 1, "denied", ["load"])
    assert worker["decisions"][0] == {
        **{"id": 5, "time": "2026-03-01T12:00:00.005000Z", "script": "w.lus", "line": 1, "permission": "fs:read"},
        **{"value": "/srv/a.csv", "resolved": "/srv/a.csv", "decision": "allowed", "reason": "held"},
        **{"rule": "fs:read=/srv", "origin": "-P fs:read=/srv", "inherited": True, "count": 2},
        **{"last": "2026-03-01T12:00:00.005000Z", "shadow": None, "shadow_rule": None},
    }


def test_what_a_script_chose_does_nothing_in_a_terminal():
    shown = text(hostile_log())
    assert SHOWN in shown
    assert all(line.isprintable() for line in shown.split("\n"))
    assert as_json([hostile_log().summary()]).isascii()


def test_what_a_script_chose_does_nothing_in_a_page():
    page = as_page([hostile_log().summary()])
    page.encode()
    assert re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", page) is None
    read = Page(page)
    assert read.open == []
    assert read.tags.count("script") == 1
    assert not {"a", "img", "iframe", "link", "base", "form", "object"} & set(read.tags)
    assert not [name for name in read.attributes if name.startswith("on") or name in ("style", "href", "src")]
    assert [row[1] for row in read.rows["states"]] == ["Script", SHOWN, SHOWN]
    assert SHOWN in read.rows["decisions"][1][3]


def test_the_tables_of_a_page():
    rows = Page(as_page([small_log().summary()])).rows
    assert rows["states"] == [
        ["State", "Script", "Asked", "Allowed", "Denied", "End", "Granted, never used"],
        ["1", "main.lus", "2", "2", "0", "returned", ""],
        ["2", "w.lus", "3", "2", "1", "denied", "load"],
    ]
    assert rows["scripts"][1:] == [["main.lus", "1", "2", "2", "0"], ["w.lus", "1", "3", "2", "1"]]
    assert [(row[0], row[1], row[5]) for row in rows["decisions"][1:]] == [
        ("2", "w.lus:3", "denied"),
        ("1", "main.lus:1", "allowed"),
        ("1", "main.lus:2", "allowed"),
        ("2", "w.lus:1", "allowed"),
    ]


@pytest.mark.parametrize("parents", [{1: None, 2: 1, 3: 2, 4: 1, 5: None}, {n: n - 1 or None for n in range(1, 40)}])
def test_the_tree_of_a_page_is_that_of_the_states(parents):
    """Each state stands within its parent, however deep, but for those beyond the depth that is drawn."""
    log = LogMaker()
    for number, parent in parents.items():
        log.state(number, parent)
    page = as_page([log.summary()])
    assert Page(page).open == []
    tree = page[page.index('<ul class="tree">') : page.index("<h3>Time line")]
    above: list[int] = []
    for tag, number in re.findall(r"<(details|/details)|<summary><b>(\d+)", tree):
        if number:
            depth = min(report_page._DEPTH_MOST, len(above))
            assert parents[int(number)] == (above[-1] if above else None) or depth == report_page._DEPTH_MOST
            above.append(int(number))
        elif tag == "/details":
            above.pop()
    assert tree.count("<summary>") == len(parents)


def test_a_page_of_a_large_run_is_bounded_and_says_what_it_leaves_out(monkeypatch):
    for name in ("_STATES_MOST", "_BARS_MOST", "_DECISIONS_MOST", "_MARKS_MOST", "_PLEDGES_MOST"):
        monkeypatch.setattr(report_page, name, 3)
    log = LogMaker()
    for number in range(1, 11):
        log.state(number, None)
        for value in range(10):
            log.decision("env", str(value), resolved=None, state=number)
            log.pledge(f"env={value}", state=number)
    log.denial("env", "last", state=10)
    page = as_page([log.summary()])
    rows = Page(page).rows
    assert (len(rows["states"]), len(rows["decisions"]), rows["decisions"][1][3]) == (4, 4, "last")
    assert "Shown are 3 of 10 states" in page
    assert "Shown are 3 of 101 decisions, the denied ones first" in page
    assert page.count("<rect") == 3 * (2 + 3)
    assert [page.count(f"and {more} more") for more in (7, 8, 9)] == [3, 3, 3]  # used; never used; granted


def test_the_time_line_has_its_marks_where_they_belong():
    """It is as long as the states live; what a log that lies says of other times is at its border."""
    log = LogMaker().state().decision("load").denial("env", "A").end().footer()
    log.lines[3]["time"], log.lines[4]["time"] = "2027-01-01T00:00:00.000000Z", "2026-03-01T12:00:00.005000Z"
    page = as_page([log.summary()])
    assert '<rect class="life" x="0.0" y="6" width="1000.0"' in page
    assert '<rect class="allowed" x="250.0"' in page
    assert '<rect class="denied" x="1000.0"' in page
    assert "<span>0.004 s</span>" in page


def test_the_time_line_of_a_run_that_was_cut_off_goes_as_far_as_the_log():
    log = LogMaker().state().state(2, 1).end(2).decision("load")
    page = as_page([log.summary()])
    assert '<rect class="life" x="0.0" y="6" width="1000.0"' in page
    assert '<rect class="life" x="333.3" y="6" width="333.4"' in page
