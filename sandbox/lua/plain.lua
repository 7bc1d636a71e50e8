-- Looking for plain text. Lua's own search takes the product of both lengths at worst, in C, where nothing can stop it. So C
-- looks for the beginning of a long text, and the rest is compared here, at each place in turn.
local raw = ...
local find, sub = raw.string_find, raw.string_sub

local BEGINNING <const> = 64

--- Where `text` begins and ends in `s`, from position `at` on, or nil. `visit`, if given, is called for each place where the
--- text was not after all, and may raise an error.
local function find_plain(s, text, at, visit)
  local size = #text
  if size <= BEGINNING then return find(s, text, at, true) end
  local beginning = sub(text, 1, BEGINNING)
  while true do
    local start = find(s, beginning, at, true)
    if not start or start + size - 1 > #s then return nil end
    if sub(s, start, start + size - 1) == text then return start, start + size - 1 end
    if visit then visit() end
    at = start + 1
  end
end

return { find = find_plain, BEGINNING = BEGINNING }
