"""Functions that an embedding program gives to its scripts, and the threads that carry them out.

Actors: the supervisor's loop, in one thread, which begins calls and takes their replies; up to `threads` threads of a
pool, which run the functions. A run has a pool of its own, so that a function may itself run scripts which call
functions, without waiting for the thread that it occupies.

Flow: `begin` puts a call into the line and starts a thread if none is free; a thread takes the call at the head, makes
Python values of its arguments, calls the function, makes bytes of what it returns, and leaves them to `take_reply`.

Back-pressure: a thread takes no call while as many replies lie there as there are threads. What waits in the line is
bounded by who calls `begin` (`scheduler.callees.CallLedger`).

What is shared: everything below `_changed`, under that lock; the replies have a lock of their own (`Replies`), which is
only ever taken after it.

Shutdown: 1. `close` sets `_closed`, forgets the line and wakes all threads. 2. Those that wait end. 3. Those that are
inside a function end when it returns; its result is dropped. `close` waits for them for a bounded time. They are daemon
threads: a function that never returns keeps nobody from ending, neither `close` nor the process.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Mapping
from typing import Final

from .permissions import PledgeSet
from .sandbox import codec
from .scheduler import wire
from .scheduler.callees import no_such_function
from .scheduler.protocol import REPLY_LIMIT, CallResult

Function = Callable[..., object]

_TEXT_LIMIT: Final = 4096
"""Bytes of an error's text at most: the script gets it as a string."""


class Replies:
    """Replies to calls on their way to a loop, first in, first out. Thread-safe."""

    def __init__(self) -> None:
        """OSError where the process has no descriptor left."""
        self._lock = threading.Lock()
        self._replies: deque[wire.Reply] = deque()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._closed = False

    def __len__(self) -> int:
        return len(self._replies)

    def fileno(self) -> int:
        """Readable exactly while there are replies: it is written and read under the lock."""
        return self._bell

    def put(self, reply: wire.Reply) -> None:
        """Nothing once they are closed."""
        with self._lock:
            if self._closed:
                return
            if not self._replies:
                os.eventfd_write(self._bell, 1)
            self._replies.append(reply)

    def take(self) -> wire.Reply | None:
        """The next one; None when there is none."""
        with self._lock:
            if not self._replies:
                return None
            reply = self._replies.popleft()
            if not self._replies:
                os.eventfd_read(self._bell)
            return reply

    def close(self) -> None:
        """Drop them all, and give the descriptor back: nobody may wait for it any more. Repeatable."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._replies.clear()
                os.close(self._bell)


class FunctionPool:
    """Carries out the calls of one run (see `scheduler.callees.Callees`)."""

    def __init__(
        self,
        functions: Mapping[str, Function],
        pledges: PledgeSet,
        threads: int,
        reply_limit: int,
        replies: Replies | None = None,
    ) -> None:
        """`pledges` are those of the root: what they can never allow to any state is not there, whoever asks for it.

        Each state's own rights are checked in its host; this holds when that has fallen to a script. Where others
        carry out calls beside the pool, the `replies` are those of all; `close` closes them.
        """
        self._functions = {name: call for name, call in functions.items() if pledges.may_ever_allow("host", name)}
        self._limits = codec.Limits(max_bytes=min(reply_limit, REPLY_LIMIT))
        self._most_threads = threads
        self._changed = threading.Condition()
        self._line: deque[tuple[wire.Call, Function]] = deque()
        self._replies = Replies() if replies is None else replies
        self._threads: list[threading.Thread] = []
        self._idle = 0
        """Threads that wait for a call, or until a reply is taken."""
        self._closed = False

    def fileno(self) -> int | None:
        return self._replies.fileno()

    def begin(self, call: wire.Call) -> None:
        function = self._functions.get(call.name)
        with self._changed:
            if function is None:
                self._put(call, no_such_function(call.name))
                return
            self._line.append((call, function))
            if self._idle < len(self._line) and len(self._threads) < self._most_threads:
                self._start_thread()
            self._changed.notify()

    def take_reply(self) -> wire.Reply | None:
        with self._changed:
            if len(self._replies) >= self._most_threads:
                self._changed.notify_all()  # all who found no room; otherwise nobody waits for this
            return self._replies.take()

    def close(self, seconds: float) -> bool:
        """Drop what waits, and wait up to `seconds` for functions that still run. True when none does any more."""
        deadline = time.monotonic() + seconds
        with self._changed:
            if not self._closed:
                self._closed = True
                self._line.clear()
                self._changed.notify_all()
                self._replies.close()
        for thread in self._threads:
            if thread is not threading.current_thread():  # a function may close what it is called by
                thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._work, name="luspool-function", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the system has no more
            if not self._threads:
                self._put(self._line.pop()[0], _flattened(error))
        else:
            self._threads.append(thread)

    def _work(self) -> None:
        while (job := self._next_job()) is not None:
            call, function = job
            result = carry_out(function, call.payload, self._limits)
            with self._changed:
                if self._closed:
                    return
                self._put(call, result)

    def _next_job(self) -> tuple[wire.Call, Function] | None:
        """The call at the head of the line, when there is room for a reply; None when the pool is closed."""
        with self._changed:
            while not self._closed and (not self._line or len(self._replies) >= self._most_threads):
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            return None if self._closed else self._line.popleft()

    def _put(self, call: wire.Call, result: CallResult) -> None:
        """Lock held."""
        self._replies.put(wire.Reply(call.call, result.ok, result.payload))


def carry_out(function: Function, payload: bytes, limits: codec.Limits) -> CallResult:
    """Call a function with copies of what `payload` holds. Whatever goes wrong becomes a text of one error.

    A tuple that is returned is several results. Nothing else of Python crosses: no exception, no traceback.
    """
    try:
        returned = function(*codec.decode(payload))
        return _copied(returned, limits)
    except BaseException as error:  # SystemExit too: it is the function's and ends nobody
        return _flattened(error)


def _copied(returned: object, limits: codec.Limits) -> CallResult:
    if isinstance(returned, Awaitable | Generator | AsyncGenerator):
        if isinstance(returned, Coroutine):
            returned.close()  # or Python would warn that nobody has awaited it
        kind = type(returned).__name__
        return _failed(f"result: a {kind} can't be waited for (async functions and generators are not supported)")
    results = returned if type(returned) is tuple else (returned,)
    try:
        return CallResult(ok=True, payload=codec.encode(*results, what="result", limits=limits))
    except codec.CopyError as error:
        return _failed(str(error))


def _failed(text: str) -> CallResult:
    return CallResult(ok=False, payload=text.encode("utf-8", "backslashreplace")[:_TEXT_LIMIT])


def _flattened(error: BaseException) -> CallResult:
    """`TypeName: text`, where there is text."""
    kind = type(error).__name__
    try:
        text = str(error)
    except Exception:
        text = "(its text can't be made)"
    return _failed(f"{kind}: {text}" if text else kind)
