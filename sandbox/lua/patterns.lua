-- The pattern functions for hosts without the native module (native/patterns.c). A call whose pattern can't take long on
-- a text of that length, whatever the text, goes to Lua's own function; the others to matcher.lua,
-- which is slow, counts its steps and can be interrupted.
--
-- The least upper bound on the steps that Lua's own matcher needs: an item that may be repeated is tried up to n times
-- on a text of n bytes, and all that follows it each time; an optional one twice; and all of that from n places, unless
-- the pattern is anchored. What is repeated at the very end is tried once only, since nothing follows that could fail.
local raw, _, _, _, parts = ...
local type, math_tointeger = raw.type, raw.math_tointeger
local find, match, gmatch, gsub = raw.string_find, raw.string_match, raw.string_gmatch, raw.string_gsub
local sub, concat, unpack = raw.string_sub, raw.table_concat, raw.table_unpack
local matcher, failing, raise = parts.matcher, parts.guards.failing, parts.support.raise
local is_integer, plain_find, PLAIN_BEGINNING = parts.guards.is_integer, parts.plain.find, parts.plain.BEGINNING
local search = matcher.search
local OPEN <const>, CLOSE <const>, POSITION <const>, FAULT <const> = 2, 3, 4, 8  -- as in matcher.lua

-- Steps that Lua's own functions may need: up to some tenths of a second.
local HARMLESS <const> = 100000000
-- Patterns that are remembered, and the longest of them.
local REMEMBERED <const>, LONGEST <const> = 200, 200

--- The longest text on which the pattern is harmless (-1: there is none), and how many captures it has.
local function measure(pattern, anchors)
  local anchored = anchors and sub(pattern, 1, 1) == "^"
  local items = matcher.read(pattern, anchored and 2 or 1)
  local tries, weight, depth, is_last = anchored and 0 or 1, 1, 1, true
  for i = items.count, 1, -1 do
    local item = items[i]
    local kind, times = item.kind, item.times
    if kind == FAULT then return -1, 0 end
    weight = weight + (item.text and #item.text or 1)
    if times or kind == OPEN or kind == CLOSE or kind == POSITION then depth = depth + 1 end
    if item.linear then tries = tries + 1 end
    if is_last and times then
      is_last = false
    elseif times == "?" then
      weight = weight * 2
    elseif times then
      tries = tries + 1
    end
    is_last = is_last and (kind == CLOSE or kind == POSITION)
  end
  if depth > matcher.MAX_DEPTH or items.unfinished[1] or weight > HARMLESS then return -1, 0 end
  if tries == 0 then return 1 << 62, items.level end
  return (HARMLESS / weight) ^ (1 / tries) // 1 - 1, items.level
end

local function memory(anchors)
  local limits, levels, count = {}, {}, 0
  return function(pattern)
    local limit = limits[pattern]
    if limit then return limit, levels[pattern] end
    local level
    limit, level = measure(pattern, anchors)
    if #pattern <= LONGEST then
      if count == REMEMBERED then limits, levels, count = {}, {}, 0 end
      limits[pattern], levels[pattern], count = limit, level, count + 1
    end
    return limit, level
  end
end

local measured, measured_for_gmatch = memory(true), memory(false)

local function text_of(value)
  return type(value) == "string" and value or type(value) == "number" and value .. "" or nil
end

local function first_place(init, size)
  local place = init == nil and 1 or math_tointeger(init)
  if place > 0 then return place end
  return (place == 0 or place < -size) and 1 or size + place + 1
end

local function must_search(m, at, last)
  local start, stop, problem = search(m, at, last)
  if problem then raise(problem) end
  return start, stop
end

local function capture(m, index, start, stop)
  if index > m.level then
    if index > 1 then raise("invalid capture index %" .. index) end
    return sub(m.s, start, stop - 1)
  end
  local unfinished = m.items.unfinished
  for i = 1, #unfinished do if unfinished[i] == index then raise("unfinished capture") end end
  if m.items.positions[index] then return m.starts[index] end
  return sub(m.s, m.starts[index], m.ends[index] - 1)
end

--- The captures, or the whole match where `whole` and there are none, as a list and its length.
local function captures(m, start, stop, whole)
  local found, count = {}, m.level == 0 and whole and 1 or m.level
  for i = 1, count do found[i] = capture(m, i, start, stop) end
  return found, count
end

local function find_within_budget(s, text, at)
  local cost, steps = 1 + #text // 16, 0
  return plain_find(s, text, at, function()
    steps = steps + cost
    if steps > matcher.STEPS + #s then raise(matcher.too_long({ s = s, pattern = text })) end
  end)
end

local patterns = {}

function patterns.find(...)
  local s, pattern, init, plain = ...
  s, pattern = text_of(s), text_of(pattern)
  if not (s and pattern and is_integer(init)) then return failing("find", find, ...) end
  local at = first_place(init, #s)
  if plain or not find(pattern, "[%^%$%*%+%?%.%(%[%%%-]") then
    if #pattern <= PLAIN_BEGINNING or #s <= HARMLESS // #pattern then return find(s, pattern, init, true) end
    return find_within_budget(s, pattern, at)
  end
  if #s <= measured(pattern) then return find(s, pattern, init) end
  if at > #s + 1 then return nil end
  local m = matcher.new(s, pattern, true)
  local start, stop = must_search(m, at)
  if not start then return nil end
  local found, count = captures(m, start, stop, false)
  return start, stop - 1, unpack(found, 1, count)
end

function patterns.match(...)
  local s, pattern, init = ...
  s, pattern = text_of(s), text_of(pattern)
  if not (s and pattern and is_integer(init)) then return failing("match", match, ...) end
  if #s <= measured(pattern) then return match(s, pattern, init) end
  local at = first_place(init, #s)
  if at > #s + 1 then return nil end
  local m = matcher.new(s, pattern, true)
  local start, stop = must_search(m, at)
  if not start then return nil end
  local found, count = captures(m, start, stop, true)
  return unpack(found, 1, count)
end

function patterns.gmatch(...)
  local s, pattern, init = ...
  s, pattern = text_of(s), text_of(pattern)
  if not (s and pattern and is_integer(init)) then return failing("gmatch", gmatch, ...) end
  if #s <= measured_for_gmatch(pattern) then return gmatch(s, pattern, init) end
  local m, at, last = matcher.new(s, pattern, false), first_place(init, #s), nil
  return function()
    if at > #s + 1 then return end
    m.steps = 0
    local start, stop = must_search(m, at, last)
    if not start then return end
    at, last = stop, stop
    local found, count = captures(m, start, stop, true)
    return unpack(found, 1, count)
  end
end

--- Whether "%" is used in a replacement as it must be, with so many captures.
local function is_proper(replacement, level)
  for what in gmatch(replacement, "%%(.?)") do
    if what ~= "%" and not (find(what, "^%d") and what + 0 <= (level > 1 and level or 1)) then return false end
  end
  return true
end

--- A replacement string with its "%" sequences replaced.
local function expand(m, replacement, start, stop)
  local pieces, count, at = {}, 0, 1
  while true do
    local percent = find(replacement, "%", at, true)
    pieces[count + 1] = sub(replacement, at, percent and percent - 1)
    if not percent then return concat(pieces, "", 1, count + 1) end
    local what = sub(replacement, percent + 1, percent + 1)
    local piece
    if what == "%" then
      piece = what
    elseif what == "0" then
      piece = sub(m.s, start, stop - 1)
    elseif find(what, "^%d") then
      piece = capture(m, what + 0, start, stop)
    else
      raise("invalid use of '%' in replacement string")
    end
    count, at = count + 2, percent + 2
    pieces[count] = piece
  end
end

--- What a replacement function or table gives, if it can stand in the result.
local function checked(value)
  local kind = type(value)
  if value and kind ~= "string" and kind ~= "number" then raise("invalid replacement value (a " .. kind .. ")") end
  return value
end

--- Calls `replace` from inside of Lua's own gsub, so that it can't wait here either.
local function ask(replace, found, count)
  local answer
  gsub("", "", function() answer = replace(unpack(found, 1, count)) end)
  return answer
end

local function substitute(s, pattern, replacement, replace, most)
  local m, at, last, count, changed = matcher.new(s, pattern, true), 1, nil, 0, false
  local pieces, size = {}, 0
  while count < most do
    local start, stop = must_search(m, at, last)
    if not start then break end
    count = count + 1
    local piece
    if type(replacement) == "table" then piece = ask(replace, { capture(m, 1, start, stop) }, 1)
    elseif replace then piece = ask(replace, captures(m, start, stop, true))
    else piece = expand(m, replacement, start, stop) end
    changed = changed or piece
    pieces[size + 1], pieces[size + 2] = sub(s, at, start - 1), piece or sub(s, start, stop - 1)
    size, at, last = size + 2, stop, stop
    if m.anchored then break end
  end
  if not changed then return s, count end
  pieces[size + 1] = sub(s, at)
  return concat(pieces, "", 1, size + 1), count
end

function patterns.gsub(...)
  local s, pattern, replacement, most = ...
  local kind = type(replacement)
  s, pattern = text_of(s), text_of(pattern)
  local is_text = kind == "string" or kind == "number"
  if not (s and pattern and is_integer(most) and (is_text or kind == "function" or kind == "table")) then
    return failing("gsub", gsub, ...)
  end
  local limit, level = measured(pattern)
  local replace
  if is_text then
    replacement = replacement .. ""
  else
    -- Lua's own function would say that a value is not proper at a position of its caller, which is here.
    replace = kind == "table" and function(key) return checked(replacement[key]) end
      or function(...) return checked((replacement(...))) end
  end
  if #s <= limit and (replace or is_proper(replacement, level)) then
    local result, count = gsub(s, pattern, replace or replacement, most)
    return result, count
  end
  return substitute(s, pattern, replacement, replace, most == nil and #s + 1 or math_tointeger(most))
end

return patterns
