"""One item of a batch: a script, and what it gets. Pure; as JSON for the ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field


class Item(Struct, frozen=True):
    """`script` is a path. Texts may hold bytes that are no UTF-8, surrogate-escaped."""

    script: str
    arguments: tuple[str, ...] = ()
    stdin: str = ""
    pledges: tuple[str, ...] | None = None
    """What it holds, out of what the batch grants; None: all that the batch holds."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """By the names of the options."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables on top of those of the command."""
    place: str = ""
    """Where it was stated, as `file:line`; "" where that says nothing."""

    def dump(self) -> str:
        """As text that `load` reads: of the fields, those that say something."""
        data: dict[str, Any] = {"script": self.script}
        if self.arguments:
            data["arguments"] = self.arguments
        if self.stdin:
            data["stdin"] = self.stdin
        if self.pledges is not None:
            data["pledges"] = self.pledges
        if self.limits:
            data["limits"] = dict(self.limits)
        if self.environment:
            data["environment"] = dict(self.environment)
        if self.place:
            data["place"] = self.place
        return json.dumps(data, separators=(",", ":"))

    @classmethod
    def load(cls, text: str) -> Item:
        """What `dump` gave; a ledger is the user's own, and believed."""
        data = json.loads(text)
        for name in ("arguments", "pledges"):
            if name in data:
                data[name] = tuple(data[name])
        return cls(**data)
