-- The few calls of the table library that stay inside one loop of C for as long as they are told to (a range of 2^40, a
-- `__len` that says so, a million elements to sort): done in pieces, so that a slice can end and a state be stopped
-- between them. The results are the same. What is ordinary goes to Lua's own functions and never comes here
-- (native/guards.c, guards.lua), and arguments have been checked there.
local raw, _, _, _, parts = ...
local math_tointeger, type, tostring = raw.math_tointeger, raw.type, raw.tostring
local raw_move, raw_concat, raw_sort = raw.table_move, raw.table_concat, raw.table_sort
local raise = parts.support.raise

-- Elements of a piece. The fewer, the sooner a hook that counts instructions gets its turn; at a thousand, what is
-- done between the pieces can't be measured. Sorting in runs pays for each halving of the run with one more merge.
local PIECE <const>, RUN <const> = 1000, 4000
local SIGN <const> = 1 << 63
local MOST_SORTED <const> = 0x7fffffff

local function length(t)
  return math_tointeger(#t) or raise("object length is not an integer")
end

local function last_of_piece(first, last, size)
  return last - first < size and last or first + size - 1
end

--- Compares without signs, as Lua does where a position is checked.
local function below(a, b) return a ~ SIGN < b ~ SIGN end

local bounded = {}

function bounded.move(from, first, last, target, to)
  to = to == nil and from or to
  if target > last or target <= first or from ~= to then
    for low = first, last, PIECE do
      raw_move(from, low, last_of_piece(low, last, PIECE), target + (low - first), to)
    end
  else
    for high = last, first, -PIECE do
      local low = high - first < PIECE and first or high - PIECE + 1
      raw_move(from, low, high, target + (low - first), to)
    end
  end
  return to
end

function bounded.insert(t, position, value)
  local free = length(t) + 1
  position = math_tointeger(position)
  if not below(position - 1, free) then raise("bad argument #2 to 'insert' (position out of bounds)") end
  if position < free then bounded.move(t, position, free - 1, position + 1) end
  t[position] = value
end

function bounded.remove(t, position)
  local last = length(t)
  position = math_tointeger(position)
  if position ~= last and below(last, position - 1) then
    raise("bad argument #2 to 'remove' (position out of bounds)")
  end
  local value = t[position]
  if position < last then
    bounded.move(t, position + 1, last, position)
    position = last
  end
  t[position] = nil
  return value
end

function bounded.concat(t, separator, first, last)
  local size = length(t)
  separator, first, last = separator or "", math_tointeger(first or 1), math_tointeger(last or size)
  local pieces, count = {}, 0
  for low = first, last, PIECE do
    local piece, high = {}, last_of_piece(low, last, PIECE)
    for i = low, high do
      local value = t[i]
      local kind = type(value)
      if kind ~= "string" and kind ~= "number" then
        raise("invalid value (" .. kind .. ") at index " .. tostring(i) .. " in table for 'concat'")
      end
      piece[i - low + 1] = value
    end
    count = count + 1
    pieces[count] = raw_concat(piece, separator, 1, high - low + 1)
  end
  return raw_concat(pieces, separator, 1, count)
end

--- Merges the sorted lists `a` and `b`, of so many elements.
local function merge(a, a_count, b, b_count, less)
  local merged, i, j, count = {}, 1, 1, 0
  local x, y = a[1], b[1]
  while i <= a_count and j <= b_count do
    count = count + 1
    local second
    if less then second = less(y, x) else second = y < x end
    if second then
      merged[count], j = y, j + 1
      y = b[j]
    else
      merged[count], i = x, i + 1
      x = a[i]
    end
  end
  bounded.move(a, i, a_count, count + 1, merged)
  bounded.move(b, j, b_count, count + 1, merged)
  return merged
end

function bounded.sort(t, less)
  local size = length(t)
  if size < 2 then return end
  if size >= MOST_SORTED then raise("bad argument #1 to 'sort' (array too big)") end
  local runs, counts, count = {}, {}, 0
  for low = 1, size, RUN do
    local high = last_of_piece(low, size, RUN)
    local run = raw_move(t, low, high, 1, {})
    raw_sort(run, less)
    count = count + 1
    runs[count], counts[count] = run, high - low + 1
  end
  while count > 1 do
    local half = (count + 1) // 2
    for i = 1, half do
      local one, other = 2 * i - 1, 2 * i
      if other <= count then
        runs[i] = merge(runs[one], counts[one], runs[other], counts[other], less)
        counts[i] = counts[one] + counts[other]
      else
        runs[i], counts[i] = runs[one], counts[one]
      end
    end
    for i = half + 1, count do runs[i] = nil end
    count = half
  end
  bounded.move(runs[1], 1, size, 1, t)
end

return bounded
