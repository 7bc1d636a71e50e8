-- Many small tables that are garbage soon.
local n = tonumber((...))
for _ = 1, n do
  local list
  for i = 1, 5000 do
    list = { next = i % 100 ~= 0 and list or nil, value = i, name = "n" }
  end
  assert(list.value == 5000)
end
