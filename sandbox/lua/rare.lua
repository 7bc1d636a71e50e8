-- Basic functions that few scripts call.
local raw, door, _, _, parts = ...
local error, select, concat, string_sub = raw.error, raw.select, raw.table_concat, raw.string_sub
local collectgarbage = raw.collectgarbage
local check_string = parts.support.check_string

local rare = {}

-- "@on" and "@off" are control messages, as in Lua; warnings are off at birth, as there.
local warnings = false
function rare.warn(...)
  local count = select("#", ...)
  local parts = { ... }
  for i = 1, count == 0 and 1 or count do parts[i] = check_string(i, "warn", parts[i]) end
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
  local seed, second_seed = raw.string_unpack("<i8i8", parts.support.must(RANDOM))
  return reseed(seed, second_seed)
end

-- The collector's pace is the host's affair: what would change it is taken and has no effect.
local harmless = { count = true, collect = true, step = true, isrunning = true }
local ignored = { stop = 0, restart = 0, incremental = "incremental", generational = "incremental", param = 0 }
function rare.collectgarbage(option, argument)
  option = option == nil and "collect" or check_string(1, "collectgarbage", option)
  if harmless[option] then
    return collectgarbage(option, option == "step" and raw.math_tointeger(argument) or nil)
  end
  local answer = ignored[option]
  if answer then return answer end
  error("bad argument #1 to 'collectgarbage' (invalid option '" .. option .. "')", 2)
end

parts.support.behind_global[rare.warn], parts.support.behind_global[rare.collectgarbage] = true, true

return rare
