local n = tonumber((...))
local Account = {}
Account.__index = Account
function Account.new() return setmetatable({ balance = 0 }, Account) end
function Account:deposit(amount) self.balance = self.balance + amount end
local Savings = setmetatable({}, { __index = Account })
Savings.__index = Savings
local one = setmetatable(Account.new(), Savings)
for _ = 1, n * 20000 do
  one:deposit(1)
end
assert(one.balance == n * 20000)
