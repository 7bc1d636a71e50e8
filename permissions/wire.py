"""A pledge set as plain data (dictionaries, lists, strings, booleans, None), to cross to another process as JSON.

`from_wire` treats its input as hostile: whatever it returns keeps the laws of `PledgeSet`. That the sender may grant
what it grants is for the receiver to know. Strings may hold lone surrogates (bytes of file names that are no text):
JSON must escape them, as Python's does by default.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

from .grammar import Pledge
from .paths import MAX_VALUE
from .pledges import MAX_RULES, Grants, PledgeSet
from .rules import Origin, OriginKind, Rule
from .table import PERMISSIONS

VERSION: Final = 1
_MAX_ORIGIN: Final = 2 * MAX_VALUE  # an origin quotes one pledge
_LISTS: Final = ("ceiling", "held", "rejected")
_FIELDS: Final = {*_LISTS, "narrowed_by", "pledged"}


class WireError(ValueError):
    """The data is no pledge set."""


def to_wire(pledges: PledgeSet) -> dict[str, Any]:
    """The set as plain data."""
    return {
        "v": VERSION,
        "sealed_by": _dump(pledges.sealed_by),
        "grants": {name: _dump_grants(own) for name, own in pledges.grants.items()},
    }


def from_wire(data: object) -> PledgeSet:
    """The set that `to_wire` described. Does not touch the file system. Raises `WireError`."""
    top = _fields(data, {"v", "sealed_by", "grants"})
    if top["v"] != VERSION:
        raise WireError(f"pledges of version {top['v']!r}, expected {VERSION}")
    elementary = {name for name, record in PERMISSIONS.items() if record.elementary}
    grants = _fields(top["grants"], elementary)
    sealed_by = _load_optional(top["sealed_by"])
    if sealed_by and sealed_by.pledge.record.covers:
        raise WireError(f"not a seal: {sealed_by.pledge}")
    return PledgeSet(MappingProxyType({name: _load_grants(name, own) for name, own in grants.items()}), sealed_by)


def _dump(rule: Rule | None) -> list[str] | None:
    return None if rule is None else [str(rule.pledge), rule.origin.kind.value, rule.origin.text]


def _dump_grants(grants: Grants) -> dict[str, Any]:
    lists = {name: [_dump(rule) for rule in getattr(grants, name)] for name in _LISTS}
    return {**lists, "narrowed_by": _dump(grants.narrowed_by), "pledged": grants.pledged}


def _load_grants(name: str, data: object) -> Grants:
    fields = _fields(data, _FIELDS)
    ceiling, held, rejected = (_load_list(name, fields[key], key == "rejected") for key in _LISTS)
    narrowed_by = _load_optional(fields["narrowed_by"])
    pledged = fields["pledged"]
    if narrowed_by:
        _check_about(name, narrowed_by, rejected=False)
    if not isinstance(pledged, bool) or (pledged and not narrowed_by):
        raise WireError(f"{name}: pledged is {pledged!r}")
    for rule in held:
        if not any(limit.contains(rule) for limit in ceiling):
            raise WireError(f"{name}: {rule.pledge} is held beyond the ceiling")
    return Grants(ceiling, held, rejected, narrowed_by, pledged)


def _load_list(name: str, data: object, rejected: bool) -> tuple[Rule, ...]:
    if not isinstance(data, list) or len(data) > MAX_RULES:
        raise WireError(f"{name}: not a list of at most {MAX_RULES} rules")
    rules = tuple(_load(item) for item in data)
    for rule in rules:
        _check_about(name, rule, rejected=rejected)
    return rules


def _check_about(name: str, rule: Rule, *, rejected: bool) -> None:
    record = rule.pledge.record
    if name not in record.covers or rule.pledge.rejected is not rejected or not (rejected or record.grantable):
        raise WireError(f"{name}: misplaced rule {rule.pledge}")


def _load_optional(data: object) -> Rule | None:
    return None if data is None else _load(data)


def _load(data: object) -> Rule:
    if not isinstance(data, list) or len(data) != 3 or not all(isinstance(part, str) for part in data):
        raise WireError("a rule is not three strings")
    text, kind, origin = data
    if len(origin) > _MAX_ORIGIN:
        raise WireError("an origin is too long")
    try:
        return Rule(Pledge.parse(text, command_line=True), Origin(OriginKind(kind), origin))
    except ValueError as error:  # also an unknown kind of origin, and a path that is not canonical
        raise WireError(str(error)) from None


def _fields(data: object, names: set[str]) -> dict[str, Any]:
    if not isinstance(data, dict) or data.keys() != names:
        raise WireError(f"not a record of {', '.join(sorted(names))}")
    return data
