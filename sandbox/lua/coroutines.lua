-- Waiting, and the script's own coroutines.
--
-- The script runs in the state's main coroutine. A wait yields WAIT all the way up to the driver, which leaves the
-- state's step; the next step resumes all the way down again. The script's own coroutines lie in between, so `resume`
-- and `wrap` pass WAIT through: a script never sees it, and can't make one, for it is a table that only this file has.
-- Nothing is handed down with the resumption but WAIT itself (go on) or REFUSED (a resumer further up is inside a C
-- function that Lua can't suspend).
local raw, kinds = ...
local bad_argument = kinds.bad_argument
local create, resume, yield, running = raw.co_create, raw.co_resume, raw.co_yield, raw.co_running
local isyieldable, close, status = raw.co_isyieldable, raw.co_close, raw.co_status
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

--- What a resumption gave: WAIT goes up to our own resumer and the answer comes back down; all else is the script's.
local function relay(co, ok, first, ...)
  if ok and rawequal(first, WAIT) then
    if isyieldable() then return relay(co, resume(co, yield(WAIT))) end
    return relay(co, resume(co, REFUSED))
  end
  return ok, first, ...
end

--- The same for `wrap`, where errors are raised: as Lua does, with the coroutine closed and the caller's position added.
local function unwrap(co, ok, first, ...)
  if ok then return first, ... end
  if status(co) == "dead" then
    local closed, err = close(co)
    if not closed then first = err end
  end
  error(first, type(first) == "string" and 2 or 0)
end

local library = {
  create = create, status = status,
  resume = function(co, ...)
    if type(co) ~= "thread" then bad_argument(1, "resume", "coroutine", co) end
    return relay(co, resume(co, ...))
  end,
  wrap = function(f)
    if type(f) ~= "function" then bad_argument(1, "wrap", "function", f) end
    local co = create(f)
    return function(...) return unwrap(co, relay(co, resume(co, ...))) end
  end,
  -- The main coroutine is to a script what Lua's main thread is to a program: it can't yield and can't be closed.
  yield = function(...)
    if running() == main then error("attempt to yield from outside a coroutine", 2) end
    return yield(...)
  end,
  running = function()
    local co = running()
    return co, co == main
  end,
  isyieldable = function(co)
    if co == nil then co = running() end
    if type(co) ~= "thread" then bad_argument(1, "isyieldable", "coroutine", co) end
    return co ~= main and isyieldable(co)
  end,
  close = function(co)
    if co == nil then co = running() end
    if type(co) ~= "thread" then bad_argument(1, "close", "coroutine", co) end
    if co == main then error("cannot close the main coroutine", 2) end
    return close(co)
  end,
}

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
  library = library, wait = wait, position = position,

  --- Starts `body` as the main coroutine.
  start = function(body) main = create(body) end,

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
