"""The filter of system calls does what its rules say, for both processors: run on a model of the kernel's machine."""

from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luspool.sandbox.wall.filter import ALLOW, KILL_PROCESS, HasBit, NoneOfBits, Null, OneOf, fail, program
from luspool.sandbox.wall.numbers import ARCHITECTURES
from luspool.sandbox.wall.seccomp import _ABSENT, rules

X86, ARM = ARCHITECTURES["x86_64"], ARCHITECTURES["aarch64"]
EPERM, ENOSYS = fail(errno.EPERM), fail(errno.ENOSYS)
MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS
PID = 4321


def verdict(text, audit, number, *arguments):
    """What a program of classic BPF returns for a call, as seccomp runs it. Knows the instructions used here only."""
    words = [*arguments, *([0] * (6 - len(arguments)))]
    data = struct.pack("=iIQ6Q", number, audit, 0, *(word & 0xFFFFFFFFFFFFFFFF for word in words))
    code = list(struct.iter_unpack("=HBBI", text))
    accumulator = at = 0
    while True:
        operation, if_true, if_false, value = code[at]
        at += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, value)
            case 0x15:
                at += if_true if accumulator == value else if_false
            case 0x45:
                at += if_true if accumulator & value else if_false
            case 0x06:
                return value
            case _:
                raise AssertionError(f"instruction {operation:#x}")


def asked(architecture, writing=False):
    """The verdict of the real allow-list on a call by name."""
    text = program(architecture, rules(PID, writing=writing), _ABSENT)
    return lambda name, *arguments: verdict(text, architecture.audit, architecture.numbers[name], *arguments)


both = pytest.mark.parametrize("architecture", [X86, ARM], ids=["x86_64", "aarch64"])
word = st.integers(0, 2**64 - 1)
half = st.integers(0, 2**32 - 1)


@given(st.lists(half, min_size=1, max_size=9, unique=True), st.integers(0, 5), word)
def test_one_of_looks_at_the_lower_half(values, argument, given_word):
    text = program(X86, {"read": (OneOf(argument, tuple(values)),)})
    for word_ in (given_word, values[-1], values[0] | 1 << 40):
        found = verdict(text, X86.audit, 0, *([0] * argument), word_)
        assert found == (ALLOW if word_ % 2**32 in values else EPERM)


@given(half, word)
def test_none_of_bits(bits, given_word):
    text = program(X86, {"read": (NoneOfBits(3, bits),)})
    assert verdict(text, X86.audit, 0, 0, 0, 0, given_word) == (EPERM if given_word & bits else ALLOW)


@given(st.integers(0, 31), word)
def test_has_bit(place, given_word):
    text = program(X86, {"read": (HasBit(0, 1 << place),)})
    assert verdict(text, X86.audit, 0, given_word) == (ALLOW if given_word >> place & 1 else EPERM)


@given(st.one_of(st.just(0), st.just(1 << 32), word))
def test_null_looks_at_both_halves(given_word):
    text = program(X86, {"read": (Null(5),)})
    assert verdict(text, X86.audit, 0, 0, 0, 0, 0, 0, given_word) == (EPERM if given_word else ALLOW)


@given(half, half)
def test_all_checks_of_a_call_must_hold(first, second):
    text = program(X86, {"read": (OneOf(0, (1, 2)), NoneOfBits(1, 4), Null(2))})
    held = first in (1, 2) and not second & 4
    assert verdict(text, X86.audit, 0, first, second, 0) == (ALLOW if held else EPERM)
    assert verdict(text, X86.audit, 0, 1, 0, 1) == EPERM


@both
def test_a_call_by_another_convention_kills(architecture):
    text = program(architecture, rules(PID, writing=True), _ABSENT)
    for audit in (0x40000003, 0x40000028, 0xC000003E, 0xC00000B7, 0):  # i386, ARM, both of ours, none
        if audit != architecture.audit:
            assert verdict(text, audit, 0) == KILL_PROCESS


@both
@pytest.mark.parametrize("writing", [False, True])
def test_only_what_the_rules_name_is_let_through(architecture, writing):
    text = program(architecture, rules(PID, writing=writing), _ABSENT)
    assert len(text) // 8 <= MAX_INSTRUCTIONS
    names = {number: name for name, number in architecture.numbers.items()}
    allowed = rules(PID, writing=writing)
    # Every number there is or soon will be, and the same as the x32 convention counts them.
    for number in [*range(600), *(1 << 30 | number for number in range(600))]:
        name = names.get(number)
        if name in _ABSENT:
            assert verdict(text, architecture.audit, number) == ENOSYS
        elif name in allowed:
            assert allowed[name] or verdict(text, architecture.audit, number) == ALLOW
        else:
            assert verdict(text, architecture.audit, number) == EPERM


@both
def test_every_call_of_the_list_has_a_number_on_one_of_the_processors(architecture):
    for writing in (False, True):
        assert rules(PID, writing=writing).keys() <= X86.numbers.keys() | ARM.numbers.keys()


@both
@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("mmap", (0, 4096, 7)),
        ("mmap", (0, 4096, 5)),
        ("mmap", (0, 4096, 1 << 32 | 4)),
        ("mprotect", (0, 4096, 4)),
        ("madvise", (0, 4096, 100)),
        ("clone", (17,)),
        ("clone", (0x10000000 | 17,)),
        ("clone", (0x3D0F00 | 0x20000000,)),
        ("clone", (0x3D0F00 & ~0x10000,)),
        ("tgkill", (PID + 1, PID, 9)),
        ("prlimit64", (0, 4, 0xDEAD0000)),
        ("prlimit64", (0, 4, 1 << 32)),
        ("prlimit64", (PID + 1, 4, 0)),
        ("prctl", (4, 1)),
        ("fcntl", (3, 8, 1)),
        ("ioctl", (0, 0x5412)),
        ("ioctl", (0, 1 << 32 | 0x5412)),
        ("sendto", (3, 0, 0, 0, 0xDEAD0000)),
        ("openat", (-100, 0, 1)),
        ("openat", (-100, 0, 2)),
        ("openat", (-100, 0, 0o100)),
        ("openat", (-100, 0, 0o1000)),
        ("openat", (-100, 0, 0o20200000)),
        ("unlinkat", (-100, 0)),
        ("capset", (0, 0)),
        ("landlock_restrict_self", (3, 0)),
    ],
)
def test_refused_with_these_arguments(architecture, call, arguments):
    assert asked(architecture)(call, *arguments) == EPERM


@both
@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("mmap", (0, 4096, 3, 0x22)),
        ("clone", (0x3D0F00,)),
        ("clone", (0x7D0F00,)),
        ("tgkill", (PID, PID + 1, 23)),
        ("prlimit64", (0, 3, 0, 0xDEAD0000)),
        ("fcntl", (3, 1030, 0)),
        ("ioctl", (0, 0x5401)),
        ("sendto", (3, 0, 0, 0, 0)),
        ("openat", (-100, 0, 0o2000000)),
        ("openat", (-100, 0, 0o12000000)),
    ],
)
def test_let_through_with_these_arguments(architecture, call, arguments):
    assert asked(architecture)(call, *arguments) == ALLOW


@both
def test_writing_is_let_through_where_something_may_be_written(architecture):
    ask = asked(architecture, writing=True)
    assert ask("openat", -100, 0, 0o1101) == ALLOW
    assert ask("unlinkat", -100, 0) == ALLOW
    assert ask("mmap", 0, 4096, 4) == EPERM
