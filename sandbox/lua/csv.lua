-- fromcsv and tocsv, in Lua alone. No code of the script runs in here.
local raw, _, _, _, parts = ...
local type, next, rawget, getmetatable = raw.type, raw.next, raw.rawget, raw.getmetatable
local find, sub, byte, match, gsub = raw.string_find, raw.string_sub, raw.string_byte, raw.string_match, raw.string_gsub
local concat, math_type, tostring, special = raw.table_concat, raw.math_type, raw.tostring, raw.special
local support = parts.support
local check_string, bad_argument = support.check_string, support.bad_argument
local complain, raise = support.complain, support.raise

local QUOTE <const>, RETURN <const>, NEWLINE <const> = 34, 13, 10
local MAX_HOLES <const> = 1000    -- in a row; what is written must bear some relation to what is there
local MANY_PIECES <const> = 4096

--- The byte of a delimiter, and the same as a part of a pattern's set.
local function check_delimiter(position, func, delimiter)
  if delimiter == nil then delimiter = "," end
  delimiter = check_string(position, func, delimiter, 4)
  if #delimiter ~= 1 or find(delimiter, '["\r\n]') then
    complain("bad argument #" .. position .. " to '" .. func .. "' (one byte expected that is no quote and no line end)", 4)
  end
  return byte(delimiter), gsub(delimiter, "%W", "%%%0")
end

-- Reading -----------------------------------------------------------------------------------------------------------

local function fail(s, at, problem)
  local line, from = 1, 1
  while true do
    local _, last = find(s, "\r?[\r\n]", from)
    if not last or last >= at then break end
    if byte(s, last) == RETURN and byte(s, last + 1) == NEWLINE then last = last + 1 end
    line, from = line + 1, last + 1
  end
  raise("invalid CSV at position " .. at .. " (line " .. line .. "): " .. problem)
end

--- The field whose opening quote is before `at`, and the position after its closing quote.
local function quoted(s, at)
  local from, count, pieces = at, 0, nil
  while true do
    local quote = find(s, '"', at, true)
    if not quote then fail(s, from - 1, "a quoted field that does not end") end
    if byte(s, quote + 1) ~= QUOTE then
      local last = sub(s, at, quote - 1)
      if not pieces then return last, quote + 1 end
      pieces[count + 1] = last
      return concat(pieces, "", 1, count + 1), quote + 1
    end
    pieces, count = pieces or {}, count + 1
    pieces[count] = sub(s, at, quote)
    at = quote + 2
  end
end

--- The fields of the row at `at`, by number or by `names`, and the position after its end.
local function row_at(s, at, delimiter, plain, names)
  local row, count = {}, 0
  local c = byte(s, at)
  if c ~= RETURN and c ~= NEWLINE then
    while true do
      local field
      if c == QUOTE then
        local from = at
        field, at = quoted(s, at + 1)
        c = byte(s, at)
        if c and c ~= delimiter and c ~= RETURN and c ~= NEWLINE then
          fail(s, at, "text after the end of the quoted field that begins at position " .. from)
        end
      else
        field, at = match(s, plain, at)
        c = byte(s, at)
      end
      count = count + 1
      row[names and names[count] or count] = field
      if c ~= delimiter then break end
      at = at + 1
      c = byte(s, at)
    end
  end
  if c == RETURN and byte(s, at + 1) == NEWLINE then at = at + 1 end
  return row, at + 1
end

--- The names of columns, as a list of the script's or the first row.
local function check_names(names)
  local seen, copy = {}, {}
  for position = 1, #names do
    local name = rawget(names, position)
    if type(name) ~= "string" then
      complain("bad argument #2 to 'fromcsv' (column " .. position .. " is no string)", 4)
    end
    if seen[name] then complain("bad argument #2 to 'fromcsv' (column '" .. name .. "' is there twice)", 4) end
    seen[name], copy[position] = true, name
  end
  return copy
end

--- # CSV
--- Tables as text, as RFC 4180 has it: fields between commas (or another delimiter), a row per line, in quotes what would
--- be misunderstood without them. All fields that are read are strings; `tonumber` makes numbers of them.

--- `fromcsv(s, headers?, delimiter?)` → rows
--- An array of rows. Without `headers` each row is an array of its fields. If `headers` is `true`, the first row has
--- the names of the columns, and each further row is a table with its fields by name; a list of names does the same
--- where the text has none. Rows may differ in length: a field that is missing is nil, one that has no name is kept under its
--- number. An empty line is an empty row. Lines end with CR LF, LF or CR; a byte order mark before the first is skipped; within
--- a field that does not begin with a quote, quotes are characters like others.
---
---     for _, row in ipairs(fromcsv("name,size\nboot.log,17\n", true)) do print(row.name, row.size) end
---
--- Errors: `invalid CSV at position 17 (line 2): …` for a quoted field that does not end or is followed by text, and for
--- a header row that has a name twice.
--- Pledge: none.
local function fromcsv(s, headers, delimiter)
  s = check_string(1, "fromcsv", s)
  local names
  if headers == nil or type(headers) == "boolean" then
    names = nil
  elseif type(headers) ~= "table" or getmetatable(headers) then
    bad_argument(2, "fromcsv", "boolean or list of names", headers)
  else
    names = check_names(headers)
  end
  local code, set = check_delimiter(3, "fromcsv", delimiter)
  local plain = "^([^" .. set .. "\r\n]*)()"
  local rows, count, at = {}, 0, find(s, "^\xEF\xBB\xBF") and 4 or 1
  if headers == true and at <= #s then
    local from = at
    names, at = row_at(s, at, code, plain)
    local seen = {}
    for position = 1, #names do
      if seen[names[position]] then fail(s, from, "the column '" .. names[position] .. "' is there twice") end
      seen[names[position]] = true
    end
  end
  while at <= #s do
    count = count + 1
    rows[count], at = row_at(s, at, code, plain, names)
  end
  return rows
end

-- Writing -----------------------------------------------------------------------------------------------------------

local function row_length(row, number)
  local greatest, used = 0, 0
  for key in next, row do
    if math_type(key) ~= "integer" or key < 1 then
      raise("row " .. number .. " has a key that is no number of a column")
    end
    used = used + 1
    if key > greatest then greatest = key end
  end
  if greatest - used > MAX_HOLES then raise("row " .. number .. " has more than " .. MAX_HOLES .. " holes") end
  return greatest
end

--- A field as text; nil is empty.
local function field_text(value, special_set, number, column)
  local kind = type(value)
  if kind == "string" then
    if find(value, special_set) then return '"' .. gsub(value, '"', '""') .. '"' end
    return value
  end
  if kind == "number" then return value .. "" end
  if kind == "nil" then return "" end
  if kind == "boolean" then return tostring(value) end
  local record = special[getmetatable(value)]
  if record and record.name == "enum" then
    return field_text(raw.public_tostring(value, 1), special_set)
  end
  raise("row " .. number .. ", column " .. column .. ": cannot write a " .. raw.public_type(value))
end

--- `tocsv(rows, delimiter?)` → string
--- The text of an array of rows, each an array of strings, numbers, booleans, enums (by their name), or nil for an
--- empty field. Fields are quoted where they must be; every row ends with CR LF.
---
---     tocsv({{"name", "size"}, {"boot.log", 17}})  --> name,size\r\nboot.log,17\r\n
---
--- Errors: a row that is no table, a key that is not the number of a column, another value, more than 1000 holes in a
--- row: named by row and column.
--- Pledge: none.
local function tocsv(rows, delimiter)
  if type(rows) ~= "table" then bad_argument(1, "tocsv", "table", rows) end
  local code, set = check_delimiter(2, "tocsv", delimiter)
  delimiter = raw.string_char(code)
  local special_set = "[" .. set .. '"\r\n]'
  local done, pieces, n = {}, {}, 0
  for number = 1, raw.rawlen(rows) do
    local row = rawget(rows, number)
    if type(row) ~= "table" then raise("row " .. number .. " is no table") end
    local length = row_length(row, number)
    for column = 1, length do
      local text = field_text(rawget(row, column), special_set, number, column)
      if length == 1 and text == "" then text = '""' end -- an empty line would be an empty row
      if column > 1 then
        n = n + 1
        pieces[n] = delimiter
      end
      n = n + 1
      pieces[n] = text
      if n >= MANY_PIECES then
        done[#done + 1], n = concat(pieces, "", 1, n), 0
      end
    end
    n = n + 1
    pieces[n] = "\r\n"
  end
  done[#done + 1] = concat(pieces, "", 1, n)
  return concat(done)
end

return { fromcsv = fromcsv, tocsv = tocsv }
