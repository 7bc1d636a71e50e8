"""What all host calls share: the values that cross, the two ways to fail, and the text conversion."""

from __future__ import annotations

from typing import TypeAlias

from ..permissions import Decision

Scalar: TypeAlias = bool | int | float | bytes | None
"""All that ever crosses between a state and its host."""


class RefusedError(Exception):
    """The call fails with `text`; `number` is the operating system's error number, where it was its doing."""

    def __init__(self, text: str, number: int | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.number = number


class DeniedError(Exception):
    """The state's pledges do not allow it."""

    def __init__(self, decision: Decision) -> None:
        super().__init__()
        self.decision = decision


def decode(data: bytes) -> str:
    """A script's bytes as text. Any bytes have one, and `encode` gives them back."""
    return data.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """Text for a script."""
    return text.encode("utf-8", "surrogateescape")
