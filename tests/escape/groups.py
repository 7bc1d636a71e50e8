"""The groups of attacks, in the order of the table in docs/security.md."""

import attacks_code
import attacks_library
import attacks_values

GROUPS = {
    "Code": attacks_code.ATTACKS,
    "The library": attacks_library.ATTACKS,
    "Values": attacks_values.ATTACKS,
}
BEGIN, END = "<!-- escapes: written by scripts/escape-table -->\n", "<!-- end of escapes -->\n"
