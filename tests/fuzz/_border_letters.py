"""A host and letters from one that has fallen to a script: rights, limits and depth that no state of the tree has."""

import json

from msgspec.structs import replace

from luspool.permissions import Origin, Pledge, PledgeSet, Rule, to_wire
from luspool.program_format import ProgramFormat, _Moved
from luspool.sandbox import Program, codec
from luspool.scheduler import letters
from luspool.scheduler.invariants import validate
from luspool.scheduler.letters import HOST_BITS, Kind, LetterError
from luspool.scheduler.limits import Limits, StateLimits, TreeLimits
from luspool.scheduler.protocol import StateId
from luspool.scheduler.records import pack, unpack
from luspool.scheduler.spread import SpreadMachine

from ..property.test_spread_hostile import attack, crashed

LIMITS = Limits(StateLimits(cpu=10**9, memory=1 << 24), TreeLimits(depth=5, memory=1 << 20))
ROOT = StateId((1 << HOST_BITS) + 1)
LIAR = 3

PATHS = ("/", "/srv", "/srv/data", "/srv/data/a.csv", "/srv/data/keys", "/srv/data/keys/k", "/srv/database", "/etc/x")
PROBES = [("load", None), *((name, path) for name in ("fs:read", "fs:write") for path in (None, *PATHS))]
PROBES += [(name, value) for name in ("env", "host") for value in (None, "HOME", "log", "")]
RULES = (
    "load", "fs", "fs:read", "fs:write", "fs:read=/", "fs:read=/srv", "fs:read=/srv/data", "fs:read=/srv/data/keys",
    "fs:read=/srv/*", "fs:write=/srv/data/keys/k", "env", "env=HOME", "host", "host:log", "all", "seal", "exec", "~fs",
    "~fs:read=/srv/data/keys", "fs:read=/srv/data/?", "network", "fs:read=/srv/../etc", "",
)  # fmt: skip


def rules(*texts):
    return [Rule(Pledge.parse(text).bind("/"), Origin.flag("-P", text)) for text in texts]


OUTER = PledgeSet.root(
    held=rules("load", "fs:read=/srv/data", "~fs:read=/srv/data/keys"), ceiling=rules("env=HOME", "host:log")
)
PROGRAM = Program("w.lus", b"print(1)", codec.encode(1, "x"), OUTER.inherit())
FORMAT = ProgramFormat(OUTER)


def hostile_pledges(chance):
    """The wire form of a set, widened somewhere, or no such form at all."""
    data = to_wire(chance.choice((OUTER, OUTER.inherit())))
    for _ in range(chance.randrange(1, 5)):
        grants = data["grants"][chance.choice(list(data["grants"]))]
        field = chance.choice(("ceiling", "held", "rejected", "narrowed_by", "pledged"))
        rule = [chance.choice(RULES), chance.choice(("flag", "call", "?")), chance.text()]
        match chance.randrange(6):
            case 0 | 1 if isinstance(grants["held"], list) and isinstance(grants["ceiling"], list):
                grants["held"] = [*grants["held"], rule]
                grants["ceiling"] = [*grants["ceiling"], rule] if chance.random() < 0.5 else grants["ceiling"]
            case 2 if isinstance(grants[field], list):
                grants[field] = grants[field][1:]
            case 3:
                grants[field] = chance.choice((None, True, rule, [rule], {}, 1, "x", [rule] * 300))
            case 4:
                data["sealed_by"] = chance.choice((None, rule, ["seal", "flag", "-P seal"]))
            case 5:
                data["v"] = chance.choice((1, 2, None, True, "1"))
    text = json.dumps(data)
    depth = chance.choice((10, 100_000))
    if chance.random() < 0.05:
        return chance.choice(("[" * depth, '{"v":' * depth, "9" * 10_000, "NaN", "", "{}", "null", '{"v": 1e999}'))
    return chance.mutated(text.encode()).decode("utf-8", "surrogateescape") if chance.random() < 0.2 else text


def assert_no_right_was_gained(pledges, chance):
    """Neither by what the set allows, nor by anything that its state may pledge."""
    for text in (None, *chance.sample(RULES, 6)):
        if text is not None:
            try:
                pledges, _ = pledges.request(Pledge.parse(text).bind("/"), Origin.call("w.lus:1"))
            except ValueError:
                continue
        for name, value in PROBES:
            if pledges.allows(name, value):
                given = OUTER.grants[name]
                assert any(rule.matches(value) for rule in given.ceiling), (text, name, value)
                assert not any(value is None or rule.matches(value) for rule in given.rejected), (text, name, value)


def hostile_letter(chance, number):
    own = StateId((LIAR << HOST_BITS) + number)
    state_id = own if chance.random() < 0.9 else StateId(chance.choice((0, 1, ROOT, own - 1, (1 << 64) - 1)))
    moved = unpack(_Moved, FORMAT.pack(PROGRAM))
    moved = replace(moved, pledges=hostile_pledges(chance))
    if chance.random() < 0.3:
        moved = replace(moved, arguments=chance.mutated(moved.arguments), path=chance.text() * chance.choice((1, 1000)))
    spec = pack(moved) if chance.random() < 0.9 else chance.mutated(pack(moved))
    wide = replace(LIMITS.state, **{name: chance.number() for name in StateLimits.__struct_fields__})
    limits = pack(wide if chance.random() < 0.7 else LIMITS.state)
    above = [(StateId((LIAR << HOST_BITS) + 1000), LIAR), (ROOT, chance.choice((1, 1, 2, LIAR)))]
    move = letters.Move(
        spec,
        chance.choice((3, 3, 3, 5, 6, 2, 0, -1, 1 << 40)),
        limits if chance.random() < 0.9 else chance.mutated(limits),
        letters.pack_ancestors(above if chance.random() < 0.9 else above * 3),
        has_parent=chance.random() < 0.9,
    )
    letter = letters.write(Kind.MOVED, state_id, pack(move))
    return letter if chance.random() < 0.9 else chance.mutated(letter)


def moved_round(chance):
    """States that are given to a host by one that lies have no more rights, limits and depth than the tree has."""
    machine = SpreadMachine(lambda _: "w.lus:1", 2, FORMAT)
    machine.join_tree(ROOT, LIMITS)
    for peer in (1, LIAR):
        machine.peer_joined(peer)
    for number in range(1, 9):
        letter = hostile_letter(chance, number)
        try:
            machine.arrived(LIAR, letter)
        except LetterError:
            pass
        except Exception as error:
            error.add_note(f"letter: {letter[:3000].hex()}")
            raise
        validate(machine)
    own = [state for state in machine.states.values() if isinstance(state.spec, Program)]
    for state in own:
        assert host_is_the_liars(state.id), state.id
        assert 1 <= state.depth <= LIMITS.tree.depth
        for name in StateLimits.__struct_fields__:
            assert getattr(state.limits, name) <= getattr(LIMITS.state, name), name
        assert_no_right_was_gained(state.spec.pledges, chance)
    machine.peer_gone(LIAR, crashed)
    validate(machine)
    return len(own)


def host_is_the_liars(state_id):
    return letters.host_of(state_id) == LIAR and state_id != ROOT


def spread_round(chance):
    """Letters of all kinds, to machines in the middle of a program."""
    attack(chance.randrange(1 << 40))
