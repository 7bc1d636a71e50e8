"""What became of every item, on disk: an SQLite database, which survives whatever happens to us.

A file holds any number of *runs*, each a batch as it was asked for: its items by number, and for each the *result* of
its last try. A run that resumes others adopts their results, by key, each for one item of its own: so every item of
every run has one result at most, and the runs together say what happened.

Durability: with a write-ahead log, a killed process loses what it has not committed, and a power cut likewise, since
`synchronous` is FULL: a commit is back when it is on the disk. NORMAL would leave that to the system and lose commits
in a power cut (but nothing would be torn): what they told of would be run again. FULL costs one wait for the disk per
commit, and not per item, because the batch commits some times a second (`batch.COMMIT_SECONDS`); in a batch of 10,000
small items both took the same time. So an item may be run twice, if we die between its end and the commit; its result
is there once.

One thread; several processes may use a file at a time.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from msgspec import Struct

from ..errors import LuspoolError, UsageError
from ..permissions.decision import visible
from .course import Tries
from .item import Item
from .outcome import Outcome, Source, Status, cause_of

VERSION: Final = 2
_APPLICATION: Final = 0x4C75734C
"""Marks the file as ours ("LusL")."""
_BUSY_SECONDS: Final = 30.0
"""How long to wait for another process that writes. Each commits some times a second."""

_SCHEMA: Final = f"""
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {VERSION};
CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    began REAL NOT NULL,      -- seconds since 1970
    ended REAL,
    state TEXT NOT NULL,      -- running, or as the run said of its end
    version TEXT NOT NULL,    -- of luspool
    directory TEXT NOT NULL,
    total INTEGER NOT NULL
);
CREATE TABLE result (
    id INTEGER PRIMARY KEY,
    key BLOB,                 -- see luspool/batch/key.py; NULL: nothing can be resumed by it
    status TEXT NOT NULL,
    again INTEGER NOT NULL,   -- it is to be tried once more
    exit_status INTEGER NOT NULL,
    began REAL NOT NULL,
    wall INTEGER NOT NULL,    -- nanoseconds
    cpu INTEGER NOT NULL,
    memory INTEGER NOT NULL,  -- bytes
    tries INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    stdout BLOB NOT NULL,     -- the beginning
    stderr BLOB NOT NULL,
    stdout_size INTEGER NOT NULL,
    stderr_size INTEGER NOT NULL,
    cause TEXT NOT NULL,
    failure TEXT NOT NULL,
    sources TEXT,             -- JSON: pairs of a path and a digest; NULL: not all are known
    audit BLOB NOT NULL       -- the path of the audit log; empty: there is none
);
CREATE INDEX result_key ON result (key);
CREATE TABLE item (
    run INTEGER NOT NULL REFERENCES run (id),
    number INTEGER NOT NULL,
    script TEXT NOT NULL,     -- for people; spec has it exactly
    spec TEXT NOT NULL,       -- JSON, see luspool/batch/item.py
    result INTEGER REFERENCES result (id),
    PRIMARY KEY (run, number)
) WITHOUT ROWID;
CREATE INDEX item_result ON item (result);
"""

DONE: Final = (
    Status.COMPLETED,
    Status.FAILED,
    Status.DENIED,
    Status.TIMEOUT,
    Status.MEMORY,
    Status.DEADLOCK,
    Status.CRASHED,
    Status.QUARANTINED,
)
"""What a run that resumes leaves as it is."""


class LedgerError(LuspoolError):
    """The ledger can't be read or written."""


class RunRecord(Struct, frozen=True):
    """One run, as its ledger has it."""

    id: int
    began: float
    ended: float | None
    state: str
    version: str
    directory: str
    total: int


class Entry(Struct, frozen=True):
    """One item of a run with its result, as its ledger has it. `status` is None where there is none yet."""

    number: int
    script: str
    spec: str
    status: str | None
    again: bool
    exit_status: int
    began: float
    wall: int
    cpu: int
    memory: int
    tries: int
    crashes: int
    stdout: bytes
    stderr: bytes
    stdout_size: int
    stderr_size: int
    cause: str
    failure: str
    audit: str
    """The file of its audit log; "" where there is none."""


class Earlier(Struct, frozen=True):
    """A result of an earlier run that no item of this one has."""

    result: int
    status: Status
    sources: tuple[Source, ...] | None
    audit: str
    """As of `Entry`."""


class Cause(Struct, frozen=True):
    """Items that failed alike."""

    status: str
    cause: str
    count: int
    script: str
    """Of the first of them."""


class Ledger:
    """An open ledger. A context manager. LedgerError where the file can't be read or written."""

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def create(cls, path: str) -> Ledger:
        """Open the ledger at `path`, or make it. UsageError: that is something else."""
        return cls._open(path, f"file:{_quoted(path)}?mode=rwc")

    @classmethod
    def existing(cls, path: str) -> Ledger:
        """Open a ledger that is there. UsageError: it is not."""
        if not os.path.exists(path):
            raise UsageError(f"there is no ledger {path} (luspool batch makes it; --ledger names another)")
        return cls._open(path, f"file:{_quoted(path)}?mode=rw")

    @classmethod
    def _open(cls, path: str, uri: str) -> Ledger:
        with _translated(path):
            connection = sqlite3.connect(uri, timeout=_BUSY_SECONDS, isolation_level=None, uri=True)
        ledger = cls(path, connection)
        try:
            ledger._prepare()
        except BaseException:
            connection.close()
            raise
        return ledger

    def _prepare(self) -> None:
        execute = self._connection.execute
        with _translated(self.path):
            execute("PRAGMA journal_mode = WAL")  # where the file system has no shared memory, it stays as it is
            execute("PRAGMA synchronous = FULL")
            if self._is_empty():  # else nothing is written, which others may have to be waited for
                execute("BEGIN IMMEDIATE")
                if self._is_empty():  # nobody else has made it meanwhile
                    for statement in _SCHEMA.split(";\n"):
                        execute(statement)
                execute("COMMIT")
            (application,) = execute("PRAGMA application_id").fetchone()
            (version,) = execute("PRAGMA user_version").fetchone()
        if application != _APPLICATION:
            raise UsageError(f"{self.path} is a database, but no ledger of luspool's (--ledger names another file)")
        if version != VERSION:
            raise UsageError(f"the ledger {self.path} is of another version of luspool (--ledger names another file)")

    def _is_empty(self) -> bool:
        (application,) = self._connection.execute("PRAGMA application_id").fetchone()
        (tables,) = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return not tables and not application

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    # --- a run that goes on --------------------------------------------------------------------------------------

    def begin_run(self, version: str, directory: str, items: Iterable[Item]) -> RunRecord:
        """A new run of these items, numbered from 1. What reading them raises leaves no run behind.

        Others may use the ledger for as long as the items are read, which may come from a slow program.
        """
        execute = self._connection.execute
        with self._transaction("DEFERRED"):  # of a table that is ours alone
            execute("CREATE TEMP TABLE coming (number INTEGER PRIMARY KEY, script TEXT, spec TEXT)")
            rows = ((number, _shown(item.script), item.dump()) for number, item in enumerate(items, 1))
            self._connection.executemany("INSERT INTO coming VALUES (?, ?, ?)", rows)
        with self._transaction("IMMEDIATE"):
            row = (time.time(), "running", version, _shown(directory))
            run = execute(
                "INSERT INTO run (began, state, version, directory, total)"
                " VALUES (?, ?, ?, ?, (SELECT count(*) FROM coming))",
                row,
            ).lastrowid
            execute("INSERT INTO item (run, number, script, spec) SELECT ?, number, script, spec FROM coming", (run,))
            execute("DROP TABLE coming")
        return self.run(run)

    def end_run(self, run: int, state: str) -> None:
        """Nothing more happens in it, for this reason. Commits."""
        with _translated(self.path):
            self._begin()
            self._connection.execute("UPDATE run SET ended = ?, state = ? WHERE id = ?", (time.time(), state, run))
        self.commit()

    def items_after(self, run: int, number: int, most: int) -> list[tuple[int, Item]]:
        """The next items of a run behind this number, `most` at a time."""
        query = "SELECT number, spec FROM item WHERE run = ? AND number > ? ORDER BY number LIMIT ?"
        with _translated(self.path):
            rows = self._connection.execute(query, (run, number, most)).fetchall()
        return [(found, Item.load(spec)) for found, spec in rows]

    def item(self, run: int, number: int) -> Item:
        """One item of a run."""
        return self.items_after(run, number - 1, 1)[0][1]

    def earlier(self, run: int, key: bytes, statuses: Sequence[Status], *, audited: bool = False) -> Earlier | None:
        """A result with this key and one of these words that no item of `run` has; the latest one. `audited`: one with
        an audit log, where anything was run that there could be one of."""
        query = (
            "SELECT id, status, sources, audit FROM result WHERE key = ? AND NOT again"
            " AND status IN (SELECT value FROM json_each(?))"
            " AND NOT EXISTS (SELECT 1 FROM item WHERE item.result = result.id AND item.run = ?)"
            " AND (NOT ? OR audit != x'' OR status = ?)"
            " ORDER BY id DESC LIMIT 1"
        )
        with _translated(self.path):
            row = self._connection.execute(
                query, (key, json.dumps(statuses), run, audited, Status.QUARANTINED)
            ).fetchone()
        return None if row is None else Earlier(row[0], Status(row[1]), _load_sources(row[2]), os.fsdecode(row[3]))

    def adopt(self, run: int, number: int, earlier: Earlier) -> None:
        """This item has that result. Not committed."""
        with _translated(self.path):
            self._begin()
            self._connection.execute(
                "UPDATE item SET result = ? WHERE run = ? AND number = ?", (earlier.result, run, number)
            )

    def record(  # noqa: PLR0913, PLR0917  what a result is
        self, run: int, number: int, item: Item, key: bytes | None, outcome: Outcome, tries: Tries, *, again: bool
    ) -> None:
        """A try of an item has ended so; it takes the place of the try before. Not committed."""
        row = (
            key,
            outcome.status,
            again,
            outcome.exit_status,
            time.time() - outcome.wall / 1e9,
            outcome.wall,
            outcome.cpu,
            outcome.memory,
            tries.count,
            tries.crashes,
            outcome.stdout,
            outcome.stderr,
            outcome.stdout_size,
            outcome.stderr_size,
            _shown("" if outcome.status is Status.COMPLETED else cause_of(outcome, item.script)),
            _shown(outcome.failure),
            None if outcome.sources is None else _dump_sources(outcome.sources),
            os.fsencode(outcome.audit),
        )
        with _translated(self.path):
            self._begin()
            execute = self._connection.execute
            result = execute(f"INSERT INTO result VALUES (NULL{', ?' * len(row)})", row).lastrowid  # noqa: S608  marks
            if tries.count > 1:
                execute(
                    "DELETE FROM result WHERE again AND id = (SELECT result FROM item WHERE run = ? AND number = ?)",
                    (run, number),
                )
            execute("UPDATE item SET result = ? WHERE run = ? AND number = ?", (result, run, number))

    def commit(self) -> None:
        """Bring what was recorded to the disk."""
        if self._connection.in_transaction:
            with _translated(self.path):
                self._connection.execute("COMMIT")

    # --- reading -------------------------------------------------------------------------------------------------

    def run(self, number: int | None = None) -> RunRecord:
        """This run, or the last one. UsageError: there is none."""
        query = (
            "SELECT id, began, ended, state, version, directory, total FROM run"
            " WHERE id = coalesce(?, (SELECT max(id) FROM run))"
        )
        with _translated(self.path):
            row = self._connection.execute(query, (number,)).fetchone()
        if row is None:
            which = "no runs" if number is None else f"no run {number}"
            raise UsageError(f"the ledger {self.path} has {which}")
        return RunRecord(*row)

    def counts(self, run: int) -> dict[str | None, int]:
        """How many items of a run have which status; None: no result yet, or one that is to be tried again."""
        query = (
            "SELECT CASE WHEN result.again THEN NULL ELSE status END AS word, count(*) FROM item"
            " LEFT JOIN result ON result.id = item.result WHERE run = ? GROUP BY word"
        )
        with _translated(self.path):
            return dict(self._connection.execute(query, (run,)).fetchall())

    def entries(self, run: int, statuses: Sequence[str] = ()) -> Iterator[Entry]:
        """The items of a run by number; with `statuses` those with one of these."""
        query = (
            "SELECT number, script, spec, status, coalesce(again, 0), coalesce(exit_status, 0), coalesce(began, 0),"
            " coalesce(wall, 0), coalesce(cpu, 0), coalesce(memory, 0), coalesce(tries, 0), coalesce(crashes, 0),"
            " coalesce(stdout, x''), coalesce(stderr, x''), coalesce(stdout_size, 0), coalesce(stderr_size, 0),"
            " coalesce(cause, ''), coalesce(failure, ''), coalesce(audit, x'')"
            " FROM item LEFT JOIN result ON result.id = item.result"
            " WHERE run = ?1 AND (?2 = '[]' OR status IN (SELECT value FROM json_each(?2))) ORDER BY number"
        )
        with _translated(self.path):
            for row in self._connection.execute(query, (run, json.dumps(statuses))):
                yield Entry(*(*row[:-1], os.fsdecode(row[-1])))

    def causes(self, run: int, most: int) -> list[Cause]:
        """Why items of a run did not come to their end, the most frequent reasons first."""
        query = (
            "SELECT status, cause, count(*) AS many, script, min(number) FROM item JOIN result"
            " ON result.id = item.result WHERE run = ? AND status != 'completed'"
            " GROUP BY status, cause ORDER BY many DESC, min(number) LIMIT ?"
        )
        with _translated(self.path):
            rows: list[tuple[Any, ...]] = self._connection.execute(query, (run, most)).fetchall()
        return [Cause(*row[:4]) for row in rows]

    def _begin(self) -> None:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[None]:
        self.commit()
        with _translated(self.path):
            self._connection.execute(f"BEGIN {kind}")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


@contextmanager
def _translated(path: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.NotSupportedError as error:
        raise LedgerError(f"cannot use the ledger {path}: {error}") from error
    except sqlite3.DatabaseError as error:
        text = str(error)
        if "not a database" in text:
            raise UsageError(f"{path} is no ledger of luspool's (--ledger names another file)") from error
        raise LedgerError(f"cannot use the ledger {path}: {text}") from error


def _quoted(path: str) -> str:
    """A path for the URI of a database."""
    from urllib.parse import quote  # noqa: PLC0415  only where a ledger is opened

    return quote(os.path.abspath(path))


def _shown(text: str) -> str:
    """Text for people that a database can hold: bytes that are no UTF-8 are spelt out."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return visible(text)
    return text


def _dump_sources(sources: tuple[Source, ...]) -> str:
    return json.dumps([[source.path, source.digest.hex()] for source in sources]) if sources else "[]"


def _load_sources(text: str | None) -> tuple[Source, ...] | None:
    return None if text is None else tuple(Source(path, bytes.fromhex(digest)) for path, digest in json.loads(text))
