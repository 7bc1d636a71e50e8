"""The language front end: from Lus source text to Lua 5.5 text that keeps every line where it was.

The modules: `faults` (what is wrong with a text), `tokens`, `tree` (what Lua lacks of the text, as data), `cursor`
(reading tokens), `scope` (names), `expressions`, `declarations` and `statements` (the parser), `emit` (Lua's text),
`translate` (all of that), `lua_compiler` (Lua's own compiler), and `record` (the parser for who wants to know what a
script does).
"""

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
