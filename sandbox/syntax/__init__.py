"""The language front end: from Lus source text to Lua 5.5 text that keeps every line where it was."""

from .faults import SyntaxFault, fault_from_lua
from .translate import Translation, translate

__all__ = ["SyntaxFault", "Translation", "fault_from_lua", "translate"]
