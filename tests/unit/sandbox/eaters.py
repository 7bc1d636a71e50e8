"""Scripts that need more and more memory, whatever they catch."""

EAT = "local function eat() local t = {} while true do t[#t + 1] = {t} end end "
EATERS = {
    "tables": EAT + "eat()",
    "one table": "local t = {} for i = 1, 1e9 do t[i] = i end",
    "a hash": "local t = {} for i = 1, 1e9 do t[i + 0.5] = true end",
    "strings": "local t = {} for i = 1, 1e9 do t[i] = 'string ' .. i end",
    "a string": "local s = 'x' while true do s = s .. s end",
    "a buffer": "while true do pcall(string.gsub, ('x'):rep(100000), '.', ('y'):rep(1000)) end",
    "coroutines": "local t = {} for i = 1, 1e9 do t[i] = coroutine.create(print) end",
    "suspended coroutines": """
        local t = {} while true do t[#t + 1] = coroutine.wrap(function() coroutine.yield() end) t[#t]() end""",
    "closures": "local t = {} for i = 1, 1e9 do t[i] = function() return i end end",
    "recursion": "local function f(a) return 1 + f{a} end while true do pcall(f) end",
    "a deep stack": "local function f() return 1 + f() end while true do pcall(f) end",
    "many results": "local t = table.move({}, 1, 1, 1) while true do pcall(table.unpack, t, 1, 500000) end",
    "a source": "while true do pcall(load, ('x = {} '):rep(200000)) end",
    "a loop of pcall": EAT + "while true do pcall(eat) end",
    "pcall in pcall": EAT + "while true do pcall(pcall, pcall, eat) end",
    "an error handler": EAT + "while true do xpcall(eat, eat) end",
    "an error handler of errors": EAT + "while true do xpcall(error, eat) end",
    "a loop of coroutines": EAT + "while true do coroutine.resume(coroutine.create(eat)) end",
    "pcall in a coroutine": EAT + "while true do coroutine.wrap(function() pcall(eat) coroutine.yield() end)() end",
    "__close": EAT + """
        local eater = setmetatable({}, {__close = eat})
        while true do pcall(function() local x <close> = eater eat() end) end""",
    "__close in a coroutine": EAT + """
        local eater = setmetatable({}, {__close = eat})
        while true do
          local co = coroutine.create(function() local x <close> = eater coroutine.yield() end)
          coroutine.resume(co) coroutine.close(co)
        end""",
    "a sort comparator": EAT + "while true do pcall(table.sort, {1, 2, 3}, eat) end",
    "a gsub callback": EAT + "while true do pcall(string.gsub, 'abc', '.', eat) end",
    "__tostring": EAT + "local t = setmetatable({}, {__tostring = eat}) while true do pcall(tostring, t) end",
    "what the host gives": "local t = {} while true do pcall(function() t[#t + 1] = os.getenv('LARGE') .. #t end) end",
}  # fmt: skip
