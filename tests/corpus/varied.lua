-- Every construct of Lua 5.5, in the manners of real programs.
local M <const> = { _VERSION = "1.0", ["a b"] = 1; 2, 3, nested = { { } , }, f = function(...) return select("#", ...) end }
local <const> k1, k2 <close> = 1, nil
M.from, M.catch, M.enum, M.provide = 1, 2, 3, 4 --[==[ a long
comment ]] ]=] ]==] local from = print

local function split(s, sep)
  local out, n = {}, 0
  for piece in (s .. sep):gmatch("(.-)" .. (sep:gsub("%p", "%%%0"))) do
    n = n + 1; out[n] = piece
  end
  return out, n
end

function M.deep.path.to:method(a, b, ...)
  local extra = ...
  if a and not b or a ~= b and a <= b == true then return self, ... elseif a then return end
  goto done
  ::top:: do local x = 0x.8p-1 + 3e10 + .5 + 0xffff // 2 ~ 3 & 7 | 1 << 2 >> 1 end
  ::done::
  return (f or g)(a){b}"c"[[d]]:e(...)
end

local Account = setmetatable({}, { __index = function(t, key) return rawget(t, key) or #t end })
Account.__index = Account
function Account.new(balance) return setmetatable({ balance = balance or 0 }, Account) end
function Account:deposit(v) self.balance = self.balance + v return self end
Account.new(5):deposit(3):deposit(- -4);
(function() return nil end)();

for i = 10, 1, -1 do
  for k, v in pairs(M) do
    if type(v) == "table" then goto continue end
    print(i, k, v)
    ::continue::
  end
  if i < 5 then break end
end

local i = 0
repeat
  local done = i > 3
  i = i + 1
until done

while true do
  i = i - 1
  if i < 0 then break end
end

local text = 'quote "x" \'y\' \z
              joined \x41\65\u{1F600}\
line' .. [==[
first newline skipped ]] ]==] .. "" .. -2 ^ 2 .. not nil .. #"abc"
local a, b, c = (f()), f(), f { f "x" }
a.b["c"].d, a[b], c = 1, 2
local named = function(first, ...rest) return rest.n, rest[1], ... end
return M, function() return text end, a < b, a > b, ~a, a % b, a / b, a ^ b ^ c, a == (b)
