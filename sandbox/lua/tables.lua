-- table, beyond Lua's own functions. All that calls a function of the script, or may run a metamethod, is a loop in Lua:
-- the script may wait there, be suspended at the end of its slice, and change the table that is being read.
local raw, _, _, _, parts = ...
local support, lists = parts.support, parts.lists
local type, next, rawlen, rawget = raw.type, raw.next, raw.rawlen, raw.rawget
local getmetatable, setmetatable, create = raw.getmetatable, raw.setmetatable, raw.table_create
local special, public_type = raw.special, raw.public_type
local bad_argument, complain = support.bad_argument, support.complain
local check_list, check_function = lists.check_list, lists.check_function

--- # Tables
--- But for `table.clone`, these work on lists: the elements 1 to `#t`, read as `t[i]` (with the metamethods that the
--- table may have). The length is taken once, at the start. An element that is nil, a hole, is given to functions as
--- nil, and is no number. No function changes the tables that it is given. Functions given to them get an element and
--- its index, and may wait, yield or fail.

local library = {}

-- Clone --------------------------------------------------------------------------------------------------------------

local function is_protected(metatable)
  return metatable and rawget(metatable, "__metatable") ~= nil
end

-- As the guarded setmetatable, which looks for `__gc` when a metatable is set: a script may have put one in since.
local function set_metatable(copy, metatable)
  if metatable and rawget(metatable, "__gc") ~= nil then
    complain("__gc metamethods do not exist in the sandbox (use a to-be-closed variable)", 4)
  end
  return setmetatable(copy, metatable)
end

local function clone_shallow(t)
  local copy = create(rawlen(t))
  for key, value in next, t do copy[key] = value end
  return copy
end

--- The copies of all tables that `t` leads to, by table. They wait in a queue, so that nothing recurses; none has its
--- metatable before it is filled.
local function clone_deep(t)
  local copies, queue, count = {}, {}, 0
  local function copy_of(value)
    if type(value) ~= "table" then return value end
    local copy = copies[value]
    if copy then return copy end
    local metatable = getmetatable(value)
    local record = metatable and special[metatable]
    if record and record.clone then
      copy = record.clone(value)
    elseif is_protected(metatable) then
      copy = value
    else
      copy = create(rawlen(value))
      count = count + 1
      queue[count] = value
    end
    copies[value] = copy
    return copy
  end
  copy_of(t)
  local at = 0
  while at < count do
    at = at + 1
    local source = queue[at]
    local copy = copies[source]
    for key, value in next, source do copy[copy_of(key)] = copy_of(value) end
  end
  return copies, queue, count
end

--- `table.clone(t, deep?)` → table
--- A new table with the entries of `t` and its metatable. Metamethods are not asked. If `deep` is true, all tables and
--- vectors that `t` leads to are cloned, as values and as keys, however deep they lie; a table that occurs at several
--- places or within itself is one table in the copy, too. All else is shared: functions, metatables, worker handles,
--- and tables whose metatable is protected (`__metatable`).
---
--- Errors: a table whose metatable is protected.
--- Pledge: none.
function library.clone(t, deep)
  if public_type(t) ~= "table" then bad_argument(1, "clone", "table", t) end
  if is_protected(getmetatable(t)) then complain("cannot clone a table with a protected metatable", 3) end
  if not deep then
    local copy = set_metatable(clone_shallow(t), getmetatable(t))
    return copy
  end
  local copies, queue, count = clone_deep(t)
  for i = 1, count do set_metatable(copies[queue[i]], getmetatable(queue[i])) end
  return copies[t]
end

-- Elements one by one ------------------------------------------------------------------------------------------------

--- `table.map(t, f)` → list
--- The results of `f(element, index)`, at the same indices.
---
--- Errors: none of its own.
--- Pledge: none.
function library.map(t, f)
  local count = check_list(1, "map", t)
  check_function(2, "map", f)
  local results = {}
  for i = 1, count do results[i] = f(t[i], i) end
  return results
end

--- `table.filter(t, f)` → list
--- The elements for which `f(element, index)` is true, without gaps.
---
--- Errors: none of its own.
--- Pledge: none.
function library.filter(t, f)
  local count = check_list(1, "filter", t)
  check_function(2, "filter", f)
  local chosen, number = {}, 0
  for i = 1, count do
    local element = t[i]
    if f(element, i) and element ~= nil then
      number = number + 1
      chosen[number] = element
    end
  end
  return chosen
end

--- `table.reduce(t, f, initial?)` → value
--- `f(f(f(initial, t[1], 1), t[2], 2), …)`. Without an initial value, or with nil, the first element is it. nil if there
--- is neither.
---
--- Errors: none of its own.
--- Pledge: none.
function library.reduce(t, f, initial)
  local count = check_list(1, "reduce", t)
  check_function(2, "reduce", f)
  local first, result = 1, initial
  if initial == nil and count >= 1 then first, result = 2, t[1] end
  for i = first, count do result = f(result, t[i], i) end
  return result
end

--- `table.groupby(t, f)` → table
--- A list of the elements for each result of `f(element, index)`, under that result as the key; in the order of `t`.
---
--- Errors: a result that is no key (nil or NaN).
--- Pledge: none.
function library.groupby(t, f)
  local count = check_list(1, "groupby", t)
  check_function(2, "groupby", f)
  local groups, counts = {}, {}
  for i = 1, count do
    local element = t[i]
    local key = f(element, i)
    if key == nil or key ~= key then
      local result = key == nil and "nil" or "NaN"
      complain("bad argument #2 to 'groupby' (the result for element " .. i .. " is " .. result .. ")", 3)
    end
    local number = (counts[key] or 0) + 1
    if number == 1 then groups[key] = {} end
    groups[key][number], counts[key] = element, number
  end
  return groups
end

for _, part in next, { parts.table_shapes, parts.table_statistics } do
  for name, func in next, part do library[name] = func end
end
return { library = library }
