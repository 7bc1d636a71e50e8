-- What a script sees where Lua would show an address: a made-up number, which tells one object from another and nothing
-- else. Addresses would tell where the interpreter, its libraries and its stack lie, which is half of what an attack on a bug
-- in them needs. A state that shows no object has none of this.
local raw, door, _, _, parts = ...
local type, rawget, select = raw.type, raw.rawget, raw.select
local find, sub, byte, unpack, format = raw.string_find, raw.string_sub, raw.string_byte, raw.string_unpack, raw.string_format
local concat, values_of = raw.table_concat, raw.table_unpack

-- Numbers of objects end at 2^46 and look like addresses of Linux, 32 bytes apart; those of strings begin there. Where they begin
-- is drawn, so that the text of an object is as good a name among several states as an address is.
local STRINGS <const>, STEP <const> = 1 << 46, 32
local drawn, secret = unpack("<i8i8", parts.support.must(RANDOM))
local last = (1 << 44) + (drawn >> 20) // STEP * STEP
local numbers = raw.setmetatable({}, { __mode = "k" })

--- A string's number comes from its bytes: a table would keep the string for ever, since strings are not weak. So equal
--- strings have one number also where Lua keeps them twice.
local function number_of_string(text)
  local hash, size, at = secret ~ #text, #text, 1
  while at + 7 <= size do
    hash = (hash ~ unpack("<i8", text, at)) * 0x2545f4914f6cdd1d
    hash, at = hash ~ hash >> 29, at + 8
  end
  for rest = at, size do
    hash = (hash ~ byte(text, rest)) * 0x2545f4914f6cdd1d
    hash = hash ~ hash >> 29
  end
  return STRINGS | hash >> 18
end

--- The text of `value`'s identity, `0x…`; `value` is a string or an object.
local function of(value)
  local number
  if type(value) == "string" then
    number = number_of_string(value)
  else
    number = numbers[value]
    if not number then
      number = last + STEP
      last, numbers[value] = number, number
    end
  end
  return format("0x%012x", number)
end

--- As Lua's own `tostring` for an object that has no `__tostring`. A name ends at its first zero byte there.
local function text(value, metatable)
  local name = metatable and rawget(metatable, "__name")
  if type(name) ~= "string" then return type(value) .. ": " .. of(value) end
  local zero = find(name, "\0", 1, true)
  return (zero and sub(name, 1, zero - 1) or name) .. ": " .. of(value)
end

local function has_address(value)
  local kind = type(value)
  return kind ~= "nil" and kind ~= "boolean" and kind ~= "number"
end

--- Whether this conversion (its flags and its letter) of `value` would show an address, or call a `__tostring` that does.
local function is_ours(flags, letter, value)
  if letter == "s" then return has_address(value) and type(value) ~= "string" end
  -- With other flags the conversion is an error.
  return letter == "p" and has_address(value) and find(flags, "^%-*[1-9]?%d?$") ~= nil
end

--- The next conversion of a format from position `at` on that takes an argument: where it begins, where its letter is, its flags,
--- its letter.
local function next_conversion(template, at)
  local first, last_, flags, letter = find(template, "%%([-+ #0-9.]*)(.?)", at)
  while first and flags == "" and letter == "%" do
    first, last_, flags, letter = find(template, "%%([-+ #0-9.]*)(.?)", last_ + 1)
  end
  return first, last_, flags, letter
end

--- `string.format` where an address might be shown. What is ours becomes a string before Lua's own function gets it.
local function public_format(template, ...)
  local values, count = { ... }, select("#", ...)
  if type(template) ~= "string" then return parts.guards.failing("format", format, template, ...) end
  local pieces, from, argument = {}, 1, 0
  local first, at, flags, letter = next_conversion(template, 1)
  while first and argument < count do
    argument = argument + 1
    local value = values[argument]
    if is_ours(flags, letter, value) then
      values[argument] = letter == "s" and raw.public_tostring(value, 3) or of(value)
      pieces[#pieces + 1] = sub(template, from, at - 1)
      pieces[#pieces + 1] = "s"
      from = at + 1
    end
    first, at, flags, letter = next_conversion(template, at + 1)
  end
  pieces[#pieces + 1] = sub(template, from)
  return parts.guards.failing("format", format, concat(pieces), values_of(values, 1, count))
end

return { of = of, text = text, format = public_format }
