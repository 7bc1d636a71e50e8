"""Writes audit logs line by line, as a run would have left them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from luspool.audit.log import Log, parse_log
from luspool.audit.summary import RunSummary, summarize

START = datetime(2026, 3, 1, 12, 0, 0)


class LogMaker:
    """Each method adds one line, a millisecond after the line before; keywords replace fields of it."""

    def __init__(self, run: str = "00000000000000aa", **header: Any) -> None:
        self.run = run
        self.lines: list[dict[str, Any]] = []
        self._id = 0
        defaults = {
            **{"luspool": "0.1.0", "script": "main.lus", "arguments": 0, "directory": "/srv", "mode": "enforce"},
            **{"held": ["load", "fs:read=/srv"], "ceiling": ["load", "fs:read=/srv"], "shadow": None},
        }
        self._add("header", None, defaults | header)

    def state(self, number: int = 1, parent: int | None = None, **fields: Any) -> LogMaker:
        script = "main.lus" if number == 1 else "w.lus"
        held = ["load", "fs:read=/srv"]
        return self._add("state", number, {"parent": parent, "script": script, "held": held, "ceiling": held} | fields)

    def decision(self, permission: str, path: str | None = None, **fields: Any) -> LogMaker:
        """`path` is both what was asked for and what that really is."""
        rule = "load" if permission == "load" else "fs:read=/srv"
        state = fields.pop("state", 1)
        defaults = {
            **{"script": "main.lus", "line": 1, "permission": permission, "value": path, "resolved": path},
            **{"decision": "allowed", "reason": "held", "rule": rule, "origin": f"-P {rule}"},
            **{"inherited": state != 1, "count": 1, "last": self._time()},
        }
        return self._add("decision", state, defaults | fields)

    def denial(self, permission: str, path: str | None, **fields: Any) -> LogMaker:
        denied = {"decision": "denied", "reason": "beyond", "rule": None, "origin": None, "inherited": False}
        return self.decision(permission, path, **(denied | fields))

    def pledge(self, pledge: str, granted: bool = True, **fields: Any) -> LogMaker:
        state = fields.pop("state", 1)
        defaults = {"script": "main.lus", "line": 1, "pledge": pledge, "granted": granted}
        return self._add("pledge", state, defaults | fields)

    def end(self, number: int = 1, outcome: str = "returned") -> LogMaker:
        return self._add("end", number, {"outcome": outcome})

    def footer(self, status: int = 0) -> LogMaker:
        counts = {name: self._count(name) for name in ("allowed", "denied", "observed")}
        states = sum(line["type"] == "state" for line in self.lines)
        return self._add(
            "footer", None, {"states": states, "decisions": sum(counts.values()), **counts, "status": status}
        )

    def data(self) -> bytes:
        return "".join(f"{json.dumps(line)}\n" for line in self.lines).encode()

    def log(self) -> Log:
        return parse_log(self.data(), "run.jsonl")

    def summary(self) -> RunSummary:
        return summarize(self.log())

    def write(self, path: Path) -> Path:
        path.write_bytes(self.data())
        return path

    def _add(self, kind: str, state: int | None, fields: dict[str, Any]) -> LogMaker:
        line: dict[str, Any] = {"v": 1, "type": kind, "run": self.run}
        if kind not in ("header", "footer"):
            self._id += 1
            line["id"] = self._id
        line["time"] = self._time()
        if state is not None:
            line["state"] = state
        self.lines.append(line | fields)
        return self

    def _time(self) -> str:
        return (START + timedelta(milliseconds=len(self.lines))).isoformat(timespec="microseconds") + "Z"

    def _count(self, decision: str) -> int:
        return sum(line["count"] for line in self.lines if line.get("decision") == decision)


def running_log(**header: Any) -> LogMaker:
    """A root with one worker: two files are read, one twice, and a variable is denied. There is no footer yet."""
    log = LogMaker(**header).state().decision("load").decision("fs:read", "/srv/w.lus", line=2)
    log.state(2, 1).decision("fs:read", "/srv/a.csv", state=2, script="w.lus", count=2)
    return log.denial("env", "HOME", resolved=None, state=2, script="w.lus", line=3).end(2, "denied").end()


def small_log(**header: Any) -> LogMaker:
    """The whole log of that run."""
    return running_log(**header).footer(77)
