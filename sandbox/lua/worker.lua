-- The creator's side of workers, and pledge. A handle is an empty table of a private kind (see kinds.lua); which worker
-- it stands for lies in a weak side table of this state, so a handle can be used by its creator only, and can't be
-- forged or sent.
local raw, door, coroutines, _, parts = ...
local support = parts.support
local select, setmetatable, error = raw.select, raw.setmetatable, raw.error
local table_unpack, type, next, math_type = raw.table_unpack, raw.type, raw.next, raw.math_type
local bad_argument, check_string = support.bad_argument, support.check_string
local wait, await, position = coroutines.wait, coroutines.await, coroutines.position
local codec = parts.codec
local encode, encode_one, decode = codec.encode, codec.encode_one, codec.decode
local byte, sub, pack, unpack = raw.string_byte, raw.string_sub, raw.string_pack, raw.string_unpack
local post, take, brought, sent = codec.post, codec.take, codec.brought, coroutines.sent
local BUNDLE <const>, FIRST <const>, BROUGHT <const> = 0xB5, 2, 3

local ids = setmetatable({}, { __mode = "k" })  -- handle -> the worker's number
local begun, at = {}, {}                        -- number -> a bundle of which not all has been taken, and where it goes on
local lost = {}                                 -- numbers whose handles were collected; told to the host in bulk

local handle_metatable = support.new_kind("userdata", "worker handle", {
  __tostring = function(handle) return "worker: " .. parts.identity.of(handle) end,
  -- A finaliser may run in the middle of anything: it only notes the number. The handle can still be found in a weak
  -- table of the script's, and must then be good for nothing.
  __gc = function(handle)
    local id = ids[handle]
    if id then lost[#lost + 1], ids[handle], begun[id], at[id] = id, nil, nil, nil end
  end,
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

--- # Workers
--- A worker is a state of its own, which runs beside the others and shares nothing with them. It and its creator send
--- each other copies of values. The language's specification of workers, Acquis 11 ([language.md](language.md)), has
--- all of these functions but `worker.cancel` and `worker.limit`.
local worker = {}

--- `worker.create(path, ...)` → worker
--- Starts a worker, a state of its own that runs the script at `path` with copies of the further arguments as its `...`.
--- Its pledges are those that its creator holds at that time. A relative path is relative to the program's directory.
--- What can be copied is on [messages.md](messages.md).
---
--- Errors: an argument that can't be copied, named with its place. A script that is missing or wrong is no error here: it comes
--- out of `worker.receive`.
--- Pledge: `load`, and `fs:read` of the script.
function worker.create(path, ...)
  path = check_string(1, "create", path)
  if #lost > 0 then release(lost) end
  if door(CREATE_PREPARE, path) == false then support.fail() end
  local payload, problem, is_too_large = encode(2, ...)
  if not payload then support.cannot_send(problem, is_too_large) end
  local id = door(CREATE, payload)
  if id == false then support.fail() end
  local handle = setmetatable({}, handle_metatable)
  ids[handle] = id
  return handle
end

--- `worker.status(worker)` → string
--- `"running"` until the worker has ended, then `"dead"`. A dead worker may have messages left to receive.
---
--- Errors: none.
--- Pledge: none.
function worker.status(handle)
  return door(STATUS, check_handle(1, "status", handle)) and "running" or "dead"
end

--- `worker.send(worker, value)`
--- Puts a copy of the value behind what the worker has not yet taken by `worker.peek`; waits while there is no room. Nothing
--- happens if the worker is dead.
---
--- Errors: a value that can't be copied, named with its place.
--- Pledge: none.
function worker.send(handle, ...)
  local id = check_handle(1, "send", handle)
  local is_done = post(id, ...)
  while is_done == false do
    wait(2)
    is_done = post(id, ...)
  end
  if is_done then return end
  if select("#", ...) == 0 then support.complain("bad argument #2 to 'send' (value expected)", 3) end
  local payload, problem, is_too_large = encode_one("message", (...))
  if not payload then support.cannot_send(problem, is_too_large) end
  while not sent(id, door(SEND, id, payload)) do wait(2) end
end

--- `worker.cancel(worker)`
--- Ends a worker, and all that it has started, at once and without an error. What it had sent before can still be received.
--- Nothing happens if it is dead. An addition to Acquis 11.
---
--- Errors: none.
--- Pledge: none.
function worker.cancel(handle)
  door(CANCEL, check_handle(1, "cancel", handle))
end

--- `worker.limit(limits)`
--- Narrows what the workers may use that this state creates from now on: `worker.limit{ cpu = "1s", memory = "16M" }`. The
--- names are `memory`, `cpu`, `time`, `message` and `source`; sizes are numbers of bytes or strings as `64K`, times numbers of
--- seconds or strings as `500ms`. A worker never gets more than its creator has, and a limit once narrowed stays so. A worker
--- that exceeds one ends, with all below it; `worker.receive` then throws an error that says which.
--- An addition to Acquis 11.
---
--- Errors: an unknown name, or an amount that can't be read.
--- Pledge: none.
function worker.limit(limits)
  if type(limits) ~= "table" then bad_argument(1, "limit", "table", limits) end
  for name, amount in next, limits do
    local kind = math_type(amount) or type(amount)
    if type(name) ~= "string" then
      support.complain("bad argument #1 to 'limit' (names of limits expected as keys, got a " .. type(name) .. ")", 3)
    end
    if kind ~= "string" and kind ~= "integer" and kind ~= "float" then
      support.complain("bad argument #1 to 'limit' (number or string expected in field '" .. name .. "', got " .. kind .. ")", 3)
    end
    if door(LIMIT, name, amount) == false then support.fail() end
  end
end

--- The next message of a worker's bundle.
local function next_of_begun(id)
  local bundle, from = begun[id], at[id]
  local next_, value = take(bundle, from)
  if next_ and next_ <= #bundle then
    at[id] = next_
    return value
  end
  begun[id], at[id] = nil, nil -- what is wrong with it is to be said once
  if next_ then return value end
  local payload
  payload, next_ = unpack("<s4", bundle, from)
  if next_ <= #bundle then begun[id], at[id] = bundle, next_ end
  return (decode(payload))
end

--- What the host gave for a worker: a message, or several in a bundle. One that was named twice may give two of these.
local function opened(id, item)
  local is_bundle = byte(item) == BUNDLE
  if begun[id] then
    begun[id] = begun[id] .. (is_bundle and sub(item, FIRST) or pack("<s4", item))
  elseif is_bundle then
    begun[id], at[id] = item, FIRST
  else
    return (decode(item))
  end
  return next_of_begun(id)
end

-- This and the next are tail calls of `receive`: what called it is one level nearer.
local function receive_one(id)
  if begun[id] then return next_of_begun(id) end
  local item, value, asked
  repeat
    item, value = await(id, asked, 2)
    item = item or door(RECEIVE, id)
    asked = true
  until item
  if item == BROUGHT then item, value = brought() end
  if item == 0 then return value end
  if item == true then return nil end -- dead and empty
  if item == 1 then rethrow() end
  return opened(id, item)
end

--- Asks the host for what these workers have ready. False where there is nothing, and may be later.
local function ask(numbers, count)
  local answer = door(RECEIVE_MANY, table_unpack(numbers, 1, count))
  if answer == 1 then rethrow() end
  if answer then
    for i = 1, count do numbers[i] = door(DELIVERY, i) end
  end
  return answer
end

local function receive_many(handles, count)
  local asked, places, number_of = {}, {}, {}
  for i = 1, count do
    number_of[i] = check_handle(i, "receive", handles[i])
    if not begun[number_of[i]] then
      places[#places + 1], asked[#asked + 1] = i, number_of[i]
    end
  end
  -- An error goes before all else, and leaves it where it is.
  local is_asked = #places > 0
  local is_there = is_asked and ask(asked, #places)
  while is_asked and not is_there and #places == count do
    wait(2)
    is_there = ask(asked, count)
  end
  local values = {}
  for i = 1, is_there and #places or 0 do
    local place, item = places[i], asked[i]
    if item and item ~= true then
      values[place] = opened(number_of[place], item)
      number_of[place] = 0 -- this one has its value, which may be nil
    end
  end
  for i = 1, count do
    if begun[number_of[i]] then values[i] = next_of_begun(number_of[i]) end
  end
  return table_unpack(values, 1, count)
end

--- `worker.receive(worker, ...)` → value, ...
--- The next message of each worker, nil for one that has none ready. Waits while no worker has one, and not all are
--- dead and empty; then all are nil.
---
--- Errors: what ended a worker is thrown when its turn comes, after the messages before it, once.
--- Pledge: none.
function worker.receive(handle, ...)
  local more = select("#", ...)
  if more == 0 then return receive_one(check_handle(1, "receive", handle)) end
  return receive_many({ handle, ... }, more + 1)
end

--- # Pledges

--- `pledge(permission, ...)` → boolean, ...
--- Asks for permissions, such as `"fs:read=/var/log"`, rejects them (`"~load"`), or ends the asking (`"seal"`); one answer
--- for each. [permissions.md](permissions.md) has the rules.
---
--- Errors: a text that is no permission.
--- Pledge: none.
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

support.behind_global[pledge] = true

return { library = worker, pledge = pledge }
