# ruff: noqa: E501 - an attack and its result are a line each
"""Attacks on the library: debug, lupa's own, metatables of basic types, globals, Python's objects, the outside."""

from matrix import Attack

EVIL = """
local called, keep = 0, {}
local function evil(...) called = called + 1 return evil end
local rawset, next, _G = rawset, next, _G
for name, value in next, _G do keep[name] = value end
"""

ATTACKS = [
    Attack(
        "every function of `debug` but `traceback`",
        """local refused = 0
        for name in ("debug gethook getinfo getlocal getmetatable getregistry getupvalue getuservalue sethook "
          .. "setlocal setmetatable setupvalue setuservalue upvalueid upvaluejoin"):gmatch("%a+") do
          local ok, problem = pcall(debug[name], 1)
          if not ok and problem:find("does not exist in the sandbox", 1, true) then refused = refused + 1 end
        end
        return refused""",
        "15",
    ),
    Attack(
        "`debug.traceback` of frames of the library",
        'local t = debug.traceback("x") return t:find("luspool"), t:find(".py")',
        "nil nil",
    ),
    Attack(
        "`debug.traceback` of the main coroutine",
        "return type(debug.traceback((coroutine.running()), 'x', -1 << 40))",
        "string",
    ),
    Attack("lupa's globals", "return python, lupa, builtins, POBJECT", "nil nil nil nil"),
    Attack(
        "attributes of Python's on every value",
        """local found = 0
        for _, v in ipairs{print, load, io.stdout, worker, vector.create(1), coroutine.running(), debug, host, "", 1} do
          for _, name in ipairs{"__class__", "__globals__", "__self__", "__subclasses__", "gi_frame", "__dict__"} do
            local ok, value = pcall(function() return v[name] end)
            if ok and value ~= nil and v ~= host then found = found + 1 end
          end
        end
        return found""",
        "0",
    ),
    Attack(
        "Python's exceptions in what `pcall` gives",
        """local kinds = {}
        for _, f in ipairs{function() io.open("\\0") end, function() worker.create(("x"):rep(99)) end, io.lines,
          function() pledge("\\xff") end, function() io.stdout:seek("set", -1) end, function() host.x() end,
          function() fromjson("\\xff") end, function() ("x"):transcode("no", "no") end, function() worker.limit{cpu = "x"} end,
          function() io.open("DIR/binary.lus"):seek("set", -1 << 63) end, function() load("\\xff\\0") end} do
          local values = table.pack(pcall(f))
          for i = 2, values.n do kinds[type(values[i])] = true end
          for i = 2, values.n do if tostring(values[i]):find("Traceback") then kinds.traceback = true end end
        end
        kinds["string"], kinds["nil"], kinds["function"] = nil
        return next(kinds)""",
        "nil",
    ),
    Attack(
        "replaced globals and library functions",
        EVIL
        + """for _, l in next, {string, table, math, utf8, coroutine} do for name in next, l do rawset(l, name, evil) end end
        for name in next, keep do rawset(_G, name, evil) end
        keep.tojson({1, "x"}) keep.pcall(keep.load, "return `a$(1)`") keep.pcall(keep.worker.create, "x", {1})
        keep.pcall(keep.io.open, "DIR/text.lus") keep.pledge("~env") keep.tostring({}) keep.pcall(keep.require, "none")
        return called""",
        "0",
    ),
    Attack(
        "the metatable of strings",
        """local called, strings = 0, getmetatable("")
        for _, e in ipairs{"index", "call", "concat", "eq", "lt", "le", "len", "unm", "add", "close", "gc", "mode"} do
          strings["__" .. e] = function() called = called + 1 end
        end
        tojson{"x"} pcall(load, "return 1") pcall(worker.create, "x", {1}) pcall(io.open, "DIR/text.lus") pledge("~env")
        pcall(require, "none") tostring{}
        return called""",
        "0",
    ),
    Attack(
        "metatables for basic types",
        "return pcall(setmetatable, print, {}), pcall(setmetatable, 1, {}), pcall(setmetatable, coroutine.running(), {})",
        "false false false bad argument #1 to 'setmetatable' (table expected, got thread)",
    ),
    Attack(
        "metatables of basic types",
        "return getmetatable(print), getmetatable(1), getmetatable(nil), getmetatable(coroutine.running())",
        "nil nil nil nil",
    ),
    Attack(
        "globals that raise",
        """local open, type, rawset, next, _G = io.open, io.type, rawset, next, _G
        setmetatable(_G, {__index = error, __newindex = error, __pairs = error, __len = error})
        for name in next, _G do rawset(_G, name, nil) end
        return type(open("DIR/text.lus"))""",
        "file",
    ),
    Attack(
        "a library's metatable",
        "return getmetatable(io), pcall(setmetatable, io, {}), getmetatable(io.stdout), pcall(setmetatable, io.stdout, nil)",
        "false false FILE* false cannot change a protected metatable",
    ),
    Attack(
        "an environment variable",
        'return os.getenv("SECRET")',
        "error: permission \"env\" denied for 'SECRET' in main.lus at no pledge grants it (grant it with -P env=SECRET)",
    ),
    Attack(
        "`os.setlocale`",
        'return os.setlocale(), os.setlocale("de_DE.UTF-8"), os.setlocale("tr_TR", "ctype"), os.setlocale("C")',
        "C nil nil C",
    ),
    Attack(
        "programs, and changes of files, by `os`, `io` and `fs`",
        """local refused, calls = 0, {os.execute, os.remove, os.rename, os.tmpname, io.popen, io.tmpfile, io.output}
        for _, name in ipairs{"copy", "move", "remove", "createdirectory", "createlink"} do calls[#calls + 1] = fs[name] end
        for _, call in ipairs(calls) do
          if not pcall(call, "DIR/text.lus", "DIR/new") then refused = refused + 1 end
        end
        for _, mode in ipairs{"w", "a", "r+", "w+", "a+"} do
          for _, path in ipairs{"new", "DIR/new", "DIR/text.lus"} do
            if not pcall(io.open, path, mode) then refused = refused + 1 end
          end
        end
        return refused, io.open("DIR/text.lus"):write("x")""",
        "27 nil Bad file descriptor 9 0",
    ),
    Attack("`os.exit`", "os.exit(3, true) return 'went on'", "the state ends with status 3"),
    Attack("`os.exit` in a protected call", "pcall(os.exit, false) return 'went on'", "the state ends with status 1"),
    Attack(
        "`os.exit` with a wrong status",
        "return pcall(os.exit, {})",
        "false bad argument #1 to 'os.exit' (number expected, got table)",
    ),
]
