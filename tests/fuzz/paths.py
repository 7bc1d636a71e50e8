"""Paths and patterns, and what the wall makes of them, against a slow and obvious model.

Claims: the matcher gives the model's answer, for any value and path; what is canonical, and the canonical form of what
is not, are the model's; containment and untouched trees are never claimed wrongly; everything that a value matches
lies in its literal prefix, and everything that a set may ever allow in `paths_of`; no pattern takes long
(`scripts/fuzz` ends what does).
"""

from __future__ import annotations

from random import Random

from luspool.permissions import Origin, Pledge, PledgeSet, Rule
from luspool.permissions.paths import PathPattern, PatternError, check, literal_prefix, resolve
from luspool.sandbox.wall.policy import paths_of

from . import _path_model as model
from ._round import claim, endless, trying

VALUES = ("ab/*?", "ab/*?./", "a/*?\\\\.", "a/.\n*", "/é\udcff?*a", "aab//..*?\\")
PATHS = ("ab/", "ab/*?\\", "a/\n.", "é\udcff/a", "ab/.")
CWD = "/nothing there/x"
FLAG = Origin.flag("-P", "x")


def _text(chance: Random, alphabet: str, most: int) -> str:
    return "".join(chance.choices(alphabet, k=chance.randint(0, most)))


def value_of(chance: Random) -> str:
    """Mostly a canonical value, sometimes any text."""
    value = "/" * chance.choice((0, 1, 1, 1)) + _text(chance, chance.choice(VALUES), chance.choice((4, 8, 14)))
    if chance.random() < 0.7:
        value = model.resolved(value, "/") or value
    return value


def path_of(chance: Random, *values: str) -> str:
    """A path, more often than not one that one of these values matches, or nearly."""
    alphabet = chance.choice(PATHS)
    fitting = [value for value in values if model.is_canonical(value)]
    path = "/" + _text(chance, alphabet, 9)
    if fitting and chance.random() < 0.8:
        path = model.some_match(chance.choice(fitting), chance.randint, alphabet)
        if chance.random() < 0.3:
            at = chance.randint(1, len(path))
            path = path[:at] + chance.choice(("", "a", "/", "b")) + path[at + chance.randint(0, 1) :]
    return path


def made(value: str) -> PathPattern | None:
    try:
        return PathPattern(value)
    except ValueError:
        return None


def _check_form(value: str) -> None:
    pattern = made(value)
    assert (pattern is not None) is model.is_canonical(value), f"canonical or not: {value!r}"
    if "\0" in value:
        return  # resolve is for what the grammar has let through
    wanted = model.resolved(value, CWD)
    try:
        check(value)
        got = resolve(value, CWD)
    except PatternError as error:
        claim(0 <= error.offset <= len(value), f"offset {error.offset} in {value!r}")
        got = None
    if "\n" not in value:  # a control character is refused by `resolve`, and the grammar tells which one
        assert got == wanted or got == _ordered(wanted), f"{value!r} resolves to {got!r}, not {wanted!r}"
    if got is not None:
        assert resolve(got, "/elsewhere") == got, f"{value!r} resolves to {got!r}, which resolves further"
        assert made(got), f"{value!r} resolves to {got!r}, which is not canonical"


def _ordered(value: str | None) -> str | None:
    """`?` before `*` within each run of wildcards, which means the same."""
    if value is None:
        return None
    parts, tokens = [], model.tokens_of(value)
    run = ""
    for char, literal in [*(tokens or []), ("", True)]:
        if not literal:
            run += char
            continue
        parts += ["?" * run.count("?"), "*" * ("*" in run), f"\\{char}" if char and char in "*?\\" else char]
        run = ""
    return "".join(parts)


def _check_matching(one: str, two: str, path: str) -> None:
    first, second = made(one), made(two)
    if first:
        assert first.matches(path) is model.matches(one, path), f"{one!r} on {path!r}"
        if model.matches(one, path):
            assert model.is_beneath(path, literal_prefix(one)), f"{path!r} is not in the prefix of {one!r}"
    if not (first and second):
        return
    by_one, by_two = model.matches(one, path), model.matches(two, path)
    if first.contains(second):
        assert by_one or not by_two, f"{one!r} contains {two!r}, but not {path!r}"
    assert first.contains(first), f"{one!r} does not contain itself"
    if model.first_wildcard(model.tokens_of(two)) == len(model.tokens_of(two)):
        tree = literal_prefix(two)
        if not first.may_touch_tree(tree):
            assert not (by_one and by_two), f"{one!r} does not touch {tree!r}, but {path!r}"


def _check_wall(chance: Random, values: list[str]) -> None:
    pledges = [
        Pledge(name, value, chance.random() < 0.25)
        for value in values
        for name in [chance.choice(("fs:read", "fs:read", "fs:write", "fs"))]
        if model.is_canonical(value) and "\0" not in value
    ]
    held = [Rule(pledge, FLAG) for pledge in pledges]
    allowed = [Rule(pledge, FLAG) for pledge in pledges[::2] if not pledge.rejected]
    state = PledgeSet.root(chance.sample(held, len(held) // 2), allowed)
    for _ in range(chance.randint(0, 2)):
        if pledges:
            state = state.request(chance.choice(pledges), FLAG)[0]
        if chance.random() < 0.3:
            state = state.inherit()
    for permission in ("fs:read", "fs:write"):
        opened = paths_of(state, permission)
        assert [*opened] == sorted(opened), f"{opened} are not in order"
        for path in opened:
            assert not any(path != other and model.is_beneath(path, other) for other in opened), f"{opened}"
        for _ in range(4):
            path = path_of(chance, *(pledge.value for pledge in pledges if pledge.value))
            if "\0" not in path and (state.allows(permission, path) or state.may_ever_allow(permission, path)):
                covered = any(model.is_beneath(path, directory) for directory in opened)
                assert covered, f"{path!r} is allowed by {[*map(str, pledges)]}, but outside of {opened}"


def _check_hard(chance: Random) -> None:
    """Values and paths that would make a matcher that backtracks run for ever."""
    piece = chance.choice(("*a", "*?", "*a*", "?*", "*ab", "*/", "*a?"))
    value = f"/{piece * (chance.randint(200, 256) // len(piece))}"
    path = "/" + chance.choice(("a", "ab", "aa/", "a?")) * chance.randint(500, 1300) + chance.choice(("", "b", "\n"))
    trying(f"{value!r} on {path!r}")
    pattern = made(value + chance.choice(("", "b", "c")))
    if pattern:
        pattern.matches(path[:4096])
        pattern.may_touch_tree(path[:4096])
        pattern.contains(made(f"/{'*b' * 120}") or pattern)


def execute(chance: Random) -> None:
    """A handful of values, and paths near them."""
    values = [value_of(chance) for _ in range(4)]
    path = path_of(chance, *values)
    trying(f"{values!r} and {path!r}")
    for value in values:
        _check_form(value)
    _check_matching(values[0], values[1], path)
    _check_matching(values[2], values[0], path_of(chance, values[0]))
    _check_wall(chance, values)
    if chance.random() < 0.02:
        _check_hard(chance)


rounds = endless(execute)
