"""Pledges as text, and sets of pledges through whole histories, against a slow and obvious model.

Claims: a text is a pledge where the model says so, and prints as it was; what is none is a `PledgeSyntaxError` with a
column within the text, printable. A state is allowed exactly what the model's is, after any requests, rejections,
seals and creations of workers; nothing is ever granted beyond the ceiling or against a rejection; no call widens; a
child has no more than its parent. A set survives the wire, and a damaged one is a `WireError` or keeps the laws. The
flag that a denial names would help.
"""

from __future__ import annotations

import json
import shlex
from random import Random

from luspool.permissions import (
    PERMISSIONS,
    Origin,
    Pledge,
    PledgeLimitError,
    PledgeSet,
    PledgeSyntaxError,
    Rule,
    WireError,
    from_wire,
    to_wire,
)

from . import _path_model as paths
from . import _pledge_model as model
from ._round import claim, endless, require, trying
from .paths import path_of, value_of

ELEMENTARY = ("load", "fs:read", "fs:write", "env", "host", "exec", "network:tcp", "network:udp", "network:http")
PIECES = (*model.WORDS, "~", "=", ":", "*", "?", "/", "\\", ".", "..", "./", "//", " ", "\n", "\0", "\x7f", "\u0085")
MORE = ("é", "\udcff", "\ud800", "\U0001f600", "_", "log", "HOME", "fs:raed", "\\*", "a" * 101, "*" * 300, "b" * 4097)
FLAG, CALL = Origin.flag("-P", "x"), Origin.call("main.lus:1")


def _text(chance: Random) -> str:
    """A pledge, or nearly one."""
    name = chance.choice([*model.WORDS])
    text = chance.choice(("", "", "~")) + name
    if chance.random() < 0.8:
        value = value_of(chance) if model.WORDS[name] == model.PATH else chance.choice(("log", "HOME", "x=y", "", "é"))
        text += chance.choice(":=" if name == "host" else "===:") + value
    for _ in range(chance.choice((0, 0, 1, 2))):
        at = chance.randint(0, len(text))
        text = text[:at] + chance.choice(PIECES + MORE) + text[at + chance.randint(0, 2) :]
    return text


def _check_text(data: bytes) -> None:
    text = data.decode("utf-8", "surrogatepass") if _is_text(data) else data.decode("utf-8", "surrogateescape")
    for command_line in (False, True):
        wanted = model.parse(text, command_line)
        try:
            pledge = Pledge.parse(text, command_line=command_line)
        except PledgeSyntaxError as error:
            claim(wanted is None, f"{text!r} is refused: {error}")
            claim(1 <= error.column <= len(text) + 1, f"column {error.column} in {text!r}")
            claim(str(error).isprintable(), f"of {text!r} it says {str(error)!r}")
            continue
        assert (pledge.permission, pledge.value, pledge.rejected) == wanted, f"{text!r} is read as {pledge!r}"
        assert str(pledge) == text, f"{text!r} is printed as {str(pledge)!r}"
        assert Pledge.parse(str(pledge), command_line=command_line) == pledge, text


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def _pledge(chance: Random) -> Pledge:
    name = chance.choice(
        ("fs:read", "fs:read", "fs:read", "fs", "fs:write", "env", "host", "load", "exec", "network:tcp")
    )
    value = None
    if chance.random() < 0.85:
        value = {model.PATH: value_of(chance), model.NOTHING: None}.get(model.WORDS[name], chance.choice(("a", "b")))
    fits = value is None or (paths.is_canonical(value) and model.is_value(model.PATH, value))
    if model.WORDS[name] == model.PATH and not fits:
        value = chance.choice(("/", "/a", "/a/b", "/a*", "/b"))
    return Pledge(name, value)


class History:
    """One root and its descendants, each beside its model."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.pledges = [_pledge(chance) for _ in range(chance.randint(2, 7))]
        self.told: list[str] = []
        values = [pledge.value for pledge in self.pledges if pledge.value and pledge.value.startswith("/")]
        some = [path for path in (path_of(chance, *values) for _ in range(8)) if "\0" not in path]
        self.questions: list[tuple[str, str | None]] = [("load", None)]
        for word, answers in (("fs:read", some), ("fs:write", some), ("env", ["a", "b"]), ("host", ["a", "b"])):
            self.questions += [(word, None), *((word, answer) for answer in answers)]
        self.states = [self._root()]

    def _root(self) -> tuple[PledgeSet, model.State]:
        grantable = [pledge for pledge in self.pledges if pledge.record.grantable]
        held = [pledge for pledge in grantable if self.chance.random() < 0.5]
        ceiling = [pledge for pledge in grantable if self.chance.random() < 0.4]
        rejected = [Pledge(each.permission, each.value, True) for each in self.pledges if self.chance.random() < 0.1]
        self.tell(f"root {[*map(str, held + rejected)]} and --allow {[*map(str, ceiling)]}")
        shadow = model.State({word: [] for word in ELEMENTARY}, {word: [] for word in ELEMENTARY})
        for pledge in held + ceiling:
            for word in model.SEVERAL.get(pledge.permission, (pledge.permission,)):
                claim = model.Claim.of(pledge.permission, pledge.value)
                shadow.ceiling[word].append(claim)
                if pledge in held:
                    shadow.held[word].append(claim)
        shadow.rejected = [model.Claim.of(pledge.permission, pledge.value) for pledge in rejected]
        rules = [Rule(pledge, FLAG) for pledge in self.chance.sample(held + rejected, len(held + rejected))]
        return PledgeSet.root(rules, [Rule(pledge, FLAG) for pledge in ceiling]), shadow

    def tell(self, what: str) -> None:
        self.told.append(what)
        trying("\n".join(self.told))

    def step(self) -> int:
        """Something happens to one state: its number."""
        number = self.chance.randrange(len(self.states))
        state, shadow = self.states[number]
        deed = self.chance.choices(("pledge", "reject", "seal", "create"), (6, 2, 0.3, 2))[0]
        pledge = self.chance.choice(self.pledges)
        self.tell(f"state {number}: {deed} {pledge if deed in ('pledge', 'reject') else ''}")
        if deed == "create":
            self.states.append((state.inherit(), shadow.child()))
            self.require(self.states[-1][0].is_within(state), "a child is not within its parent")
            return len(self.states) - 1
        if deed == "seal":
            after, answer = state.seal(CALL)
            self.require(answer is not shadow.sealed, "seal")
            shadow.sealed = True
        else:
            asked = Pledge(pledge.permission, pledge.value, deed == "reject")
            after, answer = state.request(asked, CALL)
            self._mirror(asked, answer, shadow)
            if not answer:
                self.require(after == state, "a refused request changes something")
        self.require(after.is_within(state), "a call widens the ceiling")
        self.states[number] = after, shadow
        return number

    def _mirror(self, pledge: Pledge, answer: bool, shadow: model.State) -> None:
        claim = model.Claim.of(pledge.permission, pledge.value)
        if pledge.rejected:
            self.require(answer is not shadow.sealed, "a rejection is refused")
            if answer:
                shadow.rejected.append(claim)
            return
        if answer:
            self.require(not shadow.sealed, "granted after a seal")
            self.require(pledge.record.grantable, "granted what nothing can grant")
            self.require(shadow.is_within_ceiling(claim, self.questions), "granted beyond the ceiling")
            shadow.grant(claim)
        elif not shadow.sealed:
            # It is refused out of caution, too; never where the very same was given, and nothing is rejected.
            given = all(claim in shadow.ceiling[word] for word in claim.words)
            touched = any({*claim.words} & {*no.words} for no in shadow.rejected)
            self.require(not given or touched, "refused what was given")

    def compare(self, only: int | None = None) -> None:
        """Every state, or one of them, answers every question as its model does."""
        for number, (state, shadow) in enumerate(self.states):
            if only not in (None, number):
                continue
            for permission, value in self.questions:
                decision = state.decide(permission, value)
                self.require(
                    decision.allowed is shadow.allows(permission, value),
                    f"state {number} says {decision.allowed} to {permission} {value!r}",
                )
                if only is not None:
                    continue
                self.require(decision.message("x", "y:1").isprintable(), f"{decision}")
                if (flag := decision.flag()) is not None:
                    self._check_flag(flag, permission, value)
            if only is not None:
                continue
            again = from_wire(json.loads(json.dumps(to_wire(state))))
            self.require(again == state, f"state {number} does not survive the wire")

    def _check_flag(self, flag: str, permission: str, value: str | None) -> None:
        _, text = shlex.split(flag)
        pledge = Pledge.parse(text, command_line=True)
        if value is not None and "/" in value and not paths.is_canonical(pledge.value or ""):
            return  # the path of the question is no real one
        helped = PledgeSet.root([Rule(pledge, FLAG)]).allows(permission, value)
        self.require(helped, f"{flag} does not help {permission} {value!r}")

    def require(self, holds: bool, problem: str) -> None:
        if not holds:
            raise AssertionError("\n".join([problem, *self.told]))


def _check_tree(history: History) -> None:
    """What is allowed of a whole tree is allowed of each path in it."""
    paths_asked = [value for permission, value in history.questions if permission == "fs:read" and value]
    for state, shadow in history.states:
        for top in paths_asked:
            tree = paths.resolved(top.replace("\\", "").replace("*", "").replace("?", ""), "/")
            if not tree or not state.decide_tree("fs:read", tree).allowed:
                continue
            for path in paths_asked:
                inside = path == tree or path.startswith(tree.rstrip("/") + "/")
                history.require(not inside or shadow.allows("fs:read", path), f"the tree {tree!r} and {path!r}")


def _check_damaged(chance: Random, history: History) -> None:
    """A wire that somebody changed gives an error of its own, or a set within its own ceiling."""
    text = json.dumps(to_wire(chance.choice(history.states)[0]))
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text))
        piece = chance.choice(
            ("", '"', "[]", "null", "true", "-1", "{}", "~", "*", "/", "fs", "1e999", '["x","flag","y"]')
        )
        text = text[:at] + piece + text[at + chance.randint(0, 3) :]
    trying(text)
    try:
        data = json.loads(text)
    except ValueError:
        return
    try:
        state = from_wire(data)
    except WireError:
        return
    assert from_wire(to_wire(state)) == state, f"changes on its way: {text}"
    for permission, value in history.questions:
        if state.allows(permission, value) and value is not None:
            assert state.may_ever_allow(permission, value), f"{permission} {value!r} beyond the ceiling: {text}"
    for name in ELEMENTARY:
        assert PERMISSIONS[name].grantable or not state.grants[name].ceiling, f"grants {name}: {text}"


def _check_limit(chance: Random) -> None:
    """However many are asked for, a set has no more than its limit."""
    state = PledgeSet.root([Rule(Pledge("fs"), FLAG)])
    try:
        for number in range(300):
            state, _ = state.request(Pledge("fs:read", f"/{number}", chance.random() < 0.1), CALL)
    except PledgeLimitError:
        pass
    assert all(len(rules) <= 256 for own in state.grants.values() for rules in (own.held, own.ceiling, own.rejected))


def execute(chance: Random) -> None:
    """A few texts, or one history."""
    if chance.random() < 0.4:
        for _ in range(20):
            require(_check_text, _text(chance).encode("utf-8", "surrogatepass"))
        return
    history = History(chance)
    history.compare(0)
    for _ in range(chance.randint(1, 10)):
        history.compare(history.step())
    history.compare()
    _check_tree(history)
    _check_damaged(chance, history)
    if chance.random() < 0.01:
        _check_limit(chance)


rounds = endless(execute)
