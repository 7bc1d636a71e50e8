"""The wall of the operating system around a host: what holds when a script has broken all others.

A host that runs hostile code as the kernel sees it can open no file outside of what its scripts' ceiling names, start
nothing, reach no other process and no network, and make no executable memory. `docs/security.md` lists what was tried
against it.

The modules, each on those before it: `numbers` and `kernel` (system calls), `filter` (programs for seccomp, pure),
`policy` (from pledges to paths, pure), `seccomp`, `landlock` and `process` (the layers), `wall` (all of them), and
`prepare` (what has to be there before).
"""

from .prepare import prepare
from .wall import Layer, Mode, Wall, WallError

__all__ = ["Layer", "Mode", "Wall", "WallError", "prepare"]
