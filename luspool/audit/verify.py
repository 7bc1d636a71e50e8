"""Whether a program gets through under a policy: it is run once more, and its audit log is read."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Sequence
from tempfile import TemporaryDirectory
from typing import ClassVar

from ..errors import SCRIPT_ERROR, LuspoolError
from ..host_command import python_command
from ..permissions.decision import visible
from .log import read_logs
from .report_words import asked_text, at_most, where_text
from .summary import summarize

_DENIALS_SHOWN = 10
_ERRORS = 2


class VerifyError(LuspoolError):
    """The program did not get through."""

    exit_status: ClassVar[int] = SCRIPT_ERROR


def verify(policy: str, program: Sequence[str], statuses: Collection[int]) -> str:
    """Run a script with its arguments under the policy `FILE[:NAME]`; what came of it, in words. LuspoolError.

    It must be denied nothing, and end with one of these statuses. What it prints goes to error output.
    """
    with TemporaryDirectory(prefix="luspool-") as directory:
        log = os.path.join(directory, "run.jsonl")
        arguments = ["luspool", "run", "--policy", policy, "--audit", log, "--", *program]
        code = (
            f"import sys; sys.path[:] = sys.argv[1:]; sys.argv[:] = {arguments!r}; from luspool.cli import main; main()"
        )
        done = subprocess.run(python_command(code), stdout=_ERRORS, check=False)  # noqa: S603  our own command
        if not os.path.exists(log):
            raise VerifyError(f"not verified: the run under the policy did not begin (status {done.returncode})")
        (run,) = map(summarize, read_logs([log]))
    name = visible(program[0])
    if run.denials:
        shown = [visible(f"{asked_text(each)} at {where_text(each)}") for each in run.denials]
        first = f"not verified: {name} was denied something under the policy"
        raise VerifyError("\n  ".join([first, *at_most(_DENIALS_SHOWN, shown)]))
    if done.returncode not in statuses:
        expected = " or ".join(map(str, sorted(statuses)))
        raise VerifyError(f"not verified: under the policy {name} ended with status {done.returncode}, not {expected}")
    return f"verified: {name} was denied nothing under the policy, and ended with status {done.returncode}"
