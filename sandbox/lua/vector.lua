-- vector: mutable buffers of bytes. A vector is an empty table of a private kind (see kinds.lua). Its bytes lie in a
-- record in a weak side table: { size =, [1], [2], … = strings of CHUNK bytes each, the last as long as is left }. A chunk
-- that is absent is all zeros, so a new vector takes no room, and a clone shares its chunks with the original.
--
-- A read is a `string.unpack` of one chunk; a write makes one chunk anew. A table of integers would be faster to write and
-- slower in all else (measured: 0.4 against 0.75 µs for a write of 4 bytes, 0.45 against 0.15 for a read). Of the sizes
-- from 32 to 1,024 bytes, larger chunks write more and smaller ones take more memory; 256 costs 1.16 times the bytes.
-- Alignment (`!`) counts from the vector's beginning, and as CHUNK is a multiple of 16, from that of any chunk too.
local raw, _, _, _, parts = ...
local support = parts.support
local type, next, pcall, select, setmetatable = raw.type, raw.next, raw.pcall, raw.select, raw.setmetatable
local pack, unpack, sub, rep, find = raw.string_pack, raw.string_unpack, raw.string_sub, raw.string_rep, raw.string_find
local concat, values_of, create = raw.table_concat, raw.table_unpack, raw.table_create
local byte, char, tointeger, math_type = raw.string_byte, raw.string_char, raw.math_tointeger, raw.math_type
local bad_argument, check_integer, check_string = support.bad_argument, support.check_integer, support.check_string
local complain = support.complain

--- # Vectors
--- A vector is a buffer of bytes that can be changed. Offsets count from 0. Formats are those of `string.pack`; alignment
--- counts from the vector's beginning.
---
--- `#v` is the size. `v[i]` is the byte at offset i, nil beyond the end, and `v[i] = byte` sets it. `v[a, b]` is a new
--- vector with the bytes from a to b: past the end is clamped, and `a > b` reverses, as for tables; empty if a bound is below
--- 0. The functions are methods, too: `v:size()`. `type` says `"vector"`. Vectors are equal only to themselves; for their
--- bytes as a string, unpack `"c" .. #v`. Messages carry them as copies.

local CHUNK <const>, SHIFT <const>, MASK <const> = 256, 8, 255
local MAX_SIZE <const> = 0x7fffffff -- as the largest message
local ZEROS = rep("\0", CHUNK)

local records = setmetatable({}, { __mode = "k" })
local metatable = { __name = "vector", __metatable = "vector" }

--- A new vector with this record.
local function vector_of(record)
  local vector = setmetatable({}, metatable)
  records[vector] = record
  return vector
end

--- A record of these bytes.
local function record_of(text)
  local size = #text
  local record = create((size + MASK) >> SHIFT, 1)
  for i = 1, (size + MASK) >> SHIFT do record[i] = sub(text, (i - 1 << SHIFT) + 1, i << SHIFT) end
  record.size = size
  return record
end

local function check_vector(func, value)
  local record = records[value]
  if record then return record end
  return bad_argument(1, func, "vector", value)
end

--- The record, offset and format that a function works on.
local function check_access(func, v, offset, format)
  local record = records[v]
  if not (record and math_type(offset) == "integer" and type(format) == "string") then
    if not record then bad_argument(1, func, "vector", v, 4) end
    offset, format = check_integer(2, func, offset, 4), check_string(3, func, format, 4)
  end
  if offset >= 0 and offset <= record.size then return record, offset, format end
  complain("bad argument #2 to '" .. func .. "' (offset out of range)", 4)
end

local function check_size(position, func, value)
  local size = check_integer(position, func, value, 4)
  if size >= 0 and size <= MAX_SIZE then return size end
  complain("bad argument #" .. position .. " to '" .. func .. "' (size out of range)", 4)
end

local function chunk_of(record, i)
  local chunk = record[i]
  if chunk then return chunk end
  local left = record.size - (i - 1 << SHIFT)
  return left >= CHUNK and ZEROS or sub(ZEROS, 1, left)
end

--- `length` bytes from an offset, all within the vector.
local function text_of(record, offset, length)
  if length == 0 then return "" end
  local first, last, start = (offset >> SHIFT) + 1, (offset + length - 1 >> SHIFT) + 1, offset & MASK
  if first == last then return sub(chunk_of(record, first), start + 1, start + length) end
  local pieces = create(last - first + 1)
  for i = first, last do pieces[i - first + 1] = chunk_of(record, i) end
  pieces[1] = sub(pieces[1], start + 1)
  pieces[last - first + 1] = sub(pieces[last - first + 1], 1, (offset + length - 1 & MASK) + 1)
  return concat(pieces)
end

--- Writes bytes at an offset, all within the vector.
local function put(record, offset, text)
  local length = #text
  if length == 0 then return end
  local first, start = (offset >> SHIFT) + 1, offset & MASK
  local chunk = chunk_of(record, first)
  if start + length <= #chunk then
    record[first] = sub(chunk, 1, start) .. text .. sub(chunk, start + length + 1)
    return
  end
  local last = (offset + length - 1 >> SHIFT) + 1
  text = sub(chunk, 1, start) .. text .. sub(chunk_of(record, last), (offset + length - 1 & MASK) + 2)
  for i = first, last do record[i] = sub(text, (i - first << SHIFT) + 1, i - first + 1 << SHIFT) end
end

--- Raises what string.pack or string.unpack has said, with the argument's number in our own function.
local function fail(func, problem, number_of)
  local number, text = raw.string_match(problem, "^bad argument #(%d+) to '[^']*' (%(.*)$")
  if number then problem = "bad argument #" .. number_of(tointeger(number)) .. " to '" .. func .. "' " .. text end
  support.raise(problem)
end

-- Whether a format may align; the last one is remembered, as most callers use one many times.
local last_format, last_is_aligned = "", false
local function is_aligned(format)
  if format ~= last_format then
    last_is_aligned = find(format, "!", 1, true) ~= nil
    last_format = format
  end
  return last_is_aligned
end

local function pack_argument(number) return number + 2 end

local function pack_argument_behind_lead(number) return number == 1 and 3 or number + 1 end

local function unpack_argument(number) return number == 1 and 3 or 1 end

local library = {}

--- `vector.create(size)` → vector
--- A vector of `size` zeros, at most 2^31 - 1; or, given a string, one of its bytes.
---
--- Errors: a size out of range.
--- Pledge: none.
function library.create(value)
  if type(value) == "string" then return (vector_of(record_of(value))) end
  return (vector_of { size = check_size(1, "create", value) })
end

--- `vector.size(v)` → integer
--- The number of bytes, as `#v`.
---
--- Errors: none.
--- Pledge: none.
function library.size(v)
  local record = check_vector("size", v)
  return record.size
end

--- `vector.resize(v, size)`
--- Drops bytes at the end, or adds zeros.
---
--- Errors: a size out of range.
--- Pledge: none.
function library.resize(v, size)
  local record = check_vector("resize", v)
  size = check_size(2, "resize", size)
  local old = record.size
  local old_last, last = (old + MASK) >> SHIFT, (size + MASK) >> SHIFT
  -- What was, or will be, the last chunk: as long as is left for it now.
  local i = size < old and last or old_last
  local chunk, left = record[i], size - (i - 1 << SHIFT)
  if chunk then chunk = sub(chunk .. ZEROS, 1, left < CHUNK and left or CHUNK) end
  for k = last + 1, old_last do record[k] = nil end
  record.size, record[i] = size, chunk
end

--- `vector.clone(v)` → vector
--- A copy, which takes room only as it is changed.
---
--- Errors: none.
--- Pledge: none.
function library.clone(v)
  local record, copy = check_vector("clone", v), {}
  for key, value in next, record do copy[key] = value end
  return (vector_of(copy))
end

--- `vector.pack(v, offset, format, ...)` → integer
--- Writes values at an offset, as `string.pack` forms them. Gives the offset behind them.
---
--- Errors: as `string.pack`; bytes beyond the end.
--- Pledge: none.
function library.pack(v, offset, format, ...)
  local record, ok, text
  record, offset, format = check_access("pack", v, offset, format)
  local lead = is_aligned(format) and offset & 15 or 0
  if lead == 0 then
    ok, text = pcall(pack, format, ...)
  else
    ok, text = pcall(pack, "c" .. lead .. format, "", ...)
  end
  if not ok then fail("pack", text, lead == 0 and pack_argument or pack_argument_behind_lead) end
  if lead > 0 then text = sub(text, lead + 1) end
  local after = offset + #text
  if after > record.size then complain("bad argument #2 to 'pack' (data beyond the end of the vector)", 3) end
  put(record, offset, text)
  return after
end

local read_window

-- What string.unpack has given for the window of `length` bytes that begins with the chunk of `offset`: the values, and the
-- position behind them in the window, which becomes the offset in the vector.
local function read_outcome(func, record, offset, format, length, ok, ...)
  if ok then
    local count = select("#", ...)
    if count == 2 then
      local value, after = ...
      return value, (offset & ~MASK) + after - 1
    end
    local values = { ... }
    values[count] = (offset & ~MASK) + values[count] - 1
    return values_of(values, 1, count)
  end
  local problem = (...)
  local is_short = find(problem, "too short", 1, true) or find(problem, "unfinished", 1, true)
  if is_short and (offset & ~MASK) + length < record.size then
    return read_window(func, record, offset, format, 2 * length)
  end
  return fail(func, problem, unpack_argument)
end

--- Unpacks from a window of more than one chunk; where that is too short, from ever larger ones.
function read_window(func, record, offset, format, length)
  local start = offset & MASK
  local left = record.size - (offset - start)
  local window = text_of(record, offset - start, length < left and length or left)
  return read_outcome(func, record, offset, format, length, pcall(unpack, format, window, start + 1))
end

--- The values at an offset, and the offset behind them. Most lie within one chunk.
local function read_chunk(func, record, offset, format)
  local i = (offset >> SHIFT) + 1
  return read_outcome(func, record, offset, format, CHUNK,
    pcall(unpack, format, record[i] or chunk_of(record, i), (offset & MASK) + 1))
end

--- `vector.unpack(v, offset, format)` → value, ..., integer
--- The values at an offset, and behind them the offset of what follows, as `string.unpack` does.
---
--- Errors: as `string.unpack`.
--- Pledge: none.
function library.unpack(v, offset, format)
  local record
  record, offset, format = check_access("unpack", v, offset, format)
  return read_chunk("unpack", record, offset, format)
end

--- `vector.unpackmany(v, offset, format, count?)` → function
--- An iterator over the values of one format that lie behind each other from an offset on, up to the end of the vector or
--- `count` times.
---
---     for x, y in vector.unpackmany(v, 0, "<ff") do … end
---
--- Errors: as `string.unpack`, also where the end cuts the last ones off; a format without values.
--- Pledge: none.
function library.unpackmany(v, offset, format, count)
  local record
  record, offset, format = check_access("unpackmany", v, offset, format)
  local left = count == nil and MAX_SIZE or check_integer(4, "unpackmany", count)
  local function advance(...)
    local number = select("#", ...)
    if number == 1 then support.raise("bad argument #3 to 'unpackmany' (format without values)") end
    left = left - 1
    if number == 2 then
      local value
      value, offset = ...
      return value
    end
    local values = { ... }
    offset = values[number]
    return values_of(values, 1, number - 1)
  end
  return function()
    if left <= 0 or offset >= record.size then return nil end
    return advance(read_chunk("unpackmany", record, offset, format))
  end
end

-- As a value -----------------------------------------------------------------------------------------------------------

function metatable.__len(v) return records[v].size end

function metatable.__pairs(v) bad_argument(1, "for iterator", "table", v, 4) end

function metatable.__index(v, key)
  if type(key) ~= "number" then return library[key] end
  local record, offset = records[v], tointeger(key)
  if not offset or offset < 0 or offset >= record.size then return nil end
  return (byte(chunk_of(record, (offset >> SHIFT) + 1), (offset & MASK) + 1))
end

function metatable.__newindex(v, key, value)
  local record, offset = records[v], type(key) == "number" and tointeger(key)
  if not offset or offset < 0 or offset >= record.size then complain("vector index out of range", 3) end
  local number = type(value) == "number" and tointeger(value)
  if not number or number < 0 or number > 255 then complain("a vector's elements are integers from 0 to 255", 3) end
  put(record, offset, char(number))
end

local function bound(value, default)
  if value == nil then return default end
  local integer = type(value) == "number" and tointeger(value)
  if integer then return integer end
  support.raise("a slice bound must be an integer, got "
    .. (type(value) == "number" and raw.tostring(value) or "a " .. raw.public_type(value) .. " value"))
end

function metatable.__slice(v, low, high)
  local record = records[v]
  local first, last = bound(low, 0), bound(high, record.size - 1)
  local reversed = low ~= nil and high ~= nil and first > last
  if reversed then first, last = last, first end
  if last >= record.size then last = record.size - 1 end
  if first < 0 or last < first then return (vector_of { size = 0 }) end
  local text = text_of(record, first, last - first + 1)
  return (vector_of(record_of(reversed and raw.string_reverse(text) or text)))
end

-- How messages carry a vector (see codec.lua): as a definition of its own with one string.
local kind = {
  name = "vector", kind = 2, clone = library.clone,
  parts = function(v) return v, 1 end,
  strings = function(v, room)
    local record = records[v]
    return record.size <= room and { text_of(record, 0, record.size) } or nil
  end,
  make = function(strings) return #strings == 1 and vector_of(record_of(strings[1])) or nil end,
  at = function(v, position) return position == 1 and v or nil end,
}
raw.type_names[metatable] = "vector"
raw.special[metatable], raw.kinds[kind.kind] = kind, kind

return { library = library }
