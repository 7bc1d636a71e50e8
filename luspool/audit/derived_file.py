"""The file of a derived policy: made from logs, written, and tried."""

from __future__ import annotations

import os
from collections.abc import Sequence
from tempfile import TemporaryDirectory

from ..errors import OK, UsageError
from ..permissions.decision import visible
from ..policy import write_policy
from .derive import SET_NAME, derive
from .log import read_logs
from .summary import summarize
from .verify import verify


class Derivation:
    """The policy that the runs of some logs needed, as the `text` of a file. `left_out` is what no pledge can say."""

    def __init__(self, files: Sequence[str], output: str | None, *, ignores_denials: bool, patterns: bool) -> None:
        """`output` is where it will be written, if it will. LogError, DeriveError."""
        runs = [summarize(log) for log in read_logs(files)]
        base = os.path.dirname(os.path.realpath(output)) if output is not None else None
        derived = derive(runs, base, ignores_denials=ignores_denials, patterns=patterns)
        self.text = write_policy(derived.policy)
        self.left_out = tuple(visible(text) for text in derived.left_out)
        self._output = output
        self._statuses = {OK, *(run.footer.status for run in runs if run.footer)}

    def write(self, output: str) -> None:
        """Make the file, which must not be there: somebody may have written it by hand. UsageError."""
        try:
            with open(output, "x", encoding="utf-8") as file:
                file.write(self.text)
        except FileExistsError as error:
            advice = "remove it, or write another one and compare them with `luspool audit check --against`"
            raise UsageError(f"the policy {visible(output)} is there already ({advice})") from error
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise UsageError(f"cannot write the policy {visible(output) or repr(output)}: {reason}") from error

    def verify(self, program: Sequence[str]) -> str:
        """Run a script with its arguments under the file, or a copy of it where none was written (see `verify`)."""
        if self._output is not None:
            return verify(f"{self._output}:{SET_NAME}", program, self._statuses)
        with TemporaryDirectory(prefix="luspool-") as directory:
            file = os.path.join(directory, "policy.toml")
            with open(file, "x", encoding="utf-8") as copy:
                copy.write(self.text)
            return verify(f"{file}:{SET_NAME}", program, self._statuses)
