"""Laws of policy files as text."""

import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st

from luspool.limit_options import LIMIT_OPTIONS
from luspool.permissions import Pledge, PledgeSyntaxError
from luspool.policy import Entry, LimitEntry, PolicyError, PolicyFile, PolicySet, read_policy, write_policy
from luspool.policy.positions import Positions

NAMES = st.sampled_from(["a", "b-c", "D_1", "0"])


def is_pledge(text: str) -> bool:
    try:
        Pledge.parse(text)
        text.encode()
    except (PledgeSyntaxError, UnicodeEncodeError):
        return False
    return True


paths = st.text("ab/ü\"'\\*?=.#\u202e\U0001f600", min_size=1).map("fs:read=./".__add__).filter(is_pledge)
permissions = st.sampled_from(["load", "fs", "env=HOME", "host:log", "fs:write=arg:3", "all"]) | paths
comments = st.lists(st.text(max_size=5) | st.sampled_from(["]\n[set.x]", "\udcff\x1b", "# \\"]), max_size=3).map(tuple)


def entries_of(texts):
    return st.builds(lambda text, lines: Entry(Pledge.parse(text, command_line=True), comment=lines), texts, comments)


entries = entries_of(permissions | st.sampled_from(["seal", "~fs=arg:1", "~env", "~exec=x"]))
allowed = entries_of(permissions)


@st.composite
def limits(draw):
    found = {}
    for option in draw(st.lists(st.sampled_from(LIMIT_OPTIONS), unique=True)):
        amounts = st.integers(max(option.least, 1_000_000), 10**9).map(option.unit.format)
        text = draw(st.sampled_from(["1000000000", "unlimited"]) | amounts)
        found[option.name] = LimitEntry(text, option.parse(text))
    return found


@st.composite
def policies(draw):
    """Any policy that can be read: sets extend only those before them."""
    sets: dict[str, PolicySet] = {}
    for name in draw(st.lists(NAMES, unique=True, min_size=1)):
        extends = draw(st.lists(st.sampled_from(list(sets)), unique=True)) if sets else []
        given_, allows = draw(st.lists(entries, max_size=5)), draw(st.lists(allowed, max_size=3))
        sets[name] = PolicySet(tuple(extends), tuple(given_), tuple(allows), draw(limits()))
    return PolicyFile(sets, draw(st.none() | st.sampled_from(list(sets))), draw(comments))


@given(policies())
def test_what_is_written_is_read_back(policy):
    """Writing a policy and reading the text gives the same policy, whatever its comments say."""
    assert read_policy(write_policy(policy).encode(), "p.toml") == policy


@settings(deadline=None)
@given(st.binary() | st.text("[]{}=.,\"'\\#set \nabpledg123:-", max_size=60).map(str.encode))
def test_any_bytes_are_a_policy_or_an_error_with_a_place_in_them(data):
    """Whatever a file holds is read, or is one error at a line and column that the file has."""
    try:
        read_policy(data, "p.toml")
    except PolicyError as raised:
        error = raised
        lines = data.decode("utf-8", "surrogateescape").replace("\r\n", "\n").split("\n")
        assert 1 <= error.line <= len(lines)
        assert 1 <= error.column <= len(lines[error.line - 1]) + 2


KEYS = ["a", "b-1", '"q u"', "'l.x'", '"\\u0061\\""']
SCALARS = [
    *("1", "-0.5e3", "true", "1979-05-27 07:32:00", "inf"),
    *('"s#"', "'l\\'", '"\\"]"', '"""\nm"" # x"""""', "'''\n''k'''''", '""', "''"),
]
spaces = st.sampled_from(["", " ", "\t"])
breaks = st.sampled_from(["", " ", "\n", " # ],}\n"])
keys = st.lists(st.sampled_from(KEYS), min_size=1, max_size=2).map(" . ".join)
values = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: (
        st.tuples(st.lists(st.tuples(breaks, inner, breaks).map("".join), max_size=3), breaks).map(
            lambda parts: f"[{','.join(parts[0])}{parts[1]}]"
        )
        | st.lists(st.tuples(keys, inner).map(" = ".join), max_size=3).map(lambda parts: f"{{ {', '.join(parts)} }}")
    ),
    max_leaves=5,
)
lines = st.tuples(keys, spaces, values, spaces).map(lambda parts: f"{parts[0]}{parts[1]}={parts[2]}{parts[3]}")
headers = keys.map("[{}]".format) | keys.map("[[{}]] # x".format) | st.sampled_from(["", "# ['\"", "  "])
documents = st.lists(lines | headers, max_size=8).map("\n".join)


def walk(value, path=()):
    """All paths of the data, with what stands there."""
    yield path, value
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from walk(inner, (*path, key))


@given(documents)
def test_positions_are_those_of_the_data(text):
    """Each value that the standard reader finds has a position, and what stands there is that value; no others have."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    found = dict(walk(data))
    positions = Positions(text)
    assert positions.values.keys() | {()} == found.keys()
    assert positions.keys.keys() == {path for path in found if path and isinstance(path[-1], str)}
    for path, offset in positions.values.items():
        if isinstance(found[path], str):
            assert text[offset] in "\"'"
        elif not isinstance(found[path], dict | list):
            assert text[offset] in "1-ti"
