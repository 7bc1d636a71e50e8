-- Matching Lua patterns within a budget of steps, for hosts without the native module (native/matcher.c, where the
-- way it works is explained). Single items are matched by Lua's own functions, which take linear time for one item;
-- what may take for ever is their combination, and that is done here, where a hook can interrupt it.
local raw = ...
local find, sub, byte = raw.string_find, raw.string_sub, raw.string_byte
local format, setmetatable = raw.string_format, raw.setmetatable

local MAX_CAPTURES <const>, MAX_DEPTH <const> = 32, 200
-- A step takes ten times as long as in C.
local STEPS <const>, STEPS_PER_BYTE <const> = 10000000, 8

local ONE <const>, OPEN <const>, CLOSE <const>, POSITION <const>, BACK <const>, TAIL <const> = 1, 2, 3, 4, 5, 6
local LEAF <const>, FAULT <const> = 7, 8   -- LEAF: %b and %f, which Lua's own functions match as a whole

-- Which bytes an item stands for, found out when one is first seen.
local members = { __index = function(set, character)
  local is_member = find(format("%c", character), set.text) ~= nil
  set[character] = is_member
  return is_member
end }

--- The item at `at`, and what follows it.
local function read_item(pattern, at, items)
  local size, c = #pattern, sub(pattern, at, at)
  local after, text = at + 1, c
  if c == "(" then
    if items.level == MAX_CAPTURES then return { kind = FAULT, text = "too many captures" } end
    items.level = items.level + 1
    if sub(pattern, after, after) == ")" then
      items.positions[items.level] = true
      return { kind = POSITION, capture = items.level }, after + 1
    end
    items.unfinished[#items.unfinished + 1] = items.level
    return { kind = OPEN, capture = items.level }, after
  elseif c == ")" then
    local capture = items.unfinished[#items.unfinished]
    if not capture then return { kind = FAULT, text = "invalid pattern capture" } end
    items.unfinished[#items.unfinished] = nil
    return { kind = CLOSE, capture = capture }, after
  elseif c == "$" and at == size then
    return { kind = TAIL }, after
  elseif c == "%" then
    local kind = sub(pattern, after, after)
    if kind == "" then return { kind = FAULT, text = "malformed pattern (ends with '%')" } end
    text, after = c .. kind, after + 1
    if kind == "b" then
      if after + 1 > size then
        return { kind = FAULT, text = "malformed pattern (missing arguments to '%b')" }
      end
      return { kind = LEAF, text = "^" .. sub(pattern, at, after + 1), linear = true }, after + 2
    elseif kind == "f" then
      if sub(pattern, after, after) ~= "[" then
        return { kind = FAULT, text = "missing '[' after '%f' in pattern" }
      end
    elseif find(kind, "^%d") then
      local capture, unfinished = kind + 0, false
      for i = 1, #items.unfinished do unfinished = unfinished or items.unfinished[i] == capture end
      if capture == 0 or capture > items.level or unfinished then
        return { kind = FAULT, text = "invalid capture index %" .. capture }
      end
      return { kind = BACK, capture = capture, linear = true }, after
    end
  elseif c ~= "." and c ~= "[" and find(c, "^%p") then
    text = "%" .. c
  end
  if c == "[" or text == "%f" then
    local close = text == "%f" and after + 1 or after
    if sub(pattern, close, close) == "^" then close = close + 1 end
    repeat -- a "]" in the first place is a member
      if close > size then return { kind = FAULT, text = "malformed pattern (missing ']')" } end
      close = close + (sub(pattern, close, close) == "%" and close < size and 2 or 1)
    until sub(pattern, close, close) == "]"
    local is_frontier = text == "%f"
    text, after = sub(pattern, at, close), close + 1
    if is_frontier then return { kind = LEAF, text = "^" .. text }, after end
  end
  local times = sub(pattern, after, after)
  if times ~= "" and find("*+-?", times, 1, true) then after = after + 1 else times = nil end
  return { kind = ONE, times = times, text = text, run = "^" .. text .. "*",
    accepts = setmetatable({ text = "^" .. text }, members) }, after
end

--- The items of a pattern; the last may be a FAULT, which is raised when matching gets to it.
local function read(pattern, at)
  local items, count = { level = 0, unfinished = {}, positions = {} }, 0
  while at <= #pattern do
    local item, after = read_item(pattern, at, items)
    count = count + 1
    items[count] = item
    if item.kind == FAULT then break end
    at = after
  end
  items.count = count
  return items
end

--- `anchors`: whether "^" is an anchor.
local function new(s, pattern, anchors)
  local anchored = anchors and sub(pattern, 1, 1) == "^"
  local items = read(pattern, anchored and 2 or 1)
  local lead = 1
  while lead <= items.count and (items[lead].kind == OPEN or items[lead].kind == POSITION) do lead = lead + 1 end
  local first = items[lead]
  return {
    s = s, pattern = pattern, items = items, level = items.level, anchored = anchored, starts = {}, ends = {},
    lead = first and first.kind == ONE and (first.times == nil or first.times == "+") and first.text or nil,
    steps = 0, most = STEPS + #s * STEPS_PER_BYTE,
  }
end

local function too_long(m)
  local pattern = m.pattern
  return format("pattern matching takes too long (pattern '%s%s' on %d bytes)", sub(pattern, 1, 30),
    #pattern > 30 and "..." or "", #m.s)
end

--- Where a match that begins at `at` ends (the first byte behind it); nil, or nil and what is wrong.
local function match_here(m, at)
  local s, items, count, starts, ends = m.s, m.items, m.items.count, m.starts, m.ends
  local size, steps, most = #s, m.steps, m.most
  local choices, depths, places, least, top = {}, {}, {}, {}, 0
  local i, depth, problem = 1, 1, nil
  while i <= count do
    local item = items[i]
    local kind, goes_on = item.kind, true
    steps = steps + 1
    if steps > most then problem = too_long(m) break end
    if kind == ONE then
      local times = item.times
      if at > size or not item.accepts[byte(s, at)] then
        goes_on = times ~= nil and times ~= "+"
      elseif not times then
        at = at + 1
      else
        if depth == MAX_DEPTH then problem = "pattern too complex" break end
        depth, top = depth + 1, top + 1
        choices[top], depths[top], places[top], least[top] = i, depth, at, at
        if times == "?" then
          at = at + 1
        elseif times ~= "-" then
          if times == "+" then least[top] = at + 1 end
          local _, last = find(s, item.run, at)
          steps = steps + last - at
          at = last + 1
          places[top] = at
        end
      end
    elseif kind == OPEN or kind == CLOSE or kind == POSITION then
      if depth == MAX_DEPTH then problem = "pattern too complex" break end
      depth = depth + 1
      if kind == CLOSE then ends[item.capture] = at else starts[item.capture] = at end
    elseif kind == LEAF then
      local _, last = find(s, item.text, at)
      goes_on = last ~= nil
      if goes_on then at = last + 1 elseif item.linear then steps = steps + size - at end
    elseif kind == BACK then
      local start, stop = starts[item.capture], ends[item.capture] or at
      steps = steps + (stop - start) // 16
      goes_on = not items.positions[item.capture] and sub(s, start, stop - 1) == sub(s, at, at + stop - start - 1)
      if goes_on then at = at + stop - start end
    elseif kind == TAIL then
      goes_on = at == size + 1
    else
      problem = item.text
      break
    end
    if goes_on then
      i = i + 1
    else -- back to the last choice that has something left
      while true do
        if top == 0 then
          m.steps = steps
          return nil
        end
        i, depth, at, steps = choices[top], depths[top], places[top], steps + 1
        local times, accepts = items[i].times, items[i].accepts
        if times == "?" then
          depth, top = depth - 1, top - 1
          break
        elseif times == "-" then
          if at <= size and accepts[byte(s, at)] then
            at = at + 1
            places[top] = at
            break
          end
        elseif at > least[top] then
          at = at - 1
          places[top] = at
          break
        end
        top = top - 1
      end
      i = i + 1
    end
  end
  m.steps = steps
  if problem then return nil, problem end
  return at
end

--- The first place from `at` on where the pattern matches, and the first byte behind the match; nil if there is none;
--- nil, nil and a text if the pattern is malformed or it takes too long. An empty match at `last`, the end of the match
--- before, does not count.
local function search(m, at, last)
  while true do
    if m.lead and not m.anchored then
      local start = find(m.s, m.lead, at)
      if not start then return nil end
      at, m.steps = start, m.steps + start - at
    end
    local stop, problem = match_here(m, at)
    if problem then return nil, nil, problem end
    if stop and stop ~= last then return at, stop end
    if m.anchored or at > #m.s then return nil end
    at = at + 1
  end
end

return { new = new, search = search, read = read, too_long = too_long, STEPS = STEPS, MAX_DEPTH = MAX_DEPTH }
