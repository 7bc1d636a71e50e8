"""Policy files: named sets of pledges and limits in TOML, for `--policy FILE[:NAME]`. docs/policies.md has the format.

The modules, each on those before it: `positions` (where each key and value of a TOML text stands), `document` (a text
as data with positions, and errors that show them), `model` (what a policy file says), `read` and `write` (between the
two), `apply` (what one set of a file means for one run). Only `apply` touches the file system.
"""

from .apply import AppliedPolicy, open_policy, open_sets, strictest_limits
from .document import PolicyError
from .model import Entry, LimitEntry, Place, PolicyFile, PolicySet
from .read import read_policy
from .write import write_policy

__all__ = [
    "AppliedPolicy",
    "Entry",
    "LimitEntry",
    "Place",
    "PolicyError",
    "PolicyFile",
    "PolicySet",
    "open_policy",
    "open_sets",
    "read_policy",
    "strictest_limits",
    "write_policy",
]
