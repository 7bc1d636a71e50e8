"""One worker state: language front end, guarded library, message codec, files by descriptor.

`state.Sandbox` makes states that a scheduler can run; the library that a script sees is in lua/, the calls that it
makes of its host in `door`; `syntax` is the language.
"""

from .codec import CodecError, CopyError
from .program import NO_ARGUMENTS, Program
from .state import Sandbox, check
from .syntax import Stop, SyntaxFault, TranslationStoppedError

__all__ = [
    "NO_ARGUMENTS",
    "CodecError",
    "CopyError",
    "Program",
    "Sandbox",
    "Stop",
    "SyntaxFault",
    "TranslationStoppedError",
    "check",
]
