"""Scripts that run beside the program which has submitted them, and exchange messages with it.

The modules, each on those before it: `mail` (what goes to and fro: pure), `core` (a job as its threads share it),
`crew` (the thread that runs the jobs of a runtime, on the hosts of `batch.local`), and the faces: `job` for threads,
`aio` for asyncio, `executor` for `concurrent.futures`. docs/api.md describes what comes of it.
"""
