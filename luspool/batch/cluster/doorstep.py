"""What Ray takes to another machine before anything is known about it: a class that needs nothing but Python there.

Ray sends a class by its module's name, which would fail in its own way where luspool is missing, or is another version
with another class of that name. One that is made inside of a function is sent as code instead; so it must use nothing
of this module, and looks for luspool when it is asked to.
"""

from __future__ import annotations

from typing import Any


def doorstep() -> type:
    """The class of Ray's actors."""

    class Doorstep:
        """Checks that the same luspool is there, and hands everything on to a `station.Station`."""

        def __init__(self) -> None:
            self.station: Any = None

        def begin(self, version: str, python: str, orders: bytes) -> str:
            """Open the station. "" if it could be opened, else why not."""
            import importlib  # noqa: PLC0415  see above
            import platform  # noqa: PLC0415  see above

            place = platform.node()
            here = ".".join(platform.python_version_tuple()[:2])
            if here != python:
                return f"{place} has Python {here}, and this is {python}: the same is needed on all machines"
            try:
                found = importlib.import_module("luspool").__version__
                if found != version:
                    return f"{place} has luspool {found}, and this is {version}: the same is needed on all machines"
                station = importlib.import_module("luspool.batch.cluster.station")
            except ImportError as error:
                return f"{place} has no luspool that could run there: {error} (install {version} there, from a clone)"
            self.station, problem = station.open_station(orders)
            return f"{place}: {problem}" if problem else ""

        def exchange(self, number: int, tasks: bytes, gather: float, patience: float) -> bytes:
            """See `Station.exchange`."""
            report: bytes = self.station.exchange(number, tasks, gather, patience)
            return report

        def interrupt(self, number: int, what: int) -> None:
            """See `Station.interrupt`."""
            self.station.interrupt(number, what)

        def close(self) -> None:
            """See `Station.close`."""
            self.station.close()

    return Doorstep
