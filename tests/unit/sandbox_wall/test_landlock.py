"""Which paths get a rule: what is not there yet, and may be made, is stood in for by its directory."""

from __future__ import annotations

import pytest

from luspool.sandbox.wall.landlock import existing


@pytest.fixture
def place(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "dangling").symlink_to("none")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("readable", "writable", "opened"),
    [
        (["{}/there"], ["{}/there"], (["{}/there"], ["{}/there"])),
        ([], ["{}/new"], ([], ["{}"])),
        (["{}/new"], ["{}/new"], (["{}"], ["{}"])),
        (["{}/new/sub", "{}/newer"], ["{}/new"], (["{}", "{}/newer"], ["{}"])),
        (["{}/new"], [], (["{}/new"], [])),
        (["{}/new"], ["{}/there/new"], (["{}/new"], ["{}/there"])),
        ([], ["{}/new/none"], ([], ["{}/new/none"])),
        ([], ["{}/dangling"], ([], ["{}/dangling"])),
        (["/"], ["/", "/no-such-directory-here"], (["/"], ["/", "/no-such-directory-here"])),
    ],
)
def test_a_missing_path_to_be_written_opens_its_directory_and_nothing_else_does(place, readable, writable, opened):
    readable, writable = ([path.format(place) for path in paths] for paths in (readable, writable))
    assert existing(readable, writable) == tuple([path.format(place) for path in paths] for paths in opened)
