"""Runs all attacks as a host that a script has taken over would, behind none, one or all of the walls.

Usage: attacker.py WALL, a scene as JSON on standard input. Prints for each attack its title and what came of it; the
last line about an attack counts.

    works      it did what it says
    refused    the kernel did not let it
    absent     this kernel can't do it at all
    killed     it ended the process

Where processes can be made, each attack has one of its own, so that none spoils the next one's world; otherwise they
run one after the other in one process, and the one that may end it runs last.
"""

from __future__ import annotations

import errno
import json
import os
import pty
import sys
from collections.abc import Callable

from attacks import ATTACKS, Scene

from luspool.sandbox.wall import Mode, Wall, landlock, process, seccomp

REFUSED = frozenset((errno.EPERM, errno.EACCES, errno.EIO))
ABSENT = frozenset((errno.ENOSYS, errno.EOPNOTSUPP, errno.ENODEV, errno.EPFNOSUPPORT, errno.EAFNOSUPPORT))


def small(scene: Scene) -> None:
    process.limit(0, 0)
    process.hide_memory()
    process.no_new_privileges()
    process.drop_capabilities(reading=True, writing=False)


def landlock_alone(scene: Scene) -> None:
    process.no_new_privileges()
    landlock.enforce([scene.readable], [])


def seccomp_alone(scene: Scene) -> None:
    process.no_new_privileges()
    seccomp.enforce(writing=False)


def whole(scene: Scene) -> None:
    Wall(readable=(scene.readable,)).put_up(Mode.STRICT)


WALLS: dict[str, Callable[[Scene], None]] = {
    "none": lambda scene: None,
    "small": small,
    "landlock": landlock_alone,
    "seccomp": seccomp_alone,
    "wall": whole,
}


def result(run: Callable[[Scene], object], scene: Scene) -> str:
    try:
        run(scene)
    except OSError as error:
        if error.errno in REFUSED:
            return "refused"
        if error.errno in ABSENT:
            return "absent"
        raise
    return "works"


def in_child(run: Callable[[Scene], object], scene: Scene) -> str:
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.write(writing, result(run, scene).encode())
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    with open(reading, "rb") as pipe:
        text = pipe.read().decode()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if text or status == 0:
        return text or "works"  # it has become another program
    return "killed" if status < 0 else f"exit status {status}"


def main() -> None:
    wall = sys.argv[1]
    primary, terminal = pty.openpty()
    scene = Scene(terminal=terminal, **json.load(sys.stdin))
    WALLS[wall](scene)
    run = result if wall in ("seccomp", "wall") else in_child
    for attack in ATTACKS:
        # Before it as well: the one that ends the process has said by then which it is.
        print(json.dumps([attack.title, "killed"]), flush=True)
        print(json.dumps([attack.title, run(attack.run, scene)]), flush=True)
    os.close(primary)


main()
