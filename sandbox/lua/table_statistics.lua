-- table: sums, means, and sorting by a key. See tables.lua.
local raw, _, _, _, parts = ...
local support, lists = parts.support, parts.lists
local type, rawget, getmetatable, create = raw.type, raw.rawget, raw.getmetatable, raw.table_create
local public_type = raw.public_type
local bad_element, check_list, check_function = lists.bad_element, lists.check_list, lists.check_function

--- # Tables

local library = {}

--- The list's numbers, as they are, and how many.
local function numbers_of(func, t)
  local count = check_list(1, func, t, 4)
  local numbers = {}
  for i = 1, count do
    local value = t[i]
    if type(value) ~= "number" then bad_element(i, func, 4) end
    numbers[i] = value
  end
  return numbers, count
end

local function mean_of(numbers, count)
  local total = 0.0
  for i = 1, count do total = total + numbers[i] end
  if total - total == 0 then return total / count end
  total = 0.0 -- the sum is beyond the range of floats, which the mean need not be
  for i = 1, count do total = total + numbers[i] / count end
  return total
end

--- `table.sum(t)` → number
--- The sum, from left to right, by Lua's rules: of integers an integer, which wraps around; 0 for an empty list.
---
--- Errors: an element that is no number.
--- Pledge: none.
function library.sum(t)
  local numbers, count = numbers_of("sum", t)
  local total = 0
  for i = 1, count do total = total + numbers[i] end
  return total
end

--- `table.mean(t)` → float
--- The arithmetic mean, computed in floats; nil for an empty list.
---
--- Errors: an element that is no number.
--- Pledge: none.
function library.mean(t)
  local numbers, count = numbers_of("mean", t)
  if count < 1 then return nil end
  return (mean_of(numbers, count))
end

--- `table.stdev(t, population?)` → float
--- The standard deviation of a sample, whose sum of squares is divided by n - 1; if `population` is true, that of a
--- whole population, where it is divided by n. nil where that is not above 0.
---
--- Errors: an element that is no number.
--- Pledge: none.
function library.stdev(t, population)
  local numbers, count = numbers_of("stdev", t)
  local divisor = population and count or count - 1
  if divisor < 1 then return nil end
  local mean, largest = mean_of(numbers, count), 0.0
  if mean - mean ~= 0 then return mean - mean end
  for i = 1, count do
    local distance = numbers[i] - mean
    if distance < 0 then distance = -distance end
    if distance > largest then largest = distance end
    numbers[i] = distance
  end
  if largest == 0 then return 0.0 end
  local squares = 0.0 -- of the distances in parts of the largest, lest they leave the range of floats
  for i = 1, count do squares = squares + (numbers[i] / largest) ^ 2 end
  return largest * (squares / divisor) ^ 0.5
end

--- A stable order of keys[1..count]: the indices, merged from runs of doubling length. It ends whatever `<` says, so keys
--- may be NaN. `less` takes the place of `<` where that is not sure to succeed.
local function order_of(keys, count, less)
  local from, to = create(count), create(count)
  for i = 1, count do from[i] = i end
  local width = 1
  while width < count do
    for low = 1, count, 2 * width do
      local middle, stop = low + width, low + 2 * width
      if middle > count then middle = count + 1 end
      if stop > count then stop = count + 1 end
      local left, right = low, middle
      for at = low, stop - 1 do
        local is_right = left == middle
        if not is_right and right < stop then
          local key, other = keys[from[right]], keys[from[left]]
          if less then is_right = less(key, other) else is_right = key < other end
        end
        if is_right then
          to[at], right = from[right], right + 1
        else
          to[at], left = from[left], left + 1
        end
      end
    end
    from, to, width = to, from, 2 * width
  end
  return from
end

--- `table.median(t)` → number
--- The middle element in ascending order, or the mean of the two in the middle, as a float; nil for an empty list, and
--- NaN where one of the numbers is.
---
--- Errors: an element that is no number.
--- Pledge: none.
function library.median(t)
  local numbers, count = numbers_of("median", t)
  if count < 1 then return nil end
  for i = 1, count do
    if numbers[i] ~= numbers[i] then return numbers[i] end
  end
  local order = order_of(numbers, count)
  local low, high = numbers[order[(count + 1) // 2]], numbers[order[count // 2 + 1]]
  if count % 2 == 1 then return low end
  local middle = (low + 0.0 + high) / 2
  if middle - middle ~= 0 then return low / 2 + high / 2 end
  return middle
end

local function has_order(value)
  local metatable = getmetatable(value)
  return metatable and rawget(metatable, "__lt") ~= nil
end

--- `<` for keys of any kind, which fails at the script's position.
local function less(key, other)
  local kind, other_kind = type(key), type(other)
  if not (kind == other_kind and (kind == "number" or kind == "string") or has_order(key) or has_order(other)) then
    kind, other_kind = public_type(key), public_type(other)
    support.raise("attempt to compare " .. (kind == other_kind and "two " .. kind .. " values"
      or kind .. " with " .. other_kind))
  end
  return key < other
end

--- `table.sortby(t, f)` → list
--- A new list with the elements of `t` in ascending order of `f(element, index)`, which is called once for each. Elements
--- with equal keys keep their order. Keys are compared with `<`, so they are all numbers, or all strings, or have `__lt`.
---
--- Errors: keys that can't be compared.
--- Pledge: none.
function library.sortby(t, f)
  local count = check_list(1, "sortby", t)
  check_function(2, "sortby", f)
  local elements, keys, kind = {}, {}, nil
  for i = 1, count do
    local element = t[i]
    local key = f(element, i)
    elements[i], keys[i] = element, key
    if i == 1 then kind = type(key) elseif kind ~= type(key) then kind = nil end
  end
  local order = order_of(keys, count, kind ~= "number" and kind ~= "string" and less or nil)
  for i = 1, count do order[i] = elements[order[i]] end
  return order
end

return library
