"""Runs the tasks of a batch on the machines of a Ray cluster (docs/batch.md; how far that goes is in docs/scale.md).

A *station* is a process on some machine of the cluster (an actor, as Ray has it) that runs tasks on hosts of its own,
as `local` does. The modules, each on those before it: `letters` (what crosses between machines, as bytes), `credit`
(how much work a station gets ahead), `dealer` (which task goes where, and what follows when a station is lost; pure),
`station` and `doorstep` (what runs there), `aside` and `logs` (files that are not finished, audit
logs on their way back), `keeper` (a cluster of our own, on this machine, that leaves nothing
behind), `connection` (Ray, as far as it is used) and `engine` (all of it together).
"""
