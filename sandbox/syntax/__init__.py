"""The language front end: from Lus source text to Lua 5.5 text that keeps every line where it was."""

from .faults import Stop, SyntaxFault, TranslationStoppedError, fault_from_lua
from .lua_compiler import CompileError, compile_lua
from .translate import Translation, translate

__all__ = [
    "CompileError",
    "Stop",
    "SyntaxFault",
    "Translation",
    "TranslationStoppedError",
    "compile_lua",
    "fault_from_lua",
    "translate",
]
