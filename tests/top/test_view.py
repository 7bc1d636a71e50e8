"""What `luspool top` says of what it has seen."""

from luspool.top import view
from luspool.top.view import Rates

SECOND = 1_000_000_000


def state(number, **fields):
    usual = {
        "state": number,
        "parent": 1,
        "script": "w.lus",
        "phase": "waiting",
        "waits_for": "InboxHasMail",
        "awaited": [1],
        "location": "w.lus:3",
        "cpu": 0,
        "memory": 0,
        "inbox": 0,
        "outbox": 0,
    }
    return usual | fields


def answer(*states, running_for=10 * SECOND, silent=0, **fields):
    host = {"host": 1, "pid": 50, "states": len(states), "running": 0, "ready": 0, "waiting": len(states)}
    host |= {"memory": 2048, "cpu": 0, "output": 0, "shown": list(states)}
    usual = {"v": 1, "pid": 49, "script": "main.lus", "running_for": running_for, "hosts": [host], "silent": silent}
    return usual | fields


def first_column(rows):
    return [int(row[0]) for row in rows]


def test_states_come_in_the_order_that_is_asked_for_and_no_more_than_are_asked_for():
    seen = answer(state(1, cpu=5), state(2, memory=5), state(3, inbox=1, outbox=4), state(4, inbox=4), state(5, cpu=9))
    rates = Rates.between(None, seen)
    for sort, numbers in (("cpu", [5, 1, 2]), ("memory", [2, 1, 3]), ("mail", [3, 4, 1])):
        assert first_column(view.rows(seen, rates, sort, 3)) == numbers


def test_who_uses_the_processor_now_comes_before_who_has_used_more_of_it():
    before = answer(state(1, cpu=8 * SECOND), state(2, cpu=0))
    after = answer(state(1, cpu=8 * SECOND), state(2, cpu=SECOND), running_for=12 * SECOND)
    rows = view.rows(after, Rates.between(before, after), "cpu", 10)
    assert [(row[0], row[2]) for row in rows] == [("2", "50.0"), ("1", "0.0")]
    # Without a look before, it is the mean since the beginning.
    rows = view.rows(after, Rates.between(None, after), "cpu", 10)
    assert [(row[0], row[2]) for row in rows] == [("1", "66.7"), ("2", "8.3")]


def test_what_a_state_does_is_told():
    seen = answer(
        state(1),
        state(2, phase="running", waits_for=None, awaited=[], location=None),
        state(3, phase="ready", waits_for=None, awaited=[], location=None, script=""),
        state(4, waits_for="InputArrived", awaited=[]),
        state(5, waits_for="a lie", awaited=[]),
    )
    rows = sorted(view.rows(seen, Rates.between(None, seen), "cpu", 10))
    assert [row[-2:] for row in rows] == [
        ("w.lus", "waits for a message from its parent (1), w.lus:3"),
        ("w.lus", "runs"),
        ("(not begun)", "could run"),
        ("w.lus", "waits for standard input, w.lus:3"),
        ("w.lus", "waits for something, w.lus:3"),
    ]


def test_nothing_that_a_script_supplies_drives_the_terminal_or_makes_a_line():
    evil = "\x1b[2J\n\u202e\udcff"
    seen = answer(state(1, script=evil, location=evil, waits_for=evil), script=evil)
    lines = [*view.plain(seen, Rates.between(None, seen), "cpu", 10, {}), *view.overview([seen, seen])]
    assert all(line.isprintable() for line in lines)
    assert "\\x1b[2J\\n\\u202e\\udcff" in lines[0]


def test_processes_that_do_not_answer_are_told():
    assert "2 processes do not answer" in list(view.heading(answer(silent=2), {}))
    assert "1 process does not answer" in list(view.heading(answer(silent=1), {}))


def test_columns_lie_under_their_names():
    seen = answer(state(1, cpu=SECOND, script="a"), state(12345, script="longer.lus"))
    names, *rows = list(view.plain(seen, Rates.between(None, seen), "cpu", 10, {50: (1.5, 4096)}))[-3:]
    assert {row.index("waits") for row in rows} == {names.index("what it does")}
    assert "1.5 s of processor time, 4 KiB resident" in list(view.heading(seen, {50: (1.5, 4096)}))[2]


def test_a_batch_is_told_of_with_what_its_processes_run():
    running = [
        {"number": 7, "script": "\x1b.lus", "running_for": 2 * SECOND, "process": 50},
        {"number": 8, "script": "b.lus", "running_for": SECOND, "process": None},
    ]
    counts = {"items": 9, "done": 3, "failed": 0, "running": 2, "again": 1, "skipped": 2}
    seen = answer(state(1), script="luspool batch x", batch=counts, running=running)
    lines = list(view.plain(seen, Rates.between(None, seen), "cpu", 10, {}))
    assert lines[1] == "batch: 9 items, 3 done, 2 running, 1 to be tried again, 2 done before"
    assert lines[3:5] == ["host 1, process 50, 7 (\\x1b.lus) for 2 s; 1 state", "elsewhere, 8 (b.lus) for 1 s"]
    # On a cluster there are no processes to be looked at.
    lines = list(view.plain(seen | {"hosts": []}, Rates.between(None, seen), "cpu", 10, {}))
    assert lines[2:] == ["elsewhere, 8 (b.lus) for 1 s"]


def test_of_many_processes_some_are_shown():
    seen = answer(state(1))
    lines = list(view.heading(seen | {"hosts": seen["hosts"] * 20}, {}))
    assert (len(lines), lines[-1]) == (11, "and 12 more")


def test_a_state_that_took_the_place_of_another_has_used_what_it_has_used():
    before = answer(state(1, cpu=8 * SECOND))
    after = answer(state(1, cpu=SECOND), running_for=12 * SECOND)
    assert [row[2] for row in view.rows(after, Rates.between(before, after), "cpu", 10)] == ["50.0"]
