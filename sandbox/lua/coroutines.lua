-- Waiting.
--
-- The script runs in the state's main coroutine. A wait yields WAIT all the way up to the driver, which leaves the
-- state's step; the next step resumes all the way down again. The script's own coroutines may lie in between, so their
-- `resume` and `wrap` (coroutine_library.lua) pass WAIT through: a script never sees it and can't make one, for it is a
-- table that only these two files have. Nothing is handed down with the resumption but WAIT itself (go on) or REFUSED (a
-- resumer further up is inside a C function that Lua can't suspend).
local raw = ...
local resume, yield, running, isyieldable = raw.co_resume, raw.co_yield, raw.co_running, raw.co_isyieldable
local rawequal, error, type, getinfo, string_sub = raw.rawequal, raw.error, raw.type, raw.getinfo, raw.string_sub

local WAIT, REFUSED = {}, {}
local main              -- the state's main coroutine
local waiter            -- the coroutine that asked for the wait that is going on

local CANNOT_WAIT = "cannot wait here: this runs inside a function that Lua cannot suspend (a table.sort comparator, "
  .. "a string.gsub callback, __tostring, coroutine.close…); wait outside of it"

--- Gives the thread back until the condition that the last host call named is true. `level` is the error's level.
local function wait(level)
  if not isyieldable() then error(CANNOT_WAIT, level + 1) end
  waiter = running()
  if rawequal(yield(WAIT), REFUSED) then error(CANNOT_WAIT, level + 1) end
end

local leaving = false   -- the state has asked for its own end

local function interrupt() error("the state is ending", 0) end

--- Leaves the state for good. Where Lua can't suspend what is running, every further instruction of the coroutine is an
--- error, so the script comes to none that could catch it; coroutine_library.lua carries that on to the resumer.
local function leave()
  leaving = true
  if isyieldable() then yield(WAIT) end  -- comes back only if a resumer further up is in the way
  raw.sethook(interrupt, "", 1)
  interrupt()
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
  wait = wait, leave = leave, position = position, WAIT = WAIT, REFUSED = REFUSED,

  is_main = function(co) return co == main end,
  is_leaving = function() return leaving end,

  --- Starts `body` as the main coroutine.
  start = function(body) main = raw.co_create(body) end,

  --- Runs the main coroutine on. True: it waits. False: it has ended, and `body` has said how. A string: it was ended
  --- from outside its own protection (no memory was left to say more).
  drive = function()
    local ok, first = resume(main, WAIT)
    if not ok then return type(first) == "string" and first or "the state failed while it was failing" end
    return rawequal(first, WAIT)
  end,

  waiting_at = function() return position(waiter) end,
  forget = function() main, waiter = nil, nil end,
}
