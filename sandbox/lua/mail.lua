-- A worker's side of its two mailboxes. Apart from worker.lua because almost every worker uses it, and many nothing else.
local raw, door, coroutines, parts, is_worker = ...
local select, error = raw.select, raw.error
local wait = coroutines.wait

local function only_in_worker(func)
  if not is_worker then error("worker." .. func .. " can only be called inside a worker", 3) end
end

--- # Workers

local mail = {}

--- `worker.message(value)`
--- In a worker: sends a copy of the value to the creator, who gets it by `worker.receive`; waits while there is no room.
---
--- Errors: a value that can't be copied, named with its place; a call outside of a worker.
--- Pledge: none.
function mail.message(...)
  only_in_worker("message")
  if select("#", ...) == 0 then error("bad argument #1 to 'message' (value expected)", 2) end
  local payload, problem, is_too_large = parts.codec.encode_one("message", (...))
  if not payload then parts.support.cannot_send(problem, is_too_large) end
  while not door(MESSAGE, payload) do wait(2) end
end

--- `worker.peek()` → value
--- In a worker: takes the next value that the creator has sent, and waits until there is one.
---
--- Errors: a call outside of a worker.
--- Pledge: none.
function mail.peek()
  only_in_worker("peek")
  while true do
    local payload = door(PEEK)
    if payload then return (parts.codec.decode(payload)) end
    wait(2)
  end
end

return mail
