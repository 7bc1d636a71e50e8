global print, pairs; global <const> assert
global counter <const> = 5
global *
global function visit(node, ...)
  do global none; none = 1 end
  local global = { global = 1 }
  print(global.global, counter, ...)
  for name in pairs(node) do undeclared = name end
end
