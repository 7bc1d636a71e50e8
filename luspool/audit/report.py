"""`luspool audit report`: what runs did, from their logs, in one of three forms."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from .log import read_logs
from .summary import summarize

_UNBOUNDED: Final = 100_000
"""Columns, where nobody needs lines to be folded: in a file or a pipe."""


def report(files: Sequence[str], form: str) -> str:
    """The report on the logs of these files, as `text`, `json` or `html`. LogError.

    Each form is imported when it is asked for: what renders the others takes longer to load than the report to make.
    """
    runs = [summarize(log) for log in read_logs(files)]
    match form:
        case "json":
            from .report_json import as_json  # noqa: PLC0415

            return as_json(runs)
        case "html":
            from .report_page import as_page  # noqa: PLC0415

            return as_page(runs)
        case _:
            from rich.console import Console  # noqa: PLC0415

            from .report_text import as_text  # noqa: PLC0415

            return as_text(runs, Console(highlight=False, width=None if sys.stdout.isatty() else _UNBOUNDED))
