-- What `string` is filled from where the native module is not there: strings.lua, and what guards Lua's own functions.
local raw, _, _, _, parts = ...

local guards = parts.guards

local library = { rep = guards.rep, format = guards.format, pack = guards.pack, reverse = guards.reverse,
  upper = guards.upper, lower = guards.lower }
for _, part in raw.next, { parts.strings.library, parts.patterns } do
  for name, func in raw.next, part do library[name] = func end
end

return { library = library }
