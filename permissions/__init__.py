"""What a state may do: pledge grammar, pledge sets, path matching, decisions. Imports nothing of luspool's.

The modules, each on those before it: `table` (which permissions there are), `paths` (canonical paths and patterns),
`grammar` (pledges as text), `rules` (a pledge with its origin), `decision` (allowed or denied, and why), `pledges`
(the set a state lives under), `audit` (what its decisions are compared with), `wire` (a set as plain data). Everything
here is an immutable value: safe to share between threads. Only `Pledge.bind` touches the file system.
"""

from .audit import Audit, held_and_ceiling
from .decision import Decision, Reason
from .grammar import Pledge, PledgeError, PledgeSyntaxError
from .pledges import MAX_RULES, Grants, PledgeLimitError, PledgeSet
from .rules import Origin, OriginKind, Rule
from .table import PERMISSIONS, Permission, ValueKind
from .wire import WireError, from_wire, to_wire

__all__ = [
    "MAX_RULES",
    "PERMISSIONS",
    "Audit",
    "Decision",
    "Grants",
    "Origin",
    "OriginKind",
    "Permission",
    "Pledge",
    "PledgeError",
    "PledgeLimitError",
    "PledgeSet",
    "PledgeSyntaxError",
    "Reason",
    "Rule",
    "ValueKind",
    "WireError",
    "from_wire",
    "held_and_ceiling",
    "to_wire",
]
