-- Puts parts of the library together without a host: harness(read) gives a function that calls fromjson, tojson, fromcsv
-- or tocsv by name; arguments and result are messages of the codec (see sandbox/codec.py), a failure is nil and its text.
-- `read` gives the text of a part by its name. The second result has the functions themselves.
local read = ...
local raw = load(read("raw"), "=raw", "t")()
raw.public_type = type
local coroutines = { position = function() return "script" end }
local parts = setmetatable({}, {
  __index = function(self, name)
    self[name] = load(read(name), "=" .. name, "t")(raw, nil, coroutines, nil, self)
    return self[name]
  end,
})
local functions = {
  fromjson = parts.json_decode.fromjson, tojson = parts.json_encode.tojson,
  fromcsv = parts.csv.fromcsv, tocsv = parts.csv.tocsv,
}

local function call(name, message)
  local ok, result = pcall(function() return functions[name](parts.codec.decode(message)) end)
  if not ok then return nil, result end
  return parts.codec.encode_one(nil, result)
end

return call, functions
