"""What the names of a script stand for at the place that is being read, and names that the script does not use."""

from __future__ import annotations

import re

from msgspec import Struct

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*+")


class Variable(Struct, frozen=True):
    """A declared variable: how the script spells it, its name in the Lua text, and what an assignment has to mind.

    `checks` are the Lua names of the variables that hold its runtime attributes, in the order in which they run.
    """

    spelling: str
    lua: str
    constant: bool = False
    checks: tuple[str, ...] = ()
    is_global: bool = False


class Group(Struct, frozen=True):
    """A local group: its fields by name, in order."""

    spelling: str
    fields: dict[str, Variable | Group]

    def variables(self) -> list[Variable]:
        """The variables of the group and of the groups in it, in order."""
        found: list[Variable] = []
        for field in self.fields.values():
            found.extend(field.variables() if isinstance(field, Group) else [field])
        return found


Binding = Variable | Group


class Scopes:
    """The declared names, by blocks. Opening and closing a block costs as much as the names declared in it."""

    def __init__(self) -> None:
        self._bindings: dict[str, Binding] = {}
        self._hidden: list[list[tuple[str, Binding | None]]] = [[]]

    def open(self) -> None:
        self._hidden.append([])

    def close(self) -> None:
        for name, binding in reversed(self._hidden.pop()):
            if binding is None:
                del self._bindings[name]
            else:
                self._bindings[name] = binding

    def declare(self, name: str, binding: Binding | None = None) -> None:
        """Declare a name in the innermost block, as an ordinary variable where no binding is given."""
        self._hidden[-1].append((name, self._bindings.get(name)))
        self._bindings[name] = binding or Variable(name, name)

    def find(self, name: str) -> Binding | None:
        return self._bindings.get(name)


class FreshNames:
    """Gives Lua names that occur nowhere in the script, not even in its strings and comments.

    A name that the script could not have meant can neither capture one of its variables nor be captured.
    """

    def __init__(self, source: str) -> None:
        self._taken = set(_WORD.findall(source))
        self._last: dict[str, int] = {}

    def fresh(self, wish: str) -> str:
        """A name like `wish`, never given before."""
        name, number = wish, self._last.get(wish, 1)
        while name in self._taken:
            number += 1
            name = f"{wish}_{number}"
        self._last[wish] = number
        self._taken.add(name)
        return name
