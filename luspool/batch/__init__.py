"""Many items, each a script with its arguments, run in parallel on hosts that stay; a ledger says what became of each.

The modules, each on those before it: `item` (what is to be run), `inputs` and `lines` (where items come from),
`outcome` (what became of one), `course` (what happens next: again, no more, halt), `key` (which items are the same),
`ledger` (on disk), `engine` (who runs them), `logs` (their audit logs) and `local` (on this machine), `rights` and
`plan` (from an item to a task for an engine), `batch` (all of it together), `display`, `show`
and `commands` (for people). docs/batch.md describes what comes of it.
"""
