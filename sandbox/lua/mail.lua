-- A worker's side of its two mailboxes. Apart from worker.lua because almost every worker uses it, and many nothing else.
local raw, door, coroutines, parts, is_worker = ...
local select, error, byte, unpack = raw.select, raw.error, raw.string_byte, raw.string_unpack
local wait, await, codec = coroutines.wait, coroutines.await, parts.codec
local post, take, sent = codec.post, codec.take, coroutines.sent
local BUNDLE <const>, FIRST <const> = 0xB5, 2 -- what a bundle begins with, and where its first message does
local BROUGHT <const> = 3

local function only_in_worker(func)
  if not is_worker then error("worker." .. func .. " can only be called inside a worker", 3) end
end

--- # Workers

local mail = {}

--- `worker.message(value)`
--- In a worker: sends a copy of the value to the creator, who gets it by `worker.receive`; waits while there is no room. In
--- the main script of a job: to the program that has submitted it ([api.md](api.md#jobs)).
---
--- Errors: a value that can't be copied, named with its place; a call in the main script of a plain run.
--- Pledge: none.
function mail.message(...)
  if not is_worker then only_in_worker("message") end
  local is_done = post(0, ...)
  while is_done == false do
    wait(2)
    is_done = post(0, ...)
  end
  if is_done then return end
  if select("#", ...) == 0 then error("bad argument #1 to 'message' (value expected)", 2) end
  local payload, problem, is_too_large = codec.encode_one("message", (...))
  if not payload then parts.support.cannot_send(problem, is_too_large) end
  while not sent(0, door(MESSAGE, payload)) do wait(2) end
end

local begun, at -- a bundle of which not all has been taken, and where its next message begins

--- The next message of the bundle.
local function next_of_begun()
  local bundle, from = begun, at
  local next_, value = take(bundle, from)
  if next_ then
    if next_ <= #bundle then at = next_ else begun = nil end
    return value
  end
  begun = nil -- what is wrong with it is to be said once
  local payload
  payload, at = unpack("<s4", bundle, from)
  if at <= #bundle then begun = bundle end
  return (codec.decode(payload))
end

--- `worker.peek()` → value
--- In a worker, and in the main script of a job: takes the next value that the creator, or the program, has sent, and waits
--- until there is one.
---
--- Errors: a call in the main script of a plain run.
--- Pledge: none.
function mail.peek()
  only_in_worker("peek")
  if begun then return next_of_begun() end
  local payload, value, asked
  repeat
    payload, value = await(0, asked, 2)
    payload = payload or door(PEEK)
    asked = true
  until payload
  if payload == BROUGHT then payload, value = codec.brought() end
  if payload == 0 then return value end
  if byte(payload) ~= BUNDLE then return (codec.decode(payload)) end
  begun, at = payload, FIRST
  return next_of_begun()
end

return mail
