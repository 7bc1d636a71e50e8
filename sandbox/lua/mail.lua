-- A worker's side of its two mailboxes. Apart from worker.lua because almost every worker uses it, and many nothing else.
local raw, door, coroutines, parts, is_worker = ...
local select, error = raw.select, raw.error
local wait = coroutines.wait

local function only_in_worker(func)
  if not is_worker then error("worker." .. func .. " can only be called inside a worker", 3) end
end

local mail = {}

function mail.message(...)
  only_in_worker("message")
  if select("#", ...) == 0 then error("bad argument #1 to 'message' (value expected)", 2) end
  local payload, problem = parts.codec.encode_one("message", (...))
  if not payload then parts.support.raise(problem) end
  while not door(MESSAGE, payload) do wait(2) end
end

function mail.peek()
  only_in_worker("peek")
  while true do
    local payload = door(PEEK)
    if payload then return (parts.codec.decode(payload)) end
    wait(2)
  end
end

return mail
