"""What the states of one host share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field

from .compiler import ChunkCache

if TYPE_CHECKING:
    from .sources import SourceLog


class Shared(Struct, frozen=True):
    """Read-only but for the cache and the log, which are thread-safe.

    `environment` is what `os.getenv` shows to a state that holds `env`; nothing else of the process's environment is
    reachable. `directory` is where relative paths begin.
    """

    environment: Mapping[str, str]
    directory: str
    chunks: ChunkCache = field(default_factory=ChunkCache)
    sources: SourceLog | None = None
    """Notes which files code was loaded from, where somebody asks for that."""
