"""Makes control characters visible, so that what a script prints can't drive the user's terminal.

Escape sequences can retitle windows, fake earlier output, answer for the user and more. Kept are line feeds, tabs and
text in UTF-8; everything else is spelt out: `^[` for escape as in `cat -v`, `<U+009B>` for the C1 controls and for the
marks that reorder text, `<FF>` for bytes that are no UTF-8.
"""

from __future__ import annotations

import codecs

_REORDERING = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Embeddings, overrides and isolates of bidirectional text: they can make a line read as something else."""

_VISIBLE = {
    **{code: f"^{chr(code ^ 0x40)}" for code in (*range(0x20), 0x7F)},
    **{code: f"<U+{code:04X}>" for code in (*range(0x80, 0xA0), *_REORDERING)},
    **{code: f"<{code - 0xDC00:02X}>" for code in range(0xDC80, 0xDD00)},  # where surrogateescape puts a stray byte
}
del _VISIBLE[ord("\n")], _VISIBLE[ord("\t")]


class VisibleText:
    """Translates one stream of bytes, in any pieces. A character that a piece cuts is held until the next."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")

    def feed(self, data: bytes, *, final: bool = False) -> bytes:
        """What to write for `data`; with `final` also for a character that never came to its end."""
        return self._decoder.decode(data, final).translate(_VISIBLE).encode()
