-- The basic functions that wait in parts of their own until they are called, by name.
local raw, _, _, _, parts = ...

local homes = {
  load = "load", loadfile = "load", dofile = "load", require = "load", warn = "rare", collectgarbage = "rare",
  pledge = "worker", fromjson = "json_decode", tojson = "json_encode", fromcsv = "csv", tocsv = "csv",
}

return raw.setmetatable({}, {
  __index = function(basic, name)
    local home = parts[homes[name]]
    local func = (home.chunks or home)[name]
    raw.rawset(basic, name, func)
    return func
  end,
})
