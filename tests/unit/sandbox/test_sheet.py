"""What keeps decisions for the audit log: the native one and the portable one, which keep the same."""

from __future__ import annotations

import json
from functools import partial
from importlib.util import find_spec

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luspool.permissions import Decision, Origin, Pledge, Reason, Rule
from luspool.sandbox import sheet
from luspool.sandbox.sheet import PortableSheet

HAS_NATIVE = find_spec("luspool.sandbox._preempt") is not None
native = pytest.mark.skipif(not HAS_NATIVE, reason="2026-11: the native module was not compiled here")

RULES = [Rule(Pledge.parse(text).bind("/"), Origin.flag("-P", text)) for text in ("fs:read=/a", "env", "~env=B")]
ALLOWED = [Decision(True, "fs:read", "/a/x", Reason.HELD, RULES[0]), Decision(True, "env", "A", Reason.HELD, RULES[1])]
DENIED = Decision(False, "env", "B", Reason.REJECTED, RULES[2])


def native_sheet(describe):
    from luspool.sandbox._preempt import Sheet  # noqa: PLC0415 - where it was not compiled, these tests are skipped

    return Sheet(describe)


# Outside of a step nobody knows where a script is.
portable_sheet = partial(PortableSheet, position=lambda: b"?")
KINDS = [pytest.param(native_sheet, marks=native, id="native"), pytest.param(portable_sheet, id="portable")]
each_kind = pytest.mark.parametrize("new_sheet", KINDS)


def described(decision, shadow, at):
    rule = None if decision.rule is None else str(decision.rule.pledge)
    ground = [at.decode(), decision.permission, decision.allowed, decision.reason.value, rule]
    return json.dumps(ground if shadow is None else [*ground, shadow.allowed]).encode()


def batches(kept):
    return [json.loads(batch) for batch in iter(kept.take, b"")]


def rows(batch):
    """Of all parts that have rows: the ground, both texts, and for how many decisions it stands."""
    for part in batch:
        if isinstance(part[0], list):
            grounds, ground, asked, resolved, at, again = part
            counts = {row: count for row, count, _ in again}
            for row, columns in enumerate(zip(ground, asked, resolved, at, strict=True)):
                yield [grounds[columns[0]], *columns[1:3], counts.get(row, 1)]


@each_kind
def test_what_is_alike_is_one_row_and_what_differs_in_anything_is_not(new_sheet):
    kept = new_sheet(described)
    file, variable = ALLOWED
    shadows = [Decision(allowed, "env", "A", Reason.HELD, None) for allowed in (True, False)]
    for decision, shadow, asked in [
        (file, None, "x"),
        (file, None, "x"),
        (file, None, "./x"),
        (variable, None, None),
        (variable, shadows[0], None),
        (variable, shadows[1], None),
        (DENIED, None, None),
        (file, None, "x"),
    ]:
        kept.add(decision, shadow, asked)
    (batch,) = batches(kept)
    place = ["?", "fs:read", True, "held", "fs:read=/a"]
    assert list(rows(batch)) == [
        [place, "x", "/a/x", 3],
        [place, "./x", "/a/x", 1],
        [["?", "env", True, "held", "env"], "A", None, 1],
        [["?", "env", True, "held", "env", True], "A", None, 1],
        [["?", "env", True, "held", "env", False], "A", None, 1],
        [["?", "env", False, "rejected", "~env=B"], "B", None, 1],
    ]
    (((row, _, last),),) = (part[5] for part in batch)
    assert (row, last >= batch[0][4][0] > 0) == (0, True)


@each_kind
def test_parts_are_in_the_order_in_which_they_were_put_among_decisions(new_sheet):
    kept = new_sheet(described)
    kept.put(b'["one"]')
    kept.add(DENIED, None, None)
    kept.add(DENIED, None, None)
    kept.put(b'["two"]')
    kept.add(DENIED, None, None)
    ((one, first, two, second),) = batches(kept)
    assert (one, two) == (["one"], ["two"])
    assert [count for *_, count in rows([first, second])] == [2, 1]


@each_kind
def test_what_was_taken_is_forgotten(new_sheet):
    kept = new_sheet(described)
    assert kept.take() == b""
    for _ in range(2):
        kept.add(DENIED, None, None)
        (batch,) = batches(kept)
        assert [row[1:] for row in rows(batch)] == [["B", None, 1]]


@each_kind
def test_two_states_keep_their_own(new_sheet):
    one, other = new_sheet(described), new_sheet(described)
    for _ in range(3):
        one.add(ALLOWED[0], None, "one")
        other.add(ALLOWED[0], None, "other")
        for kept, name in ((one, "one"), (other, "other")):
            (batch,) = batches(kept)
            assert [row[1:] for row in rows(batch)] == [[name, "/a/x", 1]]


def numbered(number):
    return Decision(False, "env", f"{number}", Reason.BEYOND, None)


@each_kind
def test_it_is_due_after_so_many_rows(new_sheet):
    kept = new_sheet(described)
    found = [kept.add(numbered(number), None, None) for number in range(sheet.ROWS)]
    assert found[-1]
    (batch,) = batches(kept)
    assert [row[1] for row in rows(batch)] == [str(number) for number in range(sheet.ROWS)]


@each_kind
def test_it_is_due_after_so_many_parts(new_sheet):
    kept = new_sheet(described)
    assert [kept.put(b"[]") for _ in range(sheet.PARTS)][-1]
    assert batches(kept) == [[[]] * sheet.PARTS]


def test_it_is_due_when_it_was_held_back_for_long_enough_or_nobody_can_tell(monkeypatch):
    """Of the portable one, whose clock a test can set."""
    clock = 1_000 * sheet.HELD_BACK
    monkeypatch.setattr(sheet, "time_ns", lambda: clock)
    for after, is_due in [(0, False), (sheet.HELD_BACK, False), (sheet.HELD_BACK + 1, True), (-1, True)]:
        kept = portable_sheet(described)
        assert not kept.add(DENIED, None, None)
        clock += after
        assert kept.add(DENIED, None, None) is is_due
        assert kept.put(b"[]") is is_due


@each_kind
def test_it_is_due_after_so_many_characters_and_long_texts_are_cut(new_sheet):
    kept = new_sheet(described)
    texts = [f"{number}:".ljust(5000, "x") for number in range(sheet.SAID // sheet.LONGEST + 1)]
    assert [kept.add(Decision(False, "env", text, Reason.BEYOND, None), None, None) for text in texts][-1]
    found = [text for batch in batches(kept) for _, text, *_ in rows(batch)]
    assert found == [text[: sheet.LONGEST] + "…" for text in texts]


@each_kind
def test_one_batch_is_never_too_long_for_a_frame(new_sheet):
    """However long it takes to say what decided."""
    rules = [Rule(Pledge("env", "ü" * 4000), Origin.flag("-P", "ü" * number)) for number in range(200)]
    kept = new_sheet(lambda decision, _shadow, _at: json.dumps([str(decision.rule.pledge)] * 3).encode())
    found = []
    for rule in rules:
        if kept.add(Decision(True, "env", "ü" * 4000, Reason.HELD, rule), None, None):
            found += [len(batch) for batch in iter(kept.take, b"")]
    found += [len(batch) for batch in iter(kept.take, b"")]
    assert max(found) < 1024 * 1024


@native
def test_a_decision_that_cannot_be_described_leaves_nothing():
    def describe(decision, shadow, at):
        if decision is DENIED:
            raise KeyError(at)
        return described(decision, shadow, at)

    kept = native_sheet(describe)
    kept.add(ALLOWED[1], None, None)
    with pytest.raises(KeyError):
        kept.add(DENIED, None, None)
    kept.add(ALLOWED[1], None, None)
    (batch,) = batches(kept)
    assert [row[1:] for row in rows(batch)] == [["A", None, 2]]


@native
@pytest.mark.parametrize("value", [7, b"x", []], ids=repr)
def test_only_texts_are_kept_by_the_native_one(value):
    kept = native_sheet(described)
    with pytest.raises(TypeError):
        kept.add(Decision(True, "env", value, Reason.HELD, RULES[1]), None, None)
    with pytest.raises(TypeError):
        kept.put("text")
    with pytest.raises(TypeError):
        kept.add(ALLOWED[0])
    assert kept.take() == b""


TEXTS = st.text(st.characters(codec=None), max_size=8) | st.sampled_from(
    ["\udc80", '"\\/\n\x00\x7f', "\U0001f600", "\U0010ffff", "\uffff", "é"]
)
DECISIONS = st.builds(
    Decision,
    allowed=st.booleans(),
    permission=st.sampled_from(["fs:read", "env"]),
    value=TEXTS | st.none(),
    reason=st.sampled_from([Reason.HELD, Reason.BEYOND]),
    rule=st.sampled_from([*RULES, None]),
)


@native
@settings(deadline=None)
@given(st.lists(st.tuples(DECISIONS, DECISIONS | st.none(), TEXTS | st.none()), max_size=40))
def test_both_keep_the_same(decisions):
    one, other = native_sheet(described), portable_sheet(described)
    for decision, shadow, asked in decisions:
        one.add(decision, shadow, asked)
        other.add(decision, shadow, asked)
    found, expected = batches(one), batches(other)
    assert [list(rows(batch)) for batch in found] == [list(rows(batch)) for batch in expected]


@native
def test_more_places_than_a_part_has_room_for_are_in_several():
    """Of the native one, which looks through them one by one."""
    rules = [Rule(Pledge.parse(f"env=A{number}").bind("/"), Origin.flag("-P", "")) for number in range(300)]
    kept = native_sheet(described)
    for _ in range(2):
        for rule in rules:
            kept.add(Decision(True, "env", "A", Reason.HELD, rule), None, None)
    (batch,) = batches(kept)
    assert [ground[4] for ground, *_ in rows(batch)] == [str(rule.pledge) for rule in rules] * 2
    assert len(batch) > 1
