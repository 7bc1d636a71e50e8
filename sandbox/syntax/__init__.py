"""The language front end: from Lus source text to Lua 5.5 text that keeps every line where it was."""

from .faults import Stop, SyntaxFault, TranslationStoppedError, fault_from_lua
from .pieces import PIECES, asking
from .translate import Translation, translate

__all__ = [
    "PIECES",
    "Stop",
    "SyntaxFault",
    "Translation",
    "TranslationStoppedError",
    "asking",
    "fault_from_lua",
    "translate",
]
