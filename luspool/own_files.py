"""Files that decide about a run, or tell of it. A script that may write them can give itself rights, or hide tracks."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from .permissions import PledgeSet
from .permissions.paths import escape
from .source import display_name


def warnings_about(files: Iterable[tuple[str, str]], pledges: PledgeSet, script: str) -> list[str]:
    """One line for each of the files, what it is and its real path, that a script of this name may write."""
    found = []
    for what, path in files:
        if pledges.may_ever_allow("fs:write", path):
            rule = next(rule for rule in pledges.grants["fs:write"].ceiling if rule.matches(path))
            reject = f"-P {shlex.quote(f'~fs={escape(path)}')}"
            found.append(
                f"warning: {display_name(script)} may write {what}, {path}: "
                f'"{rule.pledge}" ({rule.origin.text}) covers it (reject it with {reject})'
            )
    return found
