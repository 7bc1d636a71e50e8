"""Files that decide about a run, or tell of it. A script that may write them can give itself rights, or hide tracks."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from typing import Final

from .permissions import PledgeSet
from .permissions.paths import escape
from .source import display_name, working_directory

_LINKS: Final = 40
"""Symbolic links that one path may lead through, as for the kernel."""


def warnings_about(files: Iterable[tuple[str, str]], pledges: PledgeSet, script: str) -> list[str]:
    """One line for each of the files, what it is and its path, that a script of this name may write, and for each link
    on the way to it: whoever may remove that can put another file in the place."""
    found = []
    for what, name in files:
        path, links = _resolved(name)
        reject = f"reject it with -P {shlex.quote(f'~fs={escape(path)}')}"
        # A pledge about a link would be about what it leads to, so no rejection helps.
        for what_is_there, place, advice in (
            (what, path, reject),
            *((f"a link to {what}", link, "name the file itself") for link in links),
        ):
            if pledges.may_ever_allow("fs:write", place):
                rule = next(rule for rule in pledges.grants["fs:write"].ceiling if rule.matches(place))
                found.append(
                    f"warning: {display_name(script)} may write {what_is_there}, {place}: "
                    f'"{rule.pledge}" ({rule.origin.text}) covers it ({advice})'
                )
    return found


def _resolved(name: str) -> tuple[str, list[str]]:
    """The real path of a file, and those of the links that lead to it."""
    here = "/"
    links: list[str] = []
    whole = name if os.path.isabs(name) else os.path.join(working_directory(), name)
    left = whole.split("/")[::-1]
    while left:
        part = left.pop()
        if part == "..":
            here = os.path.dirname(here)
        elif part not in ("", "."):
            place = os.path.join(here, part)
            if len(links) < _LINKS and os.path.islink(place):
                links.append(place)
                target = os.readlink(place)
                here = "/" if target.startswith("/") else here
                left += target.split("/")[::-1]
            else:
                here = place
    return here, links
