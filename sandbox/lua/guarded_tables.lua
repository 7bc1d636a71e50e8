-- What `table` is filled from where the native module is not there: tables.lua, and what guards Lua's own functions.
local raw, _, _, _, parts = ...
local guards = parts.guards

local library = { insert = guards.insert, remove = guards.remove, move = guards.move, concat = guards.concat,
  sort = guards.sort }
for name, func in raw.next, parts.tables.library do library[name] = func end

return { library = library }
