"""The host processes of one program: one, or several."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from .host_command import host_command, host_environment
from .scheduler import wire
from .scheduler.process import HostProcess
from .scheduler.supervisor import Hosts, Listener, SoleHost
from .scheduler.surroundings import Onlooker

MAX_HOSTS = 64
"""Each pair of hosts shares memory and descriptors."""
MAX_THREADS = 512
"""Of a host. More executors than any machine of today has processors; beyond, threads only cost memory."""


def open_hosts(  # noqa: PLR0913, PLR0917  one call for either kind
    first: HostProcess, start: wire.Start, listener: Listener, hosts: int, script: str, onlooker: Onlooker | None
) -> AbstractContextManager[Hosts]:
    """`hosts` processes for a program whose main script is called `script`; `first` is there and stays the caller's.
    `onlooker`: of the supervisor's surroundings."""
    if hosts == 1:
        return nullcontext(SoleHost(first, start, listener))
    from .scheduler.fleet import Fleet, FleetOptions  # noqa: PLC0415  most runs have one host and don't wait for this

    options = FleetOptions(
        hosts,
        lambda: HostProcess.start(host_command(), host_environment()),
        script,
        output_limit=start.limits().tree.output,
        onlooker=onlooker,
    )
    return Fleet(first, start, listener, options)
