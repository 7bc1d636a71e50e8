-- fromjson: a text becomes values without leaving the state, so its limits and its slices hold, and nothing in the text can
-- reach the host's own parser. docs/library.md has the figures.
--
-- What costs time in Lua is the number of calls of string functions, so most of the work is in doing with few. A string
-- is cut out between two quotes, found by plain searches; where the next byte is that makes a string other than what
-- it looks like is known beforehand (`hazard`). And as most texts repeat themselves, whatever comes next is first
-- tried as what came before: an object as having the members of the one before it in the same place, with the same
-- spacing, and the elements of an array as being of one kind. Then one pattern takes many values at once. A pattern's
-- parts exclude each other, so that one that fails has read each byte once; and those that fail too often are
-- not tried again.
--
-- Where the native module is, it reads runs of plain elements and members instead (native/json.c), and all of that is not
-- needed; what it leaves, and what is wrong, is read here.
--
-- No code of the script runs in here, so one text at a time is read in a state, and what is known of it lies in the
-- upvalues. An error of memory may leave them as they are; the next call sets them all.
local raw, _, coroutines, _, parts = ...
local native = coroutines.native and coroutines.native.json()
local find, sub, byte, match, gsub = raw.string_find, raw.string_sub, raw.string_byte, raw.string_match, raw.string_gsub
local concat, move, rep, char = raw.table_concat, raw.table_move, raw.string_rep, raw.string_char
local create, format, type = raw.table_create, raw.string_format, raw.type
local tonumber, math_type, utf8_len = raw.tonumber, raw.math_type, raw.utf8_len
local raise, check_string = parts.support.raise, parts.support.check_string

local MAX_DEPTH <const> = 1000
local NOWHERE <const> = 0x7fffffffffffffff

local SPACE <const>, NEWLINE <const>, RETURN <const>, TAB <const> = 32, 10, 13, 9
local QUOTE <const>, COMMA <const>, COLON <const> = 34, 44, 58
local MINUS <const>, DOT <const>, ZERO <const>, NINE <const>, SMALL_E <const> = 45, 46, 48, 57, 101
local OPEN <const>, CLOSE <const>, OPEN_ARRAY <const>, CLOSE_ARRAY <const> = 123, 125, 91, 93

local SKIP <const> = "^[ \n\r\t]*()"
local STRING <const> = '"([^"\\\0-\31]*)"'  -- one without escapes
local PLAIN_STRING <const> = '"([^"]*)"'      -- the same, in a text that has none, nor control characters
local INTEGER <const> = "(%-?%d+)"
local BARE <const> = "([%w.+-]+)"            -- a number or a word; which it is, is seen later
local TAKE_BARE <const> = "^" .. BARE .. "()"

local s                                      -- the text
local depth                                  -- of the array or object that is being read
local hazard                                 -- the first backslash or control character that is not known to lie behind
local backslash, newline, return_, tab       -- the next of each, from some place on
local control                                -- the first of all other control characters
local string_pattern                         -- which of the two holds here
local layouts, credits, layout_count         -- see Layouts

local function stop(at, problem)
  s, layouts, credits = nil, nil, nil
  raise("invalid JSON at position " .. at .. ": " .. problem)
end

local function too_deep(at)
  stop(at, "nested deeper than " .. MAX_DEPTH .. " levels")
end

local function fail(at, expected)
  local shown = match(s, "^[%w.+-]+", at) or match(s, "^[%g ]", at)
  local found
  if shown then
    found = "'" .. (#shown > 20 and sub(shown, 1, 17) .. "..." or shown) .. "'"
  else
    found = at > #s and "the end" or format("byte 0x%02X", byte(s, at))
  end
  stop(at, "expected " .. expected .. ", found " .. found)
end

-- Strings -----------------------------------------------------------------------------------------------------------

--- The first control character that is no white space. In a long text, plain searches for each are the fastest.
local function first_control()
  if native then return native.first_control(s) or NOWHERE end
  if #s < 1024 then return find(s, "[\0-\8\11\12\14-\31]") or NOWHERE end
  local first = NOWHERE
  for code = 0, 31 do
    if code ~= TAB and code ~= NEWLINE and code ~= RETURN then
      local at = find(s, char(code), 1, true)
      if at and at < first then first = at end
    end
  end
  return first
end

--- Moves `hazard` to what lies at `at` or behind it.
local function look_ahead(at)
  if backslash < at then backslash = find(s, "\\", at, true) or NOWHERE end
  if newline < at then newline = find(s, "\n", at, true) or NOWHERE end
  if return_ < at then return_ = find(s, "\r", at, true) or NOWHERE end
  if tab < at then tab = find(s, "\t", at, true) or NOWHERE end
  hazard = backslash
  if newline < hazard then hazard = newline end
  if return_ < hazard then hazard = return_ end
  if tab < hazard then hazard = tab end
  if control < hazard then hazard = control end
end

local ESCAPES = {
  [34] = '"', [92] = "\\", [47] = "/", [98] = "\b", [102] = "\f", [110] = "\n", [114] = "\r", [116] = "\t",
}

local function utf8_char(code)
  if code < 0x80 then return char(code) end
  if code < 0x800 then return char(0xC0 | code >> 6, 0x80 | code & 0x3F) end
  if code < 0x10000 then return char(0xE0 | code >> 12, 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F) end
  return char(0xF0 | code >> 18, 0x80 | code >> 12 & 0x3F, 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F)
end

--- The character of the escape `\u....` whose backslash is at `at`, and the position after it, two escapes for a pair.
local function unicode(at)
  local digits = match(s, "^u(%x%x%x%x)", at + 1)
  if not digits then fail(at + 1, "an escape") end
  local code = tonumber(digits, 16)
  if code < 0xD800 or code > 0xDFFF then return utf8_char(code), at + 6 end
  local low = code < 0xDC00 and match(s, "^\\u([dD][c-fC-F]%x%x)", at + 6)
  if not low then stop(at, "a surrogate without its other half") end
  return utf8_char(0x10000 + ((code & 0x3FF) << 10 | tonumber(low, 16) & 0x3FF)), at + 12
end

--- The string from `at` on, which has an escape in it or an error, and the position after its quote.
local function escaped(at)
  local pieces, count, from, quote = {}, 0, at, 0
  while true do
    if quote < at then quote = find(s, '"', at, true) or NOWHERE end
    if backslash < at then backslash = find(s, "\\", at, true) or NOWHERE end
    if backslash >= quote then break end
    local character = ESCAPES[byte(s, backslash + 1)]
    pieces[count + 1] = sub(s, at, backslash - 1)
    at = backslash + 2
    if not character then character, at = unicode(backslash) end
    count = count + 2
    pieces[count] = character
  end
  look_ahead(from)
  local wrong = newline
  if return_ < wrong then wrong = return_ end
  if tab < wrong then wrong = tab end
  if control < wrong then wrong = control end
  if wrong < quote then fail(wrong, "a string without control characters") end
  if quote == NOWHERE then fail(#s + 1, "'\"'") end
  pieces[count + 1] = sub(s, at, quote - 1)
  return concat(pieces, "", 1, count + 1), quote + 1
end

--- The string whose first character is at `at`, and the position after its quote.
local function string_at(at)
  local quote = find(s, '"', at, true)
  if not quote then return escaped(at) end
  if quote > hazard then
    if hazard < at then look_ahead(at) end
    if quote > hazard then return escaped(at) end
  end
  return sub(s, at, quote - 1), quote + 1
end

-- Numbers and words -------------------------------------------------------------------------------------------------

--- The number that a text says; nil for what is none in JSON, where Lua has more.
local function number(text)
  local value = tonumber(text)
  if not value then return nil end
  local first, second = byte(text, 1, 2)
  if first == MINUS then first, second = second, byte(text, 3) end
  if first == ZERO then
    if second and second ~= DOT and second | 32 ~= SMALL_E then return nil end
  elseif first < ZERO or first > NINE then
    return nil
  end
  if math_type(value) == "float" and not find(text, "^%-?%d+%.%d") and find(text, ".", 1, true) then return nil end
  return value
end

--- What stands at `at` without quotes, and the position after it.
local function bare_at(at)
  local text, after = match(s, TAKE_BARE, at)
  if text == "true" then return true, after end
  if text == "false" then return false, after end
  if text == "null" then return nil, after end
  return text and number(text) or fail(at, "a value"), after
end

--- A pattern that matches a text.
local function literal(text)
  return (gsub(text, "[%^$()%%.%[%]*+%-?]", "%%%0"))
end

-- Layouts -----------------------------------------------------------------------------------------------------------

-- A layout is how an object was written: a list of segments, each up to and with the next member that no pattern takes:
-- an array, an object, a string that has escapes or is long (there a plain search is faster). A segment is a pattern
-- that takes the values of the members before that one, their keys, and the key of that one. Layouts are kept by role,
-- which is the key that objects lie under. One that fits saves most of the work, one that does not costs some, and is
-- learnt anew; where the balance is bad, the role's layout is false and nothing is tried.
local MAX_LAYOUTS <const>, MAX_MEMBERS <const>, MAX_LITERAL <const> = 64, 24, 2048
local MAX_STRING <const> = 64 -- that a pattern takes, with its quotes
local FIRST_CREDIT <const>, HIT <const>, MISS <const> = 16, 1, 4

local function new_lesson(role, at)
  layout_count = layout_count + 1
  local lesson = { role = role, at = at, literals = 0, segments = {}, pattern = "^", keys = {}, quoted = {} }
  layouts[role] = lesson.segments
  return lesson
end

--- Ends a segment before `at`.
local function end_segment(lesson, at, member)
  local segments = lesson.segments
  local text = sub(s, lesson.at, at - 1)
  segments[#segments + 1] = {
    pattern = lesson.pattern .. literal(text) .. "()", count = #lesson.keys,
    keys = lesson.keys, quoted = lesson.quoted, member = member,
  }
  lesson.literals = lesson.literals + #text
  lesson.pattern, lesson.keys, lesson.quoted, lesson.at = "^", {}, {}, at
end

--- Adds a member, whose value was read from `from`, where its first byte is `c`, to before `at`. Gives the lesson, nil when
--- that is over.
local function learn(lesson, key, value, from, c, at)
  if from - lesson.at + lesson.literals > MAX_LITERAL then
    layouts[lesson.role] = false
    return nil
  end
  local length = at - from
  if c == OPEN or c == OPEN_ARRAY or c == QUOTE and (length > MAX_STRING or length ~= #value + 2) then
    end_segment(lesson, from, key)
  else
    local count = #lesson.keys
    if count == MAX_MEMBERS then
      end_segment(lesson, lesson.at)
      count = 0
    end
    local text = sub(s, lesson.at, from - 1)
    lesson.literals = lesson.literals + #text
    lesson.keys[count + 1], lesson.quoted[count + 1] = key, c == QUOTE
    lesson.pattern = lesson.pattern .. literal(text) .. (c == QUOTE and string_pattern or BARE)
  end
  lesson.at = at
  return lesson
end

local function learnt(lesson, at)
  end_segment(lesson, at)
  lesson.segments.credit = credits[lesson.role] or FIRST_CREDIT
  layouts[lesson.role] = lesson.segments
end

local value_at

--- Puts what a segment's pattern has matched into `t`. The position after the members, or nil, and nothing is lost but
--- time. (Lua makes no table of arguments that are only indexed.)
local function take(t, segment, ...got)
  local count = segment.count
  local after = got[count + 1]
  if not after then return nil end
  local keys, quoted = segment.keys, segment.quoted
  for i = 1, count do
    local value = got[i]
    if not quoted[i] then
      if value == "true" then
        value = true
      elseif value == "false" then
        value = false
      elseif value == "null" then
        value = nil
      else
        value = number(value)
        if not value then return nil end
      end
    end
    t[keys[i]] = value
  end
  return after
end

--- A layout has not fitted. (It may have been replaced meanwhile, by an object inside.)
local function miss(role, layout)
  if layouts[role] ~= layout then return end
  local credit = layout.credit - MISS
  credits[role] = credit
  if credit < 0 then
    layouts[role] = false
  else
    layouts[role], layout_count = nil, layout_count - 1
  end
end

-- Values ------------------------------------------------------------------------------------------------------------

local array, object

--- The value that begins at `at` with byte `c`, and the position after it. `role` is the key it lies under.
function value_at(at, c, role)
  if c == QUOTE then return string_at(at + 1) end
  if c == OPEN then return object(at, role) end
  if c == OPEN_ARRAY then return array(at, role) end
  return bare_at(at)
end

--- The first position from `at` on that is no white space, and its byte.
local function skip(at)
  local c = byte(s, at)
  if c ~= SPACE and c ~= NEWLINE and c ~= RETURN and c ~= TAB then return at, c end
  at = match(s, SKIP, at)
  return at, byte(s, at)
end

--- What is after the byte `wanted`, which may have white space before it: the next that is none, and its byte. Nothing,
--- if there is another byte; what it is stands in the second place.
local function pass(at, wanted)
  local found, c, after = byte(s, at, at + 2)
  if found ~= wanted then
    if found ~= SPACE and found ~= NEWLINE and found ~= RETURN and found ~= TAB then return nil, at, found end
    at = match(s, SKIP, at)
    found, c, after = byte(s, at, at + 2)
    if found ~= wanted then return nil, at, found end
  end
  if c == SPACE then
    at, c = at + 1, after
  end
  if c == SPACE or c == NEWLINE or c == RETURN or c == TAB then return skip(at + 1) end
  return at + 1, c
end

-- Elements of an array are taken RUN at a time, once so many have been read. Lua has up to 32 captures.
local RUN <const>, MAX_SHORT <const>, MAX_GAP <const> = 16, 40, 64
local run_gap, run_kind, run_pattern

-- The least integer of so many digits: one that is less has been written with leading zeros, or not in digits.
local LEAST = { 0 }
for digits = 2, 19 do LEAST[digits] = 10 ^ (digits - 1) // 1 | 0 end

--- The pattern for a run of values with `gap` behind each.
local function run_of(kind, gap)
  if run_kind ~= kind or run_gap ~= gap then
    run_kind, run_gap = kind, gap
    run_pattern = "^" .. rep(kind .. literal(gap), RUN) .. "()"
  end
  return run_pattern
end

--- Reads runs of values that are like `last` into t[n + 1...] from `at` on. The new n and the position of the next value.
local function take_runs(t, n, at, last, gap)
  local kind = type(last) == "string" and string_pattern or math_type(last) == "integer" and INTEGER or BARE
  local pattern = run_of(kind, gap)
  while true do
    local got = { match(s, pattern, at) }
    local after = got[RUN + 1]
    if not after then return n, at end
    if kind == string_pattern then
      move(got, 1, RUN, n + 1, t)
    else
      for i = 1, RUN do
        local text = got[i]
        local value = tonumber(text)
        if kind == BARE or value <= 0 or value < (LEAST[#text] or NOWHERE) then
          value = number(text)
          if not value then return n, at end -- where the elements are read one by one, it has its turn again
        end
        t[n + i] = value
      end
    end
    n, at = n + RUN, after
  end
end

function array(at, role)
  if depth == MAX_DEPTH then too_deep(at) end
  depth = depth + 1
  local t, n, due, pause, c = {}, 0, RUN, RUN, nil
  at, c = skip(at + 1)
  if c == CLOSE_ARRAY then
    depth = depth - 1
    return t, at + 1
  end
  while true do
    if native then
      n, at = native.read_values(s, at, t, n)
      c = byte(s, at)
    end
    local from, kind = at, c
    n = n + 1
    t[n], at = value_at(at, c, role)
    local after = at
    local next_at, c_or_at, found = pass(at, COMMA)
    if not next_at then
      if found ~= CLOSE_ARRAY then fail(c_or_at, "',' or ']'") end
      depth = depth - 1
      return t, c_or_at + 1
    end
    at, c = next_at, c_or_at
    if n == due and not native then
      local before = n
      if kind ~= OPEN and kind ~= OPEN_ARRAY and after - from <= MAX_SHORT and at - after <= MAX_GAP then
        n, at = take_runs(t, n, at, t[n], sub(s, after, at - 1))
        c = byte(s, at)
      end
      pause = n == before and 2 * pause or RUN
      due = n + pause
    end
  end
end

local function close(t, lesson, at)
  if lesson then learnt(lesson, at) end
  depth = depth - 1
  return t, at
end

function object(at, role)
  if depth == MAX_DEPTH then too_deep(at) end
  depth = depth + 1
  if layout_count >= MAX_LAYOUTS and layouts[role] == nil then role = depth end
  local start, layout, t, lesson = at, layouts[role], nil, nil
  if layout and layout.credit then
    t = create(0, layout[1].count)
    for i = 1, #layout do
      local segment = layout[i]
      local after, member = take(t, segment, match(s, segment.pattern, at)), segment.member
      if not after then
        miss(role, layout)
        goto on
      end
      if member then
        t[member], at = value_at(after, byte(s, after), member)
      else
        at = after
      end
    end
    layout.credit = layout.credit + HIT
    depth = depth - 1
    do return t, at end
    ::on::
  else
    t = {}
  end
  if at == start and layouts[role] == nil then lesson = new_lesson(role, at) end
  while true do
    local after, c, found
    if at == start then
      after, c = skip(at + 1)
      if c == CLOSE then return close(t, lesson, after + 1) end
    else
      after, c, found = pass(at, COMMA)
      if not after then
        if found ~= CLOSE then fail(c, "',' or '}'") end
        return close(t, lesson, c + 1)
      end
    end
    if c ~= QUOTE then fail(after, "a string as key") end
    local key, from
    key, at = string_at(after + 1)
    from, c = pass(at, COLON)
    if not from then fail(c, "':'") end
    local value
    value, at = value_at(from, c, key)
    t[key] = value
    if lesson then lesson = learn(lesson, key, value, from, c, at) end
  end
end

--- An object whose plain members the native module reads.
local function object_in_runs(at)
  if depth == MAX_DEPTH then too_deep(at) end
  depth = depth + 1
  local t, c, is_over = {}, nil, nil
  at, c = skip(at + 1)
  if c == CLOSE then return close(t, nil, at + 1) end
  while true do
    at, is_over = native.read_members(s, at, t)
    if is_over then return close(t, nil, at) end
    if byte(s, at) ~= QUOTE then fail(at, "a string as key") end
    local key, from, after, found
    key, at = string_at(at + 1)
    from, c = pass(at, COLON)
    if not from then fail(c, "':'") end
    t[key], at = value_at(from, c, key)
    after, c, found = pass(at, COMMA)
    if not after then
      if found ~= CLOSE then fail(c, "',' or '}'") end
      return close(t, nil, c + 1)
    end
    at = after
  end
end

if native then object = object_in_runs end

--- # JSON
--- JSON as RFC 8259 has it. A JSON object is a table with string keys, an array a table with the keys 1 to n, `null` is
--- nil. It is read and written inside the state, so the state's limits and slices hold, and no text of a script's reaches
--- the host's own parser: by Lua, to which the native module lends a hand where it is there.
---
--- How many times the processor time of Python's `json` that takes for a document of 1 MB (medians of 9 rounds, the least and
--- the greatest, on a machine that had other work; `scripts/bench-json`):
---
--- | document | `fromjson` | `tojson` | without the native module | |
--- |---|---|---|---|---|
--- | records of ten members, two objects and an array | 2.5 (1.1 to 4.3) | 0.7 (0.5 to 1.1) | 3.0 | 2.8 |
--- | log lines with escapes | 1.6 (0.8 to 1.9) | 0.5 (0.3 to 0.8) | 5.6 | 3.7 |
--- | integers | 0.7 (0.6 to 0.9) | 2.5 (2.3 to 3.5) | 4.5 | 3.6 |
--- | floats | 0.5 (0.5 to 0.7) | 1.6 (1.5 to 1.7) | 2.7 | 1.6 |
--- | short strings | 1.2 (1.0 to 1.5) | 0.8 (0.7 to 0.8) | 2.8 | 4.8 |
--- | objects with ever other keys | 1.2 (0.9 to 1.8) | 0.4 (0.3 to 0.5) | 1.9 | 4.0 |
--- | objects and arrays of one member, nested | 0.8 (0.6 to 1.0) | 0.5 (0.3 to 0.6) | 0.7 | 3.3 |
---
--- The native module writes small plain tables without Lua, and sorts their keys itself; the filter, metatables and big tables are
--- Lua's affair. Without the module, sorting is most of the time where keys are ever others. To have Python read
--- the records and make a message of them that the state can read takes 23 times as long as Python's reading alone.

--- `fromjson(s)` → value
--- The value that a JSON text says.
---
--- - Numbers without fraction and exponent are integers, also `-0`, if they fit in 64 bits; all others are floats, what is
---   beyond the largest of them infinite.
--- - `null` is nil: a member is not there, an array has a hole, so `#` of it may be less than its length.
--- - Of members with the same key the last counts.
--- - The text must be UTF-8; a byte order mark before it is skipped. `\u` escapes make UTF-8, in pairs where they are
---   surrogates.
--- - Arrays and objects lie in each other 1000 deep at most.
---
---     fromjson('{"name": "boot", "sizes": [1, 2.0, null]}').sizes[2]  --> 2.0
---
--- Errors: `invalid JSON at position 7: expected a value, found '01'`; positions are bytes from 1.
--- Pledge: none.
local function fromjson(...)
  local text = check_string(1, "fromjson", (...))
  s, depth, layouts, credits, layout_count = text, 0, {}, {}, 0
  local valid, wrong = utf8_len(text)
  if not valid then stop(wrong, "the text is not UTF-8") end
  hazard, backslash, newline, return_, tab, control = 0, 0, 0, 0, 0, first_control()
  look_ahead(1)
  string_pattern = hazard == NOWHERE and PLAIN_STRING or STRING
  local at, c = skip(find(text, "^\xEF\xBB\xBF") and 4 or 1)
  local value
  value, at = value_at(at, c, "")
  at = skip(at)
  if at <= #text then fail(at, "the end") end
  s, layouts, credits = nil, nil, nil
  return value
end

return { fromjson = fromjson }
