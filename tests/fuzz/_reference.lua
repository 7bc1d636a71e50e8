-- What the constructs of Lus mean, slow and obvious, for programs that were written in Lua by hand. The first part is for
-- both languages: values and functions that programs use. Its lines
-- are joined, so that programs begin on line 1: comments stand here alone.
function show(v, depth)
  depth = depth or 0
  if type(v) == "string" then return (v:gsub("^(script:%d+): .*", "%1")) end
  if getmetatable(v) == "enum" then return "enum " .. tostring(v) .. tostring(v[2]) end
  if type(v) == "function" then return "function" end
  if type(v) ~= "table" then return tostring(v) end
  if depth > 3 then return "{...}" end
  local keys, parts = {}, {}
  for k in next, v do keys[#keys + 1] = k end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, k in ipairs(keys) do parts[#parts + 1] = tostring(k) .. "=" .. show(v[k], depth + 1) end
  return "{" .. table.concat(parts, ",") .. "}"
end
function say(...)
  local values = table.pack(...)
  for i = 1, values.n do values[i] = show(values[i]) end
  print(table.concat(values, "|"))
end
function ev(name, ...) say("ev", name, ...) return ... end
function boom(value) error(value, 0) end
function fail() error("failed") end
function double(name, v) say("double", name, v) if type(v) == "number" then return v + v end end
function note(name, v) say("note", name, v) end
function note2(name, v) return name .. show(v) end
function only(kind) return function(name, v) if type(v) ~= kind then error(name .. " is no " .. kind, 0) end end end
function steps(...)
  local outcomes, at = table.pack(...), 0
  return function(...)
    at = at + 1
    local one = outcomes[at]
    if one == "fail" then error("step " .. at, 0) end
    if one == nil then return nil end
    return one, at, ...
  end
end
t = { a = 1, b = { a = 2, c = "deep" }, f = function(...) return ... end, "x", "y", 3, 4, 5 }
function t:m(...) return self.a, ... end
text, nothing, no = "abcdefg", nil, false
--reference
R = {}
function R.catch(f, ...) return pcall(f, ...) end
function R.catch_with(h, f, ...)
  local r = table.pack(pcall(f, ...))
  if r[1] then return table.unpack(r, 1, r.n) end
  return false, (h(r[2]))
end
function R.error_first(f, ...)
  local r = table.pack(pcall(f, ...))
  if r[1] then return nil, table.unpack(r, 2, r.n) end
  return (r[2])
end
function R.optional(v, f, ...) if v then return f(v, ...) end return v end
function R.text(v) return tostring(v) end
function R.slice(v, low, high)
  local n = (type(v) == "string" or type(v) == "table") and #v or error("no slice", 2)
  local a, b = low == nil and (1) or low, high == nil and n or high
  if math.type(a) == "float" then a = math.tointeger(a) end
  if math.type(b) == "float" then b = math.tointeger(b) end
  if math.type(a) ~= "integer" or math.type(b) ~= "integer" then error("no bound", 2) end
  local is_text, out = type(v) == "string", {}
  if is_text then
    if a < 0 then a = a + n + 1 if a < 1 then a = 1 end end
    if b < 0 then b = b + n + 1 if b < 0 then b = 0 end end
  elseif a < 0 or b < 0 then return {} end
  local count = 0
  local function put(i)
    if i > n or is_text and i < 1 then return end
    count = count + 1
    if is_text then out[count] = v:sub(i, i) else out[count] = v[i] end
  end
  if low ~= nil and high ~= nil and a > b then for i = a, b, -1 do put(i) end else for i = a, b do put(i) end end
  if is_text then return table.concat(out) end
  return out
end
function R.enum(names)
  local values, meta = {}, { __metatable = "enum" }
  for i, name in ipairs(names) do values[i] = setmetatable({}, meta) end
  local function at(v) for i, one in ipairs(values) do if rawequal(one, v) then return i end end end
  function meta.__index(_, k)
    for i, name in ipairs(names) do if name == k then return values[i] end end
    return values[k]
  end
  function meta.__tostring(v) return names[at(v)] end
  function meta.__lt(v, w) if not (at(v) and at(w)) then error("no order", 2) end return at(v) < at(w) end
  function meta.__le(v, w) if not (at(v) and at(w)) then error("no order", 2) end return at(v) <= at(w) end
  return values[1]
end
function R.check(name, v, ...)
  for _, f in ipairs { ... } do
    if v ~= nil then
      local new = f(name, v)
      if new ~= nil then v = new end
    end
  end
  return v
end
