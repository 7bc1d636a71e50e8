"""Real files beside each other, of which scripts may read some, and every way in which a script can name a file."""

import os
import socket

from luspool.sandbox import Sandbox
from luspool.scheduler.protocol import Failure

from ..unit.sandbox.conftest import Script

WAYS = {
    "io.open": "local f, problem = io.open(path) return f and f:read('a') or problem",
    "io.lines": "return io.lines(path, 'a')()",
    "loadfile": "local f, problem = loadfile(path) return f and f() or problem",
    "dofile": "return dofile(path)",
    "require": "package.path = path return require('m')",
    "searchers": "package.path = path local f = package.searchers[2]('m') return type(f) == 'function' and f() or f",
    "searchpath": "local f, problem = package.searchpath('m', path) return f and loadfile(f)() or problem",
    "worker.create": "worker.create(path) return 'created'",
}
"""What a script does with `path`; each gives the file's content, or what it evaluates to, or says what is wrong."""

INSIDE, SECRET = "return 'inside'", "return 'secret'"
READ, DENIED = "read", "denied"

_END = "<end of what was got>"


class Scene:
    """`open/`, which scripts may read, beside `closed/`, which they may not, and links of all kinds."""

    def __init__(self, root):
        self.root = root
        for directory in ("open/sub", "closed/sub"):
            (root / directory).mkdir(parents=True)
        self.write("open/file", INSIDE)
        self.write("open/sub/file", INSIDE)
        self.write("closed/file", SECRET)
        self.write("closed/sub/file", SECRET)
        self.sandbox = Sandbox({"HOME": "/home/somebody"}, str(root))

    def write(self, name, text=INSIDE):
        self.root.joinpath(name).write_text(text)

    def link(self, name, target):
        """`{}` in the target is the directory above `open`."""
        self.root.joinpath(name).symlink_to(target.format(self.root))

    def chain(self, name, length, target):
        """`name`0 leads to `name`1 and so on, `length` links in all; by turns relative and absolute."""
        for index in range(length - 1):
            following = f"{name}{index + 1}"
            self.link(f"{name}{index}", f"{{}}/{following}" if index % 2 else following.rpartition("/")[2])
        self.link(f"{name}{length - 1}", target)

    def script(self, source, *arguments, held=None, **options):
        """A state that runs this; the caller closes it."""
        held = (f"fs:read={self.root}/open", "load") if held is None else held
        arguments = tuple(os.fsencode(argument) for argument in arguments)
        return Script(
            self.sandbox, source, {"held": held, "arguments": arguments, "directory": f"{self.root}/open", **options}
        )

    def run(self, source, *arguments, **options):
        """What a script prints, which ends well."""
        script = self.script(source, *arguments, **options)
        try:
            outcome = script.end()
            assert not isinstance(outcome, Failure), outcome
        finally:
            script.state.close()
        return script.port

    def attempt(self, way, path, held=None):
        """What a script gets by `path`; the name of the scene's directory is left out."""
        return self.attempts(way, [path], held)[0]

    def attempts(self, way, paths, held=None):
        """As `attempt`, for many paths in one state."""
        source = f"""
            for _, path in ipairs{{...}} do
              package.loaded.m = nil
              local ok, got = pcall(function() {WAYS[way]} end)
              io.write(tostring(got), "{_END}")
            end"""
        port = self.run(source, *paths, held=held)
        texts = port.output.replace(str(self.root), "").split(_END)[:-1]
        created = iter(port.children.values())
        return [_what_runs(next(created)) if text == "created" else text for text in texts]


def _what_runs(program):
    return os.fsdecode(program.source) if program.source is not None else program.problem


def verdict(text):
    """READ, DENIED, or the text of an error. A secret is never in it."""
    assert "secret" not in text, text
    assert "internal error" not in text, text
    if "inside" in text:
        assert "denied" not in text
        return READ
    return DENIED if 'permission "fs:read" denied' in text else text


def listener(path):
    """A socket in the file system, to be closed by the caller."""
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    return made
