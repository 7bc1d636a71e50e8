-- The same as catch.lus, in plain Lua.
local n = tonumber((...))
local function risky(i)
  if i % 10 == 0 then error("tenth") end
  return i
end
local errors = 0
for i = 1, n * 1000 do
  local ok, _ = pcall(risky, i)
  if not ok then errors = errors + 1 end
end
assert(errors == n * 100)
