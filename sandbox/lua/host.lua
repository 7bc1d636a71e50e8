-- host: functions of the program that runs the script, such as `host.log`. Which there are is not known here: every name
-- is a function that asks for it when it is called, and is told so if there is none, but only by a state that may call it.
local raw, door, coroutines, _, parts = ...
local support = parts.support
local isyieldable, running = raw.co_isyieldable, raw.co_running
local codec, wait, is_main = parts.codec, coroutines.wait, coroutines.is_main

--- Begins a call by this host call, and waits for the reply. What would let a wait go on at once was prepared before.
local function reply_to(...)
  -- What has been called can't be called back, so whether waiting is possible has to be known before. On a coroutine only
  -- trying shows it: a resumer further up may be in the way.
  if not (isyieldable() and is_main(running())) then wait(3) end
  local number = door(...)
  if number == false then support.fail() end
  while true do
    local reply = door(FUNCTION_REPLY, number)
    if reply then return reply end
    if reply == false then support.fail() end
    wait(3)
  end
end

--- # Functions of the embedding program

--- `host.name(...)` → value, ...
--- Calls the function `name` of the program that runs the script with copies of the arguments, and gives copies of what
--- it returns; `host` has a field for every such name. Waits meanwhile, as in `worker.receive`, and others go on. What can
--- be copied is on [messages.md](messages.md), what the program does to have functions on [api.md](api.md).
---
--- Errors: an argument that can't be copied, named with its place; what the function fails with, as a string; a name that the
--- program has no function for.
--- Pledge: `host:name`.
local function call(name, ...)
  if door(FUNCTION_PREPARE, name) == false then support.fail() end
  local payload, problem, is_too_large = codec.encode(1, ...)
  if not payload then support.cannot_send(problem, is_too_large) end
  return codec.decode(reply_to(FUNCTION_CALL, name, payload))
end

local made = {}

return {
  reply_to = reply_to,
  library = {},
  absent = {
    names = "*",
    make = function(name)
      local func = made[name] or function(...) return call(name, ...) end
      made[name] = func
      return func
    end,
  },
}
