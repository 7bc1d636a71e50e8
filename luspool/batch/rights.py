"""What an item may do: never more than the command line grants, and no more limits than it sets."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from msgspec import Struct, to_builtins

from ..errors import UsageError
from ..limit_options import limits_from
from ..permissions import Origin, Pledge, PledgeError, PledgeSet, Rule, to_wire
from ..permissions.decision import visible
from ..policy import open_policy
from ..request import readable
from ..run import environment_for_scripts, pledge_set
from ..scheduler.limits import Limits
from ..source import working_directory
from .item import Item

_KEPT: Final = 256
"""Sets of rights that are kept ready. Most batches have one."""


class Rights(Struct, frozen=True):
    """The rights of some items."""

    pledges: PledgeSet
    wire: str
    """The pledges, as in `Request`."""
    variables: tuple[str, ...]
    """As in `Request`, those of the command's environment."""
    limits: Limits
    digest: bytes
    """Of the limits, and of the pledges without their origins: by this they are the same."""


class Grants:
    """What a command line grants: `held` of `-P`, `ceiling` of `--allow`, a policy, and limits by their options' names.

    An item that names pledges holds these and no others. They have to lie within what is granted: a file of items can
    ask for less than the command line, not for more.
    """

    def __init__(
        self, held: tuple[str, ...], ceiling: tuple[str, ...], policy: str | None, limits: Mapping[str, int]
    ) -> None:
        self._held = held
        self._ceiling = ceiling
        self._policy = policy
        self._limits = dict(limits)
        self._environment = environment_for_scripts()
        self._of = lru_cache(maxsize=_KEPT)(self._made)

    def of(self, item: Item) -> Rights:
        """The rights of an item. UsageError: it asks for what is not granted, or a policy or pledge is wrong."""
        # Only a policy may depend on the arguments (`arg:1`).
        arguments = item.arguments if self._policy is not None else ()
        try:
            return self._of(arguments, item.pledges, tuple(sorted(item.limits.items())))
        except UsageError as error:
            raise UsageError(f"{visible(item.place)}: {error}" if item.place else str(error)) from None

    def variables(self, item: Item, rights: Rights) -> tuple[str, ...]:
        """What an item with these rights might read of the command's environment and its own, as in `Request`."""
        if not item.environment:
            return rights.variables
        return readable({**self._environment, **item.environment}, rights.pledges)

    def _made(
        self, arguments: tuple[str, ...], pledges: tuple[str, ...] | None, limits: tuple[tuple[str, int], ...]
    ) -> Rights:
        applied = None if self._policy is None else open_policy(self._policy, tuple(map(os.fsencode, arguments)))
        granted = pledge_set(self._held, self._ceiling, applied)
        given = {**(applied.stricter(self._limits) if applied else self._limits)}
        in_force = limits_from(given)
        stated = limits_from({**given, **dict(limits)})
        both = Limits(stated.state.within(in_force.state), stated.tree.within(in_force.tree))
        own = granted if pledges is None else _narrowed(granted, pledges)
        data = to_wire(own)
        same = json.dumps([_without_origins(data), to_builtins(both)])
        return Rights(own, json.dumps(data), readable(self._environment, own), both, sha256(same.encode()).digest())


def _narrowed(granted: PledgeSet, texts: tuple[str, ...]) -> PledgeSet:
    """The set that holds these pledges, within what is granted, under all that is rejected there."""
    directory = working_directory()
    rejections = {rule for grants in granted.grants.values() for rule in grants.rejected}
    rules = [*rejections, *([granted.sealed_by] if granted.sealed_by else [])]
    try:
        for text in texts:
            rule = Rule(Pledge.parse(text).bind(directory), Origin.flag("pledges", text))
            rules.append(rule)
            PledgeSet.root([rule])  # what nobody can be granted is told as that
            within = all(granted.grants[name].may_pledge(rule) for name in rule.pledge.record.covers)
            if not rule.pledge.rejected and not within:
                raise UsageError(f'pledge "{visible(text)}" is not granted to the batch (grant it with --allow)')
        return PledgeSet.root(rules)
    except PledgeError as error:
        raise UsageError(f"pledges: {error}") from error


def _without_origins(data: Any) -> Any:  # noqa: ANN401  plain data
    """A rule is three strings, the first of them its pledge."""
    if isinstance(data, dict):
        return {key: _without_origins(value) for key, value in data.items()}
    if isinstance(data, list):
        is_rule = len(data) == 3 and all(isinstance(part, str) for part in data)
        return data[0] if is_rule else [_without_origins(one) for one in data]
    return data
