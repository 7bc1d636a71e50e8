"""Which files a program has loaded code from: what it depends on, besides its main script."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from hashlib import sha256


class SourceLog:
    """Digests of source files by their paths, as scripts named them. Thread-safe; bounded.

    A file that was looked for and is not there is in it too, with b"": it would have been taken.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._digests: dict[str, bytes] = {}
        self.has_all = True
        """Nothing was left out, because there was more than `most` or a file has changed meanwhile."""

    def note(self, path: str, source: bytes | None) -> None:
        """`path` had this content, or (None) was not there."""
        digest = b"" if source is None else sha256(source).digest()
        with self._lock:
            if len(self._digests) < self._most or path in self._digests:
                self.has_all &= self._digests.setdefault(path, digest) == digest
            else:
                self.has_all = False

    def digests(self) -> Mapping[str, bytes]:
        """All that was noted. Once no program adds to it any more."""
        return self._digests
