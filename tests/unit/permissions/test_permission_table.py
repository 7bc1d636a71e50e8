"""The table of permissions, and that the documentation shows all of it."""

import re
from pathlib import Path

import pytest

from luspool import permissions
from luspool.permissions import PERMISSIONS, Pledge, PledgeSyntaxError

DOCS = Path(__file__).parents[3] / "docs" / "permissions.md"


def test_everything_covered_is_elementary():
    """Decisions are about elementary permissions: what a word covers never covers something else in turn."""
    assert all(PERMISSIONS[name].elementary for record in PERMISSIONS.values() for name in record.covers)


def test_all_covers_exactly_what_can_be_granted():
    """`all` is every elementary permission that can be granted, and nothing else."""
    grantable = {name for name, record in PERMISSIONS.items() if record.elementary and record.grantable}
    assert set(PERMISSIONS["all"].covers) == grantable


def test_the_documentation_lists_every_permission():
    """The table in docs/permissions.md has one row per permission, in the table's order."""
    rows = re.findall(r"^\| `([a-z:]+)` \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == list(PERMISSIONS)


def test_the_documented_errors_are_the_real_ones():
    """Every malformed pledge shown in the documentation gives exactly the message shown."""
    shown = re.findall(r"^(pledge '(.*?)', column .*)$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert shown
    for message, text in shown:
        with pytest.raises(PledgeSyntaxError) as caught:
            Pledge.parse(text)
        assert str(caught.value) == message


def test_the_public_names_are_sorted_and_exist():
    """`__all__` is sorted and names what the package has."""
    upper = [name for name in permissions.__all__ if name.isupper()]
    others = [name for name in permissions.__all__ if not name.isupper()]
    classes = [name for name in others if name[0].isupper()]
    functions = [name for name in others if not name[0].isupper()]
    assert permissions.__all__ == sorted(upper) + sorted(classes) + sorted(functions)
    assert all(hasattr(permissions, name) for name in permissions.__all__)
