-- Messages between states as bytes. The format, its limits and the reasons for its shape: docs/messages.md. This part
-- does the most frequent messages, a single scalar, itself: many states never see another. For all else it fetches
-- codec_encode.lua or codec_decode.lua. Where the native module is, native/codec.c stands in for this part, and fetches them for
-- what it leaves to Lua.
--
-- Takes from `raw`, beside functions of the standard library:
--   max_bytes, max_depth  limits on what is encoded; max_bytes below 2^32
--   sealed                [metatable] = name of what is refused, such as "worker handle"
--   special               [metatable] = record of a kind of object that is neither scalar nor plain table:
--                           name                     as in "enum", for messages to people
--                           kind                     1 to 255, in the message
--                           parts(value)             -> identity, position
--                           strings(identity, room)  -> list of strings, at least one; or nil, where they would take
--                                                       more bytes than there is room
--                           ordinal                  true where the position is what `tonumber` gives
--                           make(strings)            -> object, or nil when no object can be made of them
--                           at(object, position)     -> value, or nil
--                           clone(value)             what table.clone does with it; absent: nothing
--                         An enum's identity is the enum, its strings are the names, and `at` gives the value at a
--                         position. A vector's identity is itself, its one string the bytes, its position 1.
--   kinds                 [kind] = the same record
-- None of these functions may run code of the script.
local raw, _, _, _, parts = ...
local pack, unpack, byte, type, math_type = raw.string_pack, raw.string_unpack, raw.string_byte, raw.type, raw.math_type
local max_bytes = raw.max_bytes

local VERSION <const> = 1
local ONE <const> = 0
-- Heads of runs of one value.
local INT8 <const>, FLOAT <const>, SHORT <const>, LONG <const>, BOOL <const> = 0x41, 0x51, 0x61, 0x71, 0x81

--- The message of a scalar that is not too large; nil for every other value.
local function scalar(value)
  local kind = math_type(value) or type(value)
  local bytes
  if kind == "integer" then
    bytes = pack("<BBBi8", VERSION, ONE, INT8, value)
  elseif kind == "string" then
    local length = #value
    if length > max_bytes then return nil end
    if length > 255 then
      bytes = pack("<BBBI4", VERSION, ONE, LONG, length) .. value
    else
      bytes = pack("<BBBs1", VERSION, ONE, SHORT, value)
    end
  elseif kind == "float" then
    bytes = pack("<BBBd", VERSION, ONE, FLOAT, value)
  elseif kind == "boolean" then
    bytes = pack("<BBBB", VERSION, ONE, BOOL, value and 1 or 0)
  else
    return nil
  end
  return #bytes <= max_bytes and bytes or nil
end

local codec = {}

--- encode_one(what, value) -> bytes, or nil, a message, and whether it is the size that was too much. `what` comes before
--- the place in the message; nil for none.
function codec.encode_one(what, value)
  local bytes = scalar(value)
  if bytes then return bytes end
  return parts.codec_encode.encode_one(what, value)
end

--- encode(number, ...) -> as encode_one. All values of an argument list, trailing nils too. `number` is the number of the
--- first in the call that the script wrote, for the message: `argument #2, field .callback[3]: cannot copy a function`.
function codec.encode(...)
  return parts.codec_encode.encode(...)
end

--- decode(bytes) -> the values given to encode or encode_one. Raises an error for malformed bytes.
function codec.decode(s)
  local length, version, form, head = #s, byte(s, 1, 3)
  if version == VERSION and form == ONE then
    if head == INT8 and length == 11 then return (unpack("<i8", s, 4)) end
    if head == SHORT and byte(s, 4) == length - 4 then return (unpack("<s1", s, 4)) end
    if head == FLOAT and length == 11 then return (unpack("<d", s, 4)) end
    if head == LONG and length >= 7 and unpack("<I4", s, 4) == length - 7 then return (unpack("<s4", s, 4)) end
  end
  return parts.codec_decode.decode(s)
end

--- post(to, value) -> true if it was sent, or put to others that go out together; false: wait, and do it again; nil: do it
--- otherwise. take(bundle, at) -> where the message at this place of such a bundle ends, and its value, or nothing. brought() ->
--- 0 and the value of the message that the host has brought; or its bytes, where there is more to it. Only in C.
function codec.post() end
codec.take = codec.post

return codec
