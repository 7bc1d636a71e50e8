-- Values to bytes (see codec.lua).
--
-- Nothing here calls a metamethod: tables are read with `next`, keys that `next` gave are compared with numbers only,
-- and no string method is used. So no code of the script runs between the first and the last instruction of a call,
-- and no table changes under it. (A preempted state stays suspended as a whole.) The one thing that may still go is an
-- entry of a weak table, which the collector clears: hence every collectable value is taken once, from `next`, and
-- kept; nothing is looked up a second time.
local raw, _, _, _, parts = ...
local pack, type, next, getmetatable = raw.string_pack, raw.type, raw.next, raw.getmetatable
local concat, move, values_of, math_type = raw.table_concat, raw.table_move, raw.table_unpack, raw.math_type
local select, sealed, special = raw.select, raw.sealed, raw.special or {}
local max_bytes, max_depth = raw.max_bytes, raw.max_depth
local formats, format_of = parts.codec_formats.formats, parts.codec_formats.format_of

local VERSION <const> = 1
local LIST <const> = 1
local MAX_VALUES <const> = 65535
local CHUNK <const> = 120
local INT1 <const>, INT2 <const>, INT4 <const>, INT8 <const>, FLOAT <const>, SHORT <const> = 1, 2, 3, 4, 5, 6
local LONG <const>, BOOL <const>, NEW <const>, REF <const>, OBJECT <const>, NIL <const> = 7, 8, 9, 10, 11, 12

-- What one call works on. A call never meets another one (see above), except one that an error of memory cut short;
-- therefore all is set at the start. The arrays are kept from call to call while they are short, which halves the time
-- of a small message; their contents are dropped at the end of a call.
local KEPT <const> = 32
local pieces, piece_count, size = {}, 0, 0
local ids, queue, sizes, table_count, current, depth = nil, {}, {}, 0, 0, 0
local object_ids, definitions
local items, keys, most_items, most_keys = {}, {}, 0, 0

local function begin()
  piece_count, size = 1, 0 -- the first piece is for the header
  ids, table_count, current, depth = {}, 0, 0, 0
  object_ids, definitions = nil, nil
end

local function emptied(array, count)
  if count > KEPT then return {} end
  for i = 1, count do array[i] = nil end
  return array
end

local function finish()
  pieces, queue = emptied(pieces, piece_count), emptied(queue, table_count)
  items, keys = emptied(items, most_items), emptied(keys, most_keys)
  if table_count > KEPT then sizes = {} end
  ids, object_ids, definitions, most_items, most_keys = nil, nil, nil, 0, 0
end

local TOO_LARGE <const>, TOO_DEEP <const> = "large", "deep" -- known to codec_failure.lua too

-- A scanner looks at values[first..last] and gives the code of the run that begins at `first` and the index of the
-- run's last value; or nil and why that value can't be copied. `values` is ours: a scanner may put what is packed in
-- place.
local scanners = {}

function scanners.integer(values, first, last)
  local low = values[first]
  local high = low
  local i = first
  while i < last do
    local v = values[i + 1]
    if math_type(v) ~= "integer" then break end
    if v < low then low = v elseif v > high then high = v end
    i = i + 1
  end
  if low >= -0x80 and high <= 0x7f then return INT1, i end
  if low >= -0x8000 and high <= 0x7fff then return INT2, i end
  if low >= -0x80000000 and high <= 0x7fffffff then return INT4, i end
  return INT8, i
end

function scanners.float(values, first, last)
  while first < last and math_type(values[first + 1]) == "float" do first = first + 1 end
  return FLOAT, first
end

function scanners.string(values, first, last)
  if #values[first] > 255 then return LONG, first end
  while first < last do
    local v = values[first + 1]
    if type(v) ~= "string" or #v > 255 then break end
    first = first + 1
  end
  return SHORT, first
end

function scanners.boolean(values, first, last)
  local v = values[first]
  while true do
    values[first] = v and 1 or 0
    if first == last then return BOOL, first end
    v = values[first + 1]
    if v ~= true and v ~= false then return BOOL, first end
    first = first + 1
  end
end

scanners["nil"] = function(_, first) return NIL, first end

local function refusal(v)
  local metatable = getmetatable(v)
  local name = metatable ~= nil and sealed[metatable] or type(v)
  return "cannot copy a " .. (name == "thread" and "coroutine" or name)
end

local function scan_object(values, first, record)
  local identity, position = record.parts(values[first])
  if not object_ids then object_ids, definitions = {}, {} end
  local id = object_ids[identity]
  if not id then
    local strings = record.strings(identity, max_bytes - size)
    if not strings then return nil, TOO_LARGE end
    id = #definitions + 1
    object_ids[identity] = id
    definitions[id] = { kind = record.kind, strings = strings }
  end
  values[first] = id << 32 | position
  return OBJECT, first
end

local function scan_known(values, first, last)
  local id = ids[values[first]]
  repeat
    values[first] = id
    if first == last then break end
    local v = values[first + 1]
    id = type(v) == "table" and ids[v]
    if id then first = first + 1 end
  until not id
  return REF, first
end

function scanners.table(values, first, last)
  local v = values[first]
  if ids[v] then return scan_known(values, first, last) end
  local metatable = getmetatable(v)
  if metatable ~= nil then
    if sealed[metatable] then return nil, refusal(v) end
    local record = special[metatable]
    if record then return scan_object(values, first, record) end
  end
  if depth == max_depth then return nil, TOO_DEEP end
  local id = table_count
  while true do
    id = id + 1
    ids[v], queue[id] = id, v
    if first == last then break end
    v = values[first + 1]
    if type(v) ~= "table" or ids[v] then break end
    metatable = getmetatable(v)
    if metatable ~= nil and (sealed[metatable] or special[metatable]) then break end
    first = first + 1
  end
  table_count = id
  return NEW, first
end

-- Appends values[first..last], CHUNK at most, as runs. Gives nothing, or the index of the value where it stopped and
-- why. The size is checked before anything long is copied: until the end, pieces only refer to long strings.
local function put_values(values, first, last)
  while first <= last do
    local v = values[first]
    local scan = scanners[math_type(v) or type(v)]
    if not scan then return first, refusal(v) end
    local code, stop = scan(values, first, last)
    if not code then return first, stop end
    local count = stop - first + 1
    local piece
    if code == LONG then
      size = size + #v
      if size > max_bytes then return first, TOO_LARGE end
      piece_count = piece_count + 1
      pieces[piece_count], piece = pack("<BI4", LONG << 4 | 1, #v), v
      size = size + 5 - #v
    elseif count == 1 then
      piece = pack(formats[code << 8 | 1] or format_of(code, 1), code << 4 | 1, values[first])
    elseif count < 16 then
      piece = pack(format_of(code, count), code << 4 | count, values_of(values, first, stop))
    else
      piece = pack(format_of(code, count), code << 4, count, values_of(values, first, stop))
    end
    piece_count = piece_count + 1
    pieces[piece_count] = piece
    size = size + #piece
    if size > max_bytes then return first, TOO_LARGE end
    first = stop + 1
  end
end

-- The first `count` of items, and then of keys. Gives nothing, or why it stopped, the key, and whether it was the key
-- itself. Values first: packing replaces what it packs, and the keys are needed to say which value was refused.
local function put_pairs(count)
  if count > most_keys then most_keys = count end
  local index, why = put_values(items, 1, count)
  if index then return why, keys[index], false end
  index, why = put_values(keys, 1, count)
  if index then return why, keys[index], true end
end

-- Appends the entries of `t`. Gives the number of entries in its sequence and of its other entries; or nil, why it
-- stopped, the key, and whether it was the key itself.
local function put_table(t)
  local length, held, index, why = 0, 0, nil, nil
  for key, value in next, t do
    if key ~= length + 1 then break end
    length = key
    if held == CHUNK then
      index, why = put_values(items, 1, CHUNK)
      if index then return nil, why, length - CHUNK - 1 + index end
      held = 0
    end
    held = held + 1
    items[held] = value
  end
  if held > 0 then
    index, why = put_values(items, 1, held)
    if index then return nil, why, length - held + index end
  end

  local others, reason, at, is_key = 0, nil, nil, nil
  held = 0
  -- `next` gave the keys 1 to length first; the traversal goes on after them.
  for key, value in next, t, length > 0 and length or nil do
    if held == CHUNK then
      reason, at, is_key = put_pairs(CHUNK)
      if reason then return nil, reason, at, is_key end
      held = 0
    end
    others = others + 1
    held = held + 1
    keys[held], items[held] = key, value
  end
  if held > 0 then
    reason, at, is_key = put_pairs(held)
    if reason then return nil, reason, at, is_key end
  end
  local most = length > others and length or others
  if most > most_items then most_items = most end
  return length, others
end

-- Appends the tables found so far and all that they lead to, nearest first. In this order neither side needs a stack,
-- however deep the tables lie in each other. Gives nothing, or why it stopped, the key, and whether it was the key
-- itself.
local function put_tables()
  local level_end = table_count
  depth = 1
  while current < table_count do
    if current == level_end then depth, level_end = depth + 1, table_count end
    current = current + 1
    local length, others, key, is_key = put_table(queue[current])
    if not length then return others, key, is_key end
    sizes[2 * current - 1], sizes[2 * current] = length, others
  end
end

local function put_list(list, count)
  for first = 1, count, CHUNK do
    local last = first + CHUNK - 1
    local index, why = put_values(list, first, last < count and last or count)
    if index then return index, why end
  end
end

-- Puts what the decoder must know first into the first piece, which was kept free. True, or nil when it grew too large.
local function put_header(count)
  local body_end = piece_count
  for i = 1, definitions and #definitions or 0 do
    local strings = definitions[i].strings
    piece_count = piece_count + 1
    pieces[piece_count] = pack("<BI4", definitions[i].kind, #strings)
    size = size + 5
    if put_list(strings, #strings) then return nil end
  end
  size = size + 12
  if put_list(sizes, 2 * table_count) or size > max_bytes then return nil end
  local header = pack("<BBI2I4I4", VERSION, LIST, count, table_count, definitions and #definitions or 0)
  pieces[1] = piece_count == body_end + 1 and header .. pieces[piece_count]
    or header .. concat(pieces, "", body_end + 1, piece_count)
  return concat(pieces, "", 1, body_end)
end

-- Packs values[1..count] by way of `items`, as packing replaces values and a failure needs the originals.
local function put_top(values, count)
  for from = 1, count, CHUNK do
    local n = count - from + 1 < CHUNK and count - from + 1 or CHUNK
    if n > most_items then most_items = n end
    move(values, from, from + n - 1, 1, items)
    local index, why = put_values(items, 1, n)
    if index then return from + index - 1, why end
  end
end

local function failure(what, values, index, why, top_count, key, is_key)
  most_items, most_keys = CHUNK, CHUNK -- where it stopped, nobody counted
  return nil, parts.codec_failure {
    what = what, values = values, index = index, why = why, key = key, is_key = is_key,
    ids = ids, queue = queue, current = current, top_count = top_count,
  }, why == TOO_LARGE
end

local function encode_values(what, values, count)
  local index, why = put_top(values, count)
  if index then return failure(what, values, index, why) end
  local top_count = table_count
  local reason, key, is_key = put_tables()
  if reason then return failure(what, values, nil, reason, top_count, key, is_key) end
  local bytes = put_header(count)
  if not bytes then return failure(what, values, nil, TOO_LARGE) end
  return bytes
end

local function done(bytes, message, is_too_large)
  finish()
  if bytes then return bytes end
  return nil, message, is_too_large
end

--- As codec.encode.
local function encode(number, ...)
  local count = select("#", ...)
  if count > MAX_VALUES then return nil, "more than " .. MAX_VALUES .. " values" end
  begin()
  return done(encode_values(number, { ... }, count))
end

--- As codec.encode_one, for what is no scalar or too large.
local function encode_one(what, value)
  begin()
  return done(encode_values(what, { value }, 1))
end

return { encode = encode, encode_one = encode_one }
