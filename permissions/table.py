"""Which permissions there are: one table of records, so that no rule about a permission hides in code.

A permission is *elementary* when it covers exactly itself. Every decision is about an elementary permission; the
others (`fs`, `network`, `all`) are only shorter ways to write several at once, and `seal` is an instruction that
covers none.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from msgspec import Struct


class ValueKind(Enum):
    """What may stand after the `=` of a pledge, or for FUNCTION after a `:`."""

    NONE = "none"
    PATH = "path or pattern"
    NAME = "name"
    FUNCTION = "name of a function"
    """Written `host:log`, as scripts write `host.log`: to people the name is a part of the permission."""
    OPAQUE = "anything"
    """Never looked into, since the permission cannot be granted; scripts written for other hosts still parse."""


class Permission(Struct, frozen=True):
    """One word of the pledge grammar.

    `covers` are the elementary permissions that it stands for. `grantable` is False for words that are known but can
    never be held here. `in_scripts` is False for words that only the command line may use.
    """

    name: str
    value: ValueKind
    covers: tuple[str, ...]
    grantable: bool = True
    in_scripts: bool = True

    @property
    def elementary(self) -> bool:
        """Whether decisions are about this permission itself."""
        return self.covers == (self.name,)


_FS = ("fs:read", "fs:write")
_NETWORK = ("network:tcp", "network:udp", "network:http")

_RECORDS = (
    Permission("load", ValueKind.NONE, ("load",)),
    Permission("fs", ValueKind.PATH, _FS),
    Permission("fs:read", ValueKind.PATH, ("fs:read",)),
    Permission("fs:write", ValueKind.PATH, ("fs:write",)),
    Permission("env", ValueKind.NAME, ("env",)),
    Permission("host", ValueKind.FUNCTION, ("host",)),
    Permission("seal", ValueKind.NONE, ()),
    Permission("exec", ValueKind.OPAQUE, ("exec",), grantable=False),
    Permission("network", ValueKind.OPAQUE, _NETWORK, grantable=False),
    *(Permission(name, ValueKind.OPAQUE, (name,), grantable=False) for name in _NETWORK),
    Permission("all", ValueKind.NONE, ("load", *_FS, "env", "host"), in_scripts=False),
)

PERMISSIONS: Mapping[str, Permission] = MappingProxyType({record.name: record for record in _RECORDS})
"""Every known permission by its name, in the order in which people are shown them."""
