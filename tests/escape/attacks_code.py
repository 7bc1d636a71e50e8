# ruff: noqa: E501 - an attack and its result are a line each
"""Attacks by code: bytecode through every loader, native code, and what is behind the loaders."""

from matrix import Attack

BINARY = "nil attempt to load a binary chunk (the sandbox loads text only)"
READ = 'local f = io.open("DIR/binary.lus", "rb") local bytes = f:read("a") f:close() '

ATTACKS = [
    Attack("`load` of bytecode", READ + "return load(bytes)", BINARY),
    Attack('`load` of bytecode, mode "b"', READ + 'return load(bytes, "=x", "b")', BINARY),
    Attack('`load` of bytecode, mode "bt"', READ + 'return load(bytes, "=x", "bt", {})', BINARY),
    Attack(
        "`load` of bytecode, a byte at a time",
        READ + "local n = 0 return load(function() n = n + 1 return bytes:sub(n, n) end)",
        BINARY,
    ),
    Attack(
        '`load` of text, mode "b"',
        'return load("return 1", "=x", "b")',
        "nil attempt to load a text chunk (mode is 'b')",
    ),
    Attack("`loadfile` of bytecode", 'return loadfile("DIR/binary.lus")', BINARY),
    Attack('`loadfile` of bytecode, mode "b"', 'return loadfile("DIR/binary.lus", "b")', BINARY),
    Attack("`dofile` of bytecode", 'return dofile("DIR/binary.lus")', BINARY.replace("nil ", "error: ")),
    Attack(
        "`require` of bytecode",
        'package.path = "DIR/?.lus" return select(2, pcall(require, "binary"))',
        "error loading module 'binary' from file 'DIR/binary.lus': " + BINARY[4:],
    ),
    Attack(
        "`worker.create` of bytecode",
        'return worker.status(worker.create("DIR/binary.lus"))',
        "running; its worker: DIR/binary.lus:1:1: unexpected character '\\x1b'",
    ),
    Attack(
        "bytecode by message",
        "return load(worker.peek())",
        BINARY,
        never={"main chunk": "only a worker has a creator that sends it messages"},
    ),
    Attack("`string.dump`", "return string.dump(function() end)", "error: string.dump does not exist in the sandbox"),
    Attack(
        "`package.loadlib`",
        'return package.loadlib("x.so", "*")',
        "error: package.loadlib does not exist in the sandbox",
    ),
    Attack(
        "`require` of what hosts have",
        """local found = {}
        for _, name in ipairs{"lupa", "python", "ffi", "posix", "luspool", "builtins"} do
          if pcall(require, name) then found[#found + 1] = name end
        end
        return #found""",
        "0",
    ),
    Attack(
        "`require` of Lua's own libraries",
        'return pcall(require("debug").getinfo, 1), rawequal(require("_G"), _G), rawget(require("string"), "dump") == string.dump',
        "false true true",
    ),
    Attack(
        "`package.searchers` that gives bytecode",
        READ + 'package.searchers = {function() return bytes end} return (select(2, pcall(require, "x")):sub(1, 20))',
        "module 'x' not found",
    ),
    Attack(
        "`package.path` to a file outside",
        'package.path = "/etc/?" return (select(2, pcall(require, "passwd")):match("permission.*at"))',
        "permission \"fs:read\" denied for '/etc/passwd' in main.lus at no pledge grants it (grant it with -P fs:read=/etc/passwd) permission \"fs:read\" denied for '/etc/passwd' in main.lus at",
    ),
    Attack("`load` without an environment", 'return load("return _ENV", "=x", "t", nil)()', "nil"),
    Attack(
        "`load` into a foreign environment",
        'return load("return print, load, _G, debug, python", "=x", "t", {})()',
        "nil nil nil nil nil",
    ),
    Attack(
        "a chunk that closes the function it is put into",
        'return load("return 1 end) (function() return 2")',
        "nil [string \"return 1 end) (function() return 2\"]:1:10: expected a statement, got 'end', which closes nothing",
    ),
    Attack(
        "names of the translation's helpers",
        'return load("return lus_catch, lus_text, lus_language, `$(1)`")()',
        "nil nil nil 1",
    ),
]
