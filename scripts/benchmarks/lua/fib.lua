local n = tonumber((...))
local function fib(k)
  if k < 2 then return k end
  return fib(k - 1) + fib(k - 2)
end
for _ = 1, n do
  assert(fib(22) == 17711)
end
