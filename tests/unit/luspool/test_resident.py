"""A host that has programs ahead: what it gives back of them."""

import threading

from luspool.permissions import PledgeSet
from luspool.request import Request
from luspool.resident import Resident
from luspool.sandbox.state import Sandbox
from luspool.scheduler import wire
from luspool.scheduler.events import TreeResult
from luspool.scheduler.limits import Limits, StateLimits, TreeLimits
from luspool.scheduler.protocol import Returned


class RecallingSupervisor:
    """Asks for what was not begun as soon as it hears of an end."""

    def __init__(self):
        self.told = []
        self.counts = []
        self._threads = []

    def send_together(self, *messages):
        self.told += messages
        thread = threading.Thread(target=lambda: self.counts.append(self.resident.recall()))
        self._threads.append(thread)
        thread.start()

    def join(self):
        for thread in self._threads:
            thread.join()


def test_what_is_begun_next_is_not_given_back_once_the_end_before_it_was_told():
    request = Request.of("main.lus", b"", (), PledgeSet.root([], []), strict_globals=False)
    start = wire.Start.of(1, 10_000_000, Limits(StateLimits(), TreeLimits()), request.pack(), stays=True)
    supervisor = RecallingSupervisor()
    resident = supervisor.resident = Resident(supervisor, Sandbox(), start)
    for _ in range(3):
        resident.begin(start)
    resident.tree_ended(TreeResult(Returned(), 0), wire.TreeEnded(exited=False, status=0))
    resident.vacated()
    supervisor.join()
    assert [type(message) for message in supervisor.told] == [wire.Used, wire.TreeEnded]
    assert supervisor.counts == [1]
    resident.host.shutdown(10)
