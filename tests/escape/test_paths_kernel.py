"""What is no ordinary file: /proc, descriptors by name, devices, pipes, sockets. Nothing hangs, nothing leaks."""

import os
import shutil
import subprocess
from contextlib import ExitStack

import pytest

from luspool.permissions import PledgeError

from .paths_scene import DENIED, READ, WAYS, Scene, listener, verdict

NOT_A_FILE = "Not a regular file"


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


@pytest.mark.parametrize("way", WAYS)
def test_pipes_sockets_and_directories_are_refused_at_once(scene, way):
    os.mkfifo(scene.root / "open/fifo")
    scene.link("open/to_fifo", "fifo")
    with listener(scene.root / "open/socket"):
        for name in ("fifo", "to_fifo", "socket"):
            got = verdict(scene.attempt(way, scene.root / "open" / name))
            assert NOT_A_FILE in got or way in ("require", "searchers", "searchpath"), got
            assert got not in (READ, DENIED)
    os.mkfifo(scene.root / "closed/fifo")
    assert verdict(scene.attempt(way, scene.root / "closed/fifo")) == DENIED


@pytest.mark.parametrize("way", ["io.open", "loadfile", "worker.create"])
@pytest.mark.parametrize("device", ["null", "zero", "full", "random", "urandom", "tty", "ptmx", "stdin", "stdout"])
def test_no_device_is_opened_also_by_whoever_may_read_everything(scene, way, device):
    path = f"/dev/{device}"
    if not os.path.exists(path) and not os.path.islink(path):
        pytest.skip(f"there is no {path} here")
    assert verdict(scene.attempt(way, path)) == DENIED
    # A standard stream may be a file, which is read then like any other, or none that can be opened.
    got = verdict(scene.attempt(way, path, held=("fs:read", "load")))
    assert NOT_A_FILE in got or device.startswith("std"), got


OF_PROCESSES = [
    "cmdline", "environ", "mem", "maps", "smaps", "auxv", "status", "stat", "syscall", "stack", "pagemap", "io",
    "limits", "mountinfo", "cgroup", "fdinfo/0", "attr/current", "net/tcp", "ns/mnt", "ns/net", "fd", "task",
    "map_files",
]  # fmt: skip


@pytest.mark.parametrize(
    "process", ["self", "thread-self", "{pid}", "1", "self/task/{pid}", "self/root/proc/self", "{parent}"]
)
def test_nothing_that_the_kernel_tells_of_processes_is_read_by_anybody(scene, process):
    process = process.format(pid=os.getpid(), parent=os.getppid())
    paths = [f"/proc/{process}/{name}" for name in OF_PROCESSES]
    paths += [f"/proc/{process}/../{process}/environ", f"//proc//{process}/./environ", f"/dev/../proc/{process}/mem"]
    for text in map(verdict, scene.attempts("io.open", paths)):
        assert text == DENIED
    for path, text in zip(paths, scene.attempts("io.open", paths, held=("fs:read", "fs:read=/proc")), strict=True):
        why = verdict(text).removeprefix(f"{path}: ")
        whys = (NOT_A_FILE, "Is a directory", "No such file or directory", "Permission denied", "Not a directory")
        assert why in whys, text


@pytest.mark.parametrize("path", ["/proc/kcore", "/proc/kmsg", "/proc/sysrq-trigger", "/proc/version", "/proc/keys"])
def test_nor_what_it_tells_of_the_machine(scene, path):
    assert verdict(scene.attempt("io.open", path, held=("fs:read",))) != READ
    assert verdict(scene.attempt("io.open", path)) == DENIED


@pytest.mark.parametrize("name", ["/proc/self/fd", "/dev/fd", "/proc/thread-self/fd", "/proc/self/task/{}/fd"])
def test_an_open_file_is_judged_by_its_own_path_also_by_its_number(scene, name):
    folder = name.format(os.getpid())
    with ExitStack() as stack:
        inside = stack.enter_context(open(scene.root / "open/file", encoding="utf-8")).fileno()
        outside = stack.enter_context(open(scene.root / "closed/file", encoding="utf-8")).fileno()
        directory = os.open(scene.root / "closed", os.O_RDONLY)
        stack.callback(os.close, directory)
        for fd in os.pipe():
            stack.callback(os.close, fd)
            assert verdict(scene.attempt("io.open", f"{folder}/{fd}")) == DENIED
        assert verdict(scene.attempt("io.open", f"{folder}/{inside}")) == READ
        for path in (outside, directory, f"{directory}/file", f"{directory}/sub/../file", 9999):
            assert verdict(scene.attempt("io.open", f"{folder}/{path}")) == DENIED


@pytest.mark.parametrize("link", ["/proc/self/root{}", "/proc/self/cwd/..{}", "/proc/1/root{}", "/proc/self/root/.{}"])
def test_the_kernels_links_to_directories_lead_where_they_lead(scene, link, monkeypatch):
    monkeypatch.chdir("/")
    for name in ("closed/file", "open/../closed/file", "closed/none"):
        assert verdict(scene.attempt("io.open", link.format(f"{scene.root}/{name}"))) == DENIED
    got = verdict(scene.attempt("io.open", link.format(f"{scene.root}/open/file")))
    assert got in (READ, DENIED)  # denied where the kernel does not let us follow another process's link


def test_the_program_of_the_host_is_a_file_like_others(scene):
    assert verdict(scene.attempt("io.open", "/proc/self/exe")) == DENIED


@pytest.mark.parametrize("way", ["io.open", "loadfile", "worker.create"])
def test_a_file_that_has_lost_its_name_is_not_there(scene, way):
    """The kernel appends " (deleted)" to the name that it had, which no rejection of that name would match."""
    key, other = scene.root / "open/key", scene.root / "closed/other"
    scene.write("open/key", "return 'secret'")
    os.link(key, other)
    held = ("load", f"fs:read={scene.root}/open", f"~fs:read={key}")
    with open(key, encoding="utf-8") as file:
        path = f"/proc/self/fd/{file.fileno()}"
        assert verdict(scene.attempt(way, path, held=held)) == DENIED
        key.unlink()
        assert "No such file or directory" in verdict(scene.attempt(way, path, held=held))
        # Nor is it what has that name now.
        scene.write("open/key (deleted)")
        assert "No such file or directory" in verdict(scene.attempt(way, path, held=held))
        assert verdict(scene.attempt(way, f"{key} (deleted)", held=held)) == READ


def test_the_same_name_in_another_mount_name_space_is_another_file(scene):
    """Through /proc/PID/root the kernel says a path that is one of that process's own root."""
    unshare = shutil.which("unshare")
    source = f"mount -t tmpfs none {scene.root}/open && echo \"return 'secret'\" > {scene.root}/open/other"
    source += f" && cp {scene.root}/open/other {scene.root}/open/file && echo ready; read line"
    if unshare is None:
        pytest.skip("there is no unshare here")
    command = [unshare, "--mount", "sh", "-c", source]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as other:
        if other.stdout.readline() != b"ready\n":
            pytest.skip("no mount name space can be made here")
        for name in ("other", "file"):
            got = verdict(scene.attempt("io.open", f"/proc/{other.pid}/root{scene.root}/open/{name}"))
            assert "No such file or directory" in got
        other.communicate(b"\n")


def test_a_pledge_of_a_link_that_never_ends_is_an_error_of_the_pledge(scene):
    scene.chain("open/endless", 1200, "file")
    port = scene.run("print(pcall(pledge, 'fs:read=' .. (...)))", f"{scene.root}/open/endless0")
    assert "too many symbolic links" in port.output
    with pytest.raises(PledgeError, match="too many symbolic links"):
        scene.script("", held=(f"fs:read={scene.root}/open/endless0",))


def test_a_path_longer_than_the_kernel_tells_is_an_error(scene, monkeypatch):
    monkeypatch.chdir(scene.root / "open")
    name = "d" * 250
    for _ in range(17):
        os.mkdir(name)
        os.chdir(name)
    with open("file", "w", encoding="utf-8") as file:
        file.write("return 'inside'")
    for way in ("io.open", "loadfile", "worker.create"):
        assert "File name too long" in verdict(scene.attempt(way, "file"))
        assert verdict(scene.attempt(way, "none")) not in (READ, DENIED)
