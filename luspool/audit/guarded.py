"""Which functions of the library ask for permissions: one table. A test compares it with all that a script can reach.

Arguments count from 0. What is not here asks for nothing, wherever it is passed.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from msgspec import Struct


class Asks(Enum):
    """For what a function asks, if that is not simply one permission for each of some arguments."""

    PLAINLY = auto()
    """`permissions` are those of the arguments."""
    BY_MODE = auto()
    """As `io.open`: by its second argument."""
    IF_GIVEN = auto()
    """Only where there is an argument, that is no file."""
    WITH_PARENTS = auto()
    """Where the second argument is true, also for the directories above the first."""
    FOR_MODULE = auto()
    """As `require`."""
    ALONG_PATH = auto()
    """As `package.searchpath`."""
    FOR_TEXT = auto()
    """As `load`: what is loaded may ask for anything."""
    BY_PLEDGE = auto()
    """As `pledge`: every argument is one."""
    OF_HOST = auto()
    """As `host.name`: by its own name."""
    SOMEWHERE = auto()
    """For a file whose name the system chooses."""
    AS_CALLED = auto()
    """As `pcall`: for nothing of its own, and for what the function asks that its first argument is."""


class Guarded(Struct, frozen=True):
    """A function. `loads`: it needs `load`. `follows`: its first argument is a script that then runs."""

    permissions: tuple[tuple[int, str], ...] = ()
    loads: bool = False
    follows: bool = False
    asks: Asks = Asks.PLAINLY
    skips: int = 1
    """With AS_CALLED: how many arguments stand before those of the function."""


_READ: Final = Guarded(((0, "fs:read"),))
_WRITE: Final = Guarded(((0, "fs:write"),))
_WRITE_BOTH: Final = Guarded(((0, "fs:write"), (1, "fs:write")))
_MOVE: Final = Guarded(((0, "fs:read"), (0, "fs:write"), (1, "fs:write")))
_RUN: Final = Guarded(((0, "fs:read"),), loads=True, follows=True)

GUARDED: Final[Mapping[str, Guarded]] = MappingProxyType(
    {
        "dofile": _RUN,
        "fs.copy": Guarded(((0, "fs:read"), (1, "fs:write"))),
        "fs.createdirectory": Guarded(((0, "fs:write"),), asks=Asks.WITH_PARENTS),
        "fs.createlink": _WRITE_BOTH,
        "fs.follow": _READ,
        "fs.list": _READ,
        "fs.move": _MOVE,
        "fs.remove": _WRITE,
        "fs.type": _READ,
        "io.input": Guarded(((0, "fs:read"),), asks=Asks.IF_GIVEN),
        "io.lines": Guarded(((0, "fs:read"),), asks=Asks.IF_GIVEN),
        "io.open": Guarded(((0, "fs:read"), (0, "fs:write")), asks=Asks.BY_MODE),
        "io.output": Guarded(((0, "fs:write"),), asks=Asks.IF_GIVEN),
        "load": Guarded(loads=True, asks=Asks.FOR_TEXT),
        "loadfile": _RUN,
        "os.getenv": Guarded(((0, "env"),)),
        "os.remove": _WRITE,
        "os.rename": _MOVE,
        "os.tmpname": Guarded(((0, "fs:write"),), asks=Asks.SOMEWHERE),
        "package.searchpath": Guarded(((0, "fs:read"),), asks=Asks.ALONG_PATH),
        "pcall": Guarded(asks=Asks.AS_CALLED),
        "pledge": Guarded(asks=Asks.BY_PLEDGE),
        "require": Guarded(((0, "fs:read"),), loads=True, follows=True, asks=Asks.FOR_MODULE),
        "worker.create": _RUN,
        "xpcall": Guarded(asks=Asks.AS_CALLED, skips=2),
    }
)
"""By the names that scripts call them by."""

OF_HOST: Final = Guarded(asks=Asks.OF_HOST)
"""Each function of `host`."""

FREE: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "fs.path": frozenset(("delimiter", "join", "name", "parent", "separator", "split")),
        "io": frozenset(("close", "flush", "read", "stderr", "stdin", "stdout", "type", "write")),
        "os": frozenset(("clock", "date", "difftime", "exit", "platform", "setlocale", "time")),
        "package": frozenset(("config", "cpath")),
        "worker": frozenset(("cancel", "limit", "message", "peek", "receive", "send", "status")),
    }
)
"""What the tables of guarded functions hold besides, and may be passed around: it asks for nothing."""

FREE_TABLES: Final = frozenset(("fs.path",))
"""Those among the free things that are tables: given away, they could be changed."""

TABLES: Final = frozenset(("fs", "host", "io", "network", "os", "package", "worker", *FREE))
"""Tables that lead to guarded functions."""

ENVIRONMENTS: Final = frozenset(("_G", "_ENV"))
"""Names for all of them at once."""

TRACKED: Final = frozenset({name for name in (*GUARDED, *TABLES) if "." not in name} | ENVIRONMENTS)
"""The global names whose every use has to be understood."""

HARMLESS: Final = frozenset(("pcall", "xpcall"))
"""What asks for nothing by being passed around."""

MODULE_PATH: Final = ("./?.lus", "./?.lua", "./?/init.lus", "./?/init.lua")
"""Where `require` looks, in this order."""

BUILT_IN_MODULES: Final = frozenset(
    ("_G", "coroutine", "debug", "fs", "io", "math", "os", "package", "string", "table", "utf8", "vector", "worker")
)
"""What `require` gives without looking at files."""
