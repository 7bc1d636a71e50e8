"""What somebody would do who runs native code in a host: each attack is a function that raises OSError when it fails.

None does harm where it succeeds, also as root: what it changes is the test's own, or is changed to what it was.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import platform
import resource
import signal
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

_X86 = platform.machine() == "x86_64"
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.mmap.restype = ctypes.c_void_p
_libc.shmat.restype = ctypes.c_void_p
with open("/bin/true", "rb") as _file:
    _PROGRAM = _file.read()
_HOSTNAME = socket.gethostname()
_PAGE = mmap.PAGESIZE
_RWX = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
_PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS

# x86-64, aarch64; the newer ones are the same everywhere.
_NUMBERS = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "unshare": (272, 97),
    "setns": (308, 268),
    "clone": (56, 220),
    "bpf": (321, 280),
    "keyctl": (250, 219),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "init_module": (175, 105),
    "kexec_load": (246, 104),
    "reboot": (169, 142),
    "personality": (135, 92),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "inotify_init1": (294, 26),
    "execveat": (322, 281),
    "tkill": (200, 130),
    "prctl": (157, 167),
    "pkey_mprotect": (329, 288),
    "setpriority": (141, 140),
    "pidfd_send_signal": (424, 424),
    "io_uring_setup": (425, 425),
    "clone3": (435, 435),
    "pidfd_getfd": (438, 438),
}


@dataclass(frozen=True)
class Scene:
    """What there is to attack, all of it outside of the wall but `readable`, a directory that the ceiling names."""

    readable: str
    outside: str
    supervisor: int
    victim: int
    victim_secret: int
    supervisor_secret: int
    tcp_port: int
    udp_port: int
    abstract_name: str
    terminal: int


SECRET = b"the secret that nobody in a host may see"


@dataclass(frozen=True)
class Attack:
    title: str
    run: Callable[[Scene], object]


ATTACKS: list[Attack] = []


def attack(title: str) -> Callable[[Callable[[Scene], object]], Callable[[Scene], object]]:
    def keep(run: Callable[[Scene], object]) -> Callable[[Scene], object]:
        ATTACKS.append(Attack(title, run))
        return run

    return keep


def _checked(result: int | None) -> int:
    if result in (-1, ctypes.c_void_p(-1).value, None):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _call(name: str, *arguments: object) -> int:
    number = _NUMBERS[name][0 if _X86 else 1]
    return _checked(_libc.syscall(number, *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)))


def _must_be_secret(found: bytes) -> None:
    assert SECRET in found


def _vector(address: int) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(struct.pack("@Pn", address, len(SECRET)))


# Files


@attack("read a file outside of the ceiling")
def _(scene):
    with open(f"{scene.outside}/secret", "rb") as file:
        _must_be_secret(file.read())


@attack("the same, by `..` from inside of it")
def _(scene):
    with open(f"{scene.readable}/../outside/secret", "rb") as file:
        _must_be_secret(file.read())


@attack("the same, by a symbolic link inside of it")
def _(scene):
    with open(f"{scene.readable}/link", "rb") as file:
        _must_be_secret(file.read())


@attack("the same, by its handle (`open_by_handle_at`)")
def _(scene):
    handle = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0), 136)
    mount_id = ctypes.c_int()
    path = os.fsencode(f"{scene.outside}/secret")
    _call("name_to_handle_at", -100, path, handle, ctypes.byref(mount_id), 0)
    directory = os.open(scene.readable, os.O_RDONLY)
    with open(_call("open_by_handle_at", directory, handle, os.O_RDONLY), "rb") as file:
        _must_be_secret(file.read())


@attack("list a directory outside of the ceiling")
def _(scene):
    assert "secret" in os.listdir(scene.outside)


@attack("write to a file that may be read")
def _(scene):
    os.close(os.open(f"{scene.readable}/data", os.O_WRONLY))


@attack("make a file in a directory that may be read")
def _(scene):
    os.close(os.open(f"{scene.readable}/new", os.O_WRONLY | os.O_CREAT))


@attack("make a file in the directory for temporary files")
def _(scene):
    path = f"/tmp/luspool-{os.getpid()}"  # noqa: S108 - that very directory is meant
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    os.unlink(path)


@attack("make a file without a name (`O_TMPFILE`)")
def _(scene):
    os.close(os.open(scene.readable, os.O_WRONLY | os.O_TMPFILE))


@attack("cut a file by its path (`truncate`)")
def _(scene):
    os.truncate(f"{scene.readable}/data", 1)


@attack("change who may use a file (`chmod`)")
def _(scene):
    os.chmod(f"{scene.outside}/secret", 0o644)


@attack("change a file's times")
def _(scene):
    os.utime(f"{scene.readable}/data")


@attack("rename a file")
def _(scene):
    os.rename(f"{scene.readable}/renamed", f"{scene.readable}/renamed-again")
    os.rename(f"{scene.readable}/renamed-again", f"{scene.readable}/renamed")


@attack("give a file a second name (`link`)")
def _(scene):
    os.link(f"{scene.outside}/secret", f"{scene.readable}/hard")
    os.unlink(f"{scene.readable}/hard")


@attack("make a symbolic link")
def _(scene):
    os.symlink("/etc", f"{scene.readable}/soft")
    os.unlink(f"{scene.readable}/soft")


@attack("make a directory")
def _(scene):
    os.mkdir(f"{scene.readable}/folder")
    os.rmdir(f"{scene.readable}/folder")


@attack("remove a file")
def _(scene):
    os.unlink(f"{scene.readable}/removable")


@attack("read the host's own environment (`/proc/self/environ`)")
def _(scene):
    with open("/proc/self/environ", "rb") as file:
        file.read()


@attack("read a device")
def _(scene):
    with open("/dev/urandom", "rb", buffering=0) as file:
        file.read(1)


# Memory


@attack("make memory that is writable and executable")
def _(scene):
    _checked(_libc.mmap(None, _PAGE, _RWX, _PRIVATE, -1, 0))


@attack("make memory executable that was written to (`mprotect`)")
def _(scene):
    page = _checked(_libc.mmap(None, _PAGE, mmap.PROT_READ | mmap.PROT_WRITE, _PRIVATE, -1, 0))
    _checked(_libc.mprotect(ctypes.c_void_p(page), _PAGE, mmap.PROT_READ | mmap.PROT_EXEC))


@attack("the same, by `pkey_mprotect`")
def _(scene):
    page = _checked(_libc.mmap(None, _PAGE, mmap.PROT_READ | mmap.PROT_WRITE, _PRIVATE, -1, 0))
    _call("pkey_mprotect", page, _PAGE, mmap.PROT_READ | mmap.PROT_EXEC, -1)


@attack("execute a file that may be read (map it)")
def _(scene):
    with open(f"{scene.readable}/data", "rb") as file:
        _checked(_libc.mmap(None, _PAGE, mmap.PROT_READ | mmap.PROT_EXEC, mmap.MAP_PRIVATE, file.fileno(), 0))


@attack("System V shared memory that is executable")
def _(scene):
    number = _checked(_libc.shmget(0, _PAGE, 0o1600))
    try:
        _checked(_libc.shmat(number, None, 0o100000))
    finally:
        _libc.shmctl(number, 0, None)


@attack("have all readable memory executable (`personality`)")
def _(scene):
    _call("personality", 0x0400000)


@attack("write to pages that are not writable (`/proc/self/mem`)")
def _(scene):
    text = ctypes.create_string_buffer(SECRET)
    with open("/proc/self/mem", "r+b", buffering=0) as file:
        file.seek(ctypes.addressof(text))
        file.write(b"T")


@attack("see page faults before they are handled (`userfaultfd`)")
def _(scene):
    os.close(_call("userfaultfd", 0))


# Processes


@attack("fork")
def _(scene):
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)


@attack("the same, by `clone3`")
def _(scene):
    arguments = ctypes.create_string_buffer(struct.pack("=11Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0), 88)
    if (child := _call("clone3", arguments, 88)) == 0:
        os._exit(0)
    os.waitpid(child, 0)


@attack("execute a program")
def _(scene):
    os.execv("/bin/true", ["true"])  # noqa: S606


@attack("execute a program out of memory (`memfd_create`, `execveat`)")
def _(scene):
    memory = os.memfd_create("program", 0)
    os.write(memory, _PROGRAM)
    argv = (ctypes.c_char_p * 2)(b"true", None)
    _call("execveat", memory, b"", argv, None, 0x1000)


@attack("signal another process")
def _(scene):
    os.kill(scene.victim, signal.SIGCONT)


@attack("the same, to its thread (`tkill`)")
def _(scene):
    _call("tkill", scene.victim, signal.SIGCONT)


@attack("the same, by descriptor (`pidfd_send_signal`)")
def _(scene):
    _call("pidfd_send_signal", os.pidfd_open(scene.victim), signal.SIGCONT, None, 0)


@attack("the same, as news of a descriptor (`F_SETOWN`)")
def _(scene):
    reading, _writing = os.pipe()
    fcntl.fcntl(reading, fcntl.F_SETOWN, scene.victim)


@attack("signal the supervisor")
def _(scene):
    os.kill(scene.supervisor, 0)


@attack("trace another process (`ptrace`)")
def _(scene):
    _call("ptrace", 0x4206, scene.victim, 0, 0)


@attack("read another process's memory (`process_vm_readv`)")
def _(scene):
    found = ctypes.create_string_buffer(len(SECRET))
    _call(
        "process_vm_readv",
        scene.victim,
        _vector(ctypes.addressof(found)),
        1,
        _vector(scene.victim_secret),
        1,
        0,
    )
    _must_be_secret(found.raw)


@attack("write another process's memory (`process_vm_writev`)")
def _(scene):
    same = ctypes.create_string_buffer(SECRET)
    _call(
        "process_vm_writev",
        scene.victim,
        _vector(ctypes.addressof(same)),
        1,
        _vector(scene.victim_secret),
        1,
        0,
    )


@attack("read the supervisor's memory (`/proc/PID/mem`)")
def _(scene):
    with open(f"/proc/{scene.supervisor}/mem", "rb", buffering=0) as file:
        file.seek(scene.supervisor_secret)
        _must_be_secret(file.read(len(SECRET)))


@attack("read another process's environment")
def _(scene):
    with open(f"/proc/{scene.victim}/environ", "rb") as file:
        file.read()


@attack("take a descriptor out of another process (`pidfd_getfd`)")
def _(scene):
    os.close(_call("pidfd_getfd", os.pidfd_open(scene.victim), 0, 0))


@attack("change another process's limits")
def _(scene):
    limits = resource.prlimit(scene.victim, resource.RLIMIT_NOFILE)
    resource.prlimit(scene.victim, resource.RLIMIT_NOFILE, limits)


@attack("move another process to one processor")
def _(scene):
    os.sched_setaffinity(scene.victim, os.sched_getaffinity(0))


# Network


@attack("connect by TCP")
def _(scene):
    with socket.socket() as one:
        one.connect(("127.0.0.1", scene.tcp_port))


@attack("listen by TCP")
def _(scene):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()


@attack("send by UDP")
def _(scene):
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        one.sendto(b"hello", ("127.0.0.1", scene.udp_port))


@attack("connect to a unix socket in a directory")
def _(scene):
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(f"{scene.outside}/socket")


@attack("connect to an abstract unix socket")
def _(scene):
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(f"\0{scene.abstract_name}")


@attack("ask the kernel about its network (netlink)")
def _(scene):
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()


@attack("read all packets of the machine")
def _(scene):
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()


@attack("make a pair of sockets")
def _(scene):
    for end in socket.socketpair():
        end.close()


# The kernel


@attack("mount a file system")
def _(scene):
    target = os.fsencode(f"{scene.outside}/mount")
    _call("mount", b"none", target, b"tmpfs", 0, None)
    _call("umount2", target, 0)


@attack("change the root directory (`chroot`)")
def _(scene):
    os.chroot(scene.readable)


@attack("a user name space (`unshare`)")
def _(scene):
    _call("unshare", 0x10000000)


@attack("a process in a user name space (`clone`)")
def _(scene):
    if (child := _call("clone", 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)) == 0:
        os._exit(0)
    os.waitpid(child, 0)


@attack("enter another process's name space (`setns`)")
def _(scene):
    _call("setns", os.open(f"/proc/{scene.victim}/ns/uts", os.O_RDONLY), 0)


@attack("load a program into the kernel (`bpf`)")
def _(scene):
    os.close(_call("bpf", 0, ctypes.create_string_buffer(struct.pack("=IIII", 2, 4, 4, 1), 72), 72))


@attack("`io_uring`")
def _(scene):
    os.close(_call("io_uring_setup", 1, ctypes.create_string_buffer(120)))


@attack("keys (`keyctl`)")
def _(scene):
    _call("keyctl", 0, -2, 1, 0, 0)


@attack("performance counters (`perf_event_open`)")
def _(scene):
    attributes = ctypes.create_string_buffer(struct.pack("=IIQ", 1, 112, 0), 112)
    os.close(_call("perf_event_open", attributes, 0, -1, -1, 0))


@attack("watch what is opened (`fanotify`)")
def _(scene):
    os.close(_call("fanotify_init", 0, os.O_RDONLY))


@attack("watch a directory (`inotify`)")
def _(scene):
    os.close(_call("inotify_init1", 0))


@attack("name the machine (`sethostname`)")
def _(scene):
    socket.sethostname(_HOSTNAME)


@attack("load another kernel (`kexec_load`)")
def _(scene):
    _call("kexec_load", 0, 0, None, 0)


@attack("type at the user's terminal (`TIOCSTI`)")
def _(scene):
    fcntl.ioctl(scene.terminal, 0x5412, b"x")


# The wall itself


@attack("have core files again")
def _(scene):
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))
    except ValueError as error:  # how Python says that it is not permitted
        raise PermissionError(errno.EPERM, str(error)) from error


@attack("be open to other processes again (`PR_SET_DUMPABLE`)")
def _(scene):
    _call("prctl", 4, 1, 0, 0, 0)


@attack("outlive the parent (`PR_SET_PDEATHSIG`)")
def _(scene):
    _call("prctl", 1, 0, 0, 0, 0)


@attack("run before others (`setpriority`)")
def _(scene):
    _call("setpriority", 0, 0, -1 if os.geteuid() == 0 else 1)


@attack("become another user (`setuid`)")
def _(scene):
    os.setuid(65534)


if _X86:
    # mov eax, 20 (getpid, as 32-bit programs number it); push rbx; int 0x80; pop rbx; ret
    _gate = mmap.mmap(-1, _PAGE, prot=_RWX)
    _gate.write(b"\xb8\x14\x00\x00\x00\x53\xcd\x80\x5b\xc3")
    _through_gate = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(_gate)))

    @attack("system calls of 32-bit programs, which have other numbers")
    def _(scene):
        assert _through_gate() == os.getpid()
