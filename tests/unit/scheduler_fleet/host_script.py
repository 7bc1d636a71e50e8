"""The beginning of every host that a test writes as a Python program: it can speak the protocol, and break it."""

import sys

from luspool.scheduler.process import HostProcess

PRELUDE = f"""
import sys; sys.path[:] = {sys.path!r}
import ctypes, os, signal, socket, time
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: a test that is killed leaves nobody who waits for ever
from luspool.scheduler import wire
from luspool.scheduler.process import CONTROL_FD, EVENTS_FD
events, control = socket.socket(fileno=EVENTS_FD), socket.socket(fileno=CONTROL_FD)
decoder = wire.Decoder(wire.TO_HOST)
received = []
def send(*messages):
    for message in messages:
        (control if type(message) in wire.CONTROL else events).sendall(wire.encode(message))
def receive():
    while not received:
        data = control.recv(1 << 16)
        if not data:
            os._exit(0)
        decoder.feed(data)
        received.extend(decoder)
    return received.pop(0)
"""


def start_host(code: str) -> HostProcess:
    """A process that runs this code after the prelude. `-S`: it needs nothing of its own site, and starts sooner."""
    return HostProcess.start([sys.executable, "-I", "-S", "-c", PRELUDE + code])
