local n = tonumber((...))
for _ = 1, n do
  local parts = {}
  for i = 1, 2000 do
    parts[i] = string.format("%d:%s", i, ("x"):rep(i % 10))
  end
  local text = table.concat(parts, ",")
  local digits = 0
  for word in text:gmatch("%d+") do digits = digits + #word end
  assert(digits == 6893 and #text:upper() == #text)
end
