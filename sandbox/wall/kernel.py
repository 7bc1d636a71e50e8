"""System calls by number, for those that Python has no function for."""

from __future__ import annotations

import ctypes
import os
from typing import Final

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def call(number: int, *arguments: int | ctypes.Array[ctypes.c_char] | None) -> int:
    """Make a system call: integers are passed as they are, buffers by address. OSError with what the kernel says."""
    result: int = _libc.syscall(
        ctypes.c_long(number), *(ctypes.c_long(value) if isinstance(value, int) else value for value in arguments)
    )
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def buffer(data: bytes) -> ctypes.Array[ctypes.c_char]:
    """Memory that holds `data`, for the kernel to read or to write into."""
    return ctypes.create_string_buffer(data, len(data))
