"""The language front end: from Lus source text to Lua 5.5 text that keeps every line where it was."""

from .faults import Stop, SyntaxFault, TranslationStoppedError, fault_from_lua
from .translate import Translation, translate

__all__ = ["Stop", "SyntaxFault", "Translation", "TranslationStoppedError", "fault_from_lua", "translate"]
