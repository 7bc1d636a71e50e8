"""The numbers of system calls are the kernel's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from luspool.sandbox.wall.numbers import ARCHITECTURES, architecture

INCLUDE = Path("/usr/include")
HEADERS = {
    "x86_64": [
        INCLUDE / "x86_64-linux-gnu/asm/unistd_64.h",
        INCLUDE / "asm/unistd_64.h",
    ],
    "aarch64": [INCLUDE / "asm-generic/unistd.h"],  # its numbers are the generic ones
}


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_they_are_those_of_the_headers(machine):
    header = next((path for path in HEADERS[machine] if path.exists()), None)
    if header is None:
        pytest.skip("2026-11: the kernel's headers are not installed")
    defined = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text(encoding="ascii"))
    known = {name: int(number) for name, number in defined}
    renamed = {"newfstatat": "fstatat"} if machine == "aarch64" else {}  # as 64-bit kernels call it
    numbers = ARCHITECTURES[machine].numbers
    assert {name: known.get(renamed.get(name, name)) for name in numbers} == dict(numbers)


def test_no_two_calls_share_a_number():
    for known in ARCHITECTURES.values():
        assert len(set(known.numbers.values())) == len(known.numbers) > 70


def test_this_machine_is_known():
    assert architecture() in ARCHITECTURES.values()
