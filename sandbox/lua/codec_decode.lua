-- Bytes to values (see codec.lua). Trusts nothing: what a length promises is compared with the bytes that are left
-- before anything is made for it.
local raw, _, _, _, parts = ...
local unpack, byte, create, move = raw.string_unpack, raw.string_byte, raw.table_create, raw.table_move
local values_of, error, kinds = raw.table_unpack, raw.error, raw.kinds or {}
local formats, format_of = parts.codec_formats.formats, parts.codec_formats.format_of

local VERSION <const> = 1
local ONE <const>, LIST <const> = 0, 1
local CHUNK <const> = 120
local INT1 <const>, INT2 <const>, INT4 <const>, INT8 <const>, FLOAT <const>, SHORT <const> = 1, 2, 3, 4, 5, 6
local LONG <const>, BOOL <const>, NEW <const>, REF <const>, OBJECT <const>, NIL <const> = 7, 8, 9, 10, 11, 12
local MIN_WIDTHS = { 1, 2, 4, 8, 8, 1, 4, 1, 0, 4, 8, 0 }

-- The tables and objects of the message being decoded, and how many tables have been mentioned so far: set at the
-- start of a call and dropped at its end, as for encode.
local tables, objects, mentioned
local NONE <const> = {}

local function malformed(at, what)
  error("malformed message: " .. what .. " at byte " .. at, 0)
end

-- What makes the values of a run out of what was packed, in place: finishers[code](into, first, last, at).
local finishers = {
  [BOOL] = function(into, first, last, at)
    for i = first, last do
      if into[i] > 1 then malformed(at, "boolean that is neither 0 nor 1") end
      into[i] = into[i] == 1
    end
  end,
  [NEW] = function(into, first, last, at)
    local final = mentioned + last - first + 1
    if final > #tables then malformed(at, "more tables than announced") end
    move(tables, mentioned + 1, final, first, into)
    mentioned = final
  end,
  [REF] = function(into, first, last, at)
    for i = first, last do
      local id = into[i]
      if id == 0 or id > mentioned then malformed(at, "reference to an unknown table") end
      into[i] = tables[id]
    end
  end,
  [OBJECT] = function(into, first, last, at)
    for i = first, last do
      local object = objects[into[i] >> 32]
      local value = object and object.record.at(object.made, into[i] & 0xffffffff)
      if value == nil then malformed(at, "reference to an unknown object") end
      into[i] = value
    end
  end,
  [NIL] = function(_, first, last, at)
    if first ~= last then malformed(at, "run of nils") end -- would be shorter than one byte per value
  end,
}

-- Reads runs with codes from `least` to `most` into into[first..last], which they must fill exactly; gives the position
-- after them.
local function get_values(s, at, into, first, last, least, most)
  while first <= last do
    local head, count = byte(s, at, at + 1)
    if not head then malformed(at, "end of data") end
    local code, skip = head >> 4, 1
    if head & 15 > 0 then
      count = head & 15
    else
      skip = 2
      if not count or count < 16 then malformed(at, "bad run length") end
    end
    if code < least or code > most then malformed(at, "value of a type that can't be here") end
    if first + count - 1 > last then malformed(at, "more values than announced") end
    local width = MIN_WIDTHS[code]
    if count * width > #s - at + 1 - skip then malformed(at, "run longer than the data") end
    local after = at + skip
    if width > 0 then
      if count == 1 then
        head, into[first], after = unpack(formats[code << 8 | 1] or format_of(code, 1), s, at)
      else
        local got = { unpack(format_of(code, count), s, at) } -- with the head, so that both ways share a format
        move(got, skip + 1, skip + count, first, into)
        after = got[skip + count + 1]
      end
    end
    local finish_run = finishers[code]
    if finish_run then finish_run(into, first, first + count - 1, at) end
    first, at = first + count, after
  end
  return at
end

local function get_definitions(s, at, total)
  for i = 1, total do
    if #s - at < 4 then malformed(at, "end of data") end
    local kind, count, after = unpack("<BI4", s, at)
    local record = kinds[kind]
    if not record then malformed(at, "definition of an unknown kind") end
    if count == 0 or count > #s - after + 1 then malformed(at, "definition longer than the data") end
    local strings = create(count)
    after = get_values(s, after, strings, 1, count, SHORT, LONG)
    local made = record.make(strings)
    if made == nil then malformed(at, "definition that defines nothing") end
    objects[i] = { record = record, made = made }
    at = after
  end
  return at
end

-- Reads the sizes of all tables and makes the tables, so that they can refer to each other. `values` more values come.
local function make_tables(s, at, total, values)
  if 2 * total > #s - at + 1 then malformed(at, "more tables than data") end
  local counts = create(2 * total)
  local after = get_values(s, at, counts, 1, 2 * total, INT1, INT8)
  -- Each value and each key takes a byte or more, but for the one mention of each table, which had two here.
  local room = #s - after + 1 + total - values
  for i = 1, total do
    local length, others = counts[2 * i - 1], counts[2 * i]
    if length < 0 or length > room or others < 0 or others > room then malformed(at, "bad size of a table") end
    room = room - length - 2 * others
    tables[i] = create(length, others)
  end
  if room < 0 then malformed(at, "more values than data") end
  return counts, after
end

-- Kept from call to call: making them anew would be a sixth of the time that a small table takes.
local got, got_keys = {}, {}

local function get_pairs(s, at, into, total)
  for done = 0, total - 1, CHUNK do
    local count = total - done < CHUNK and total - done or CHUNK
    at = get_values(s, at, got, 1, count, INT1, OBJECT)
    at = get_values(s, at, got_keys, 1, count, INT1, OBJECT)
    for i = 1, count do
      local key = got_keys[i]
      if key ~= key then malformed(at, "NaN as a key") end
      into[key] = got[i]
      got[i], got_keys[i] = nil, nil
    end
  end
  return at
end

local function get_list(s)
  if #s < 12 then malformed(#s + 1, "end of data") end
  local _, _, count, table_total, definition_total, at = unpack("<BBI2I4I4", s)
  tables, objects, mentioned = {}, NONE, 0
  if definition_total > 0 then
    objects = {}
    at = get_definitions(s, at, definition_total)
  end
  local counts
  counts, at = make_tables(s, at, table_total, count)
  local values = {}
  at = get_values(s, at, values, 1, count, INT1, NIL)
  for i = 1, table_total do
    local length, others = counts[2 * i - 1], counts[2 * i]
    if length > 0 then at = get_values(s, at, tables[i], 1, length, INT1, OBJECT) end
    if others > 0 then at = get_pairs(s, at, tables[i], others) end
  end
  if mentioned < table_total then malformed(at, "fewer tables than announced") end
  if at ~= #s + 1 then malformed(at, "data after the end") end
  tables, objects = nil, nil
  return values, count
end

--- As codec.decode.
local function decode(s)
  local version, form = byte(s, 1, 2)
  if version ~= VERSION then malformed(1, "unknown version") end
  if form == LIST then
    local values, count = get_list(s)
    return values_of(values, 1, count)
  elseif form ~= ONE then
    malformed(2, "unknown form")
  end
  local one = {}
  local at = get_values(s, 3, one, 1, 1, INT1, BOOL)
  if at ~= #s + 1 then malformed(at, "data after the end") end
  return one[1]
end

return { decode = decode }
