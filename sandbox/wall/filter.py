"""A system call filter as a program of the kernel's (classic BPF), from a table of rules. Pure: nothing is installed.

The program looks at the processor's calling convention first: calls by another one (32-bit, on a 64-bit kernel) have
other numbers, so the process is killed. Then rule after rule compares the number; what no rule names gets EPERM.

Rules that look at arguments come first: the kernel knows by itself which numbers are always allowed, and does not run
the program for them at all (Linux 5.11 and newer), so that their place makes no difference.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from .numbers import Architecture

_LOAD: Final = 0x20
"""The next 4 bytes of the call's description at an offset."""
_JUMP_EQUAL: Final = 0x15
_JUMP_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data

ALLOW: Final = 0x7FFF0000
KILL_PROCESS: Final = 0x80000000


def fail(code: int) -> int:
    """The action that lets a call fail with this errno."""
    return 0x00050000 | code


class OneOf(Struct, frozen=True):
    """The argument's lower 32 bits, all that the kernel looks at where this is used, are one of these values."""

    argument: int
    values: tuple[int, ...]


class NoneOfBits(Struct, frozen=True):
    """None of these of the argument's lower 32 bits is set."""

    argument: int
    bits: int


class HasBit(Struct, frozen=True):
    """This one of the argument's lower 32 bits is set."""

    argument: int
    bit: int


class Null(Struct, frozen=True):
    """The argument is a null pointer: all of its 64 bits are 0."""

    argument: int


Check = OneOf | NoneOfBits | HasBit | Null
Rules = Mapping[str, tuple[Check, ...]]
"""What is allowed: by a call's name, what must be true of its arguments."""


def program(architecture: Architecture, rules: Rules, absent: Iterable[str] = ()) -> bytes:
    """The filter, as an array of `struct sock_filter`. Calls in `absent` fail with ENOSYS, as if there were none.

    For those that a C library tries first, and does without where the kernel is older. Names that the architecture
    does not have are left out.
    """
    body = [_instruction(_LOAD, _ARCHITECTURE), _instruction(_JUMP_EQUAL, architecture.audit, 1, 0), _end(KILL_PROCESS)]
    body.append(_instruction(_LOAD, _NUMBER))
    numbers = architecture.numbers
    for name in sorted(rules, key=lambda name: not rules[name]):  # those with checks first, else in the table's order
        if name in numbers:
            body += _when(numbers[name], [*_checked(rules[name]), _end(ALLOW)])
    for name in absent:
        if name in numbers:
            body += _when(numbers[name], [_end(fail(errno.ENOSYS))])
    body.append(_end(fail(errno.EPERM)))
    return b"".join(body)


def _when(number: int, block: list[bytes]) -> list[bytes]:
    return [_instruction(_JUMP_EQUAL, number, 0, len(block)), *block]


def _checked(checks: Iterable[Check]) -> list[bytes]:
    """Falls through where all checks hold, and ends with EPERM where one does not.

    (The number, once replaced by an argument, is not needed any more: every block ends the program.)
    """
    block = []
    for check in checks:
        low = _ARGUMENTS + 8 * check.argument
        match check:
            case OneOf(values=values):
                block.append(_instruction(_LOAD, low))
                # From each value's comparison over those that follow it and over the refusal.
                block += [_instruction(_JUMP_EQUAL, value, len(values) - at, 0) for at, value in enumerate(values)]
                block.append(_end(fail(errno.EPERM)))
            case NoneOfBits(bits=bits):
                block += [_instruction(_LOAD, low), _instruction(_JUMP_ANY_BIT, bits, 0, 1), _end(fail(errno.EPERM))]
            case HasBit(bit=bit):
                block += [_instruction(_LOAD, low), _instruction(_JUMP_ANY_BIT, bit, 1, 0), _end(fail(errno.EPERM))]
            case Null():
                for half in (low, low + 4):
                    block += [_instruction(_LOAD, half), _instruction(_JUMP_EQUAL, 0, 1, 0), _end(fail(errno.EPERM))]
    return block


def _end(action: int) -> bytes:
    return _instruction(_RETURN, action)


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One `struct sock_filter`; the jumps count the instructions that are left out."""
    return struct.pack("=HBBI", code, if_true, if_false, value)
