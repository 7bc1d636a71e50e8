local n = tonumber((...))
for _ = 1, n do
  local composite, primes = {}, 0
  for i = 2, 20000 do
    if not composite[i] then
      primes = primes + 1
      for k = i * i, 20000, i do composite[k] = true end
    end
  end
  assert(primes == 2262)
end
