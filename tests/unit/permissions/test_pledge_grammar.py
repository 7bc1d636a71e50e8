"""Pledges as text: what parses, what the errors say, what binding does."""

import pytest

from luspool.permissions import Pledge, PledgeSyntaxError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("load", Pledge("load")),
        ("seal", Pledge("seal")),
        ("~fs", Pledge("fs", None, True)),
        ("fs:read=/a b/ü", Pledge("fs:read", "/a b/ü")),
        ("fs:write=./*.csv", Pledge("fs:write", "./*.csv")),
        ("~fs:read=/x=y", Pledge("fs:read", "/x=y", True)),
        ("env=HOME", Pledge("env", "HOME")),
        ("host:log", Pledge("host", "log")),
        ("~host:_2", Pledge("host", "_2", True)),
        ("host", Pledge("host")),
        ("exec", Pledge("exec")),
        ("network:http=*.example.com", Pledge("network:http", "*.example.com")),
    ],
)
def test_a_pledge_is_read_and_printed_back(text, expected):
    """Each form of the grammar parses to its parts and prints as it was written."""
    assert Pledge.parse(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    ("text", "column", "problem", "advice"),
    [
        ("", 1, "a name is missing", "known are load, fs"),
        ("~", 2, "a name is missing", "known are"),
        ("~~fs", 2, "unknown permission '~fs'", 'did you mean "fs"?'),
        ("fs:raed=/x", 1, "unknown permission 'fs:raed'", 'did you mean "fs:read"?'),
        ("FS:READ", 1, "unknown permission 'FS:READ'", 'did you mean "fs:read"?'),
        (" load", 1, "unknown permission ' load'", 'did you mean "load"?'),
        ("zebra", 1, "unknown permission 'zebra'", "known are load, fs, fs:read, fs:write, env, host, seal"),
        ("x" * 5000, 1, "unknown permission 'xxx", "known are"),
        ("load=x.lua", 5, '"load" takes no value', 'write "load" alone'),
        ("seal=1", 5, '"seal" takes no value', 'write "seal" alone'),
        ("~seal", 1, '"seal" cannot be rejected', 'leave the "~" away'),
        ("all", 1, '"all" is for the command line only', "name what the script needs"),
        ("fs:read=", 9, 'nothing behind the "="', "to mean every value"),
        ("fs:read=/a\0b", 11, r"the control character '\x00'", "without it"),
        ("env=A\x1b", 6, r"the control character '\x1b'", "without it"),
        ("fs:read=/\ud800", 10, r"the character '\ud800', which is in no file name", "encoding"),
        ("fs:read=/" + "a" * 4096, 9, "a value of more than 4096 characters", "shorten"),
        ("fs:read=*.pem", 9, "a pattern that does not say in which directory", "./"),
        ("fs:read=/a/*/../b", 14, '".." behind a wildcard', "without it"),
        (r"~fs:read=/a\n", 12, "a backslash before an ordinary character", r"write \\"),
        ("fs:read=/a\\", 11, "a backslash at the end", r"write \\"),
        ("fs:read=/*" + "a" * 256, 9, "more than 256 characters from the first wildcard on", "shorter pattern"),
        ("env=AWS_*", 9, "'*' in the name", "names are exact"),
        ("env=A=B", 6, "'=' in the name", "names are exact"),
        ("host=log", 5, '"host" takes no "="', 'write "host:" and the name'),
        ("host:", 6, 'nothing behind the ":"', 'write "host" alone to mean every function'),
        ("~host:a.b", 8, "'.' in the name of a function", "letters, digits"),
        ("host:*", 6, "'*' in the name of a function", "one pledge each"),
        ("host:2", 6, "'2' in the name of a function", "letters, digits"),
        ("host:\u00fc", 6, "'\u00fc' in the name of a function", "letters, digits"),
        ("host:log\n", 9, r"'\n' in the name of a function", "letters, digits"),
        ("host:log=x", 9, "'=' in the name of a function", "letters, digits"),
        ("host:" + "a" * 101, 6, "a name of more than 100 characters", "shorten"),
        ("hst:log", 1, "unknown permission 'hst:log'", "known are"),
    ],
)
def test_an_error_says_what_where_and_the_next_step(text, column, problem, advice):
    """Malformed text raises with the column, the problem and the advice, in the attributes and in the message."""
    with pytest.raises(PledgeSyntaxError) as caught:
        Pledge.parse(text)
    error = caught.value
    assert (error.text, error.column) == (text, column)
    assert problem in error.problem
    assert advice in error.advice
    assert str(error).endswith(f"column {column}: {error.problem} ({error.advice})")
    assert str(error).isprintable()
    assert len(str(error)) < 400


def test_all_is_a_word_of_the_command_line():
    """`all` parses on the command line, without a value."""
    assert Pledge.parse("all", command_line=True) == Pledge("all")
    with pytest.raises(PledgeSyntaxError, match="takes no value"):
        Pledge.parse("all=/x", command_line=True)


def test_binding_makes_a_path_canonical(tmp_path):
    """A relative value becomes absolute, and links, `..` and `//` before the first wildcard are resolved."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    cwd = str(tmp_path.resolve())
    for text, canonical in [
        (".", cwd),
        ("link", f"{cwd}/real"),
        ("link//../link/new", f"{cwd}/real/new"),
        ("./*.pem", f"{cwd}/*.pem"),
        ("link/a*//./b/", f"{cwd}/real/a*/b"),
        ("/", "/"),
        ("/*", "/*"),
    ]:
        assert Pledge.parse(f"~fs:read={text}").bind(cwd) == Pledge("fs:read", canonical, True)


def test_binding_escapes_what_a_link_leads_to(tmp_path):
    """A wildcard in a resolved name stays that character, and does not become a pattern."""
    (tmp_path / "a*b").mkdir()
    (tmp_path / "link").symlink_to("a*b")
    cwd = str(tmp_path.resolve())
    assert Pledge.parse("fs:read=link").bind(cwd).value == rf"{cwd}/a\*b"


def test_binding_refuses_a_link_to_a_name_that_cannot_be_written(tmp_path):
    """A link to a name with a control character, or to one too long, is an error and not an unprintable pledge."""
    (tmp_path / "link").symlink_to("new\nline")
    cwd = str(tmp_path.resolve())
    with pytest.raises(PledgeSyntaxError, match="leads to a name with the control character"):
        Pledge.parse("fs:read=link").bind(cwd)
    with pytest.raises(PledgeSyntaxError, match="longer than 4096"):
        Pledge.parse("fs:read=" + "a" * 4096).bind(cwd)


def test_binding_needs_an_absolute_working_directory():
    """A relative working directory is a mistake of the caller, not of the pledge."""
    with pytest.raises(ValueError, match="must be absolute"):
        Pledge.parse("fs:read=a").bind("b")


def test_binding_leaves_other_pledges_alone():
    """Only paths are bound."""
    for text in ("load", "env=HOME", "fs:read", "exec=ls"):
        pledge = Pledge.parse(text)
        assert pledge.bind("/") is pledge
