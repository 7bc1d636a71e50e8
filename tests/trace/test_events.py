"""The events of a trace: of what honest hosts send, and of what no honest one does."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luspool.scheduler import wire
from luspool.scheduler.trace_rows import ROWS, TEXT, Kind, Row, pack_rows, unpack_rows
from luspool.trace import events as trace_events
from luspool.trace.events import TraceEvents

from .trace_format import count, obeys

BEGAN, NOW = 1_000_000, 2_000_000
AT = 1_000_100


class Trace:
    """A trace in memory, with hosts 1, 2… as processes 101, 102…"""

    def __init__(self, *, are_apart=False):
        self.events = TraceEvents(BEGAN, are_apart=are_apart)
        self.text = list(self.events.header(100, {"script": "main.lus"}))

    def take(self, *rows, host=1, now=NOW):
        for event in self.events.of(host, 100 + host, wire.Trace(*pack_rows(rows)), now):
            self.text.append(event)

    def die(self, host, now):
        self.text += self.events.died(100 + host, now)

    def end(self, now=NOW, *, is_honest=True):
        self.text += self.events.footer(100, {"status": 0}, now)
        assert all(text.isascii() and "\n" not in text for text in self.text)
        return obeys([json.loads(text) for text in self.text], is_honest=is_honest)


def began(state=1, at=AT, thread=1):
    return Row(Kind.BEGAN, at, state, thread, text="a.lus")


def ran(state=1, at=AT - 10, took=100, thread=1, how="Preempted"):
    return Row(Kind.RAN, at, state, thread, 0, took, "a.lus", how)


def told(number, at=AT + 1, child=2):
    return Row(Kind.TOLD_CHILD, at, 1, 1, child, number)


def heard(number, at=AT + 2, child=2, thread=1):
    return Row(Kind.HEARD_PARENT, at, child, thread, child, number)


def test_times_are_microseconds_from_the_beginning_with_all_their_nanoseconds():
    trace = Trace()
    trace.take(ran(at=1_234_567, took=1_001))
    (step,) = [text for text in trace.text if '"ph":"X"' in text]
    assert '"ts":234.567,"dur":1.001' in step


def test_an_arrow_is_there_once_both_ends_are_told_in_whichever_order_and_of_whichever_hosts():
    trace = Trace()
    trace.take(told(1), told(2), ran())
    trace.take(heard(1), heard(2), heard(3), ran(2), host=2)
    trace.take(told(3, at=AT + 1000), ran(at=AT + 900, took=200))  # after it was received: a lie
    events = trace.end()
    assert count(events, ph="s") == count(events, ph="f") == 2
    assert {event["pid"] for event in events if event["ph"] == "f"} == {102}


def test_so_many_arrows_wait_for_their_other_end_and_no_more(monkeypatch):
    monkeypatch.setattr(trace_events, "_ARROWS_MOST", 3)
    trace = Trace()
    trace.take(*[told(number) for number in range(1, 11)])
    assert len(trace.events._arrows) == 3
    trace.take(*[heard(number) for number in range(10, 0, -1)], ran(), ran(2, thread=2))
    assert len(trace.events._arrows) == 3
    assert count(trace.end(), ph="f") == 3  # of the last three


def test_what_has_begun_ends_with_its_host_or_with_the_trace():
    trace = Trace()
    wait = Row(Kind.WAITS, AT + 1, 1, text="InboxHasMail")
    for host in (1, 2):
        trace.take(began(), wait, Row(Kind.RUNS, AT, 3, 2, text="b.lus"), host=host, now=AT + 10)
    trace.die(1, AT + 20)
    events = trace.end()
    ends = {event["pid"]: event["ts"] for event in events if event["ph"] in "eE"}
    assert ends == {101: 0.12, 102: 1000.0}


def test_where_hosts_are_apart_no_arrow_leads_from_one_program_to_another():
    trace = Trace(are_apart=True)
    trace.take(began(), told(1), ran())
    trace.take(heard(1), host=2)
    trace.take(Row(Kind.ENDED, AT + 3, 1), began(at=AT + 200), heard(1, at=AT + 300))
    assert count(trace.end(), ph="f") == 0


def test_a_host_that_has_died_is_forgotten_where_it_is_apart():
    trace = Trace(are_apart=True)
    trace.take(began(), Row(Kind.RUNS, AT, 3, 2, text="b.lus"))
    trace.die(1, AT + 20)
    assert trace.events._hosts == {}
    assert {event["ts"] for event in trace.end() if event["ph"] in "eE"} == {0.12}


def test_a_state_of_the_first_of_several_hosts_has_the_number_of_the_audit_log():
    trace = Trace()
    trace.take(began((1 << 40) + 7), began((2 << 40) + 7))
    names = [event["name"] for event in trace.end() if event["ph"] == "b"]
    assert names == ["a.lus (7)", f"a.lus ({(2 << 40) + 7})"]


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([ran(at=BEGAN - 1)], "a time"),
        ([ran(at=NOW - 1, took=2)], "a time"),
        ([ran(took=1 << 62)], "a time"),
        ([Row(Kind.COUNTED, AT, text="beer", number=1)], "counts 'beer'"),
        ([ran(state=0)], "a state 0"),
        ([ran(thread=0)], "a thread 0"),
        ([ran(thread=5000)], "a thread 5000"),
        ([ran(), ran(at=AT)], "steps out of turn"),
        ([Row(Kind.STOPPED, AT, 1, 1)], "steps out of turn"),
        ([Row(Kind.RUNS, AT, 1, 1), ran(at=AT + 1)], "steps out of turn"),
        ([began(), began()], "begins out of turn"),
        ([Row(Kind.READY, AT, 1)], "goes on out of turn"),
        ([began(), Row(Kind.ENDED, AT, 1), Row(Kind.ENDED, AT, 1)], "goes on out of turn"),
        ([began(), Row(Kind.ENDED, AT - 1, 1)], "goes on out of turn"),
        ([began(), Row(Kind.WAITS, AT, 1, text="beer")], "waits for 'beer'"),
        ([began(), *[Row(Kind.WAITS, AT, 1, text="InboxHasMail")] * 2], "waits for 'InboxHasMail'"),
    ],
)
def test_what_no_honest_host_sends_is_refused_and_what_came_before_it_counts(rows, why):
    trace = Trace()
    with pytest.raises(wire.WireError, match=why):
        trace.take(*rows)
    trace.end()


def test_so_many_states_and_no_more_are_remembered(monkeypatch):
    monkeypatch.setattr(trace_events, "_STATES_MOST", 10)
    trace = Trace()
    trace.take(*[began(state) for state in range(1, 11)])
    with pytest.raises(wire.WireError, match="begins out of turn"):
        trace.take(began(11))
    trace.end()


# rows ------------------------------------------------------------------------------------------------------------


ROW = Row(Kind.RAN, 1, 2, 3, 4, 5, "text", "detail")


def test_rows_come_back_as_they_were_and_texts_are_cut():
    rows = [ROW, Row(Kind.FAILED, 1, text="x" * (TEXT + 5)), ROW]
    texts, numbers = pack_rows(rows)
    assert texts == ("", "text", "detail", "x" * TEXT + "…")
    assert list(unpack_rows(texts, numbers)) == [ROW, Row(Kind.FAILED, 1, text="x" * TEXT + "…"), ROW]


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        ((), bytes(63)),
        (("",), bytes(64)),
        (("",), pack_rows([ROW])[1]),
        (("", "x" * (TEXT + 2)), b""),
        (("", "a", "b"), pack_rows([ROW._replace(at=-1)])[1]),
        (("", "a", "b"), pack_rows([ROW._replace(kind=99)])[1]),
        (("", "a", "b"), pack_rows([ROW])[1] * (ROWS + 1)),
    ],
)
def test_what_are_no_rows_is_refused(texts, numbers):
    trace = TraceEvents(0)
    with pytest.raises(wire.WireError):
        list(trace.of(1, 1, wire.Trace(texts, numbers), 10))


def test_the_largest_batch_fits_into_its_frame():
    rows = [
        Row(Kind.RAN, 1, text=f"{i:04}" + "\U0001f600" * TEXT, detail=f"{i:03}" + "\U0001f600" * TEXT)
        for i in range(ROWS)
    ]
    frame = wire.encode(wire.Trace(*pack_rows(rows)))
    decoder = wire.Decoder(wire.EVENTS)
    decoder.feed(frame)
    (message,) = decoder
    assert len(list(unpack_rows(message.texts, message.rows))) == ROWS


# any rows at all -------------------------------------------------------------------------------------------------


small = st.integers(0, 4)
times = st.integers(BEGAN - 1, BEGAN + 40)
texts = st.sampled_from(["", "InboxHasMail", "a.lus", "states", "Preempted", '"\n\udc80\u202e'])
rows = st.lists(st.builds(Row, st.integers(0, 15), times, small, small, small, small, texts, texts), max_size=12)
batches = st.lists(st.tuples(st.integers(1, 2), rows, st.booleans()), max_size=8)


@given(batches)
def test_whatever_hosts_send_what_is_written_are_events_that_belong_together(batches):
    trace = Trace()
    for host, rows, dies in batches:
        for row in rows:  # one by one: most are refused
            with suppress(wire.WireError):
                trace.take(row, host=host)
        if dies:
            trace.die(host, NOW)
    trace.end(is_honest=False)


@given(batches)
def test_so_they_do_where_hosts_are_apart(batches):
    trace, deaths = Trace(are_apart=True), 0
    for host, rows, dies in batches:
        for row in rows:
            with suppress(wire.WireError):
                trace.take(row, host=host + 10 * deaths)
        if dies:
            trace.text += trace.events.item(host, 100 + host + 10 * deaths, "a", (BEGAN, NOW), {})
            trace.die(host + 10 * deaths, NOW)
            deaths += 1
    trace.end(is_honest=False)
