"""The law of deriving: the policy grants what the runs were allowed, and, of names of files, nothing else."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from luspool.audit.derive import derive
from luspool.permissions import PledgeSet
from luspool.policy import open_policy, write_policy

from ..unit.luspool_audit.logs import LogMaker

NAMES = st.text("ab*?\\ü.\u202e\udcff:~='\"#", min_size=1, max_size=4).filter(lambda name: name not in (".", ".."))
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@settings(deadline=None, max_examples=150)
@given(st.lists(PATHS, min_size=1, max_size=8), PATHS, st.booleans(), st.booleans())
def test_a_derived_policy_grants_what_was_used(paths, other, is_relative, patterns):
    with TemporaryDirectory() as directory:
        home = str(Path(directory).resolve())
        log = LogMaker(directory=home).state()
        for path in paths:
            log.decision("fs:read", f"{home}/{path}")
        made = derive([log.summary()], home if is_relative else None, ignores_denials=False, patterns=patterns)
        file = Path(home, "p.toml")
        file.write_text(write_policy(made.policy), encoding="utf-8")
        pledges = PledgeSet.root(open_policy(str(file), ()).held)
    assert made.left_out == []
    for path in paths:
        assert pledges.allows("fs:read", f"{home}/{path}"), path
    is_beneath = any(f"{other}/".startswith(f"{path}/") for path in paths)
    has_any = any(not path.isprintable() for path in paths)  # which is granted with other characters in its place
    if not (is_beneath or patterns or has_any):
        assert not pledges.allows("fs:read", f"{home}/{other}")
    assert not pledges.allows("fs:write", f"{home}/{paths[0]}")
