"""Vectors in messages: copies, shared as they were, in both languages."""

from __future__ import annotations

import pytest

from luspool.sandbox import codec


def message(lus, source):
    script = lus(source, is_worker=True)
    script.end()
    (payload,) = script.port.outbox
    return payload


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 100_000])
def test_a_vector_arrives_as_a_bytearray_and_back_as_a_vector(lus, printed, size):
    data = bytes(i * 7 % 251 for i in range(size))
    payload = message(
        lus, f"local v = vector.create({size}) for i = 0, #v - 1 do v[i] = i * 7 % 251 end worker.message(v)"
    )
    assert codec.decode(payload) == (bytearray(data),)
    assert codec.encode(bytearray(data)) != codec.encode(data)
    port_lines = printed(
        "local v, s = ... print(type(v), #v, v:unpack(0, 'c' .. #v) == s)", arguments=(bytearray(data), data)
    )
    assert port_lines == [f"vector\t{size}\ttrue"]


def test_both_sides_write_the_same_bytes(lus):
    shared = bytearray(b"abc")
    value = [shared, bytearray(300), shared, [shared]]
    payload = message(lus, "local v = vector.create 'abc' worker.message({v, vector.create(300), v, {v}})")
    assert payload == codec.encode(value)


def test_a_shared_vector_is_one_vector_and_a_copy(lus, printed):
    (arrived,) = codec.decode(message(lus, "local v = vector.create(2) worker.message({v, v, vector.create(2)})"))
    assert arrived[0] is arrived[1]
    assert arrived[0] is not arrived[2]
    shared = bytearray(b"xy")
    source = "local a, b, t = ... a[0] = 65 print(a == b, a == t[1], b:unpack(0, 'c2'))"
    assert printed(source, arguments=(shared, shared, [shared])) == ["true\ttrue\tAy\t2"]
    assert shared == b"xy"


def test_a_vector_may_be_a_key(lus, printed):
    (arrived,) = codec.decode(message(lus, "worker.message({[vector.create 'k'] = 1, x = 2})"))
    assert isinstance(arrived, codec.Entries)
    assert sorted(arrived.pairs, key=str) == [("x", 2), (bytearray(b"k"), 1)]
    source = "local t = ... for k, v in next, t do print(type(k), k[0], v) end"
    assert printed(source, arguments=(codec.Entries([(bytearray(b"k"), 1)]),)) == ["vector\t107\t1"]


def test_an_error_value_may_be_a_vector(lus):
    failure = lus("error(vector.create 'abc')").failure()
    assert codec.decode(failure.value) == (bytearray(b"abc"),)


def test_many_mentions_of_a_vector_cost_its_bytes_once(lus):
    payload = message(
        lus, "local v = vector.create(1 << 16) local t = {} for i = 1, 1000 do t[i] = v end worker.message(t)"
    )
    assert len(payload) < (1 << 16) + 20_000
    big = bytearray(1 << 16)
    assert len(codec.encode([big] * 1000)) == len(payload)


def test_a_path_to_what_cannot_be_copied_goes_through_a_vector_key(lus):
    script = lus("worker.message({[vector.create(1)] = print})", is_worker=True)
    assert script.failure().message == "main.lus:1: message, field [vector]: cannot copy a function"


def test_python_refuses_a_vector_beyond_the_limit_before_copying_it():
    with pytest.raises(codec.CopyError, match="larger than the limit of 100 bytes"):
        codec.encode([bytearray(1000)], limits=codec.Limits(max_bytes=100))


def both_sides_refuse(lus, data):
    with pytest.raises(codec.CodecError):
        codec.decode(data)
    script = lus("print(pcall(worker.peek))", is_worker=True)
    script.port.inbox.append(data)
    script.end()
    assert script.port.lines[0].startswith("false\tmalformed message")


@pytest.mark.parametrize(
    "definition",
    [b"\x02\x02\0\0\0\x62\x01a\x01b", b"\x02\x00\0\0\0"],
    ids=["two strings", "none"],
)
def test_a_malformed_vector_is_an_error_on_both_sides(lus, definition):
    data = b"\x01\x01\x01\0\0\0\0\0\x01\0\0\0" + definition + b"\xb1\x01\0\0\0\x01\0\0\0"
    both_sides_refuse(lus, data)


@pytest.mark.parametrize("position", [0, 2])
def test_a_vector_has_no_other_position(lus, position):
    data = (
        b"\x01\x01\x01\0\0\0\0\0\x01\0\0\0\x02\x01\0\0\0\x61\x01a\xb1" + position.to_bytes(4, "little") + b"\x01\0\0\0"
    )
    both_sides_refuse(lus, data)
