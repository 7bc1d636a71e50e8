"""What the decoder of frames refuses, case by case."""

import struct

import pytest
from msgspec.structs import replace

from luspool.scheduler import wire
from luspool.scheduler.limits import Limits


def decode(data: bytes, accepted: tuple[type[wire.Message], ...] = wire.EVENTS) -> list[wire.Message]:
    decoder = wire.Decoder(accepted)
    decoder.feed(data)
    return list(decoder)


def frame(kind: type[wire.Message], payload: bytes) -> bytes:
    return struct.pack(">BI", kind.KIND, len(payload)) + payload


def test_every_kind_has_its_own_byte():
    kinds = (*wire.EVENTS, *wire.CONTROL)
    assert len({kind.KIND for kind in kinds}) == len(kinds)
    kinds = wire.TO_HOST
    assert len({kind.KIND for kind in kinds}) == len(kinds)


def test_a_length_beyond_the_limit_is_refused_before_any_of_it_has_come():
    with pytest.raises(wire.WireError, match="Output of 4294967295 bytes"):
        decode(struct.pack(">BI", wire.Output.KIND, 0xFFFFFFFF))


def test_a_message_that_only_the_supervisor_sends_is_refused_from_a_host():
    with pytest.raises(wire.WireError, match="no message of kind 73"):
        decode(wire.encode(wire.Input(b"")))


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (bytes(8) + b"\0\0\0\x05abc", "does not fit"),
        (bytes(8) + b"\0\0\0\x01ab", "1 bytes too many"),
        (b"\0\0", "does not fit"),
    ],
)
def test_a_payload_must_be_used_up_exactly(payload, fault):
    with pytest.raises(wire.WireError, match=fault):
        decode(frame(wire.Output, payload))


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"\xff\xff\xff\xff", "a field of 4294967295 bytes"),
        (b"\0\0\0\x08" + b"\0\0\0\x05abcd", "an item of 5 bytes"),
        (b"\0\0\0\x06" + b"\0\0\0\0ab", "an item does not fit"),
    ],
)
def test_a_list_that_claims_more_than_there_is_is_refused(body, fault):
    with pytest.raises(wire.WireError, match=fault):
        decode(frame(wire.Deadlocked, bytes(8) + body))


def test_a_truth_value_is_0_or_1():
    with pytest.raises(wire.WireError, match="7 is no truth value"):
        decode(frame(wire.TreeEnded, b"\7" + bytes(8)))
    with pytest.raises(wire.WireError, match="7 bytes too many"):
        decode(frame(wire.TreeEnded, bytes(16)))


def test_a_decoder_stays_broken_after_an_error_and_keeps_nothing_more():
    decoder = wire.Decoder(wire.EVENTS)
    decoder.feed(b"\xff" * 100)
    for _ in range(2):
        with pytest.raises(wire.WireError, match="kind 255"):
            list(decoder)
        decoder.feed(wire.encode(wire.WantInput()))


def test_messages_before_an_error_come_out_first():
    decoder = wire.Decoder(wire.EVENTS)
    decoder.feed(wire.encode(wire.WantInput()) + b"\xff" * 5)
    messages = iter(decoder)
    assert next(messages) == wire.WantInput()
    with pytest.raises(wire.WireError):
        next(messages)


def test_encoding_more_than_a_kind_allows_is_an_error_of_the_sender():
    with pytest.raises(ValueError, match="Output of"):
        wire.encode(wire.Output(1, bytes(wire.Output.LIMIT)))
    assert decode(wire.encode(wire.Output(1, bytes(wire.OUTPUT_PIECE)))) == [wire.Output(1, bytes(wire.OUTPUT_PIECE))]


def test_four_clipped_texts_fit_into_a_report():
    text = wire.clip("ä" * wire.TEXT_LIMIT)
    report = wire.Failed(text, text, text, text, True)
    assert decode(wire.encode(report)) == [report]
    stuck = wire.Stuck(text, text, text, False, 1)
    assert decode(wire.encode(stuck)) == [stuck]


def test_as_many_waits_as_a_report_may_have_fit_into_it():
    awaited = bytes(8 * wire.WAITS_LIMIT)
    record = wire.WaitRecord(1, wire.clip("ä" * wire.TEXT_LIMIT), "ChildrenHaveMail", awaited)
    report = wire.Deadlocked.of(500, [record] * 500)
    assert decode(wire.encode(report)) == [report]
    assert report.records() == [record] * wire.WAITS_LIMIT


def test_limits_that_are_none_are_refused():
    good = wire.Start.of(1, 0, Limits(), b"")
    with pytest.raises(ValueError, match="does not fit"):
        replace(good, state_limits=good.state_limits[:-1]).limits()
