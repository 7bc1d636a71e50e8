"""What values of path permissions mean, slow and obvious: every possible way is tried. Shares nothing with the code."""

from __future__ import annotations

import functools

LONGEST_VALUE, LONGEST_TAIL = 4096, 256


def tokens_of(value: str) -> list[tuple[str, bool]] | None:
    """Characters, and whether each stands for itself; None for a backslash that is out of place."""
    tokens = []
    rest = iter(value)
    for char in rest:
        if char != "\\":
            tokens.append((char, char not in "*?"))
            continue
        escaped = next(rest, None)
        if escaped is None or escaped not in "*?\\":
            return None
        tokens.append((escaped, True))
    return tokens


def first_wildcard(tokens: list[tuple[str, bool]]) -> int:
    return next((at for at, (_, literal) in enumerate(tokens) if not literal), len(tokens))


def tail_length(tokens: list[tuple[str, bool]]) -> int:
    """Characters from the first wildcard on, where stars side by side are one."""
    length, star = 0, False
    for char, literal in tokens[first_wildcard(tokens) :]:
        if literal:
            length, star = length + 1, False
        elif char == "?":
            length += 1
        elif not star:
            length, star = length + 1, True
    return length


def is_canonical(value: str) -> bool:
    """Whether it is absolute, with no component that could be resolved."""
    tokens = tokens_of(value)
    if tokens is None or tail_length(tokens) > LONGEST_TAIL:
        return False
    shape = "".join(char if literal else "w" for char, literal in tokens)
    return shape == "/" or (shape.startswith("/") and not {"", ".", ".."} & {*shape[1:].split("/")})


def matches(value: str, path: str) -> bool:
    """Whether a canonical value grants a path: a path itself and what is beneath, a pattern the whole path."""
    tokens = tokens_of(value)
    assert tokens is not None
    if first_wildcard(tokens) == len(tokens):
        base = "".join(char for char, _ in tokens)
        return path == base or path.startswith(base if base == "/" else f"{base}/")

    @functools.cache
    def rest_matches(token: int, at: int) -> bool:
        if token == len(tokens):
            return at == len(path)
        char, literal = tokens[token]
        if not literal and char == "*":
            return any(rest_matches(token + 1, later) for later in range(at, len(path) + 1))
        return at < len(path) and (not literal or path[at] == char) and rest_matches(token + 1, at + 1)

    return rest_matches(0, 0)


def is_beneath(path: str, directory: str) -> bool:
    """Whether it is the directory or lies in it, by components."""
    inner, outer = ([part for part in text.split("/") if part] for text in (path, directory))
    return inner[: len(outer)] == outer


def resolved(value: str, cwd: str) -> str | None:
    """The canonical form where nothing exists, so that no link leads anywhere; None where that is refused."""
    tokens = tokens_of(value)
    if tokens is None or tail_length(tokens) > LONGEST_TAIL:
        return None
    wildcard = first_wildcard(tokens)
    border = max((at for at, token in enumerate(tokens[:wildcard]) if token == ("/", True)), default=-1)
    if wildcard == len(tokens):
        border = wildcard
    elif border < 0:
        return None
    parts: list[str] = []
    literal = "".join(char for char, _ in tokens[: border + 1])
    for part in f"{'' if literal.startswith('/') else cwd}/{literal}".split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append("".join(f"\\{char}" if char in "*?\\" else char for char in part))
    behind = _written(tokens[border + 1 :]).split("/")
    if ".." in behind:
        return None
    return "/" + "/".join([*parts, *(part for part in behind if part not in ("", "."))])


def _written(tokens: list[tuple[str, bool]]) -> str:
    return "".join(f"\\{char}" if literal and char in "*?\\" else char for char, literal in tokens)


def some_match(value: str, pick, alphabet: str) -> str:
    """A path that a canonical value matches; `pick(least, most)` gives numbers, and so chooses one."""
    tokens = tokens_of(value)
    assert tokens is not None
    path = ""
    for char, literal in tokens:
        if literal:
            path += char
            continue
        for _ in range(1 if char == "?" else pick(0, 3)):
            path += alphabet[pick(0, len(alphabet) - 1)]
    if first_wildcard(tokens) == len(tokens) and pick(0, 1):
        path = path.rstrip("/") + "/" + alphabet[pick(0, len(alphabet) - 1)]
    return path
