"""What `luspool audit check` is asked for, carried out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import chdir

from ..errors import UsageError
from ..permissions.decision import visible
from ..policy import open_policy, open_sets
from .changes import Change, changes_of_policies, changes_of_scripts
from .check import exceeding, scan_paths
from .check_show import CheckResult
from .findings import ScanResult


def check(paths: Sequence[str], policy: str | None, against: str | None, *, strict_globals: bool) -> CheckResult:
    """Compare scripts with a policy, them with an older version, or a policy with an older one. LuspoolError."""
    if not paths:
        if policy is None or against is None:
            raise UsageError("name scripts to check, or two policies to compare: --policy NEW --against OLD")
        changes = changes_of_policies(open_sets(against), open_sets(policy))
        return CheckResult(policy, against, None, None, changes)
    if policy is None and against is None:
        raise UsageError("name what to compare with: a policy (--policy FILE[:NAME]), or older scripts (--against OLD)")
    applied = open_policy(policy, ()) if policy is not None else None
    found = scan_paths(paths, strict_globals=strict_globals)
    return CheckResult(
        applied.name if applied else None,
        against,
        found,
        exceeding(found, applied) if applied else None,
        _changes(paths, found, against, strict_globals=strict_globals) if against is not None else None,
    )


def _changes(paths: Sequence[str], found: ScanResult, against: str, *, strict_globals: bool) -> list[Change]:
    """`against` is an older version of the one path, or a directory with older versions of all by the same names."""
    if os.path.isdir(against):
        if outside := next(filter(_is_outside, paths), None):
            advice = "give paths beneath the working directory, of which the other is an older copy"
            raise UsageError(f"{visible(outside)} can't be looked for in {visible(against)} ({advice})")
        with chdir(against):
            old = scan_paths([path for path in paths if os.path.exists(path)], strict_globals=strict_globals)
    elif len(paths) == 1:
        old = scan_paths([against], strict_globals=strict_globals)
    else:
        raise UsageError(f"{visible(against)} is no directory (for several scripts, name one that has the older ones)")
    if old.faults:
        raise UsageError(f"the older version: {old.faults[0]}")
    return changes_of_scripts(old, found)


def _is_outside(path: str) -> bool:
    """Whether a path leads out of the working directory: from another one it may lead to the very same file."""
    return os.path.isabs(path) or ".." in path.split("/")
