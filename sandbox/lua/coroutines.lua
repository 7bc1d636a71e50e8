-- Waiting, and giving way at the end of a slice.
--
-- The script runs in the state's main coroutine. A wait yields WAIT all the way up to the driver, which leaves the
-- state's step; the next step resumes all the way down again. The script's own coroutines may lie in between, so their
-- `resume` and `wrap` (coroutine_library.lua) pass WAIT through: a script never sees it and can't make one, for it is a
-- table that only these two files have. Nothing is handed down with the resumption but WAIT itself (go on) or REFUSED (a
-- resumer further up is inside a C function that Lua can't suspend).
--
-- A slice ends when the host's hook yields between two instructions of whatever coroutine runs, without a value; its
-- resumer passes PREEMPTED on. A script's own `yield` is told from that by the function that was left, which is C.
--
-- All this is the portable way. Where the host has the native module (native/preempt.c), `native` holds its functions,
-- which do the same at a fraction of the cost, and drive the main coroutine without the help of this file.
local raw, native = ...
local resume, yield, running, isyieldable = raw.co_resume, raw.co_yield, raw.co_running, raw.co_isyieldable
local status, rawequal, error, type, select = raw.co_status, raw.rawequal, raw.error, raw.type, raw.select
local getinfo, string_sub = raw.getinfo, raw.string_sub

local WAIT, PREEMPTED, REFUSED = {}, {}, {}
local main              -- the state's main coroutine
local waiter            -- the coroutine that asked for the wait that is going on

local CANNOT_WAIT = "cannot wait here: this runs inside a function that Lua cannot suspend (a table.sort comparator, "
  .. "a string.gsub callback, __tostring, coroutine.close…); wait outside of it"

--- Leaves the step; true when the state is resumed. False at once where Lua can't suspend what is running.
local suspend = native and native.suspend or function()
  return isyieldable() and not rawequal(yield(WAIT), REFUSED)
end

--- Gives the thread back until the condition that the last host call named is true. `level` is the error's level.
local function wait(level)
  waiter = running()
  if not suspend() then error(CANNOT_WAIT, level + 1) end
end

--- Waits for mail of `from`: a child's number, or 0 for the parent. If the host was not `asked` for it before, waits only
--- where it is known that there is none. Gives what came, as `codec.brought` does, or nil: ask.
local function await(from, asked, level)
  waiter = running()
  local mail, value = native.await(from, asked)
  if mail == false then error(CANNOT_WAIT, level + 1) end
  return mail, value
end

if not native then
  function await(_, asked, level)
    if asked then wait(level + 1) end
  end
end

--- Whether `co`, which has given no value, was suspended by the host's hook.
local function preempted(co)
  return status(co) == "suspended" and getinfo(co, 0, "S").what ~= "C"
end

--- WAIT or PREEMPTED, if `co` was suspended for one of them: given how many values it gave, and the first.
local function suspension(co, count, first)
  if count == 0 then return preempted(co) and PREEMPTED or nil end
  return (rawequal(first, WAIT) or rawequal(first, PREEMPTED)) and first or nil
end

--- What resuming the main coroutine has led to; see `drive`.
local function driven(ok, ...)
  if not ok then return type(...) == "string" and (...) or "the state failed while it was failing" end
  local reason = suspension(main, select("#", ...), ...)
  return reason == WAIT and 1 or reason == PREEMPTED and 2 or 0
end

--- The script's position on coroutine `co` (default: the running one), as "name:line": the innermost function that
--- is the script's own. The guarded library's functions have no source, which is what tells them apart.
local function position(co)
  co = co or running()
  local level = 0
  while true do
    local info = getinfo(co, level, "Sl")
    if not info then
      -- A coroutine made straight from a library function has no line of the script in it; its resumer has.
      return co ~= main and main and position(main) or "?"
    end
    local source = info.source
    if info.currentline > 0 and source ~= "=?" then
      return (string_sub(source, 1, 1) == "@" and string_sub(source, 2) or info.short_src) .. ":" .. info.currentline
    end
    level = level + 1
  end
end

return {
  wait = wait, await = await, suspend = suspend, position = position, suspension = suspension, REFUSED = REFUSED, native = native,

  --- sent(to, room): what the host has said to a message that went alone; gives `room` (native/mail.c).
  sent = native and native.sent or function(_, room) return room end,

  --- Ends the state at once: does not come back. (Without the native module, portable.lua sets it.)
  leave = native and native.leave,

  is_main = function(co) return co == main end,

  --- Makes `body` the main coroutine. Gives what the host's stepper knows the state by.
  start = function(body)
    main = raw.co_create(body)
    return native and native.adopt(main) or raw.string_format("%p", main)
  end,

  --- Runs the main coroutine on, without the native module. 0: it has ended, and `body` has said how. 1: it waits. 2: its
  --- slice is over. A string: it was ended from outside its own protection (no memory was left to say more).
  drive = function() return driven(resume(main, WAIT)) end,

  waiting_at = function() return position(waiter) end,
  forget = function() main, waiter = nil, nil end,
}
