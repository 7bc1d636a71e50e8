"""What pledges and sets of them mean, slow and obvious: a state is what it may do. Shares nothing with the code."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from . import _path_model as paths

PATH, NAME, FUNCTION, NOTHING, ANYTHING = "path", "name", "function", "nothing", "anything"
WORDS = {
    "load": NOTHING,
    "fs": PATH,
    "fs:read": PATH,
    "fs:write": PATH,
    "env": NAME,
    "host": FUNCTION,
    "seal": NOTHING,
    "exec": ANYTHING,
    "network": ANYTHING,
    "network:tcp": ANYTHING,
    "network:udp": ANYTHING,
    "network:http": ANYTHING,
    "all": NOTHING,
}
SEVERAL = {
    "fs": ("fs:read", "fs:write"),
    "network": ("network:tcp", "network:udp", "network:http"),
    "all": ("load", "fs:read", "fs:write", "env", "host"),
    "seal": (),
}
_CONTROL = {*map(chr, range(32)), *map(chr, range(127, 160))}


def parse(text: str, command_line: bool) -> tuple[str, str | None, bool] | None:
    """Name, value and whether it rejects, by docs/permissions.md; None for what is no pledge."""
    rejects = text[:1] == "~"
    rest = text[1:] if rejects else text
    if function := re.fullmatch(r"host:([A-Za-z_][A-Za-z0-9_]{0,99})", rest):
        return ("host", function[1], rejects)
    name, equals, value = rest.partition("=")
    kind = WORDS.get(name)
    if kind is None or (name == "all" and not command_line) or (rejects and name == "seal"):
        return None
    if not equals:
        return (name, None, rejects)
    return (name, value, rejects) if is_value(kind, value) else None


def is_value(kind: str, value: str) -> bool:
    if kind in (NOTHING, FUNCTION) or not 1 <= len(value) <= 4096 or _CONTROL & {*value}:
        return False
    if any(0xD800 <= ord(char) < 0xDC80 or 0xDD00 <= ord(char) < 0xE000 for char in value):
        return False  # no byte of a file's name is read as such a half of a character
    if kind == NAME:
        return not {*"=*?"} & {*value}
    return kind == ANYTHING or paths.resolved(value, "/") is not None


@dataclass
class Claim:
    """A pledge as the questions it answers: which of a fixed list of (permission, value) it is about."""

    words: tuple[str, ...]
    value: str | None
    kind: str

    @classmethod
    def of(cls, name: str, value: str | None) -> Claim:
        return cls(SEVERAL.get(name, (name,)), value, WORDS[name])

    def covers(self, permission: str, value: str | None) -> bool:
        if permission not in self.words:
            return False
        if self.value is None or (self.kind == PATH and self.value == "/"):
            return True
        if value is None:
            return False
        return paths.matches(self.value, value) if self.kind == PATH else self.value == value


@dataclass
class State:
    """A state's rights: for each permission what it may pledge, what it has pledged or was given, what is rejected."""

    ceiling: dict[str, list[Claim]]
    held: dict[str, list[Claim]]
    rejected: list[Claim] = field(default_factory=list)
    pledged: set[str] = field(default_factory=set)
    sealed: bool = False

    def allows(self, permission: str, value: str | None) -> bool:
        if any(claim.covers(permission, value) for claim in self.rejected):
            return False
        if value is None and any(permission in claim.words for claim in self.rejected):
            return False  # all values at once
        return any(claim.covers(permission, value) for claim in self.held[permission])

    def is_within_ceiling(self, claim: Claim, questions: list[tuple[str, str | None]]) -> bool:
        """Whether one pledge of the ceiling is about all of these questions that the claim is about, permission by
        permission. Necessary for a request to be granted; not sufficient, as there are more questions than these."""
        return all(
            any(
                all(
                    limit.covers(*question) for question in questions if question[0] == word and claim.covers(*question)
                )
                for limit in self.ceiling[word]
            )
            for word in claim.words
        )

    def grant(self, claim: Claim) -> None:
        for word in claim.words:
            before = self.held[word] if word in self.pledged else []
            self.held[word] = [*before, claim]
            self.pledged.add(word)

    def child(self) -> State:
        return State(
            {word: [*claims] for word, claims in self.held.items()},
            {word: [*claims] for word, claims in self.held.items()},
            [*self.rejected],
        )
