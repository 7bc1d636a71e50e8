r"""Canonical paths, and the patterns that are matched against them.

A value is a path, which stands for itself and everything beneath it, or, as soon as it holds a wildcard, a pattern,
which must match a path as a whole. `*` matches any characters, `?` exactly one, both also `/`. `\*`, `\?` and `\\`
are the characters themselves.

A file is judged by the real path of its opened descriptor. So that a value can be compared with that, `resolve` makes
it absolute and resolves everything before the first wildcard: `..`, `.`, `//` and symbolic links. Behind a wildcard
nothing can be resolved: `..` is an error there, and a symbolic link has no real path to match.

Internally a value is *encoded*: escapes undone, `*` and `?` replaced by two characters that no path can contain. Two
things then come cheaply:

- Matching is one regular expression that cannot backtrack across wildcards (each `*` with the text after it is an
  atomic group, and taking the leftmost place for each is complete because all of them have a fixed length). Time is
  at worst the length of the path times the length of the pattern, both capped.
- Containment of pattern in pattern is the same match, run on the encoded inner pattern: `*` of the outer takes any
  symbols, `?` of the outer takes a character or a `?` but never a `*`, a letter only itself. Whatever the inner pattern
  then stands for, the outer matches by the same assignment: the answer yes is always right. The answer no may be
  wrong where wildcards meet around a letter (`/*x?` lies within `/?*`, and is not seen to), and for unions.
"""

from __future__ import annotations

import os
import re
from typing import Final

MAX_VALUE: Final = 4096
"""Characters of a value: PATH_MAX of Linux, beyond which no path can be opened anyhow."""

MAX_TAIL: Final = 256
"""Characters of a pattern from its first wildcard on. Bounds the time of one match by a hostile pattern (measured:
1.5 ms for a path of 4,096 characters); a guess at what no honest pattern needs."""

CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""What no value may contain: it could not be typed, and would act on the terminal that shows it."""

_ANY: Final = "\0"  # `*`: NUL ends a path, so no path contains it
_ONE: Final = "\ud800"  # `?`: a surrogate that no byte is ever decoded to
_SYMBOLS: Final = {"*": _ANY, "?": _ONE}
_WILDCARD = re.compile(f"[{_ANY}{_ONE}]")
_WILDCARDS = re.compile(f"[{_ANY}{_ONE}]+")
_PARENT_AT_LAST = re.compile(r".*/(\.\.)(?:/|\Z)", re.DOTALL)
_UNPLAIN = re.compile(r"[*?\\]")
_UNRESOLVED = frozenset(("", ".", ".."))


class PatternError(ValueError):
    """A value is no path and no pattern: what is wrong, at which offset of the value, and what to do."""

    def __init__(self, problem: str, offset: int, advice: str) -> None:
        super().__init__(f"{problem} ({advice})")
        self.problem = problem
        self.offset = offset
        self.advice = advice


def check(value: str) -> None:
    """Raise `PatternError` unless `value` is a well-formed path or pattern, absolute or not. No file system access."""
    _split(value)


def resolve(value: str, cwd: str) -> str:
    """The canonical form of a path or pattern: absolute, resolved as far as it is literal.

    Components that do not exist are kept as they are. Raises `PatternError`, and ValueError when `cwd` is relative.
    """
    if not cwd.startswith("/"):
        raise ValueError(f"the working directory must be absolute: {cwd!r}")
    literal, rest = _split(value)
    try:
        canonical = escape(os.path.realpath(os.path.join(cwd, literal)))
    except RecursionError:  # each link takes a frame; the kernel follows 40
        raise PatternError("too many symbolic links", 0, "name the directory where they lead") from None
    if rest:
        canonical = f"{canonical.rstrip('/')}/{'/'.join(rest)}"
    if len(canonical) > MAX_VALUE:
        raise PatternError(f"the absolute path is longer than {MAX_VALUE} characters", 0, "name a directory above it")
    if control := CONTROL.search(canonical):
        problem = f"a symbolic link leads to a name with the control character {control.group()!r}"
        raise PatternError(problem, 0, "name a directory above it")
    return canonical


def literal_prefix(value: str) -> str:
    """The real path that a canonical value names; of a pattern, the directory that holds all that it can match."""
    literal, _ = _split(value)
    return literal.rstrip("/") or "/"


def escape(path: str) -> str:
    """The value that stands for exactly this path and what is beneath it."""
    return _UNPLAIN.sub(r"\\\g<0>", path)


class PathPattern:
    """A canonical value, ready to be matched. ValueError when `text` is not canonical (see `resolve`).

    Immutable. Equal to those of the same text.
    """

    __slots__ = ("_prefix", "_regex", "_witnesses", "text")

    def __init__(self, text: str) -> None:
        self.text: Final = text
        encoded = _encode(text)
        if not encoded.startswith("/") or (encoded != "/" and _UNRESOLVED.intersection(encoded[1:].split("/"))):
            raise ValueError(f"not a canonical path or pattern: {text!r}")
        prefix = _WILDCARD.split(encoded, maxsplit=1)[0]
        if prefix == encoded:
            stem = encoded.rstrip("/")  # "" for the root
            regex = f"{re.escape(stem)}(?:/.*)?"
            witnesses: tuple[str, ...] = (encoded, f"{stem}/{_ANY}")
        else:
            regex, witnesses = _glob_regex(encoded), (encoded,)
        self._regex: Final = re.compile(regex, re.DOTALL)
        self._witnesses: Final = witnesses
        self._prefix: Final = prefix

    def __repr__(self) -> str:
        return f"PathPattern({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PathPattern) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    @classmethod
    def tree(cls, path: str) -> PathPattern:
        """This real path and everything beneath it."""
        return cls(escape(path))

    def matches(self, path: str) -> bool:
        """Whether this real path is granted. The caller passes absolute paths without NUL."""
        return self._regex.fullmatch(path) is not None

    def contains(self, other: PathPattern) -> bool:
        """Whether all that `other` matches is matched here. True is certain, False may be caution."""
        return all(self._regex.fullmatch(witness) for witness in other._witnesses)

    def may_touch_tree(self, path: str) -> bool:
        """Whether anything at or beneath this real path may match. False is certain, True may be caution."""
        if self.matches(path):
            return True
        beneath = f"{path.rstrip('/')}/"
        if self._prefix == self._witnesses[0]:  # no wildcard: what matches lies at the prefix or beneath it
            return self._prefix.startswith(beneath)
        return self._prefix.startswith(beneath) or beneath.startswith(self._prefix)


def _split(value: str) -> tuple[str, list[str]]:
    """The literal path that can be resolved, and the components (as written) from the first wildcard on."""
    encoded = _encode(value)
    wildcard = _WILDCARD.search(encoded)
    if wildcard is None:
        return encoded, []
    border = encoded.rfind("/", 0, wildcard.start())
    if border < 0:
        advice = 'put "./" for the working directory before it, or an absolute directory'
        raise PatternError("a pattern that does not say in which directory", 0, advice)
    rest = [component for component in encoded[border + 1 :].split("/") if component not in ("", ".")]
    if ".." in rest:
        parent = _PARENT_AT_LAST.match(value)
        problem = '".." behind a wildcard cannot be resolved'
        raise PatternError(problem, parent.start(1) if parent else 0, "write the pattern without it")
    return encoded[: border + 1], [_decode(component) for component in rest]


def _encode(value: str) -> str:
    if not _UNPLAIN.search(value):
        return value
    encoded: list[str] = []
    escaped = False
    for offset, char in enumerate(value):
        if escaped and char not in "*?\\":
            raise PatternError("a backslash before an ordinary character", offset - 1, r"write \\ for a backslash")
        if escaped or char != "\\":
            encoded.append(char if escaped else _SYMBOLS.get(char, char))
            escaped = False
        else:
            escaped = True
    if escaped:
        raise PatternError("a backslash at the end", len(value) - 1, r"write \\ for a backslash")
    text = _WILDCARDS.sub(_ordered, "".join(encoded))
    wildcard = _WILDCARD.search(text)
    if wildcard and len(text) - wildcard.start() > MAX_TAIL:
        problem = f"more than {MAX_TAIL} characters from the first wildcard on"
        raise PatternError(problem, 0, "write a shorter pattern, or the directory alone")
    return text


def _decode(encoded: str) -> str:
    return escape(encoded).replace(_ANY, "*").replace(_ONE, "?")


def _ordered(wildcards: re.Match[str]) -> str:
    """`*?`, `?*` and `*?*` mean the same: one form for all, so that containment compares like with like."""
    run = wildcards.group()
    return _ONE * run.count(_ONE) + (_ANY if _ANY in run else "")


def _glob_regex(encoded: str) -> str:
    first, *others = (re.escape(part).replace(_ONE, f"[^{_ANY}]") for part in encoded.split(_ANY))
    if not others:
        return first
    *inner, last = others
    return first + "".join(f"(?>.*?{part})" for part in inner) + ".*" + last
