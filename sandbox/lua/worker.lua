-- The creator's side of workers, and pledge. A handle is an empty table of a private kind (see kinds.lua); which worker
-- it stands for lies in a weak side table of this state, so a handle can be used by its creator only, and can't be
-- forged or sent.
local raw, door, coroutines, _, parts = ...
local support = parts.support
local select, setmetatable, string_format, error = raw.select, raw.setmetatable, raw.string_format, raw.error
local table_unpack = raw.table_unpack
local bad_argument, check_string = support.bad_argument, support.check_string
local wait, position = coroutines.wait, coroutines.position
local codec = parts.codec
local encode, encode_one, decode = codec.encode, codec.encode_one, codec.decode

local ids = setmetatable({}, { __mode = "k" })  -- handle -> the worker's number
local lost = {}                                 -- numbers whose handles were collected; told to the host in bulk

local handle_metatable = support.new_kind("userdata", "worker handle", {
  __tostring = function(handle) return string_format("worker: 0x%08x", ids[handle] or 0) end,
  -- A finaliser may run in the middle of anything: it only notes the number. The handle can still be found in a weak
  -- table of the script's, and must then be good for nothing.
  __gc = function(handle) lost[#lost + 1], ids[handle] = ids[handle], nil end,
})

local function check_handle(position_, func, value)
  return value ~= nil and ids[value] or bad_argument(position_, func, "worker", value, 4)
end

--- Throws the error that ended a worker, as it was: a table stays a table, a string gets no second position.
local function rethrow()
  error(decode(door(DELIVERY, 0)), 0)
end

--- Tells the host of lost handles. The list is taken away first: a finaliser may add to it at any time.
local function release(ids_)
  lost = {}
  for first = 1, #ids_, 200 do
    door(RELEASE, table_unpack(ids_, first, first + 199 < #ids_ and first + 199 or #ids_))
  end
end

local worker = {}

function worker.create(path, ...)
  path = check_string(1, "create", path)
  if #lost > 0 then release(lost) end
  if door(CREATE_PREPARE, path) == false then support.fail() end
  local payload, problem = encode(2, ...)
  if not payload then support.raise(problem) end
  local id = door(CREATE, payload)
  if id == false then support.fail() end
  local handle = setmetatable({}, handle_metatable)
  ids[handle] = id
  return handle
end

function worker.status(handle)
  return door(STATUS, check_handle(1, "status", handle)) and "running" or "dead"
end

function worker.send(handle, ...)
  local id = check_handle(1, "send", handle)
  if select("#", ...) == 0 then error("bad argument #2 to 'send' (value expected)", 2) end
  local payload, problem = encode_one("message", (...))
  if not payload then support.raise(problem) end
  while not door(SEND, id, payload) do wait(2) end
end

local function receive_one(id)
  while true do
    local item = door(RECEIVE, id)
    if item == true then return nil end        -- dead and empty
    if item == 1 then rethrow() end
    if item then return (decode(item)) end
    wait(3)
  end
end

local function receive_many(handles, count)
  for i = 1, count do handles[i] = check_handle(i, "receive", handles[i]) end
  while true do
    local item = door(RECEIVE, table_unpack(handles, 1, count))
    if item == 1 then rethrow() end
    if item then break end
    wait(3)
  end
  for i = 1, count do
    local payload = door(DELIVERY, i)
    if payload then handles[i] = decode(payload) else handles[i] = nil end
  end
  return table_unpack(handles, 1, count)
end

function worker.receive(handle, ...)
  local more = select("#", ...)
  if more == 0 then return receive_one(check_handle(1, "receive", handle)) end
  return receive_many({ handle, ... }, more + 1)
end

local function pledge(...)
  local count = select("#", ...)
  if count == 0 then bad_argument(1, "pledge", "string", nil, 3) end
  local answers = { ... }
  for i = 1, count do
    local answer = door(PLEDGE, check_string(i, "pledge", answers[i]), position())
    if answer == false then support.fail() end
    answers[i] = answer == 1
  end
  return table_unpack(answers, 1, count)
end

return { library = worker, pledge = pledge }
