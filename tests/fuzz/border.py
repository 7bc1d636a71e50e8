"""A fuzzer of the border around a host process: of what the supervisor and other hosts take from one that lies.

`rounds(seed)` is endless; each `next` is one execution. A claim that fails is an AssertionError, with the name of the
part and the seed of the execution in it: `execute(part, seed)` does the same again.
"""

from collections.abc import Iterator

from .border_letters import moved_round, spread_round
from .border_memory import board_round, link_round, ring_round
from .border_supervisor import fleet_round, sole_round
from .chance import Chance
from .fake_hosts import Clock


def _on_a_clock(part):
    def execute(chance):
        with Clock() as clock:
            part(chance, clock)

    return execute


PARTS = {
    "fleet": _on_a_clock(fleet_round),
    "sole": _on_a_clock(sole_round),
    "moved": moved_round,
    "spread": spread_round,
    "ring": ring_round,
    "link": link_round,
    "board": board_round,
}


def execute(part: str, seed: int) -> None:
    """One execution. AssertionError."""
    try:
        PARTS[part](Chance(seed))
    except Exception as error:
        notes = "\n".join(getattr(error, "__notes__", ()))
        again = f"tests.fuzz.border.execute({part!r}, {seed})"
        raise AssertionError(f"{again}: {type(error).__name__}: {error}\n{notes[:20_000]}") from error


def rounds(seed: int) -> Iterator[None]:
    """An endless generator of executions, the same for the same seed: each of the parts in turn."""
    while True:
        for part in PARTS:
            execute(part, seed)
            yield
        seed += 1


def close() -> None:
    """Nothing is kept between executions."""
