"""The user's three standard streams, without Python's buffers in between."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from .errors import CannotWriteError, OutputClosedError
from .terminal import VisibleText

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_INPUT, _OUTPUT, _ERRORS = 0, 1, 2
_READ_SIZE = 64 * 1024  # no more than a frame to the host holds


def open_missing_streams() -> None:
    """Open what the caller left closed of descriptors 0 to 2, lest a file or socket of ours takes its number.

    For reading only: input is then at its end, and output fails as it would have.
    """
    while (fd := os.open(os.devnull, os.O_RDONLY)) <= _ERRORS:
        os.set_inheritable(fd, True)  # as standard streams are
    os.close(fd)


class StandardStreams:
    """Reads and writes descriptors 0 to 2; for one thread.

    `interruptible` is entered around every call that may block. Where a stream is a terminal, control characters that
    are written to it are made visible.
    """

    def __init__(self, interruptible: AbstractContextManager[object]) -> None:
        self.input_fd = _INPUT
        self._interruptible = interruptible
        self._visible = {stream: VisibleText() for stream in (_OUTPUT, _ERRORS) if os.isatty(stream)}

    def write(self, stream: int, data: bytes) -> None:
        """Write all of `data` to stream 1 or 2, for as long as it takes. OutputClosedError, CannotWriteError."""
        if stream in self._visible:
            data = self._visible[stream].feed(data)
        self._write(stream, data)

    def write_own(self, data: bytes) -> None:
        """As `write` to standard output, of what luspool says itself: a terminal gets it as it is."""
        self._write(_OUTPUT, data)

    def flush(self) -> None:
        """Write what was held back of a character that a terminal did not get whole."""
        for stream, visible in self._visible.items():
            self._write(stream, visible.feed(b"", final=True))

    def say(self, text: str) -> None:
        """Write a message of luspool's own to standard error. Where that can't be written there is nobody to tell."""
        try:
            self.write(_ERRORS, f"{text}\n".encode("utf-8", "surrogateescape"))
        except (OutputClosedError, CannotWriteError):
            return

    def say_nowait(self, text: str) -> None:
        """As `say`, of less than a page, and not at all where standard error would make us wait."""
        if self._writable(_ERRORS).poll(0):
            self.say(text)

    def read_input(self) -> bytes:
        """A chunk of standard input, b"" at its end. Input that can't be read has ended, with a message."""
        try:
            with self._interruptible:
                return os.read(_INPUT, _READ_SIZE)
        except OSError as error:
            self.say(f"luspool: cannot read standard input: {error.strerror} (the script sees its end)")
            return b""

    def _write(self, stream: int, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                with self._interruptible:
                    rest = rest[os.write(stream, rest) :]
            except BlockingIOError:
                self._wait_writable(stream)
            except OSError as error:
                if error.errno == errno.EPIPE:
                    raise OutputClosedError(f"nobody reads stream {stream}") from error
                name = "standard output" if stream == _OUTPUT else "standard error"
                raise CannotWriteError(f"cannot write to {name}: {error.strerror}") from error

    def _wait_writable(self, stream: int) -> None:
        # Whoever shares the terminal or pipe with us may have made it non-blocking (ssh and node do).
        with self._interruptible:
            self._writable(stream).poll()

    def _writable(self, stream: int) -> select.poll:
        writable = select.poll()
        writable.register(stream, select.POLLOUT)
        return writable


def own_output(streams: StandardStreams) -> io.TextIOWrapper:
    """Standard output for text of luspool's own, to stand in for `sys.stdout`, where failing would raise an OSError,
    and click would make status 1 of a reader that has gone. OutputClosedError, CannotWriteError. What is beyond the
    locale is spelt out."""
    encoding = sys.stdout.encoding if sys.stdout is not None else None
    return io.TextIOWrapper(_OwnOutput(streams), encoding, "backslashreplace", write_through=True)


class _OwnOutput(io.RawIOBase):
    name = "<stdout>"

    def __init__(self, streams: StandardStreams) -> None:
        super().__init__()
        self._streams = streams

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(_OUTPUT)

    def fileno(self) -> int:
        return _OUTPUT

    def write(self, data: ReadableBuffer, /) -> int:
        self._streams.write_own(bytes(data))
        return memoryview(data).nbytes
