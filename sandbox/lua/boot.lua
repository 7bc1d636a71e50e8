-- Makes a state out of the parts: builds the environment that the script sees, empties the one that the interpreter was
-- born with, and gives the host its handles on the state. Runs once, before anything of the script.
--
-- A state is small because most parts come only when they are needed: a lazy part is fetched from the host as
-- bytecode that was compiled there, the first time that one of its names is used.
local core, door, is_worker, native_library = ...
local born = _G

local raw = core.raw()
local error, type, next, setmetatable = raw.error, raw.type, raw.next, raw.setmetatable
local rawget, rawset = raw.rawget, raw.rawset
local string_find = raw.string_find

local kinds = core.kinds(raw)
raw.public_type, raw.public_tostring = kinds.type, kinds.text
local coroutines = core.coroutines(raw, native_library and package.loadlib(native_library, "luspool_open")())
local parts = {}
local environment = core.base(raw, kinds, door, parts)

--- Fetches a part and gives it what it may use.
local function fetch(name)
  return raw.load(door(PART, name), "=luspool", "b")(raw, door, coroutines, environment, parts)
end

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

-- Library tables that are filled from a part when they are first looked into; all share one metatable, which keeps a
-- state small. A record is { part = the part not yet loaded, label =, absent = the functions, between spaces, that say
-- when they are called that the sandbox does not have them ("*": every name) }.
local lazy = setmetatable({}, { __mode = "k" })

local function fill(library)
  local record = lazy[library]
  if not record.part then return record end
  for name, value in next, parts[record.part].library do
    if rawget(library, name) == nil then rawset(library, name, value) end
  end
  record.part = nil -- last: an error on the way here (no stack or memory left) is then made good by the next use
  return record
end

local lazy_metatable = {
  __metatable = false,
  __index = function(library, key)
    local record = fill(library)
    local value, names = rawget(library, key), record.absent
    if value == nil and names and type(key) == "string"
      and (names == "*" or string_find(names, " " .. key .. " ", 1, true)) then
      return parts.absent(record.label .. "." .. key)
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

local function lazy_library(library, part, label, absent)
  lazy[library] = { part = part, label = label, absent = absent }
  return setmetatable(library, lazy_metatable)
end

parts.codec = core.codec(raw, nil, nil, nil, parts)

-- Values that are neither scalars nor plain tables, yet can be sent (see codec.lua): enums. A message may bring one before
-- anything here has made one.
raw.kinds = setmetatable({}, { __index = function(sendable, kind)
  return parts.language and rawget(sendable, kind)
end })

local string, table, math, utf8 = string, table, math, utf8
string.dump = parts.absent("string.dump")
environment.string, environment.table, environment.math, environment.utf8 = string, table, math, utf8
environment.coroutine = lazy_library({}, "coroutine_library")
environment.debug = lazy_library({}, "failure", "debug", " debug gethook getinfo getlocal getmetatable getregistry "
  .. "getupvalue getuservalue sethook setlocal setmetatable setupvalue setuservalue upvalueid upvaluejoin ")
environment.io = lazy_library({}, "io", "io", " popen tmpfile ")
environment.network = lazy_library({}, nil, "network", "*")
environment.os = lazy_library({}, "os", "os", " execute remove rename tmpname ")
parts.package = lazy_library({}, "load", "package", " loadlib ")
environment.package = parts.package
environment.worker = lazy_library(core.mail(raw, door, coroutines, parts, is_worker), "worker")
environment._G = environment

for name in raw.string_gmatch("load loadfile dofile require", "%a+") do
  environment[name] = function(...) return parts.load.chunks[name](...) end
end
function environment.warn(...) return parts.rare.warn(...) end
function environment.collectgarbage(...) return parts.rare.collectgarbage(...) end
function environment.pledge(...) return parts.worker.pledge(...) end

-- Nothing of the script's refers to the born globals and library files; dropped, they can't be of use to anybody who
-- gets at them, and they take no room.
local registry = debug.getregistry()
registry._IO_input, registry._IO_output, registry._PRELOAD = nil
for name in next, born.package.loaded do born.package.loaded[name] = nil end
for name in next, born do born[name] = nil end
registry, core = nil

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
  local handle = coroutines.start(function()
    if not payload then return finish(raw.xpcall(main, on_error)) end
    local arguments = payload
    payload = nil
    return finish(raw.xpcall(main, on_error, parts.codec.decode(arguments)))
  end)
  -- A third of what was made until here is garbage, and the state may wait for long without making more.
  raw.collectgarbage()
  return handle
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
