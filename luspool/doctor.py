"""`luspool doctor`: what luspool finds here, and what it does about it, for people and for programs."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping

import lupa.lua55
from msgspec import Struct

from . import __version__
from .limit_options import LIMIT_OPTIONS
from .preemption import chosen_mechanism, why_chosen
from .sandbox.wall import landlock
from .scheduler.limits import Limits
from .scheduler.protocol import DEFAULT_SLICE_NANOSECONDS
from .scheduler.units import UNLIMITED, format_duration
from .wall_trial import trial

_FORMAT = 1
"""Changes whenever a name in the JSON is removed or changes its meaning."""


class Fact(Struct, frozen=True):
    """`value` is for programs, `text` for people."""

    value: str | int | None
    text: str


def examine() -> Mapping[str, Mapping[str, Fact]]:
    """All facts, by section and name. UsageError where the environment asks for what can't be had."""
    return {
        "versions": _versions(),
        "machine": _machine(),
        "preemption": _preemption(),
        "wall": _wall(),
        "limits": _limits(),
    }


def as_text(sections: Mapping[str, Mapping[str, Fact]]) -> str:
    """A table for people."""
    width = max(len(name) for facts in sections.values() for name in facts)
    return "\n".join(
        line
        for title, facts in sections.items()
        for line in (title, *(f"  {name:{width}}  {fact.text}" for name, fact in facts.items()))
    )


def as_json(sections: Mapping[str, Mapping[str, Fact]]) -> str:
    """An object of objects; times are nanoseconds, sizes bytes, `null` stands for unlimited."""
    values = {title: {name: fact.value for name, fact in facts.items()} for title, facts in sections.items()}
    return json.dumps({"v": _FORMAT, **values}, indent=2)


def _versions() -> dict[str, Fact]:
    lua = ".".join(map(str, lupa.lua55.LUA_VERSION))
    found = {
        "luspool": __version__,
        "python": platform.python_version(),
        "lupa": importlib.metadata.version("lupa"),
        "lua": lua,
    }
    return {name: Fact(version, version) for name, version in found.items()}


def _machine() -> dict[str, Fact]:
    system, processors = platform.platform(), len(os.sched_getaffinity(0))
    return {"platform": Fact(system, system), "processors": Fact(processors, f"{processors} usable")}


def _preemption() -> dict[str, Fact]:
    name, why = chosen_mechanism().name, why_chosen()
    return {
        "mechanism": Fact(name, f"{name}: {_MECHANISMS[name]}"),
        "reason": Fact(why, why),
        "slice": Fact(DEFAULT_SLICE_NANOSECONDS, format_duration(DEFAULT_SLICE_NANOSECONDS)),
    }


_MECHANISMS = {
    "signal": "costs nothing until a slice is over",
    "hook": "portable, but loops run 2 to 3 times slower",
}


def _wall() -> dict[str, Fact]:
    layers = trial()
    missing = sum(not layer.present for layer in layers)
    mode = "best-effort" if missing else "strict"
    text = f"{mode}: {f'{missing} of {len(layers)} layers are missing' if missing else 'all layers are there'}"
    facts = {"by-default": Fact(mode, text)}
    for layer in layers:
        name = layer.name.lower().replace(" ", "-")
        facts[name] = Fact(layer.detail, layer.detail) if layer.present else Fact(None, f"missing: {layer.detail}")
    return {**facts, "landlock-abi": _landlock_abi()}


def _landlock_abi() -> Fact:
    try:
        version = landlock.abi()
    except OSError as error:
        return Fact(None, f"missing: {error.strerror}")
    return Fact(version, str(version))


def _limits() -> dict[str, Fact]:
    defaults = Limits()
    return {
        option.name: Fact(None if (value := option.get(defaults)) == UNLIMITED else value, option.unit.format(value))
        for option in LIMIT_OPTIONS
    }
