"""All layers together: what a host puts up around itself, and what this kernel has of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from typing import Self

from msgspec import Struct

from ...permissions import PledgeSet
from . import landlock, process, seccomp
from .policy import paths_of


class Mode(Enum):
    """What a missing layer means: an error, nothing, or that none is wanted."""

    STRICT = "strict"
    BEST_EFFORT = "best-effort"
    OFF = "off"


class WallError(RuntimeError):
    """A layer of the wall can't be put up: which, and why. Other layers may be up by then: end the process."""

    def __init__(self, layer: Layer) -> None:
        super().__init__(
            f"the wall of the operating system is incomplete: {layer.name}: {layer.detail} "
            f"(--wall {Mode.BEST_EFFORT.value} goes on without)"
        )
        self.layer = layer


class Layer(Struct, frozen=True):
    """One layer: its name, whether it is there, and what it does or why it is missing, in words."""

    name: str
    present: bool
    detail: str


class Wall(Struct, frozen=True):
    """What a host leaves open, as plain data.

    `readable` and `writable` are absolute real paths, each with all beneath it. `open_files` and `data_bytes` are
    limits of the whole process, 0 for none of its own (see `process.limit`).
    """

    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    open_files: int = 0
    data_bytes: int = 0

    @classmethod
    def around(cls, pledges: PledgeSet, *, open_files: int = 0, data_bytes: int = 0) -> Self:
        """The wall that lets everything be that states under `pledges` may ever do, and little else."""
        return cls(paths_of(pledges, "fs:read"), paths_of(pledges, "fs:write"), open_files, data_bytes)

    def put_up(self, mode: Mode) -> tuple[Layer, ...]:
        """Put it up around this process, for good; every layer, and whether it is there. None at all with `OFF`.

        Call it once, after `prepare`, while the process has one thread: others would stay outside. RuntimeError where
        there are more. `WallError` with `STRICT` where a layer is missing.
        """
        if mode is Mode.OFF:
            return ()
        if (threads := len(os.listdir("/proc/self/task"))) != 1:
            raise RuntimeError(f"the wall goes up before threads start, and there are {threads}")
        layers = []
        for name, build in self._steps():
            layer = _tried(name, build)
            if not layer.present and mode is Mode.STRICT:
                raise WallError(layer)
            layers.append(layer)
        return tuple(layers)

    def _steps(self) -> tuple[tuple[str, Callable[[], str]], ...]:
        """In the order in which each still lets the next one be put up: the filter of system calls comes last."""
        reading, writing = bool(self.readable), bool(self.writable)
        return (
            ("session", process.own_session),
            ("death with the parent", process.die_with_parent),
            ("limits", lambda: process.limit(self.open_files, self.data_bytes)),
            ("memory", process.hide_memory),
            ("no new privileges", process.no_new_privileges),
            ("Landlock", lambda: landlock.enforce(self.readable, self.writable)),
            ("capabilities", lambda: process.drop_capabilities(reading=reading, writing=writing)),
            ("seccomp", lambda: seccomp.enforce(writing=writing)),
        )


def _tried(name: str, action: Callable[[], str]) -> Layer:
    try:
        return Layer(name, True, action())
    except OSError as error:
        return Layer(name, False, error.strerror or str(error))
