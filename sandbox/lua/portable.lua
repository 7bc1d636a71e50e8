-- How a state ends where the native module is missing: by stops (preemption_hook.py) and for memory.
--
-- Lua can only be left by an error, and errors are the script's to catch. So the host's hook makes *every* further
-- instruction of the coroutine that it finds an error: the script comes to none with which it could go on. What that
-- leaves open is closed here:
-- - An error that ends a coroutine arrives at its resumer, which the hook has not armed: `caught` leaves there too.
-- - While an error is raised out of a hook, Lua calls no hooks, so a handler of xpcall could run for ever: none is called.
-- - A script that spends its time in host calls would come to the hook late: a call that fails is a place to leave.
--
-- Memory: the interpreter's allocator refuses, Lua raises an error, and whatever catches that ends the state. The text is
-- all there is to know that error by, so a script that raises the same text ends the same way. It refuses Lua's string
-- buffers without a collection before, so what makes large strings counts them, and collects in time.
local raw, host, coroutines = ...
local pcall, xpcall, error = raw.pcall, raw.xpcall, raw.error

local NO_MEMORY <const> = "not enough memory"

--- Leaves the state for good. Where Lua can't suspend what is running, every further instruction of the coroutine is an
--- error, as above.
local function leave()
  if raw.co_isyieldable() then coroutines.suspend() end  -- comes back only if a resumer further up is in the way
  raw.sethook(error, "", 1)
  error()
end

--- To be called with each error that something has caught, or without one now and then. Does not come back if the state is to end.
local function caught(problem)
  if problem == NO_MEMORY then host(OUT_OF_MEMORY, coroutines.position()) end
  if host(STOPPING) then leave() end
end

local function settle(ok, ...)
  if not ok and (...) == NO_MEMORY then caught(NO_MEMORY) end
  return ok, ...
end

function raw.pcall(...)
  return settle(pcall(...))
end

function raw.xpcall(f, handler, ...)
  if raw.type(handler) ~= "function" then return xpcall(f, handler, ...) end
  return settle(xpcall(f, function(problem)
    if host(STOPPING) then return problem end
    local answer = handler(problem) -- no tail call, which a traceback would show
    return answer
  end, ...))
end

coroutines.leave, coroutines.caught = leave, caught

local SMALL <const> = 1000 -- bytes, that are not worth counting
local half, eighth, made = raw.max_string / 2, raw.max_string / 8, 0

--- Gives `text`. Large strings that Lua's library makes are hardly counted by Lua's collector, and to make one fails
--- where memory is full of garbage; so it is collected after every so many bytes of them, if memory is half used.
local function counted(text)
  if #text > SMALL then
    made = made + #text
    if made > eighth then
      made = 0
      host(MAKE_ROOM, half)
    end
  end
  return text
end

-- What this library itself makes large strings with, in all its parts.
local concat = raw.table_concat
function raw.table_concat(...) return counted(concat(...)) end

coroutines.counted, coroutines.own_concat = counted, concat -- for guards.lua

--- `error` for scripts. pcall and xpcall are Lua functions here, which lie between the script's own: it does not count them.
function coroutines.error(message, level)
  local wanted, real = level == nil and 1 or raw.math_tointeger(level), 1
  if not wanted or wanted < 1 then error(message, level) end
  while wanted > 0 do
    real = real + 1
    local frame = raw.getinfo(real, "f")
    if not frame then break end
    if frame.func ~= raw.pcall and frame.func ~= raw.xpcall then wanted = wanted - 1 end
  end
  error(message, real)
end

--- The door.
return function(...)
  local answer = host(...)
  if answer == false and host(STOPPING) then leave() end
  return answer
end
