"""Where items come from, and what is said of those that are none."""

import io
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luspool.batch.inputs import items_in, items_of, with_arguments
from luspool.batch.item import Item
from luspool.batch.lines import LINE_MOST, LineError, read_lines
from luspool.errors import CannotLoadError, NotFoundError, UsageError


def scripts(words, stdin=b"", **options):
    return [item.script for item in items_of(words, io.BytesIO(stdin), **options)]


def test_a_line_is_an_item():
    line = {
        "script": "a.lus",
        "args": ["x", ""],
        "stdin": "in\n",
        "pledges": ["load", "~env"],
        "limits": {"cpu": "1.5s", "memory": "16M", "states": 7, "depth": "unlimited"},
        "env": {"A": "b=c"},
    }
    (item,) = read_lines([json.dumps(line).encode()], "f")
    assert item.script == "a.lus"
    assert item.arguments == ("x", "")
    assert item.stdin == "in\n"
    assert item.pledges == ("load", "~env")
    assert item.limits["cpu"] == 1_500_000_000
    assert item.limits["memory"] == 16 << 20
    assert item.limits["states"] == 7
    assert item.environment == {"A": "b=c"}
    assert item.place == "f:1"


def test_empty_lines_count_and_are_no_items():
    assert [item.place for item in read_lines([b'{"script":"a"}', b"", b"  ", b'{"script":"b"}'], "f")] == [
        "f:1",
        "f:4",
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"nope", "f:1:1: no JSON"),
        (b'{"script": "a"', "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"1" * 10_000, "no JSON"),
        (b"[]", "an object is needed, .*, not a list"),
        (b"null", "an object is needed, .*, not null"),
        (b"{}", 'no "script"'),
        (b'{"script": 1}', '"script" is a string, not a number'),
        (b'{"script": ""}', "no path"),
        (rb'{"script": "a\u0000b"}', "no path"),
        (b'{"script": "a", "script": "b"}', '"script" is there twice'),
        (b'{"script": "a", "argz": []}', 'unknown key "argz" .did you mean args'),
        (b'{"script": "a", "q\\u001b": 1}', r'unknown key "q\\x1b"'),
        (b'{"script": "a", "args": "b"}', '"args" is a list of strings, not a string'),
        (b'{"script": "a", "args": [true]}', r'"args\[0\]" is a string, not a truth value'),
        (b'{"script": "a", "args": ["\\ud800"]}', "half a surrogate pair"),
        (b'{"script": "a", "limits": []}', '"limits" is an object'),
        (b'{"script": "a", "limits": {"cpus": 1}}', 'unknown limit "cpus" .did you mean cpu'),
        (b'{"script": "a", "limits": {"cpu": 1.5}}', 'limit "cpu" is a string'),
        (b'{"script": "a", "limits": {"cpu": true}}', 'limit "cpu" is a string'),
        (b'{"script": "a", "limits": {"cpu": "x"}}', "limit \"cpu\": 'x' is no duration"),
        (b'{"script": "a", "limits": {"states": 0}}', 'limit "states": .*too little'),
        (b'{"script": "a", "env": {"A=B": "c"}}', "no name of a variable"),
        (b'{"script": "a", "env": {"A": 1}}', '"env.A" is a string'),
        (b'{"script": "a", "stdin": null}', '"stdin" is a string, not null'),
        (b'{"script": "' + b"a" * LINE_MOST + b'"}', "longer than 16 MiB"),
    ],
)
def test_a_bad_line_is_told_with_its_place(line, problem):
    with pytest.raises(LineError, match=problem) as caught:
        list(read_lines([line], "f"))
    assert str(caught.value).startswith("f:1")
    assert str(caught.value).isprintable()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["script", "args", "limits", "cpu", "env"]), inner),
)


@settings(deadline=None)
@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_line_is_anything_but_an_item_or_a_line_error(line):
    try:
        for item in read_lines([line], "f"):
            assert Item.load(item.dump()) == item
    except LineError as error:
        assert str(error).isprintable()  # noqa: PT017  either is right


@given(
    st.builds(
        Item,
        st.text(min_size=1) | st.binary(min_size=1).map(os.fsdecode),
        st.lists(st.text()).map(tuple),
        st.text(),
        st.none() | st.lists(st.text()).map(tuple),
        st.dictionaries(st.sampled_from(["cpu", "memory"]), st.integers(0, 2**63 - 1)),
        st.dictionaries(st.text(), st.text()),
        st.text(),
    )
)
def test_an_item_comes_back_from_the_ledger_as_it_was(item):
    assert Item.load(item.dump()) == item


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.lus", "a.lua", "text.txt", "sub/c.lus", "sub/deep/d.lus", "empty/x.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")
    return tmp_path


def test_a_directory_stands_for_all_scripts_beneath_it_in_order(folder):
    assert scripts(["."]) == ["./a.lua", "./b.lus", "./sub/c.lus", "./sub/deep/d.lus"]


def test_a_pattern_stands_for_what_matches(folder):
    assert scripts(["*.l*"]) == ["a.lua", "b.lus"]
    assert scripts(["**/*.lus"]) == ["b.lus", "sub/c.lus", "sub/deep/d.lus"]


def test_a_file_is_itself_whatever_it_is_called(folder):
    folder.joinpath("a*.lus").write_text("", encoding="utf-8")
    assert scripts(["a*.lus", "text.txt"]) == ["a*.lus", "text.txt"]


def test_paths_come_from_standard_input(folder):
    items = list(items_of(["-"], io.BytesIO(b"one.lus\n\ntwo words.lus\n\xff.lus")))
    assert [(item.script, item.place) for item in items] == [
        ("one.lus", "stdin:1"),
        ("two words.lus", "stdin:3"),
        ("\udcff.lus", "stdin:4"),
    ]
    assert scripts(["-"], b"a\nb\0c\0", separator=b"\0") == ["a\nb", "c"]


@pytest.mark.parametrize("word", ["none.lus", "none/*.lus", "empty"])
def test_what_stands_for_nothing_is_told(folder, word):
    with pytest.raises((NotFoundError, UsageError), match=word.replace("*", r"\*")):
        scripts([word])


def test_a_line_that_is_no_path_is_told():
    with pytest.raises(LineError, match=r"^stdin:2: "):
        scripts(["-"], b"a\n" + b"x" * 5000)


def test_items_of_a_file_that_is_not_there(folder):
    with pytest.raises(NotFoundError, match=r"no such file of items: none\.jsonl"):
        list(items_in("none.jsonl", io.BytesIO()))
    with pytest.raises(CannotLoadError, match="cannot read"):
        list(items_in("sub", io.BytesIO()))


def test_arguments_are_for_those_that_have_none():
    items = with_arguments([Item("a"), Item("b", ("own",))], ("given",))
    assert [item.arguments for item in items] == [("given",), ("own",)]
