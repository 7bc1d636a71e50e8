"""Each layer of the wall, as it is put up, and what is said where one is missing."""

from __future__ import annotations

import os
import select
import subprocess
import sys

HANG_SECONDS = 30


def test_all_layers_are_there_and_each_says_what_it_does(python):
    output = python("""
        from luspool.sandbox.wall import Mode, Wall
        for layer in Wall().put_up(Mode.STRICT):
            print(layer.present, bool(layer.detail), layer.name)
    """)
    names = ["session", "death with the parent", "limits", "memory"]
    names += ["no new privileges", "Landlock", "capabilities", "seccomp"]
    assert output.splitlines() == [f"True True {name}" for name in names]


def test_off_puts_up_nothing(python):
    assert (
        python("""
        import os
        from luspool.sandbox.wall import Mode, Wall
        print(Wall().put_up(Mode.OFF))
        os.close(os.open("/etc/passwd", os.O_RDONLY))
        status = {line.split(":")[0]: line.split()[-1] for line in open("/proc/self/status")}
        print(status["NoNewPrivs"], status["Seccomp"])
        """)
        == "()\n0 0\n"
    )


def test_there_is_no_wall_beside_threads(python):
    assert (
        python("""
        import threading
        from luspool.sandbox.wall import Mode, Wall
        end = threading.Event()
        thread = threading.Thread(target=end.wait)
        thread.start()
        for mode in (Mode.STRICT, Mode.BEST_EFFORT):
            try:
                Wall().put_up(mode)
            except RuntimeError as error:
                print(error)
        end.set()
        thread.join()
        """)
        == "the wall goes up before threads start, and there are 2\n" * 2
    )


MISSING = """
    import errno, os
    from luspool.sandbox.wall import Mode, Wall, landlock
    call = landlock.kernel.call
    def without_landlock(number, *arguments):
        if number == 444:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        return call(number, *arguments)
    landlock.kernel.call = without_landlock
    {rest}
"""


def test_a_missing_layer_is_an_error_when_all_are_wanted(python):
    code = "try: Wall().put_up(Mode.STRICT)\n    except RuntimeError as error: print(error, error.layer.name)"
    assert python(MISSING.format(rest=code)) == (
        "the wall of the operating system is incomplete: Landlock: this kernel has none (Linux 5.13 and newer have it) "
        "(--wall best-effort goes on without) Landlock\n"
    )


def test_the_other_layers_stand_where_one_is_missing_and_that_is_accepted(python):
    code = """for layer in Wall().put_up(Mode.BEST_EFFORT):
        if not layer.present: print(layer.name, layer.detail)
    print(len(os.listdir("/")) > 0)
    try: os.pipe()
    except PermissionError: print("refused")"""
    assert python(MISSING.format(rest=code)) == (
        "Landlock this kernel has none (Linux 5.13 and newer have it)\nTrue\nrefused\n"
    )


def test_an_unknown_processor_has_no_filter(python):
    code = """
        import os
        from types import SimpleNamespace
        from luspool.sandbox.wall import Mode, Wall
        os.uname = lambda: SimpleNamespace(machine="pdp11")
        for layer in Wall().put_up(Mode.BEST_EFFORT):
            if not layer.present: print(layer.name, layer.detail)
    """
    names = ("death with the parent", "memory", "no new privileges", "Landlock", "capabilities", "seccomp")
    detail = "luspool knows no system calls of pdp11 (it knows x86_64, aarch64)"
    assert python(code).splitlines() == [f"{name} {detail}" for name in names]


def test_a_trial_says_what_this_system_has_and_changes_nothing(python):
    assert (
        python("""
        from luspool.wall_trial import trial
        print([layer.name for layer in trial() if layer.present and layer.name[0] in "nLs"])
        status = {line.split(":")[0]: line.split()[-1] for line in open("/proc/self/status")}
        print(status["NoNewPrivs"], status["Seccomp"])
        """)
        == "['session', 'no new privileges', 'Landlock', 'seccomp']\n0 0\n"
    )


def test_limits_bind_and_a_process_that_meets_one_goes_on(python):
    assert (
        python("""
        import os
        from luspool.sandbox.wall import Mode, Wall
        Wall(readable=("/usr",), open_files=20, data_bytes=256 << 20).put_up(Mode.STRICT)
        try:
            bytearray(512 << 20)
        except MemoryError:
            print("memory")
        try:
            while True:
                os.open("/usr", os.O_RDONLY)
        except OSError as error:
            print(error.strerror)
        """)
        == "memory\nToo many open files\n"
    )


def test_a_walled_process_is_closed_to_another_one_of_the_same_ordinary_user(python):
    # Both become that user, where the test is run by root; root itself may look into everything.
    output = python("""
        import os, subprocess, sys
        import inside
        from luspool.sandbox.wall import Mode, Wall, process

        def memory(pid):
            try:
                with open(f"/proc/{pid}/mem", "rb"), open(f"/proc/{pid}/environ", "rb"):
                    return "open"
            except PermissionError:
                return "closed"

        for hide in (False, True):
            ready, told = os.pipe()
            end, stop = os.pipe()
            if (pid := os.fork()) == 0:
                os.close(stop)
                inside.become(65534)
                # Becoming another user hides it too: what a process was born with is undone.
                process._prctl(4, 1)
                if hide:
                    Wall().put_up(Mode.STRICT)
                os.write(told, b"x")
                os.read(end, 1)
                os._exit(0)
            os.close(end)
            os.read(ready, 1)
            if (looker := os.fork()) == 0:
                inside.become(65534)
                os.write(1, memory(pid).encode() + b"\\n")
                os._exit(0)
            os.waitpid(looker, 0)
            os.close(stop)
            os.waitpid(pid, 0)
    """)
    assert output == "open\nclosed\n"


def test_a_walled_process_that_listens_to_nobody_dies_with_its_parent():
    parent = """
import os, sys, time
from luspool.sandbox.wall import Mode, Wall
if (pid := os.fork()) == 0:
    Wall().put_up(Mode.STRICT)
    os.write(1, b"%d\\n" % os.getpid())
    while True:
        time.sleep(1000)
time.sleep(1000)
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        pidfd = os.pidfd_open(int(process.stdout.readline()))
        process.kill()
    gone = select.poll()
    gone.register(pidfd, select.POLLIN)
    assert gone.poll(HANG_SECONDS * 1000)
    os.close(pidfd)
