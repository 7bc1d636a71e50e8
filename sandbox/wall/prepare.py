"""What has to be there before the wall goes up, since files outside of a ceiling can't be read afterwards."""

from __future__ import annotations

import time

from .. import calls_text, compiler
from ..preemption import mechanism


def prepare() -> None:
    """Load what a host would otherwise read from files of its own, or import, later. Repeatable. As `mechanism`.

    The text of the states' library; the tables of encodings; the native module, which every state opens again by its
    path, or the executable memory of the portable hook; the time zone. tests/wall/test_inside.py sees to it
    that nothing is imported behind the wall.
    """
    compiler.library()
    calls_text.encodings()
    mechanism()
    time.localtime()
