"""What crosses between machines arrives as it was, and nothing that can't be is believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from luspool.batch.cluster import letters
from luspool.batch.cluster.letters import LetterError, LogPiece, Orders, Report, pack_report, pack_tasks, unpack_report
from luspool.batch.engine import Done, Task
from luspool.batch.outcome import FAILURE_MOST, Outcome, Source, Status
from luspool.request import Request
from luspool.scheduler.limits import Limits, StateLimits, TreeLimits

NUMBERS = st.integers(0, 2**62)
TEXTS = st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape"))
OUTCOMES = st.builds(
    Outcome,
    st.sampled_from(Status),
    st.integers(0, 255),
    NUMBERS,
    NUMBERS,
    NUMBERS,
    st.binary(max_size=20),
    st.binary(max_size=20),
    st.integers(20, 2**62),
    st.integers(20, 2**62),
    TEXTS,
    st.none() | st.lists(st.builds(Source, TEXTS, st.sampled_from([b"", b"x" * 32])), max_size=3).map(tuple),
    st.booleans(),
)
DONE = st.builds(Done, NUMBERS, st.none() | OUTCOMES)


LOGS = st.builds(LogPiece, NUMBERS, st.just("0123456789abcdef"), st.text("{}\n", max_size=9).map(str.encode))
REPORTS = st.builds(
    Report,
    st.lists(DONE, max_size=3).map(tuple),
    st.just(((7, 0.5),)),
    st.just(0.25),
    st.just(("so",)),
    logs=st.lists(LOGS, max_size=3).map(tuple),
)


@given(REPORTS)
def test_a_report_arrives_as_it_was(report):
    assert unpack_report(pack_report(report), 20) == report


def test_tasks_arrive_as_they_were():
    request = Request(
        "a.lus", b"print(1)\xff", (b"x",), "{}", strict_globals=True, wall="off", variables=("A", "\udcff")
    )
    tasks = [
        Task(1, request, Limits(), b"in\0"),
        Task(2**62, replace(request, values=b"v"), Limits(StateLimits(1, 2, 3, 4, 5), TreeLimits(6, 7, 8, 9))),
    ]
    assert letters.unpack_tasks(pack_tasks(tasks)) == tasks


def test_orders_arrive_as_they_were():
    orders = Orders("/d\udcff", 2, 1, 0, 10, 64, ("LUSPOOL_X", "y"), is_audited=True, gives_ahead=False)
    assert Orders.unpack(orders.pack()) == orders


FINE = Outcome(Status.COMPLETED, 0, stdout=b"1\n", stdout_size=2)


@pytest.mark.parametrize(
    "outcome",
    [
        replace(FINE, status="splendid"),
        replace(FINE, wall=-1),
        replace(FINE, memory=-1),
        replace(FINE, stdout=b"x" * 21, stdout_size=21),
        replace(FINE, stdout_size=1),
        replace(FINE, failure="x" * (FAILURE_MOST + 1)),
        replace(FINE, sources=(Source("a", b"short"),)),
        replace(FINE, sources=(Source("a", b""),) * 1001),
    ],
)
def test_an_outcome_that_can_not_be_is_refused(outcome):
    with pytest.raises(LetterError):
        unpack_report(pack_report(Report((Done(1, outcome),), (), 0.0)), 20)


@pytest.mark.parametrize(
    ("run", "lines"), [("", b"{}\n"), ("../../../x.json", b""), ("0123456789abcdef", b"\x1b[\xff")]
)
def test_an_audit_log_that_can_not_be_is_refused(run, lines):
    with pytest.raises(LetterError, match="the audit log of task 1 is none"):
        unpack_report(pack_report(Report((), (), 0.0, logs=(LogPiece(1, run, lines),))), 20)


@pytest.mark.parametrize("data", [None, "text", b"", b"\xff" * 40, pack_report(Report((), (), 0.0)) + b"x"])
def test_what_is_no_report_is_refused(data):
    with pytest.raises(LetterError):
        unpack_report(data, 20)


@given(st.binary(max_size=200), st.integers(0, 400))
def test_no_bytes_make_it_fail_otherwise(noise, at):
    """A report with some bytes overwritten is refused, or is another report."""
    data = pack_report(Report((Done(1, FINE), Done(2, None)), ((3, 1.0),), 0.1, ("notice",)))
    data = data[:at] + noise + data[at + len(noise) :]
    try:
        report = unpack_report(data, 20)
    except LetterError:
        return
    assert all(done.outcome is None or len(done.outcome.stdout) <= 20 for done in report.done)
