-- Messages between states as bytes. The format, its limits and the reasons for its shape: docs/messages.md. This part
-- joins the two directions, codec_encode.lua and codec_decode.lua, which share the formats of runs.
--
-- Takes from `raw`, beside functions of the standard library:
--   max_bytes, max_depth  limits on what is encoded; max_bytes below 2^32
--   sealed                [metatable] = name of what is refused, such as "worker handle"
--   special               [metatable] = record of a kind of object that is neither scalar nor plain table:
--                           name                     as in "enum", for messages to people
--                           kind                     1 to 255, in the message
--                           parts(value)             -> identity, position, strings (a list, at least one)
--                           make(strings)            -> object, or nil when no object can be made of them
--                           at(object, position)     -> value, or nil
--                         An enum's identity is the enum, its strings are the names, and `at` gives the value at a
--                         position.
--   kinds                 [kind] = the same record
-- None of these functions may run code of the script.
local raw, _, _, _, parts = ...
local rep = raw.string_rep

-- Values per string.pack, and part of the format: 1 KB of 8-byte numbers is what Lua packs in a buffer on the C stack;
-- at twice as many, larger buffers eat what fewer calls save (measured: 25 to 31 ns per value at 120, 27 to 37 at 250).
local CHUNK <const> = 120

-- The format of a run's values by its code: integers, float, strings, boolean; new table, table, object, nil.
local UNITS = { "i1", "i2", "i4", "i8", "d", "s1", "s4", "B", "", "I4", "i8", "" }

-- The format of a run with its head; for counts that recur. Other counts are the last chunk of a long array, where
-- building a format costs little per value; keeping them all would cost 100 KB per state.
local formats = {}  -- [code << 8 | count]
local function format_of(code, count)
  local key = code << 8 | count
  local known = formats[key]
  if not known then
    known = (count < 16 and "<B" or "<BB") .. rep(UNITS[code], count)
    if count < 16 or count == CHUNK then formats[key] = known end
  end
  return known
end

local encoder = parts.codec_encode(formats, format_of)
return { encode = encoder.encode, encode_one = encoder.encode_one, decode = parts.codec_decode(formats, format_of) }
