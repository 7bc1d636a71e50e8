"""Numbers of system calls, for the two processors that the wall knows.

Only those that the allow-list and the wall itself name: tests compare each with the kernel's own headers.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct


class Architecture(Struct, frozen=True):
    """How a kernel for one kind of processor is called. `audit` is the word by which a filter knows it (AUDIT_ARCH_*).

    A name that is missing in `numbers` is a call that this kernel does not have.
    """

    audit: int
    numbers: Mapping[str, int]


_X86_64 = """
    read 0  write 1  open 2  close 3  stat 4  fstat 5  lstat 6  poll 7  lseek 8  mmap 9  mprotect 10  munmap 11  brk 12
    rt_sigaction 13  rt_sigprocmask 14  rt_sigreturn 15  ioctl 16  pread64 17  pwrite64 18  readv 19  writev 20
    sched_yield 24  mremap 25  madvise 28  nanosleep 35  getpid 39  sendto 44  recvfrom 45  recvmsg 47  clone 56
    exit 60  fcntl 72  fsync 74  ftruncate 77  getcwd 79  rename 82  mkdir 83  rmdir 84  unlink 87  readlink 89
    gettimeofday 96  getrusage 98  capget 125  capset 126  sigaltstack 131  setpriority 141  prctl 157  gettid 186
    time 201  futex 202  sched_getaffinity 204  getdents64 217  restart_syscall 219  timer_create 222
    symlink 88  symlinkat 266  timer_settime 223  timer_gettime 224
    timer_getoverrun 225  timer_delete 226  clock_gettime 228  clock_getres 229  clock_nanosleep 230  exit_group 231
    tgkill 234  openat 257  mkdirat 258  newfstatat 262  unlinkat 263  renameat 264  readlinkat 267  ppoll 271
    set_robust_list 273  prlimit64 302  getcpu 309  renameat2 316  seccomp 317  getrandom 318  statx 332  rseq 334
    clone3 435  faccessat2 439  landlock_create_ruleset 444  landlock_add_rule 445  landlock_restrict_self 446
"""

_AARCH64 = """
    getcwd 17  fcntl 25  ioctl 29  mkdirat 34  unlinkat 35  symlinkat 36  renameat 38  ftruncate 46  openat 56  close 57
    getdents64 61  lseek 62  read 63  write 64  readv 65  writev 66  pread64 67  pwrite64 68  ppoll 73  readlinkat 78
    newfstatat 79  fstat 80  fsync 82  capget 90  capset 91  exit 93  exit_group 94  futex 98  set_robust_list 99
    nanosleep 101  timer_create 107  timer_gettime 108  timer_getoverrun 109  timer_settime 110  timer_delete 111
    clock_gettime 113  clock_getres 114  clock_nanosleep 115  sched_getaffinity 123  sched_yield 124
    restart_syscall 128  tgkill 131  sigaltstack 132  rt_sigaction 134  rt_sigprocmask 135  rt_sigreturn 139
    setpriority 140
    getrusage 165  prctl 167  getcpu 168  gettimeofday 169  getpid 172  gettid 178  sendto 206  recvfrom 207
    recvmsg 212  brk 214  munmap 215  mremap 216  clone 220  mmap 222  mprotect 226  madvise 233  prlimit64 261
    renameat2 276  seccomp 277  getrandom 278  statx 291  rseq 293  clone3 435  faccessat2 439
    landlock_create_ruleset 444  landlock_add_rule 445  landlock_restrict_self 446
"""


def _table(text: str) -> Mapping[str, int]:
    words = text.split()
    return MappingProxyType({name: int(number) for name, number in zip(words[::2], words[1::2], strict=True)})


ARCHITECTURES: Final[Mapping[str, Architecture]] = MappingProxyType(
    {"x86_64": Architecture(0xC000003E, _table(_X86_64)), "aarch64": Architecture(0xC00000B7, _table(_AARCH64))}
)
"""By the name that `os.uname().machine` gives."""


def architecture() -> Architecture:
    """That of this machine. OSError (ENOSYS) where the wall does not know it."""
    machine = os.uname().machine
    known = ARCHITECTURES.get(machine)
    if known is None:
        raise OSError(errno.ENOSYS, f"luspool knows no system calls of {machine} (it knows {', '.join(ARCHITECTURES)})")
    return known
