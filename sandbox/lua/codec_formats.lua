-- The formats of runs, which both directions of the codec share (see codec.lua).
local raw = ...
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

return { formats = formats, format_of = format_of }
