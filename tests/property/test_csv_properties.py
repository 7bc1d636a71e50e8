"""fromcsv and tocsv against Python's csv."""

from __future__ import annotations

import csv
import io

from hypothesis import given, settings
from hypothesis import strategies as st

from .library_probes import LibraryError, call

delimiters = st.sampled_from([",", ";", "\t", "|", "%", "^", "]", "-", " "])
characters = st.sampled_from([*'ab",;\t|%^]- \r\n\x00é'])
fields = st.text(characters, max_size=6)


def in_python(text, delimiter):
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))


def lists(rows):
    """Rows as they come out of the codec: an empty table is a dict."""
    return [row or [] for row in rows or []]


@settings(max_examples=500)
@given(st.text(characters, max_size=30), delimiters)
def test_a_text_has_the_rows_that_python_reads(text, delimiter):
    try:
        expected = in_python(text, delimiter)
    except csv.Error:
        expected = None
    try:
        rows = lists(call("fromcsv", text, None, delimiter))
    except LibraryError:
        rows = None
    assert rows == expected


@settings(max_examples=200)
@given(st.lists(st.lists(fields, max_size=5), max_size=6), delimiters)
def test_what_is_written_is_what_python_writes_and_comes_back(rows, delimiter):
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter).writerows(rows)
    text = call("tocsv", rows, delimiter)
    assert text == buffer.getvalue()
    assert lists(call("fromcsv", text, None, delimiter)) == rows
