"""Which system calls a host makes: an allow-list, so that what a future kernel adds is refused as well.

It holds what CPython, lupa, the native module and a C library (glibc or musl) need to run Lua on threads, to read files
and to talk over descriptors that are open already. Everything that makes something new to talk to (sockets, processes,
programs, name spaces, executable memory), that reaches another process, or that asks the kernel for its larger
machinery (io_uring, bpf, keys, mounts, performance counters) is absent.

The filter's arguments are those in registers: what pointers lead to it can't see. So it can say "read-only", and
Landlock says where; and calls whose address is behind a pointer (connect, sendmsg) are refused whole.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Final

from . import kernel
from .filter import HasBit, NoneOfBits, Null, OneOf, Rules, program
from .numbers import architecture

_PLAIN: Final = """
    brk munmap mremap
    futex set_robust_list rseq restart_syscall sched_yield sched_getaffinity getcpu gettid getpid exit exit_group
    rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack
    timer_create timer_settime timer_gettime timer_getoverrun timer_delete
    clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time getrusage getrandom
    read readv pread64 write writev close lseek fstat newfstatat stat lstat readlink readlinkat getcwd getdents64
    poll ppoll recvfrom recvmsg
"""
_PLAIN_WRITING: Final = """
    pwrite64 ftruncate fsync mkdirat mkdir unlinkat unlink rmdir renameat2 renameat rename symlinkat symlink
    openat open
"""
_ABSENT: Final = ("clone3", "statx", "faccessat2")
"""A filter can't look into clone3's arguments; C libraries then use clone. The other two have elder siblings."""

_EXEC: Final = 4
_O_WRITING: Final = 0o3 | 0o100 | 0o1000 | 0o20000000
"""O_WRONLY and O_RDWR, O_CREAT, O_TRUNC, O_TMPFILE."""
_CLONE_THREAD: Final = 0x10000
_CLONE_OF_THREADS: Final = 0x7D0F00
"""What C libraries set: VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, SETTLS, PARENT_SETTID, CHILD_CLEARTID, and musl's
DETACHED. No other bit: no name space, no signal at the end, no CLONE_PTRACE or CLONE_IO."""
_MADVICE: Final = (4, 8, 14, 15, 16)
"""DONTNEED, FREE, HUGEPAGE, NOHUGEPAGE, DONTDUMP. Not the two that take memory out of the machine's use."""
_FCNTL: Final = (0, 1, 2, 3, 4, 1030, 1034)
"""DUPFD, GETFD, SETFD, GETFL, SETFL, DUPFD_CLOEXEC, GET_SEALS. Not SETOWN: it sends signals to other processes."""
_IOCTL: Final = (0x5401, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS (is it a terminal?), FIONREAD, FIONBIO, FIONCLEX, FIOCLEX. Not TIOCSTI: it types at the user's terminal."""
_PR_SET_NAME: Final = 15
_PRIO_PROCESS: Final = 0
_LOW_PRIORITY: Final = 10
"""What a thread that is held by its state gives itself (native/preempt.c, preemption_hook.py)."""

_SET_MODE_FILTER: Final = 1


def rules(pid: int, *, writing: bool) -> Rules:
    """The allow-list for the process `pid`; `writing` also lets files be changed, where Landlock lets them."""
    read_only = {"openat": (NoneOfBits(2, _O_WRITING),), "open": (NoneOfBits(1, _O_WRITING),)}
    return {
        "mmap": (NoneOfBits(2, _EXEC),),
        "mprotect": (NoneOfBits(2, _EXEC),),
        "madvise": (OneOf(2, _MADVICE),),
        "clone": (HasBit(0, _CLONE_THREAD), NoneOfBits(0, 0xFFFFFFFF & ~_CLONE_OF_THREADS)),
        "tgkill": (OneOf(0, (pid,)),),
        "prlimit64": (OneOf(0, (0, pid)), Null(2)),
        "setpriority": (OneOf(0, (_PRIO_PROCESS,)), Null(1), OneOf(2, (_LOW_PRIORITY,))),  # the calling thread's own
        "prctl": (OneOf(0, (_PR_SET_NAME,)),),
        "fcntl": (OneOf(1, _FCNTL),),
        "ioctl": (OneOf(1, _IOCTL),),
        "sendto": (Null(4),),  # on a connected socket only
        **(dict.fromkeys(_PLAIN_WRITING.split(), ()) if writing else read_only),
        **dict.fromkeys(_PLAIN.split(), ()),
    }


def enforce(*, writing: bool) -> str:
    """Put the allow-list over this thread and all that it starts, for good; in words. OSError where the kernel
    can't filter.

    The process must have no new privileges. A fork would be outside of what `tgkill` allows, but there can't be any.
    """
    known = architecture()
    allowed = rules(os.getpid(), writing=writing)
    text = program(known, allowed, _ABSENT)
    instructions = kernel.buffer(text)
    header = kernel.buffer(struct.pack("@HP", len(text) // 8, ctypes.addressof(instructions)))
    kernel.call(known.numbers["seccomp"], _SET_MODE_FILTER, 0, header)
    return f"{len(allowed)} system calls"
