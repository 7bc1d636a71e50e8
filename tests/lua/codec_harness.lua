-- Puts the codec's parts together as a state does, with enums and vectors to send: harness(read, max_bytes, max_depth, library)
-- gives the codec, new_enum(names), the metatable of a sealed kind, the codec that is Lua alone, and the native functions. `read`
-- gives the text of a part by its name; `library` is the path of the native module, if it is to be in use.
local read, max_bytes, max_depth, library = ...
local raw = load(read("raw"), "=raw", "t")()
raw.max_bytes, raw.max_depth, raw.special, raw.kinds = max_bytes, max_depth, {}, {}

local enum_of, enum_metatable = setmetatable({}, { __mode = "k" }), { __name = "enum" }
local function new_enum(names)
  local enum, seen = { names = names }, {}
  for position, name in ipairs(names) do
    if seen[name] then return nil end
    seen[name] = true
    enum[position] = setmetatable({}, enum_metatable)
    enum_of[enum[position]] = { enum = enum, position = position }
  end
  return enum[1]
end
function enum_metatable.__tostring(value)
  return table.concat(enum_of[value].enum.names, ",") .. ":" .. enum_of[value].position
end
function enum_metatable.__index(value, key) return enum_of[value].enum[key] end

local record = {
  name = "enum", kind = 1, make = new_enum,
  at = function(first, position) return enum_of[first].enum[position] end,
  parts = function(value)
    local own = enum_of[value]
    return own.enum, own.position
  end,
  strings = function(enum) return enum.names end,
}
raw.special[enum_metatable], raw.kinds[1] = record, record

-- A vector is an empty table, and its bytes are in `bytes_of`.
local bytes_of, vector_metatable = setmetatable({}, { __mode = "k" }), { __name = "vector" }
function vector_metatable.__tostring(vector) return "vector of " .. bytes_of[vector] end
local vector_record = {
  name = "vector", kind = 2,
  parts = function(vector) return vector, 1 end,
  strings = function(vector, room) return #bytes_of[vector] <= room and { bytes_of[vector] } or nil end,
  make = function(strings)
    if #strings ~= 1 then return nil end
    local vector = setmetatable({}, vector_metatable)
    bytes_of[vector] = strings[1]
    return vector
  end,
  at = function(vector, position) return position == 1 and vector or nil end,
}
raw.special[vector_metatable], raw.kinds[2] = vector_record, vector_record

local handle_metatable = {}
raw.sealed[handle_metatable] = "worker handle"

local parts = setmetatable({}, {
  __index = function(self, name)
    self[name] = load(string.dump(load(read(name), "=" .. name, "t"), true), "=" .. name, "b")(raw, nil, nil, nil, self)
    return self[name]
  end,
})
local native = library and package.loadlib(library, "luspool_open")()
local codec = native and native.codec(function(name, ...)
  return parts[name == "decode" and "codec_decode" or "codec_encode"][name](...)
end, max_bytes, max_depth, raw.sealed, raw.special) or parts.codec
return codec, new_enum, handle_metatable, parts.codec, native
