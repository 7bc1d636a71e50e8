"""Laws of matching and containment, against a slow and obvious model."""

import itertools
import os

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from luspool.permissions.paths import PathPattern, PatternError, escape, resolve

from ..fuzz import _path_model

ALPHABET = "ab/"
UNIVERSE = ["/" + "".join(chars) for length in range(6) for chars in itertools.product(ALPHABET, repeat=length)]
"""Every string over the alphabet that starts like a path, up to six characters (real paths are some of them)."""


def is_canonical(value):
    return not any(part in ("", ".", "..") for part in value[1:].split("/")) or value == "/"


values = st.text("ab/*?", max_size=7).map(lambda text: f"/{text}").filter(is_canonical)
escaped_values = st.lists(st.sampled_from(["a", "/a", "*", "?", r"\*", r"\?", r"\\"]), max_size=7).map(
    lambda parts: "/" + "".join(parts).removeprefix("/")
)


@given(escaped_values, st.text("a/*?\\\n", max_size=8).map(lambda text: f"/{text}"))
def test_the_matcher_agrees_with_the_definition(value, path):
    """Matching gives exactly the answers of a matcher that tries everything."""
    assume(is_canonical(value))
    assert PathPattern(value).matches(path) is _path_model.matches(value, path)


@given(values, st.lists(st.sampled_from("ab/*"), max_size=30).map(lambda chars: "/" + "".join(chars)))
def test_the_matcher_agrees_on_longer_paths(value, path):
    """The same, with paths several times longer than the pattern."""
    assert PathPattern(value).matches(path) is _path_model.matches(value, path)


def test_containment_is_never_wrongly_claimed():
    """For every two short values: where one is said to contain the other, it matches all that the other matches."""
    texts = ("/" + "".join(chars) for length in range(6) for chars in itertools.product("a/*?", repeat=length))
    patterns = [PathPattern(text) for text in texts if is_canonical(text)]
    matched = [sum(1 << bit for bit, path in enumerate(UNIVERSE) if pattern.matches(path)) for pattern in patterns]
    claimed = within = 0
    for wide, by_wide in zip(patterns, matched, strict=True):
        for narrow, by_narrow in zip(patterns, matched, strict=True):
            is_within = not by_narrow & ~by_wide
            is_claimed = wide.contains(narrow)
            assert is_within or not is_claimed, (wide.text, narrow.text)
            claimed += is_claimed
            within += is_within
    assert claimed > 0.7 * within  # cautious, but of use


trees = st.text("ab/", max_size=5).map(lambda text: f"/{text}").filter(is_canonical)


@given(trees, trees)
def test_containment_of_directories_is_exact(outer, inner):
    """For values without wildcards containment is neither bold nor cautious."""
    wide, narrow = PathPattern(outer), PathPattern(inner)
    assert wide.contains(narrow) is wide.matches(inner)


@given(values, values, values)
def test_containment_is_reflexive_and_transitive(first, second, third):
    """A value contains itself, and what its part contains."""
    one, two, three = PathPattern(first), PathPattern(second), PathPattern(third)
    assert one.contains(one)
    if one.contains(two) and two.contains(three):
        assert one.contains(three)


@given(values, trees)
def test_overlap_is_never_wrongly_denied(value, tree):
    """Where a value is said not to touch a tree, it matches nothing at or beneath it."""
    pattern = PathPattern(value)
    if not pattern.may_touch_tree(tree):
        assert not any(pattern.matches(path) for path in UNIVERSE if PathPattern.tree(tree).matches(path))


@given(st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1), st.text("fbar", min_size=1))
def test_a_path_never_covers_its_longer_namesakes(name, more):
    """`/x/foo` covers `/x/foo/bar` and never `/x/foobar`."""
    pattern = PathPattern(f"/x/{escape(name)}") if name not in (".", "..") else PathPattern("/x/y")
    path = f"/x/{name}" if name not in (".", "..") else "/x/y"
    assert pattern.matches(f"{path}/{more}")
    assert not pattern.matches(path + more)


@pytest.fixture(scope="module")
def maze(tmp_path_factory):
    """A directory with plain directories and links that lead around among them."""
    base = tmp_path_factory.mktemp("maze").resolve()
    (base / "a" / "b").mkdir(parents=True)
    (base / "a" / "up").symlink_to("..")
    (base / "b").symlink_to("a/b")
    (base / "loop").symlink_to("loop")
    return str(base)


@given(steps=st.lists(st.sampled_from(["a", "b", "up", "..", ".", "", "new"]), max_size=6))
def test_a_relative_path_resolves_to_the_real_one(maze, steps):
    """`..`, `.`, `//` and links resolve to the path that the system gives an opened descriptor."""
    written = "/".join(steps).lstrip("/") or "."
    canonical = resolve(written, maze)
    PathPattern(canonical)
    try:
        descriptor = os.open(f"{maze}/{written}", os.O_RDONLY)
    except OSError:
        return
    try:
        real = os.readlink(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    assert canonical == real
    assert resolve(f"{written}/*.pem", maze) == f"{real.rstrip('/')}/*.pem"


@given(st.text("ab/.*?\\", max_size=10))
def test_every_value_resolves_to_a_canonical_one_or_is_an_error(value):
    """What `resolve` returns is always ready to be matched, and resolves to itself."""
    try:
        canonical = resolve(value, "/nowhere")
    except PatternError:
        return
    assert PathPattern(canonical).text == canonical
    assert resolve(canonical, "/elsewhere") == canonical
