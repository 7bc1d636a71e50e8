"""A fuzzer of the border around a host process: of what the supervisor and other hosts take from one that lies.

A claim that fails is an AssertionError, with the name of the part and the seed of the execution in it:
`execute_part(part, seed)` does the same again.
"""

from random import Random

from . import _round
from ._border_chance import Chance
from ._border_letters import moved_round, spread_round
from ._border_memory import board_round, link_round, ring_round
from ._border_supervisor import fleet_round, sole_round
from ._fake_hosts import Clock


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


def execute_part(part: str, seed: int) -> None:
    """One execution of one part. AssertionError."""
    try:
        PARTS[part](Chance(seed))
    except Exception as error:
        notes = "\n".join(getattr(error, "__notes__", ()))
        again = f"tests.fuzz.border.execute_part({part!r}, {seed})"
        raise AssertionError(f"{again}: {type(error).__name__}: {error}\n{notes[:20_000]}") from error


def execute(chance: Random) -> None:
    part, seed = chance.choice(tuple(PARTS)), chance.getrandbits(32)
    _round.trying(f"{part} {seed}")
    execute_part(part, seed)


rounds = _round.endless(execute)
