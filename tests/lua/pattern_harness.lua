-- What the pattern functions give, in words: run by bare Lua and by a state, the words must be the same.
local unpack = table.unpack

local function show(...)
  local words = table.pack(...)
  for i = 1, words.n do
    local value = words[i]
    words[i] = type(value) == "string" and string.format("%q", value) or (math.type(value) or "") .. tostring(value)
  end
  return table.concat(words, " ", 1, words.n)
end

-- All that an iterator gives, up to its first error, or to its end and once beyond. (After an error Lua's own has lost
-- count of its depth.)
local function iterate(...)
  local iterator, found = string.gmatch(...), {}
  for i = 1, 100 do
    found[i] = show(pcall(iterator))
    if found[i]:sub(1, 5) == "false" or found[i - 1] == "true" then break end
  end
  return table.concat(found, "; ")
end

local function answer(...)
  local first = ...
  if first == "a" then return nil elseif first == "b" then return false elseif first == "c" then return {} end
  return select("#", ...) .. show(first)
end

local answers = setmetatable({ a = "A", b = 12, c = false, [1] = 1.5 }, { __index = function(_, key)
  if key == "\0" then error("a zero", 0) end
  return #tostring(key) < 3 and key or nil
end })

-- Without a position: where Lua's own pcall is the caller, Lua gives none, and a guard may.
local function unplaced(text)
  return (string.gsub(text, "main%.lus:%d+: ", ""))
end

-- Lines of their own: an error's position is compared too. (But for tail calls, of which a guard knows no position.)
local calls = {
  function(s, p, _, init) return show(string.find(s, p, init)) end,
  function(s, p, _, init) return show(string.find(s, p, init, true)) end,
  function(s, p, _, init) return show(s:match(p, init)) end,
  function(s, p, repl, _, most) return show(string.gsub(s, p, repl, most)) end,
  function(s, p, _, _, most) return show(s:gsub(p, answer, most)) end,
  function(s, p, _, _, most) return show(s:gsub(p, answers, most)) end,
  function(s, p, _, init) return unplaced(iterate(s, p, init)) end,
}

return function(...)
  local lines, arguments = {}, table.pack(...)
  for i, call in ipairs(calls) do lines[i] = show(pcall(call, unpack(arguments, 1, arguments.n))) end
  lines[#lines + 1] = unplaced(show(pcall(string.match, ...)))
  return table.concat(lines, "\n")
end
