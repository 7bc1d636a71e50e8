-- A main script's side of its two mailboxes, where the program that runs it has submitted it as a job: that program is to
-- it what its creator is to a worker (see mail.lua). What it sends and takes are calls, as those of host.lua.
local raw, door, coroutines, _, parts = ...
local select, error = raw.select, raw.error

local mail = {}

function mail.message(...)
  if select("#", ...) == 0 then error("bad argument #1 to 'message' (value expected)", 2) end
  local payload, problem, is_too_large = parts.codec.encode_one("message", (...))
  if not payload then parts.support.cannot_send(problem, is_too_large) end
  if door(JOB_PREPARE, #payload) == 1 then
    parts.host.reply_to(JOB_MESSAGE, payload)
  elseif door(JOB_MESSAGE, payload) == false then
    parts.support.fail()
  end
end

function mail.peek()
  door(JOB_PREPARE, 0)
  local payload = parts.host.reply_to(JOB_PEEK)
  if payload == "" then -- nobody will send any more: it ends as a worker in that place does
    door(RETURNED)
    coroutines.leave()
  end
  return (parts.codec.decode(payload))
end

return mail
