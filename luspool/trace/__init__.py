"""The trace of a run: what its processes, their threads and its states did when, for Perfetto and the like.

events.py makes events of what hosts tell, file.py writes them; docs/tracing.md describes them.
"""
