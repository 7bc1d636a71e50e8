-- Makes a state out of the parts: builds the environment that the script sees, empties the one that the interpreter was
-- born with, and gives the host its handles on the state. Runs once, before anything of the script.
--
-- A state is small because most parts come only when they are needed: a lazy part is fetched from the host as
-- bytecode that was compiled there, the first time that one of its names is used.
local core, door, is_worker, is_job, is_audited, native_library, message_limit, memory_limit, seed, second_seed = ...
local born = _G

local raw = core.raw()
raw.max_bytes, raw.max_string = message_limit, memory_limit
local error, type, next, setmetatable = raw.error, raw.type, raw.next, raw.setmetatable
local rawget, rawset = raw.rawget, raw.rawset
local string_find = raw.string_find

local native = native_library and package.loadlib(native_library, "luspool_open")()
local coroutines = core.coroutines(raw, native)
if not native then door = core.portable(raw, door, coroutines) end
local parts = {}
local kinds = core.kinds(raw, parts)
raw.public_type, raw.public_tostring = kinds.type, kinds.text
local environment = core.base(raw, kinds, door, parts)
environment.error = coroutines.error or error
environment.getmetatable, environment.ipairs, environment.pairs = getmetatable, ipairs, pairs

--- Fetches a part and gives it what it may use.
local function fetch(name)
  return raw.load(door(PART, name), "=luspool", "b")(raw, door, coroutines, environment, parts)
end

if is_audited and not native then door = fetch("audited") end

-- Each part is made once, by the first who asks for it.
setmetatable(parts, {
  __index = function(_, name)
    local part = fetch(name)
    rawset(parts, name, part)
    return part
  end,
})

--- A function that Lus has and the sandbox does not.
function parts.absent(name)
  return function() error(name .. " does not exist in the sandbox", 2) end
end

--- The main function of a translated chunk: as loaded, or as the chunk makes it from the run-time helpers it names.
function parts.bind(chunk, names)
  if not names then return chunk end
  local helpers, count = {}, 0
  for name in raw.string_gmatch(names, "[^,]+") do
    count = count + 1
    helpers[count] = parts.language[name]
  end
  return chunk(raw.table_unpack(helpers, 1, count))
end

-- Library tables that are filled from a part when they are first looked into for what they lack; all share one
-- metatable, which keeps a state small. [library] = the part's name, and once it is loaded what it says is absent: a
-- record { label =, names = the functions, between spaces, that say when they are called that the sandbox does not have
-- them ("*": every name), make = what gives such a function, if it is to do something else }, or false. Tables of Lua's own (`string`) may be such libraries too: what they have is found
-- as ever.
local lazy = setmetatable({}, { __mode = "k" })

local function fill(library)
  local part = lazy[library]
  if type(part) ~= "string" then return part end
  part = parts[part]
  for name, value in next, part.library do
    if rawget(library, name) == nil then rawset(library, name, value) end
  end
  local absent = part.absent or false
  lazy[library] = absent -- last: an error on the way here (no stack or memory left) is then made good by the next use
  return absent
end

local lazy_metatable = {
  __metatable = false,
  __index = function(library, key)
    local absent = fill(library)
    local value = rawget(library, key)
    if value == nil and absent and type(key) == "string"
      and (absent.names == "*" or string_find(absent.names, " " .. key .. " ", 1, true)) then
      if absent.make then return absent.make(key) end
      return parts.absent(absent.label .. "." .. key)
    end
    return value
  end,
  __newindex = function(library, key, value)
    fill(library) -- otherwise a function that the script takes out would come back
    rawset(library, key, value)
  end,
  __pairs = function(library)
    fill(library)
    return next, library
  end,
}

local function lazy_library(library, part)
  lazy[library] = part
  return setmetatable(library, lazy_metatable)
end

parts.codec = native and native.codec(function(name, ...)
  return parts[name == "decode" and "codec_decode" or "codec_encode"][name](...)
end, raw.max_bytes, raw.max_depth, raw.sealed, raw.special) or core.codec(raw, nil, nil, nil, parts)

-- Values that are neither scalars nor plain tables, yet can be sent (see codec.lua): enums and vectors. A message may
-- bring one before anything here has made one.
raw.kinds = setmetatable({}, { __index = function(sendable, kind)
  return parts[kind == 2 and "vector" or "language"] and rawget(sendable, kind)
end })

local string, table, math, utf8 = string, table, math, utf8
string.dump = parts.absent("string.dump")

-- What can stay inside one call of C for ever is replaced: the pattern functions, and calls that are done in pieces where
-- they are long. Without the native module the replacements come with the first look for one of them.
-- Formats that would show an address are not Lua's affair either.
local function otherwise(name, ...) return parts[name == "format" and "identity" or "bounded"][name](...) end
local function replace(library, names, part)
  for name in raw.string_gmatch(names, "%a+") do
    library[name] = native and (native[name] or native.guard(name, library[name], otherwise))
  end
  return lazy_library(library, native and part or "guarded_" .. part)
end
if not native then parts.own = { upper = string.upper, lower = string.lower } end -- for guards.lua; `raw` is full
environment.string = replace(string, native and "find match gmatch gsub rep format"
  or "find match gmatch gsub rep format pack reverse upper lower", "strings")
environment.table = replace(table, "insert remove move concat sort", "tables")
environment.math, environment.utf8 = math, utf8

-- Lua makes its own seed from the time and an address of the stack, and `randomseed` would give that away.
local reseed = math.randomseed
reseed(seed, second_seed)
function math.randomseed(...) return parts.rare.randomseed(reseed, ...) end

environment.coroutine = lazy_library({}, "coroutine_library")
environment.debug = lazy_library({}, "failure")
environment.fs = lazy_library({}, "fs")
environment.host = lazy_library({}, "host")
environment.io = lazy_library({}, "io")
environment.network = lazy_library({}, "network")
environment.os = lazy_library({}, "os")
parts.package = lazy_library({}, "load")
environment.package = parts.package
environment.vector = lazy_library({}, "vector")
environment.worker = lazy_library(is_job and parts.job or core.mail(raw, door, coroutines, parts, is_worker), "worker")
environment._G = environment

local waiting = "load loadfile dofile require warn collectgarbage pledge fromjson tojson fromcsv tocsv"
for name in raw.string_gmatch(waiting, "%a+") do
  environment[name] = function(...) return parts.basic[name](...) end
end

-- Nothing of the script's refers to the born globals and library files; dropped, they can't be of use to anybody who
-- gets at them, and they take no room. The table of what is loaded gets the script's own libraries instead: in it Lua looks
-- for the name of a function that C has called, such as `string.byte` in `pcall(string.byte)`, to say it in an error.
local GLOBALS <const> = 2 -- their place in the registry
local registry = debug.getregistry()
local loaded = registry._LOADED
for _, name in next, { "stdin", "stdout", "stderr" } do debug.setmetatable(io[name], nil) end -- no finaliser comes then
registry._IO_input, registry._IO_output, registry._PRELOAD, registry["FILE*"] = nil
for name in next, loaded do loaded[name] = environment[name] end
for _, name in next, { "fs", "host", "vector", "worker" } do loaded[name] = environment[name] end
for name in next, born do born[name] = nil end
registry[GLOBALS] = {}
parts.loaded = loaded
registry, loaded, born, core = nil

--- Makes the state ready to run `main`, the script's compiled chunk, with the arguments in `payload` (nil: none). Gives
--- what the host's stepper knows the state by.
local function start(main, names, payload)
  raw.setupvalue(main, 1, environment)
  main = parts.bind(main, names)
  local trace
  local function on_error(problem)
    trace = parts.failure.traceback(nil, 2)
    return problem
  end
  local function finish(ok, problem)
    if ok then door(RETURNED) else parts.failure.report(problem, trace) end
  end
  -- A third of what was made until here is garbage, and the state may wait for long without making more. The native module
  -- collects before the first wait, for many never wait; but where little may be held, that would be missed until then.
  if not coroutines.native or raw.max_string < 1 << 18 then raw.collectgarbage() end
  return coroutines.start(function()
    if not payload then return finish(raw.xpcall(main, on_error)) end
    local arguments = payload
    payload = nil
    return finish(raw.xpcall(main, on_error, parts.codec.decode(arguments)))
  end)
end

--- Before the state is closed, which holds the host's interpreter lock: what is large is dropped and collected here,
-- where the lock is not held. 1 MB is closed in less time than that takes.
local function free()
  if raw.collectgarbage("count") < 1024 then return end
  for name in next, environment do environment[name] = nil end
  environment, parts, lazy, string, table, math, utf8 = nil
  coroutines.forget()
  raw.collectgarbage()
end

return start, coroutines.drive, coroutines.waiting_at, free
