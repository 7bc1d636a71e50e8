"""Texts that are nearly programs: bits of programs with something changed, tokens in any order, deep and long ones."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from random import Random

from ._lus_programs import Programs

ROOT = Path(__file__).resolve().parents[2]

TOKENS = (
    *(
        "catch",
        "enum",
        "from",
        "provide",
        "group",
        "global",
        "do",
        "end",
        "if",
        "then",
        "else",
        "elseif",
        "while",
        "for",
    ),
    *(
        "in",
        "local",
        "function",
        "return",
        "break",
        "goto",
        "repeat",
        "until",
        "not",
        "and",
        "or",
        "nil",
        "true",
        "...",
    ),
    *("?", "?.", "?[", "`", "$", "$(", "$a", "[", "]", "[,", ",]", "(", ")", "{", "}", "<", ">", "<const>", "<close>"),
    *(
        "<group>",
        "=",
        "==",
        ",",
        ";",
        ":",
        "::",
        ".",
        "..",
        "//",
        "~",
        "#",
        "a",
        "b",
        "x.y",
        "1",
        "0x",
        "'s'",
        '"',
        "\n",
    ),
    *(
        "\r\n",
        "\r",
        "--",
        "--[[",
        "]]",
        "[[",
        "[=[",
        "\\",
        "\\z",
        "\0",
        "\xff",
        "\ufeff",
        "\v",
        "#!",
        "1e",
        "\\u{",
        "*",
    ),
)
NESTED = ("(", "{", "catch ", "do ", "`$(", "f(", "a?[", "a[", "-", "not ", "function() ", "if a then ", "while a do ")
NESTED += ("if a = b then else", "a?.b", "a..", "a^", "local a <f> = ", "local g <group> = {a <group> = {", "[[", "{{[")
REPEATED = ("a = 1 ", "a,", "local a ", "catch f() ", "`$a` ", "t[1,2]", "a?.b ", ".b", "?.c", "\n", "\r", "x from t ")
REPEATED += (
    "if a = b then end ",
    "enum a, b end ",
    "local a <f> = 1 ",
    "a <f>, ",
    "'",
    "--[",
    "]=]",
    "g.a ",
    "do provide end ",
)
REPEATED += ("elseif a = b then ", "$", "`", "\\", "[=", "0x", "catch ", "from ", "a = {", "(f)()", "goto a ", "::a:: ")


@functools.cache
def seeds() -> list[bytes]:
    """Programs that exist."""
    files = [
        path for glob in ("golden/*/*.lus", "hogs/*.lus", "preemption/*.lus") for path in ROOT.glob(f"tests/{glob}")
    ]
    files += ROOT.glob("tests/corpus/*.lua")
    cases = (ROOT / "tests/corpus/meaning.txt").read_bytes().split(b"### ")[1:]
    texts = [path.read_bytes() for path in sorted(files)]
    return texts + [case.split(b"\n", 1)[1].split(b"\n---\n")[0] for case in cases]


@functools.cache
def _words() -> list[bytes]:
    found = {word for seed in seeds() for word in re.findall(rb"\w+|[^\w\s]|\s", seed)}
    return sorted(found) + [token.encode("utf-8") for token in TOKENS]


def mutated(chance: Random) -> bytes:
    text = chance.choice(seeds())
    if chance.random() < 0.3:
        text = Programs(chance).program(2).lus.encode()
    if len(text) > 1500:
        start = chance.randrange(len(text) - 1000)
        text = text[text.find(b"\n", start) + 1 : start + 1000] if chance.random() < 0.9 else text
    for _ in range(chance.choice((0, 1, 1, 2, 3))):
        at = chance.randint(0, len(text))
        piece = chance.choice((chance.choice(_words()), chance.choice(_words()), chance.randbytes(1), b""))
        if chance.random() < 0.3:  # a token of another place, or a stretch of another program
            other = chance.choice(seeds())
            start = chance.randrange(len(other) + 1)
            piece = other[start : start + chance.randint(1, 40)]
        text = text[:at] + piece + text[at + chance.choice((0, 0, 1, 3, len(piece))) :]
    return text


def soup(chance: Random) -> bytes:
    return b" ".join(chance.choices(_words(), k=chance.randint(1, 30)))


def large(chance: Random) -> bytes:
    """A deep or long text."""
    pieces = chance.choices(NESTED if chance.random() < 0.6 else REPEATED, k=chance.choice((1, 1, 2)))
    text = "".join(pieces) * chance.choice((60, 190, 1000, 20_000))
    text += chance.choice(("", "1", "a", ")" * 190, "]" * 190, "end " * 190, "`"))
    return text[:100_000].encode()
