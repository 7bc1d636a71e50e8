"""Properties of the frames between supervisor and host: no split, no byte and no lie gets past the decoder."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luspool.scheduler import wire
from luspool.scheduler.limits import Limits, StateLimits, TreeLimits
from luspool.scheduler.units import UNLIMITED

texts = st.text(st.characters(codec="utf-8"), max_size=40) | st.binary(max_size=40).map(
    lambda raw: raw.decode("utf-8", "surrogateescape")
)
integers = st.integers(-(2**63), 2**63 - 1)
amounts = st.integers(0, UNLIMITED)
limits = st.builds(
    Limits,
    st.builds(StateLimits, *[amounts] * len(StateLimits.__struct_fields__)),
    st.builds(TreeLimits, *[amounts] * len(TreeLimits.__struct_fields__)),
)
control = st.one_of(
    st.builds(wire.Hello, integers),
    st.builds(wire.Pong, integers),
    st.builds(wire.Report, st.binary(max_size=64), st.binary(max_size=64), integers, integers, st.booleans()),
    st.builds(wire.Broken, integers, texts),
)
from_host = st.one_of(
    st.builds(wire.Stamp, integers, integers),
    st.builds(wire.Output, integers, st.binary(max_size=200)),
    st.builds(wire.Record, integers, st.binary(max_size=200)),
    st.just(wire.WantInput()),
    st.builds(wire.Call, integers, texts, st.binary(max_size=200)),
    st.builds(wire.Failed, texts, texts, texts, texts, st.booleans()),
    st.builds(wire.Deadlocked, integers, st.lists(st.binary(max_size=60), max_size=5).map(tuple)),
    st.builds(wire.Stuck, texts, texts, texts, st.booleans(), integers),
    st.builds(wire.RootEnded, texts, integers),
    st.builds(wire.Exceeded, texts, integers, integers),
    st.builds(wire.AskEndBelow, integers),
    st.builds(wire.InputLeft, st.binary(max_size=200)),
    st.builds(wire.TreeEnded, st.booleans(), integers),
)
from_supervisor = st.one_of(
    st.builds(
        wire.Start,
        *[integers] * 4,
        st.booleans(),
        st.binary(max_size=60),
        st.binary(max_size=60),
        st.binary(max_size=200),
    ),
    st.builds(wire.Join, integers),
    st.builds(wire.Gone, integers, texts, integers, st.binary(max_size=60)),
    st.builds(wire.EndBelow, integers),
    st.builds(wire.EndForExcess, texts, integers, integers),
    st.builds(wire.Ban, texts, texts),
    st.builds(wire.Ping, integers),
    st.builds(wire.Input, st.binary(max_size=200)),
    st.builds(wire.Reply, integers, st.booleans(), st.binary(max_size=200)),
    *map(st.just, (wire.Run(), wire.TellWaits(), wire.EndTree(), wire.LeaveInput(), wire.Shutdown())),
)


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


def decode(accepted: tuple[type[wire.Message], ...], stream: list[bytes]) -> tuple[list[wire.Message], str | None]:
    """Every message that comes out before the end or the first error, and that error's text."""
    decoder = wire.Decoder(accepted)
    messages: list[wire.Message] = []
    try:
        for piece in stream:
            decoder.feed(piece)
            for message in decoder:
                messages.append(message)
    except wire.WireError as error:
        return messages, str(error)
    return messages, None


@pytest.mark.parametrize(
    ("messages", "accepted"),
    [(from_host, wire.EVENTS), (control, wire.CONTROL), (from_supervisor, wire.TO_HOST)],
    ids=["events", "control", "from_supervisor"],
)
def test_any_split_of_the_stream_gives_the_same_messages(messages, accepted):
    @given(st.lists(messages, max_size=6), st.lists(st.integers(0, 10_000), max_size=12))
    def check(sent: list[wire.Message], cuts: list[int]) -> None:
        stream = b"".join(map(wire.encode, sent))
        assert decode(accepted, pieces(stream, cuts)) == (sent, None)

    check()


@given(limits)
def test_limits_arrive_as_they_were_sent(sent):
    (start,) = decode(wire.TO_HOST, [wire.encode(wire.Start.of(1, 0, sent, b""))])[0]
    assert start.limits() == sent


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_arbitrary_bytes_give_messages_or_a_wire_error_however_split(stream, cuts):
    assert decode(wire.EVENTS, pieces(stream, cuts)) == decode(wire.EVENTS, [stream])


@given(st.lists(from_host, min_size=1, max_size=4), st.data())
def test_a_damaged_stream_still_gives_the_messages_before_the_damage(sent, data):
    frames = [wire.encode(message) for message in sent]
    victim = data.draw(st.integers(0, len(frames) - 1))
    at = data.draw(st.integers(0, len(frames[victim]) - 1))
    damaged = bytearray(frames[victim])
    damaged[at] ^= data.draw(st.integers(1, 255))
    received, _ = decode(wire.EVENTS, [b"".join([*frames[:victim], bytes(damaged), *frames[victim + 1 :]])])
    assert received[:victim] == sent[:victim]


@given(st.binary(max_size=2000), st.integers(0, 300))
def test_clipped_text_is_the_beginning_and_says_how_much_is_missing(raw, limit):
    text = raw.decode("utf-8", "surrogateescape")
    clipped = wire.clip(text, limit).encode("utf-8", "surrogateescape")
    if len(raw) <= limit:
        assert clipped == raw
    else:
        assert clipped == raw[:limit] + f" … ({len(raw) - limit} more bytes)".encode()
