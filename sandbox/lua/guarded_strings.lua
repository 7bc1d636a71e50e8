-- What `string` is filled from where the native module is not there: strings.lua, and what guards Lua's own functions.
local raw, _, _, _, parts = ...

local library = { rep = parts.guards.rep }
for _, part in raw.next, { parts.strings.library, parts.patterns } do
  for name, func in raw.next, part do library[name] = func end
end

return { library = library }
