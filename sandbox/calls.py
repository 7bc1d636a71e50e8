"""What all host calls share: the values that cross, the two ways to fail, and the text conversion."""

from __future__ import annotations

from typing import Protocol, TypeAlias

from ..permissions import Decision

Scalar: TypeAlias = bool | int | float | bytes | None
"""All that ever crosses between a state and its host."""


class HostCalls(Protocol):
    """What a state's library calls: see `door`."""

    def __call__(self, operation: int, *arguments: Scalar) -> Scalar:
        """Answer one host call. Never raises."""

    def is_ending(self) -> bool:
        """Whether the state has said how it ends, or is to be stopped."""


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
