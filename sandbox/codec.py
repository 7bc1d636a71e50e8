"""Messages as bytes, for the embedding side: the Python twin of lua/codec.lua. The format is in docs/messages.md.

What Lua gives, and what Python gets (and the way back, which is the same unless it says otherwise):

- nil, booleans, integers, floats: None, bool, int, float. An int must fit in 64 bits.
- a string: str where its bytes are UTF-8, else bytes; always bytes with `text=False`. Both str and bytes are sent, so
  Lua to Python to Lua keeps every string as it was.
- a table with the keys 1 to n and no others, n > 0: a list. Tuples are sent likewise (each empty tuple as a table of
  its own, since Python has only one). In a list, None leaves a hole, as nil does in Lua.
- any other table, also an empty one: a dict. An entry whose value is None is not sent: that is what nil means in Lua.
- a table that no dict can hold, for a key that is a table or for two keys that only Lua tells apart (`1` and `true`):
  `Entries`.
- a vector: a bytearray. As a key, which no dict can hold, it makes the table `Entries`.
- an enum's value: `EnumValue`. Enums with equal names are one enum in Python, and become one when they are sent.

Tables and vectors that are shared, and tables that contain themselves, are the same object at every place. In Lua a
float key with an integer value is that integer; so it is here. Where two keys of a dict are one key in Lua ("a" and
b"a"), the later one wins.
"""

from __future__ import annotations

from .codec_read import decode
from .codec_types import DEFAULT_LIMITS, CodecError, CopyError, Entries, EnumValue, Limits, Value
from .codec_write import encode

__all__ = ["DEFAULT_LIMITS", "CodecError", "CopyError", "Entries", "EnumValue", "Limits", "Value", "decode", "encode"]
