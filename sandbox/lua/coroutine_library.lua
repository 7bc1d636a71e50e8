-- coroutine, for scripts: Lua's own functions, with waits passed through (see coroutines.lua).
local raw, _, coroutines, _, parts = ...
local create, resume, yield, running = raw.co_create, raw.co_resume, raw.co_yield, raw.co_running
local isyieldable, status = raw.co_isyieldable, raw.co_status
local error, select, type, bad_argument = raw.error, raw.select, raw.type, parts.support.bad_argument
local REFUSED, suspension, is_main, caught =
  coroutines.REFUSED, coroutines.suspension, coroutines.is_main, coroutines.caught

-- The host's hook counts the instructions of each coroutine by itself, so many short ones may never be looked at.
local resumed = 0

local function count()
  resumed = resumed + 1
  if resumed < 20 then return end
  resumed = 0
  caught()
end

--- What a resumption gave: WAIT and PREEMPTED go up to our own resumer and the answer comes back down; all else is the
--- script's. Where the resumer can't be suspended, a wait is refused and a preempted coroutine just goes on.
local function relay(co, ok, ...)
  local reason = ok and suspension(co, select("#", ...), ...)
  if reason then return relay(co, resume(co, isyieldable() and yield(reason) or REFUSED)) end
  if not ok then caught((...)) end
  return ok, ...
end

local function close(co)
  local ok, problem = raw.co_close(co)
  if not ok then caught(problem) end  -- a __close metamethod may have ended the state
  return ok, problem
end

--- The same for `wrap`, where errors are raised: as Lua does, with the coroutine closed and the caller's position added.
local function unwrap(co, ok, ...)
  if ok then return ... end
  local first = (...)
  if status(co) == "dead" then
    local closed, err = close(co)
    if not closed then first = err end
  end
  error(first, type(first) == "string" and 2 or 0)
end

local library = {
  create = create, status = status,
  resume = function(co, ...)
    if type(co) ~= "thread" then bad_argument(1, "resume", "thread", co) end
    count()
    return relay(co, resume(co, ...))
  end,
  wrap = function(f)
    if type(f) ~= "function" then bad_argument(1, "wrap", "function", f) end
    local co = create(f)
    return function(...)
      count()
      return unwrap(co, relay(co, resume(co, ...)))
    end
  end,
  -- The main coroutine is to a script what Lua's main thread is to a program: it can't yield and can't be closed.
  yield = function(...)
    if is_main(running()) then error("attempt to yield from outside a coroutine", 2) end
    return yield(...)
  end,
  running = function()
    local co = running()
    return co, is_main(co)
  end,
  isyieldable = function(...)
    local co = ...
    if select("#", ...) == 0 then co = running() end
    if type(co) ~= "thread" then bad_argument(1, "isyieldable", "thread", co) end
    return not is_main(co) and isyieldable(co)
  end,
  close = function(co)
    if co == nil then co = running() end
    if type(co) ~= "thread" then bad_argument(1, "close", "thread", co) end
    if is_main(co) then error("cannot close the main coroutine", 2) end
    local ok, problem = close(co)
    if ok then return true end
    return false, problem
  end,
}

if coroutines.native then
  for _, name in raw.next, { "resume", "wrap", "yield", "close" } do library[name] = coroutines.native[name] end
end

return { library = library }
