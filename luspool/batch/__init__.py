"""Many items, each a script with its arguments, run in parallel on hosts that stay; a ledger says what became of each.

The modules, each on those before it: `item` (what is to be run), `inputs` and `lines` (where items come from),
`outcome` (what became of one), `course` (what happens next: again, no more, halt), `key` (which items are the same),
`ledger` (on disk), `engine` (who runs them), `results`, `logs` and `capture` (what they say), `local` (on this machine)
and `cluster` (on others), `rights` and `plan` (from an item to a task for an engine), `signals` and `batch` (the loop),
`facts` and `lookout` (for `luspool top`), `trace` (its trace), `display` and `show` (for people), `options`, `job` and
`commands` (the command). docs/batch.md describes what comes of it.
"""
