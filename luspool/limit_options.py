"""The limits as options: one table of names, fields, readers and words for whatever lets people set them.

The name of a limit is its flag without the dashes. Values are bytes, nanoseconds or numbers; `unlimited` always is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from .scheduler.limits import OF_TREE, Limits, StateLimits, TreeLimits
from .scheduler.units import COUNT, SIZE, TIME, UNLIMITED, Unit, parse_duration


class LimitOption(Struct, frozen=True):
    """One limit: `field` of a tree's limits, or of each of its states'."""

    name: str
    is_of_tree: bool
    field: str
    unit: Unit
    least: int
    """Less would end every program before its first line, and is more likely a mistake."""
    help: str

    def parse(self, text: str) -> int:
        """The value that `text` stands for. ValueError, with what can be written, for anything else."""
        value = self.unit.parse(text)
        if value < self.least:
            raise ValueError(f"{text!r} is too little; the least is {self.unit.format(self.least)}")
        return value

    def get(self, limits: Limits) -> int:
        """The value of this limit among `limits`."""
        value: int = getattr(limits.tree if self.is_of_tree else limits.state, self.field)
        return value


_MILLISECOND: Final = 1_000_000
_LEAST_HEAP: Final = 256 * 1024  # a state is born with some 30 KiB, and loads a library when it is first used


def _of_state(field: str, unit: Unit, least: int, help_: str) -> LimitOption:
    return LimitOption(field, False, field, unit, least, help_)


def _of_tree(name: str, field: str, unit: Unit, least: int, help_: str) -> LimitOption:
    return LimitOption(name, True, field, unit, least, help_)


LIMIT_OPTIONS: Final = (
    _of_state("memory", SIZE, _LEAST_HEAP, "Memory of each state."),
    _of_state("cpu", TIME, _MILLISECOND, "Processor time of each state."),
    _of_state("time", TIME, _MILLISECOND, "Time from each state's start to its end."),
    _of_state("message", SIZE, 0, "One message, or a worker's arguments."),
    _of_state("source", SIZE, 0, "The text of each script."),
    _of_tree("states", "states", COUNT, 1, "States at a time."),
    _of_tree("depth", "depth", COUNT, 0, "Workers below workers; 0: no workers."),
    _of_tree("output", "output", SIZE, 0, "All that is printed or written to files."),
    _of_tree("total-memory", "memory", SIZE, _LEAST_HEAP, "Memory of all states and messages together."),
    _of_tree("total-cpu", "cpu", TIME, _MILLISECOND, "Processor time of all states together."),
    _of_tree("timeout", "time", TIME, _MILLISECOND, "Time from the program's start to its end."),
    _of_tree("mailbox", "mailbox", SIZE, 0, "Messages on their way; a sender waits beyond."),
)
"""In the order in which people are shown them."""

NO_PLACES: Final[Mapping[str, str]] = MappingProxyType({})

_OPTIONS: Final = {(option.field, option.is_of_tree): option for option in LIMIT_OPTIONS}


def limits_from(values: Mapping[str, int]) -> Limits:
    """Limits by the names of their options; those not named have their defaults."""
    of_state: dict[str, int] = {}
    of_tree: dict[str, int] = {}
    for option in LIMIT_OPTIONS:
        if option.name in values:
            (of_tree if option.is_of_tree else of_state)[option.field] = values[option.name]
    return Limits(StateLimits(**of_state), TreeLimits(**of_tree))


def parse_slice(text: str) -> int:
    """The length of a slice in nanoseconds, 0 for one without end. ValueError."""
    value = parse_duration(text)
    if 0 < value < _MILLISECOND:
        raise ValueError(f"{text!r} is too short; the least is 1 ms, and 0 stands for slices without end")
    return 0 if value == UNLIMITED else value


def with_flag(kind: str, message: str, limits: Limits, places: Mapping[str, str] = NO_PLACES) -> str:
    """A message about a limit of this kind, one of `limits`, that was exceeded, and how to raise it: by its flag.

    But for those of `places`, by their options' names: no flag raises these, and they were set there.
    """
    of_state, of_tree = _OPTIONS.get((kind, False)), _OPTIONS.get((kind, True))
    option = of_tree if is_about_program(message) else of_state
    if of_state is not None and of_tree is not None and of_tree.get(limits) < of_state.get(limits):
        option = of_tree  # a state has no more than the whole tree, so it was this one
    if option is None:
        return message
    return f"{message} ({how_to_raise(option.name, places)})"


def how_to_raise(name: str, places: Mapping[str, str]) -> str:
    """Advice about a limit: see `with_flag`."""
    return f"set at {places[name]}; raise it there" if name in places else f"raise it with --{name}"


def is_about_program(message: str) -> bool:
    """Whether a message about a limit that was exceeded (see `limits.Excess`) is about one of the whole tree."""
    return message.endswith(OF_TREE)
