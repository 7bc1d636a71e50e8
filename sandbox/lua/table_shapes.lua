-- table: lists of lists. See tables.lua.
local raw, _, _, _, parts = ...
local support, lists = parts.support, parts.lists
local create, move, values_of, concat = raw.table_create, raw.table_move, raw.table_unpack, raw.table_concat
local select, public_type = raw.select, raw.public_type
local bad_element, check_list, complain = lists.bad_element, lists.check_list, support.complain

--- # Tables

local library = {}

--- `table.zip(t, ...)` → list
--- The first elements of all lists as a list, then the second ones, and so on as far as the shortest reaches.
---
---     table.zip({ 1, 2, 3 }, { "a", "b" })    --> { { 1, "a" }, { 2, "b" } }
---
--- Errors: none of its own.
--- Pledge: none.
function library.zip(...)
  local width, lists = select("#", ...), { ... }
  local count = 0
  for i = 1, width do
    local length = check_list(i, "zip", lists[i])
    if i == 1 or length < count then count = length end
  end
  local rows = {}
  for i = 1, count do
    local row = create(width)
    for j = 1, width do row[j] = lists[j][i] end
    rows[i] = row
  end
  return rows
end

-- Lua's stack has a million slots.
local MAX_RESULTS <const> = 10000

--- `table.unzip(t)` → list, ...
--- The inverse of `table.zip`: for a list of lists, the list of their first elements, that of their second ones, and so
--- on. Short ones leave holes.
---
---     local numbers, letters = table.unzip { { 1, "a" }, { 2, "b" } }
---
--- Errors: an element that is no table; one of more than 10,000 elements.
--- Pledge: none.
function library.unzip(t)
  local count, width = check_list(1, "unzip", t), 0
  local columns = {}
  for i = 1, count do
    local row = t[i]
    if public_type(row) ~= "table" then bad_element(i, "unzip") end
    local length = check_list(1, "unzip", row)
    if length > MAX_RESULTS then complain("too many results to unpack", 3) end
    for j = width + 1, length do columns[j] = {} end
    if length > width then width = length end
    for j = 1, length do columns[j][i] = row[j] end
  end
  return values_of(columns, 1, width)
end

--- `table.transpose(t)` → list
--- For a list of rows of one length, the list of columns.
---
--- Errors: a row that is no table, or not as long as the first.
--- Pledge: none.
function library.transpose(t)
  local count, width = check_list(1, "transpose", t), nil
  local columns = {}
  for i = 1, count do
    local row = t[i]
    if public_type(row) ~= "table" then bad_element(i, "transpose") end
    local length = check_list(1, "transpose", row)
    if not width then
      width = length
      for j = 1, width do columns[j] = {} end
    elseif length ~= width then
      local sizes = " has " .. length .. " elements and not " .. width
      complain("bad argument #1 to 'transpose' (row " .. i .. sizes .. ")", 3)
    end
    for j = 1, width do columns[j][i] = row[j] end
  end
  return columns
end

-- Levels of lists in lists that `reshape` takes apart: a list within itself has no end of them.
local MAX_LEVELS <const> = 100

--- Appends the elements of `t`, rows taken apart, to flat[1..count]; gives the new count. Stops where `most` is exceeded.
local function flatten(t, length, flat, count, most, level)
  if level > MAX_LEVELS then
    support.raise("bad argument #1 to 'reshape' (lists nested deeper than " .. MAX_LEVELS .. " levels)")
  end
  for i = 1, length do
    local element = t[i]
    local inner = public_type(element) == "table" and check_list(1, "reshape", element) or 0
    if inner > 0 then
      count = flatten(element, inner, flat, count, most, level + 1)
    else
      count = count + 1
      flat[count] = element
    end
    if count > most then return count end
  end
  return count
end

--- The sizes, how many, and their product without the one that is -1, if there is one.
local function check_sizes(...)
  local count, sizes = select("#", ...), { ... }
  local product, open = 1, nil
  for i = 1, count == 0 and 1 or count do
    local size = support.check_integer(i + 1, "reshape", sizes[i], 4)
    if size == -1 and not open then
      open = i
    elseif size < 1 then
      complain("bad argument #" .. i + 1 .. " to 'reshape' (size must be positive)", 4)
    else
      sizes[i] = size
      product = size > 0x7fffffffffffffff // product and 0x7fffffffffffffff or product * size
    end
  end
  return sizes, count, product, open
end

--- `table.reshape(t, size, ...)` → list
--- The elements of `t` in order, in lists of the last size, these in lists of the size before, and so on; with one size,
--- in one list. Elements of `t` that are lists themselves (tables with `#element > 0`) are taken apart first. One size may
--- be -1, and is then what the others leave.
---
---     table.reshape({ 1, 2, 3, 4, 5, 6 }, 2, 3)       --> { { 1, 2, 3 }, { 4, 5, 6 } }
---     table.reshape({ { 1, 2 }, { 3, 4 } }, -1)       --> { 1, 2, 3, 4 }
---
--- Errors: sizes that are not positive, or whose product is not the number of elements.
--- Pledge: none.
function library.reshape(t, ...)
  local length = check_list(1, "reshape", t)
  local sizes, dimensions, product, open = check_sizes(...)
  local flat = {}
  local count = flatten(t, length, flat, 0, open and 0x7fffffffffffffff or product, 1)
  local shape = concat(sizes, " x ", 1, dimensions)
  if open then
    if count == 0 and open == 1 then return {} end
    sizes[open] = count // product
    product = product * sizes[open]
  end
  if count ~= product or count == 0 then
    complain("bad argument #1 to 'reshape' (its elements do not fill " .. shape .. ")", 3)
  end
  for i = dimensions, 2, -1 do
    local rows, size = {}, sizes[i]
    for number = 1, count // size do rows[number] = move(flat, (number - 1) * size + 1, number * size, 1, {}) end
    flat, count = rows, count // size
  end
  return flat
end

return library
