"""What the tests of fs share: real files, and scripts about them. `run` and `tree` are fixtures."""

from __future__ import annotations

import pytest

LISTED = "local function list(...) return table.concat(assert(fs.list(...)), ' ') end "


@pytest.fixture
def run(printed, tmp_path):
    """What a script prints that may do everything beneath the directory `root`, which it has as a global; the name of
    that is left out."""

    def make(source, *held):
        held = held or (f"fs={tmp_path}",)
        lines = printed(f"root = '{tmp_path}' {LISTED}{source}", held=[one.format(tmp_path) for one in held])
        return [line.replace(str(tmp_path), "") for line in lines]

    return make


@pytest.fixture
def tree(tmp_path):
    """Some files, a directory and links."""
    (tmp_path / "sub/deep").mkdir(parents=True)
    for name in ("a.txt", "b.txt", ".hidden", "sub/c.txt", "sub/deep/d"):
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to("a.txt")
    (tmp_path / "folder").symlink_to("sub")
    (tmp_path / "dangling").symlink_to("none")
    return tmp_path
