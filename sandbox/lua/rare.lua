-- Basic functions that few scripts call.
local raw, door, _, _, parts = ...
local support = parts.support
local error, select, concat, string_sub = raw.error, raw.select, raw.table_concat, raw.string_sub
local collectgarbage = raw.collectgarbage
local check_string, check_integer = support.check_string, support.check_integer

--- # Other functions of Lua
---
--- All functions of Lua 5.5 that are not on this page are Lua's own, or do what Lua's own do within the limits that
--- [architecture.md](architecture.md) names; none of them needs a pledge. `string.dump` and `package.loadlib` do not
--- exist, nor does anything of `debug` but `debug.traceback`. `setmetatable` refuses `__gc`. What bounds calls that
--- could take long (patterns, `table.sort` and the like) is in [language.md](language.md#long-calls).

local rare = {}

local warnings = false

--- `warn(text, ...)`
--- Writes `Lua warning: ` and the texts to the error output, if warnings are on: `warn("@on")` and `warn("@off")` switch them;
--- they are off at first.
---
--- Errors: none.
--- Pledge: none.
function rare.warn(...)
  local count = select("#", ...)
  local parts = { ... }
  for i = 1, count == 0 and 1 or count do parts[i] = check_string(i, "warn", support.argument(i, ...)) end
  local text = concat(parts, "", 1, count)
  if count == 1 and string_sub(text, 1, 1) == "@" then
    if text == "@on" then warnings = true elseif text == "@off" then warnings = false end
  elseif warnings then
    door(WRITE, 2, "Lua warning: " .. text .. "\n")
  end
end

--- `math.randomseed`, given Lua's own: without arguments the seeds are the operating system's.
function rare.randomseed(reseed, ...)
  if select("#", ...) > 0 then return parts.guards.failing("randomseed", reseed, ...) end
  local seed, second_seed = raw.string_unpack("<i8i8", support.must(RANDOM))
  return reseed(seed, second_seed)
end

-- The collector's pace is the host's affair. What would change it is noted, so that a script reads back what it has set,
-- and has no effect.
local mode, running = "incremental", true
local params = { minormul = 20, majorminor = 50, minormajor = 68, pause = 250, stepmul = 200, stepsize = 9600 }

local function note_param(name, value)
  name = check_string(2, "collectgarbage", name)
  local old = params[name]
  if not old then support.raise("bad argument #2 to 'collectgarbage' (invalid option '" .. name .. "')") end
  value = value == nil and -1 or check_integer(3, "collectgarbage", value)
  if value >= 0 then params[name] = value end
  return old
end

--- `collectgarbage(option?, ...)` → value
--- `"collect"`, `"count"` and `"step"` are Lua's own. `"stop"`, `"restart"`, `"incremental"`, `"generational"` and `"param"`
--- are noted and have no effect, as memory is the host's affair; they and `"isrunning"` give what was set.
---
--- Errors: another option.
--- Pledge: none.
function rare.collectgarbage(...)
  local option, argument, value = ...
  option = option == nil and "collect" or check_string(1, "collectgarbage", option)
  if option == "collect" or option == "count" then return collectgarbage(option) end
  if option == "step" then
    return collectgarbage(option, argument == nil and 0 or check_integer(2, "collectgarbage", argument))
  elseif option == "isrunning" then
    return running
  elseif option == "stop" or option == "restart" then
    running = option == "restart"
    return 0
  elseif option == "incremental" or option == "generational" then
    local old = mode
    mode = option
    return old
  elseif option == "param" then
    return note_param(support.argument(2, ...), value)
  end
  error("bad argument #1 to 'collectgarbage' (invalid option '" .. option .. "')", 2)
end

support.behind_global[rare.warn], support.behind_global[rare.collectgarbage] = true, true

return rare
