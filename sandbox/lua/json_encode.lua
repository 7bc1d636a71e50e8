-- tojson (see json_decode.lua). The native module, where it is there, writes runs of plain values and of small tables of such
-- (native/json.c). The text is collected in pieces, which are joined when there are many.
--
-- A filter and `__json` are the script's functions: they may wait, fail, change the tables that are being written, and
-- call tojson. So all that a call works with lies in its own `job`, and every table is asked for its keys once, before
-- any of its values is written; a value that has gone since is nil.
local raw, _, coroutines, _, parts = ...
local native = coroutines.native and coroutines.native.json()
local type, next, getmetatable, rawget, rawequal = raw.type, raw.next, raw.getmetatable, raw.rawget, raw.rawequal
local find, byte, gsub, format = raw.string_find, raw.string_byte, raw.string_gsub, raw.string_format
local concat, math_type, utf8_len, select = raw.table_concat, raw.math_type, raw.utf8_len, raw.select
local special, sealed, public_type = raw.special, raw.sealed, raw.public_type
local rawlen = raw.rawlen
local support = parts.support

local MAX_DEPTH <const> = 1000
local MANY_PIECES <const> = 4096
local FEW <const> = 16 -- elements of a table, for which a call of C takes longer than it saves
-- Strings that are kept with their quotes and escapes during a call, and their bytes; keys and words recur. Shapes: see
-- `members`.
local MAX_QUOTED <const>, MAX_SHORT <const>, MAX_SHAPES <const>, MAX_SHAPE <const> = 512, 40, 1024, 32

--- The error for the value at path[1..depth] of the job.
local function fail(job, depth, problem)
  local path, count = {}, 0
  for level = 1, depth do
    if job.path[level] ~= nil then  -- nil for the result of a `__json`, which lies where its table does
      count = count + 1
      path[count] = parts.places.key_text(job.path[level])
    end
  end
  local place = count > 0 and "field " .. parts.places.path_text(path, count) .. ": " or ""
  support.raise(place .. problem)
end

-- Strings and keys --------------------------------------------------------------------------------------------------

local ESCAPES = {
  ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
}
for code = 0, 31 do
  local character = raw.string_char(code)
  ESCAPES[character] = ESCAPES[character] or format("\\u%04x", code)
end

--- A string in JSON. `depth`: where it is.
local function quote(job, text, depth)
  local quoted = job.quoted[text]
  if quoted then return quoted end
  if find(text, "^[]-\127#-[ !]*$") then -- most frequent first: all of ASCII that stands for itself
    quoted = '"' .. text .. '"'
  else
    local valid, wrong = utf8_len(text)
    if not valid then fail(job, depth, "a string that is not UTF-8 (at its byte " .. wrong .. ")") end
    quoted = '"' .. gsub(text, '[\0-\31"\\]', ESCAPES) .. '"'
  end
  if job.quoted_count < MAX_QUOTED and #text <= MAX_SHORT then
    job.quoted_count = job.quoted_count + 1
    job.quoted[text] = quoted
  end
  return quoted
end

--- The keys of a table as `members` gives them.
local function sorted_members(job, t, depth)
  local names, keys, count = {}, {}, 0
  for key in next, t do
    local name = key
    if math_type(key) == "integer" then
      name = format("%d", key)
    elseif type(key) ~= "string" then
      fail(job, depth, "cannot encode a key that is a " .. (math_type(key) or public_type(key)))
    end
    if keys[name] ~= nil then fail(job, depth, "two keys that are both written " .. quote(job, name, depth)) end
    count = count + 1
    names[count], keys[name] = name, key
  end
  parts.bounded.sort(names) -- which can be interrupted
  local order = {}
  for i = 1, count do
    order[2 * i - 1], order[2 * i] = keys[names[i]], quote(job, names[i], depth) .. ":"
  end
  return order
end

--- The keys of a table in the order of their names, each followed by its name in JSON. Many tables of a document have
--- the same keys, and `next` gives these in the same order; a tree of what it has given, key by key, leads to an order
--- that is known.
local function members(job, t, depth)
  local node, count = job.shapes, 0
  for key in next, t do
    count = count + 1
    local child = node[key]
    if not child then
      if job.shape_count == MAX_SHAPES or count > MAX_SHAPE then return sorted_members(job, t, depth) end
      child = {}
      node[key], job.shape_count = child, job.shape_count + 1
    end
    node = child
  end
  local order = job.orders[node]
  if not order then
    order = sorted_members(job, t, depth)
    job.orders[node] = order
  end
  return order
end

--- How many elements a table has as an array, holes included; nil if it is an object.
local function array_length(t)
  local count = 0
  if native and rawlen(t) > FEW then
    local is_over, before
    repeat
      before = count
      count, is_over = native.sequence(t, count)
      if is_over then return count end
    until count == before
    count = 0
  end
  for key in next, t do
    if key ~= count + 1 then
      local greatest, used = 0, 0
      for other in next, t do
        if math_type(other) ~= "integer" or other < 1 then return nil end
        used = used + 1
        if other > greatest then greatest = other end
      end
      return greatest <= 2 * used and greatest or nil
    end
    count = key
  end
  return count
end

-- Values ------------------------------------------------------------------------------------------------------------

-- All `put` functions append to job[1..n] and give the new n; the value lies at path[1..depth].
local put

--- Joins the pieces so far, so that there are never many.
local function join(job, n)
  local done = #job.done + 1
  job.done[done] = concat(job, "", 1, n)
  return 0
end

--- The members of an array that the filter leaves.
local function filtered(filter, t, length)
  local left, count = {}, 0
  for index = 1, length do
    local value = rawget(t, index)
    local hole = value == nil
    if not hole then value = filter(index, value) end
    if hole or value ~= nil then
      count = count + 1
      left[count] = value
    end
  end
  return left, count
end

--- The last index of the run of finite numbers that begins at t[first]; less than `first` if there is none.
local function last_number(t, first, length)
  if length > first + MANY_PIECES then length = first + MANY_PIECES end
  for index = first, length do
    local value = t[index]
    if type(value) ~= "number" or value - value ~= 0 then return index - 1 end
  end
  return length
end

--- How many levels of tables the native module may write at `depth`: none, if a filter has to see what is in them.
local function native_levels(job, depth)
  return job.filter and 0 or MAX_DEPTH - depth
end

local function put_array(job, n, t, length, depth)
  local path, quoted, plain = job.path, job.quoted, not getmetatable(t) -- otherwise, metamethods would be called
  local index, separator, levels = 1, "[", native_levels(job, depth)
  while index <= length do
    if native and plain and (levels > 0 or type(t[index]) ~= "table") then
      local text, after = native.write_values(t, index, length, levels)
      if after > index then
        job[n + 1], job[n + 2] = separator, text
        n, separator, index = n + 2, ",", after
        if n > MANY_PIECES then n = join(job, n) end
        if index > length then break end
      end
    end
    job[n + 1] = separator
    n, separator = n + 1, ","
    local value
    if plain then value = t[index] else value = rawget(t, index) end
    local kind = type(value)
    if kind == "string" then
      path[depth] = index
      n = n + 1
      job[n] = quoted[value] or quote(job, value, depth)
    elseif kind == "number" and plain then
      local last = last_number(t, index, length)
      n = n + 1
      job[n] = last >= index and concat(t, ",", index, last) or "null"
      if last > index then index = last end
    else
      path[depth] = index
      n = put(job, n, value, depth)
    end
    if n > MANY_PIECES then n = join(job, n) end
    index = index + 1
  end
  job[n + 1] = length == 0 and "[]" or "]"
  return n + 1
end

local function put_object(job, n, t, depth)
  local order, filter, path, plain = members(job, t, depth - 1), job.filter, job.path, not getmetatable(t)
  local separator, i, count, levels = "{", 1, #order, native_levels(job, depth)
  while i <= count do
    if native and not filter then
      local text, after = native.write_members(t, order, i, levels)
      if text ~= "" then
        job[n + 1], job[n + 2] = separator, text
        n, separator = n + 2, ","
        if n > MANY_PIECES then n = join(job, n) end
      end
      i = after
      if i > count then break end
    end
    local key = order[i]
    local value
    if plain then value = t[key] else value = rawget(t, key) end
    path[depth] = key
    if filter and value ~= nil then value = filter(key, value) end
    if value ~= nil then
      job[n + 1], job[n + 2] = separator, order[i + 1]
      n = put(job, n + 2, value, depth)
      separator = ","
      if n > MANY_PIECES then n = join(job, n) end
    end
    i = i + 2
  end
  if separator == "{" then
    n = n + 1
    job[n] = separator
  end
  job[n + 1] = "}"
  return n + 1
end

--- A table that has a metatable, if it is not to be written like any other; nil if it is.
local function put_special(job, n, t, metatable, depth)
  local record = special[metatable]
  if record and record.name == "enum" then
    job[n + 1] = quote(job, raw.public_tostring(t, 1), depth)
    return n + 1
  end
  if record or sealed[metatable] then
    fail(job, depth, "cannot encode a " .. (sealed[metatable] or record.name))
  end
  local convert = rawget(metatable, "__json")
  if convert == nil then return nil end
  local value = convert(t)
  if rawequal(value, t) then return nil end
  job.path[depth + 1] = nil
  return put(job, n, value, depth + 1)
end

local function put_table(job, n, t, depth)
  local open = job.open
  if open[t] then fail(job, depth, "cannot encode a table that contains itself") end
  if depth >= MAX_DEPTH then fail(job, depth, "nested deeper than " .. MAX_DEPTH .. " levels") end
  open[t] = true
  local metatable = getmetatable(t)
  local after = metatable and put_special(job, n, t, metatable, depth)
  if not after then
    local length = array_length(t)
    local elements = t
    if length and job.filter then elements, length = filtered(job.filter, t, length) end
    after = length and put_array(job, n, elements, length, depth + 1) or put_object(job, n, t, depth + 1)
  end
  open[t] = nil
  return after
end

function put(job, n, value, depth)
  local kind = type(value)
  if kind == "string" then
    job[n + 1] = job.quoted[value] or quote(job, value, depth)
  elseif kind == "number" then
    job[n + 1] = value - value == 0 and value or "null"
  elseif kind == "table" then
    return put_table(job, n, value, depth)
  elseif kind == "boolean" then
    job[n + 1] = value and "true" or "false"
  elseif kind == "nil" then
    job[n + 1] = "null"
  else
    fail(job, depth, "cannot encode a " .. kind)
  end
  return n + 1
end

--- # JSON

--- `tojson(value, filter?)` → string
--- The value as JSON, without white space.
---
--- - A table without entries is `[]`. One whose keys are all positive integers is an array; a hole in it is `null`, unless more
---   than half of it were holes. Every other table is an object with its keys in ascending order, integers as strings.
---   Entries are read raw, without metamethods.
--- - A table whose metatable has `__json` is written as what this function gives for it, which may be anything, also
---   the table itself.
--- - `filter(key, value)` is called for each member of objects and arrays, from outside to inside, with the key as it is in the
---   table; its result takes the value's place, and nil leaves the member out (in an array, the following move up).
---   Values out of `__json` have members like others.
--- - Floats have a fraction or an exponent (`1.0`), and read back as the same number; those that are not finite are `null`. Enums
---   are their names.
--- - Strings must be UTF-8, and are written as they are, but for quotes, backslashes and control characters.
---
---     tojson({ name = "boot", sizes = { 1, 2.0 } })  --> {"name":"boot","sizes":[1,2.0]}
---
--- Errors: `field .a[3]: cannot encode a function`: also a coroutine, a worker handle, a file, a table that contains itself, a
--- key that is neither string nor integer, two keys that are written alike (`1` and `"1"`), a string that is not UTF-8, more
--- than 1000 tables inside each other. What the filter or `__json` raises is passed on.
--- Pledge: none.
local function tojson(...)
  local value, filter = ...
  if select("#", ...) == 0 then support.complain("bad argument #1 to 'tojson' (value expected)", 3) end
  if filter ~= nil and type(filter) ~= "function" then support.bad_argument(2, "tojson", "function", filter) end
  if native and not filter and type(value) == "table" then
    local text, after = native.write_values({ value }, 1, 1, MAX_DEPTH)
    if after > 1 then return text end -- a small one: most are
  end
  local job = {
    filter = filter, path = {}, open = {}, done = {}, quoted = {}, quoted_count = 0,
    shapes = {}, shape_count = 0, orders = {},
  }
  join(job, put(job, 0, value, 0))
  return concat(job.done)
end

return { tojson = tojson }
