"""Canonical values against real paths: matching, containment, overlap."""

import pytest

from luspool.permissions.paths import MAX_TAIL, PathPattern, escape


@pytest.mark.parametrize(
    ("value", "path", "expected"),
    [
        ("/var/foo", "/var/foo", True),
        ("/var/foo", "/var/foo/bar/baz", True),
        ("/var/foo", "/var/foobar", False),
        ("/var/foo", "/var", False),
        ("/", "/", True),
        ("/", "/etc", True),
        ("/*", "/etc/passwd", True),
        ("/a/*.pem", "/a/b/c.pem", True),
        ("/a/*.pem", "/a/b/c.pem/x", False),
        ("/a/*", "/a", False),
        ("/a?b", "/a/b", True),
        ("/a?b", "/ab", False),
        ("/a*", "/ab/c", True),
        ("/a/*x*y", "/a/xyxzy", True),
        ("/a/*x*y", "/a/yx", False),
        (r"/a\*", "/a*", True),
        (r"/a\*", "/ab", False),
        (r"/a\?\\", "/a?\\", True),
        ("/a.c", "/abc", False),
        ("/a/*", "/a/new\nline", True),
        ("/a/?", "/a/\udcff", True),
        ("/a", "/a/\udcff\n", True),
    ],
)
def test_matching(value, path, expected):
    """A path grants itself and all beneath it; a pattern must match the whole path; both end at path borders."""
    assert PathPattern(value).matches(path) is expected


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        ("/a", "/a/b", True),
        ("/a", "/a/*", True),
        ("/a", "/a/b?/c*", True),
        ("/a", "/a*", False),
        ("/a", "/ab", False),
        ("/a/*", "/a/b", True),
        ("/a/*", "/a", False),
        ("/*", "/", True),
        ("/a/*.c", "/a/x*.c", True),
        ("/a/*.c", "/a/x.c", False),
        ("/a/?*", "/a/*?", True),
        ("/a/?", "/a/*", False),
        ("/a/*", r"/a/\*", True),
        (r"/a/\*", "/a/*", False),
    ],
)
def test_containment(outer, inner, expected):
    """What lies within what, where the answer is exact."""
    assert PathPattern(outer).contains(PathPattern(inner)) is expected


def test_containment_is_cautious_where_wildcards_meet_around_a_letter():
    """`/*x?` lies within `/?*` and is refused all the same: the documented price of a simple, certain yes."""
    assert not PathPattern("/?*").contains(PathPattern("/*x?"))


@pytest.mark.parametrize(
    ("value", "tree", "expected"),
    [
        ("/a/b", "/a", True),
        ("/a/b", "/a/b/c", True),
        ("/a/b", "/a/bc", False),
        ("/a/b", "/", True),
        ("/a/*.pem", "/a", True),
        ("/a/*.pem", "/a/x", True),
        ("/a/*.pem", "/b", False),
        ("/a/b*", "/a/c", False),
        ("/a/b*", "/a/bc/d", True),
    ],
)
def test_overlap_with_a_tree(value, tree, expected):
    """Whether a value may match something at or beneath a path."""
    assert PathPattern(value).may_touch_tree(tree) is expected


@pytest.mark.parametrize("text", ["", "a", "./a", "/a/", "/a//b", "/a/../b", "/a/./b", "/..", "//", "/*/../a", "*.pem"])
def test_only_canonical_values_become_patterns(text):
    """What is not absolute and resolved is refused instead of never matching."""
    with pytest.raises(ValueError, match=r"canonical|does not say|resolved"):
        PathPattern(text)


def test_an_escaped_path_stands_for_itself():
    """`escape` undoes the meaning of every special character."""
    path = "/a*b?c\\d[e].f"
    assert PathPattern(escape(path)).matches(path)
    assert not PathPattern(escape(path)).matches("/aXb?c\\d[e].f")


@pytest.mark.parametrize("tail", ["a*" * 127 + "b", "?" * 200 + "b", "a?" * 120 + "b", "*a" * 127, "a" * 250 + "b"])
def test_hostile_patterns_end(tail):
    """Patterns made to backtrack are answered in bounded work: a matcher that backtracks would not come back."""
    assert len(tail) < MAX_TAIL
    pattern = PathPattern(f"/*{tail}")
    assert not pattern.matches("/" + "a" * 4000 + "c")
    assert pattern.contains(pattern)
